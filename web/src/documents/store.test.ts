import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Doc } from '../api/shapes';
import { collection, signedIn } from '../state';
import { serve } from '../testing';
import { documents, look, next, put, search, sort, state } from './store';

const doc = (number: number, more: Partial<Doc> = {}): Doc => ({
  id: `d${number}`,
  collection: 'default',
  name: `file-${String(number).padStart(3, '0')}.pdf`,
  title: null,
  media_type: 'application/pdf',
  bytes: number,
  state: 'queued',
  version: 0,
  wanted: 1,
  pages: null,
  chunks: null,
  notes: [],
  language: null,
  failure: null,
  created_at: `2026-01-01T00:00:00.${String(number).padStart(3, '0')}Z`,
  updated_at: '2026-01-01T00:00:00Z',
  ...more,
});

beforeEach(() => {
  collection.value = 'default';
  [search.value, state.value, sort.value] = ['', '', '-created_at'];
  next.value = null;
});
afterEach(() => {
  signedIn.value = 'unknown';
  vi.unstubAllGlobals();
});

/** The server's list, of which each test says how it is now. */
function listing(now: () => Doc[]) {
  return serve(({ path }) => {
    const asked = new URLSearchParams(path.split('?')[1]);
    const wanted = asked.get('state');
    const limit = Number(asked.get('limit'));
    if (wanted)
      return {
        documents: now()
          .filter((one) => one.state === wanted)
          .slice(0, limit),
        next: null,
      };
    if (!asked.get('sort')) return now().find(({ id }) => path.endsWith(`/${id}`));
    const changed = [...now()].sort((one, two) => (one.updated_at < two.updated_at ? 1 : -1));
    const from = Number(asked.get('cursor') ?? 0);
    return { documents: changed.slice(from, from + limit), next: String(from + limit) };
  });
}

test('of hundreds that wait, all that have ended since are seen in one round, in few requests', async () => {
  documents.value = Array.from({ length: 900 }, (_, number) => doc(number));
  let now = documents.value;
  const asked = listing(() => now);
  const end = (from: number, to: number, minute: number) =>
    now.map((one, number) =>
      number >= from && number < to
        ? { ...one, state: 'ready' as const, version: 1, updated_at: `2026-01-01T00:0${minute}:00.${100 + number}Z` }
        : one,
    );
  const ready = () => documents.value.filter((one) => one.state === 'ready').length;
  now = end(0, 350, 1);
  await look();
  expect(ready()).toBe(350);
  now = end(350, 420, 2);
  await look();
  expect(ready()).toBe(420);
  // What waits too far back to be listed is looked at by itself, a few at a time: so what was deleted goes, too.
  expect(asked.length).toBeLessThan(24);
});

test('a new document is listed where the order has it, if the filter lets it', () => {
  documents.value = [doc(3), doc(1)];
  put(doc(2));
  expect(documents.value.map(({ id }) => id)).toEqual(['d3', 'd2', 'd1']);
  put(doc(2, { state: 'ready' }));
  expect(documents.value.map((one) => one.state)).toEqual(['queued', 'ready', 'queued']);
  search.value = 'report';
  put(doc(4));
  expect(documents.value).toHaveLength(3);
  search.value = '';
  state.value = 'failed';
  put(doc(4));
  put(doc(5, { collection: 'other' }));
  expect(documents.value).toHaveLength(3);
});

test('one that comes after all that is loaded is left to be found there', () => {
  sort.value = 'name';
  documents.value = [doc(1), doc(2)];
  next.value = 'more';
  put(doc(3));
  expect(documents.value).toHaveLength(2);
  next.value = null;
  put(doc(3));
  expect(documents.value.map(({ id }) => id)).toEqual(['d1', 'd2', 'd3']);
});

test('another collection begins without the rows of the one before', () => {
  serve(() => new Promise(() => {}));
  documents.value = [doc(1)];
  signedIn.value = 'yes';
  documents.value = [doc(1)];
  collection.value = 'other';
  expect(documents.value).toEqual([]);
});
