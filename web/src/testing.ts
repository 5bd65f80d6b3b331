/** A server for unit tests: what it was asked, and what it answers. */

import { vi } from 'vitest';

export interface Asked {
  method: string;
  /** Behind `/api/v1`. */
  path: string;
  headers: Record<string, string>;
  body: unknown;
}

type Answer = unknown | Response;

/** `answer` gives JSON, a response, or throws as a connection does that can't be made. */
export function serve(answer: (asked: Asked) => Answer | Promise<Answer>): Asked[] {
  const all: Asked[] = [];
  vi.stubGlobal('fetch', async (url: string, options: RequestInit = {}) => {
    const asked: Asked = {
      method: options.method ?? 'GET',
      path: String(url).replace(/^.*\/api\/v1/, ''),
      headers: (options.headers ?? {}) as Record<string, string>,
      body: options.body ? JSON.parse(String(options.body)) : undefined,
    };
    all.push(asked);
    const given = await answer(asked);
    return given instanceof Response ? given : new Response(JSON.stringify(given ?? {}));
  });
  return all;
}

export const events = (...all: [string, object][]): Response =>
  new Response(
    all.map(([name, data], index) => `id: 1-${index}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`).join(''),
  );
