// What OpenAI's own JavaScript client gets from Lectern. Address and key are in OPENAI_BASE_URL and OPENAI_API_KEY, where
// the client looks for them by itself.

const assert = require("node:assert/strict");
const OpenAI = require("openai");

const client = new OpenAI({ maxRetries: 0 });
const question = "How many euros is the daily allowance inside the country?";
const messages = [{ role: "user", content: question }];

async function main() {
  const known = [];
  for await (const model of client.models.list()) known.push(model.id);
  assert.deepEqual(known, ["lectern", "lectern/default", "lectern/other", "lectern-embedding"]);
  assert.equal((await client.models.retrieve("lectern/other")).id, "lectern/other");

  const whole = await client.chat.completions.create({ model: "lectern", messages });
  const { message, finish_reason } = whole.choices[0];
  assert.match(message.content, /28 euros/);
  assert.equal(finish_reason, "stop");
  const { url_citation } = message.annotations[0];
  assert.equal(message.content.slice(url_citation.start_index, url_citation.end_index), "[1]");

  const stream = await client.chat.completions.create({
    model: "lectern", messages, stream: true, stream_options: { include_usage: true },
  });
  let text = "";
  let usage = null;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, message.content);
  assert.ok(usage.completion_tokens > 0);

  const helped = client.chat.completions.stream({ model: "lectern", messages });
  assert.equal(await helped.finalContent(), message.content);

  const followUp = await client.chat.completions.create({
    model: "lectern",
    messages: [...messages, { role: "assistant", content: message.content }, { role: "user", content: "And abroad?" }],
  });
  assert.match(followUp.choices[0].message.content, /47 euros/);

  const input = ["A daily allowance for meals.", "The tide comes in at noon."];
  const vectors = await client.embeddings.create({ model: "lectern-embedding", input });
  assert.equal(vectors.data.length, 2);
  assert.ok(vectors.data.every(({ embedding }) => embedding.length === vectors.data[0].embedding.length));

  const refused = (call, kind, expected) =>
    assert.rejects(call, (error) => {
      assert.ok(error instanceof kind, String(error));
      for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value);
      return true;
    });
  await refused(client.chat.completions.create({ model: "lectern", messages, n: 2 }), OpenAI.BadRequestError, { param: "n" });
  await refused(client.chat.completions.create({ model: "gpt-9", messages }), OpenAI.NotFoundError, { code: "model_not_found" });
  const stranger = new OpenAI({ apiKey: "wrong", maxRetries: 0 });
  await refused(stranger.models.list(), OpenAI.AuthenticationError, { code: "invalid_api_key" });
  console.log("openai for JavaScript: all well");
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
