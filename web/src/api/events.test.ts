import { afterEach, expect, test, vi } from 'vitest';
import { Client, Problem, problemOf, query } from './client';
import { backoffMs, follow } from './events';

afterEach(() => vi.unstubAllGlobals());

const stream = (text: string) => new Response(text, { headers: { 'content-type': 'text/event-stream' } });
const event = (id: string, name: string, data: object) =>
  `id: ${id}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

async function all(responses: (() => Response | Promise<never>)[]) {
  const asked: (string | undefined)[] = [];
  vi.stubGlobal('fetch', async (_: string, options: { headers: Record<string, string> }) => {
    asked.push(options.headers['Last-Event-ID']);
    return responses.shift()?.();
  });
  const names: string[] = [];
  for await (const { name, data } of follow(new Client('k'), '/questions/1/events', new AbortController().signal)) {
    names.push(name === 'token' ? data.text : name);
  }
  return { names, asked };
}

test('a stream that breaks off is taken up with the last id, and nothing comes twice', async () => {
  const { names, asked } = await all([
    () => stream(event('1-1', 'token', { text: 'a' }) + event('1-2', 'token', { text: 'b' })),
    () => Promise.reject(new TypeError('gone')),
    () => stream(event('1-3', 'token', { text: 'c' }) + event('1-4', 'done', {})),
  ]);
  expect(names).toEqual(['a', 'b', 'dropped', 'dropped', 'resumed', 'c', 'done']);
  expect(asked).toEqual([undefined, '1-2', '1-2']);
});

test('what begins anew after a drop is told to begin anew', async () => {
  const { names } = await all([() => stream(''), () => stream(event('1-1', 'done', {}))]);
  expect(names).toEqual(['dropped', 'reset', 'done']);
});

test('what asking again does not help against ends it', async () => {
  await expect(all([() => new Response('{"code":"not_found","detail":"Gone."}', { status: 404 })])).rejects.toThrow(
    'Gone.',
  );
});

test('pauses double up to ten seconds', () => {
  expect([0, 1, 2, 10].map((failures) => backoffMs(failures, 1))).toEqual([500, 1000, 2000, 10_000]);
});

test('a refusal says how long to wait, if it is for a while', () => {
  expect(problemOf(429, '{"code":"rate_limited","detail":"Slow."}', '7')).toMatchObject({
    waitSeconds: 7,
    passes: true,
  });
  expect(problemOf(404, 'not json', '7').waitSeconds).toBeUndefined();
  expect(new Problem(0, 'unreachable', '').passes).toBe(true);
});

test('a query has what has a value, escaped', () => {
  expect(query({ name: 'a&b', state: '', limit: 5, cursor: undefined })).toBe('?name=a%26b&limit=5');
});
