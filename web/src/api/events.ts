/**
 * The events of a document or an answer, across dropped connections.
 *
 * EventSource can't send a key; so this reads the stream with fetch, and comes back by itself with the id of the last
 * event that it has seen, for as long as it is wanted.
 */

import { EventSourceParserStream } from 'eventsource-parser/stream';
import { type Client, Problem } from './client';

export interface Happening {
  /** Those of the API, and of our own: `dropped` (with `waitSeconds`, if the server asks for that), then `resumed`, or `reset` where nothing had come to resume from. */
  name: string;
  // biome-ignore lint/suspicious/noExplicitAny: each event has a shape of its own, which the API vouches for
  data: any;
}

/** The server sends a comment every 15 s: a connection that is silent for longer is dead. */
const SILENCE_MS_MAX = 40_000;

/** Doubles with each failure, up to 10 s; partly random, so that tabs don't all come back together. */
export function backoffMs(failures: number, random = Math.random()): number {
  return Math.min(10_000, 500 * 2 ** failures) * (0.5 + random / 2);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const leave = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', leave, { once: true });
  });
}

async function* read(response: Response): AsyncGenerator<{ id?: string } & Happening> {
  if (!response.body) return;
  let watchdog: ReturnType<typeof setTimeout> | undefined;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => void reader.cancel(), SILENCE_MS_MAX);
  };
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .pipeThrough(new EventSourceParserStream({ onComment: alive }))
    .getReader();
  try {
    for (;;) {
      alive();
      const { done, value } = await reader.read();
      if (done) return;
      const happening = { name: value.event ?? 'message', data: JSON.parse(value.data) };
      yield value.id === undefined ? happening : { id: value.id, ...happening };
    }
  } finally {
    clearTimeout(watchdog);
    reader.cancel().catch(() => {});
  }
}

/** Ends with `done` or `failed`, or when `signal` says so; throws what asking again doesn't help against. */
export async function* follow(client: Client, path: string, signal: AbortSignal): AsyncGenerator<Happening> {
  let last = '';
  let dropped = false;
  for (let failures = 0; ; failures++) {
    let waitMs = backoffMs(failures);
    let waitSeconds: number | undefined;
    try {
      const headers: Record<string, string> = last ? { 'Last-Event-ID': last } : {};
      const response = await client.request(path, { signal, headers });
      if (dropped) yield { name: last ? 'resumed' : 'reset', data: {} };
      for await (const { id, name, data } of read(response)) {
        failures = 0;
        last = id ?? last;
        yield { name, data };
        if (name === 'done' || name === 'failed') return;
      }
      waitMs = backoffMs(0);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && !error.passes) throw error;
      if (error instanceof Problem && error.waitSeconds) {
        waitSeconds = error.waitSeconds;
        waitMs = waitSeconds * 1000;
      }
    }
    if (signal.aborted) return;
    dropped = true;
    yield { name: 'dropped', data: { waitSeconds } };
    await pause(waitMs, signal);
  }
}
