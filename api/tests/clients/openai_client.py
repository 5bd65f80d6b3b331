"""What OpenAI's own Python client gets from Lectern. Address and key are in OPENAI_BASE_URL and OPENAI_API_KEY, where
the client looks for them by itself."""

import base64
import struct

import openai

client = openai.OpenAI(max_retries=0)
QUESTION = "How many euros is the daily allowance inside the country?"


def refused(kind, call, **expected):
    """The refusal, which is of that class of the client's."""
    try:
        call()
    except kind as error:
        for name, value in expected.items():
            assert getattr(error, name) == value, (name, getattr(error, name), error)
        return error
    raise AssertionError(f"it was not refused with {kind.__name__}")


def ask(*messages, **others):
    roles = ["user", "assistant"]
    told = [{"role": roles[place % 2], "content": text} for place, text in enumerate(messages)]
    return client.chat.completions.create(**{"model": "lectern", "messages": told, **others})


def models():
    known = [model.id for model in client.models.list()]
    assert known == ["lectern", "lectern/default", "lectern/other", "lectern-embedding"], known
    assert client.models.retrieve("lectern/other").owned_by == "lectern"
    refused(openai.NotFoundError, lambda: client.models.retrieve("gpt-9"), code="model_not_found")


def a_whole_answer():
    completion = ask(QUESTION, temperature=0.2, max_tokens=99, user="somebody")
    choice = completion.choices[0]
    assert "28 euros" in choice.message.content, completion
    assert choice.finish_reason == "stop" and choice.message.role == "assistant"
    usage = completion.usage
    assert usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    citation = choice.message.annotations[0].url_citation
    marked = choice.message.content[citation.start_index : citation.end_index]
    assert marked == "[1]", marked
    assert "/api/v1/documents/" in citation.url and citation.url.endswith("#page=2"), citation
    assert "page 2" in citation.title
    assert "28 euros" in citation.model_extra["quote"]
    return choice.message.content


def a_streamed_answer(whole):
    with client.chat.completions.create(
        model="lectern/default",
        messages=[{"role": "user", "content": [{"type": "text", "text": QUESTION}]}],
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole, pieces
    assert len([piece for piece in pieces if piece]) > 3, "it came in one piece"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    finish = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert finish[-1] == "stop" and not any(finish[:-1])
    cited = [chunk for chunk in chunks if chunk.choices and (chunk.choices[0].delta.model_extra or {}).get("annotations")]
    assert len(cited) == 1
    assert len({chunk.id for chunk in chunks}) == 1


def a_stream_that_the_clients_own_helper_puts_together(whole):
    with client.chat.completions.stream(
        model="lectern", messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == whole


def a_follow_up():
    before = ask(QUESTION).choices[0].message.content
    completion = ask(QUESTION, before, "And abroad?")
    assert "47 euros" in completion.choices[0].message.content, completion
    # The same words after another question mean something else.
    after_laptops = ask("What if a laptop is lost or stolen?", "Tell your team lead.", "And abroad?")

    def best(completion):
        return completion.model_extra["lectern"]["sources"][0]["page_first"]

    assert (best(completion), best(after_laptops)) == (2, 3), (best(completion), best(after_laptops))


def another_collection():
    completion = ask(QUESTION, model="lectern/other")
    assert "28 euros" not in completion.choices[0].message.content
    refused(openai.NotFoundError, lambda: ask(QUESTION, model="lectern/nowhere"), code="model_not_found", param="model")
    refused(openai.NotFoundError, lambda: ask(QUESTION, model="gpt-9"), code="model_not_found")


def embeddings():
    texts = ["A daily allowance for meals.", "What is paid for food?", "The tide comes in at noon."]
    found = client.embeddings.create(model="lectern-embedding", input=texts)
    vectors = [item.embedding for item in found.data]
    assert [item.index for item in found.data] == [0, 1, 2]
    assert all(len(vector) == len(vectors[0]) for vector in vectors)
    assert all(abs(sum(x * x for x in vector) - 1) < 1e-3 for vector in vectors)
    near, far = (sum(a * b for a, b in zip(vectors[0], other)) for other in vectors[1:])
    assert near > far + 0.2, (near, far)
    assert found.usage.prompt_tokens > 10

    floats = client.embeddings.create(model="lectern-embedding", input=texts[0], encoding_format="float")
    raw = client.embeddings.create(model="lectern-embedding", input=texts[0], encoding_format="base64")
    packed = base64.b64decode(raw.data[0].embedding)
    decoded = struct.unpack(f"<{len(packed) // 4}f", packed)
    assert max(abs(a - b) for a, b in zip(decoded, floats.data[0].embedding)) < 1e-7
    many = client.embeddings.create(model="lectern-embedding", input=[f"text {n}" for n in range(40)])
    assert len(many.data) == 40, "as many as asked for, of several batches"

    def embed(**wanted):
        return lambda: client.embeddings.create(**{"model": "lectern-embedding", "input": "x", **wanted})

    assert len(embed(dimensions=len(decoded))().data[0].embedding) == len(decoded)
    refused(openai.BadRequestError, embed(dimensions=7), param="dimensions")
    refused(openai.BadRequestError, embed(input=[[1, 2, 3]]), param="input")
    refused(openai.BadRequestError, embed(input=["x"] * 129), param="input")
    refused(openai.BadRequestError, embed(input=""), param="input")
    refused(openai.NotFoundError, embed(model="text-embedding-3-small"), code="model_not_found")


def refusals():
    refused(openai.BadRequestError, lambda: ask(QUESTION, n=2), param="n")
    refused(openai.BadRequestError, lambda: ask(QUESTION, logprobs=True), param="logprobs")
    refused(openai.BadRequestError, lambda: ask(QUESTION, response_format={"type": "json_object"}), param="response_format")
    refused(openai.BadRequestError, lambda: ask(QUESTION, tool_choice="required"), param="tool_choice")
    picture = [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]
    refused(openai.BadRequestError, lambda: ask(picture), param="messages")
    refused(openai.BadRequestError, lambda: ask(), param="messages")
    refused(openai.BadRequestError, lambda: ask("x" * 3000), code="invalid_request")
    stranger = client.with_options(api_key="wrong")
    refused(openai.AuthenticationError, lambda: stranger.models.list(), code="invalid_api_key")
    refused(openai.NotFoundError, lambda: client.files.list(), code="no_such_route")


models()
answer = a_whole_answer()
a_streamed_answer(answer)
a_stream_that_the_clients_own_helper_puts_together(answer)
a_follow_up()
another_collection()
embeddings()
refusals()
print(f"openai {openai.__version__} for Python: all well")
