/**
 * The list of documents: pages that are fetched as one scrolls, and what changes meanwhile.
 *
 * Documents that are being worked on are looked at again every so often, many in one request; the first few are
 * followed by their events, so that pages count up as they are read.
 */

import { batch, computed, effect, signal } from '@preact/signals';
import { Problem, query } from '../api/client';
import { follow } from '../api/events';
import type { Doc } from '../api/shapes';
import { announce, client, collection, signedIn } from '../state';
import { t } from '../texts';
import { forget } from '../viewer/files';

const PAGE = 200;

export const search = signal('');
export const state = signal('');
export const sort = signal('-created_at');

export const documents = signal<Doc[]>([]);
export const next = signal<string | null>(null);
export const loading = signal(false);
export const failure = signal<unknown>(undefined);
/** Whether anything was loaded for this collection yet. */
export const loaded = signal(false);
export const isFiltered = computed(() => search.value !== '' || state.value !== '');

export const isActive = (doc: Doc): boolean => doc.state === 'queued' || doc.state === 'processing';

let loads = 0;

async function fetchPage(cursor?: string): Promise<void> {
  const load = ++loads;
  loading.value = true;
  const wanted = {
    collection: collection.value,
    name: search.value,
    state: state.value,
    sort: sort.value,
    limit: PAGE,
    cursor,
  };
  try {
    const page = await client.get<{ documents: Doc[]; next: string | null }>(`/documents${query(wanted)}`);
    // A later load, of another filter, has overtaken this one.
    if (load !== loads) return;
    batch(() => {
      const known = cursor ? documents.value : [];
      const ids = new Set(known.map(({ id }) => id));
      documents.value = [...known, ...page.documents.filter(({ id }) => !ids.has(id))];
      next.value = page.next ?? null;
      failure.value = undefined;
      loaded.value = true;
    });
  } catch (error) {
    if (load === loads) failure.value = error;
  } finally {
    if (load === loads) loading.value = false;
  }
}

export const reload = (): Promise<void> => fetchPage();

export function loadMore(): void {
  if (next.value && !loading.value && !failure.value) void fetchPage(next.value);
}

/** The list follows the collection, the filter and the order. */
effect(() => {
  if (signedIn.value !== 'yes') return;
  void [collection.value, search.value, state.value, sort.value];
  void reload();
});

// ---- Changes

export function put(doc: Doc): void {
  const at = documents.value.findIndex(({ id }) => id === doc.id);
  const before = documents.value[at];
  if (before && isActive(before) && !isActive(doc)) tellEnd(doc);
  if (before && before.version !== doc.version) forget(doc.id);
  if (at < 0) {
    if (doc.collection === collection.value) documents.value = [doc, ...documents.value];
  } else documents.value = documents.value.with(at, doc);
}

export function drop(id: string): void {
  documents.value = documents.value.filter((doc) => doc.id !== id);
}

function tellEnd(doc: Doc): void {
  const { isReady, hasFailed } = t.value.documents;
  if (doc.state === 'ready') announce(isReady(doc.name));
  if (doc.state === 'failed') announce(hasFailed(doc.name));
}

/** Fetches one anew; one that is gone leaves the list. */
export async function refresh(id: string): Promise<void> {
  try {
    put(await client.get<Doc>(`/documents/${id}`));
  } catch (error) {
    if (error instanceof Problem && error.status === 404) drop(id);
  }
}

// ---- What is under way

const LOOK_MS = 2000;
/** Browsers open six connections to a host: streams that took them all would leave none to ask with. */
const FOLLOWED_MAX = 2;
const followed = new Map<string, AbortController>();

/** Rounds of looking at what is active, until `signal` says that nobody watches. */
export async function watch(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    if (signedIn.value === 'yes' && !document.hidden) await look().catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  for (const leaving of followed.values()) leaving.abort();
  followed.clear();
}

async function look(): Promise<void> {
  const active = documents.value.filter(isActive);
  if (!active.length) return;
  for (const doc of active.filter(({ state }) => state === 'processing').slice(0, FOLLOWED_MAX)) void listen(doc.id);
  const page = (state: string, limit: number) =>
    client.get<{ documents: Doc[] }>(
      `/documents${query({ collection: collection.value, state, sort: 'created_at', limit })}`,
    );
  const [processing, queued] = await Promise.all([page('processing', 50), page('queued', 200)]);
  const now = new Map([...processing.documents, ...queued.documents].map((doc) => [doc.id, doc]));
  const ended = active.filter(({ id }) => !now.has(id)).slice(0, 50);
  batch(() => {
    documents.value = documents.value.map((doc) => (followed.has(doc.id) ? doc : (now.get(doc.id) ?? doc)));
  });
  // Not among those that are at work: it has ended, or waits far back.
  await Promise.all(ended.filter(({ id }) => !followed.has(id)).map(({ id }) => refresh(id)));
}

async function listen(id: string): Promise<void> {
  if (followed.has(id) || followed.size >= FOLLOWED_MAX) return;
  const leaving = new AbortController();
  followed.set(id, leaving);
  try {
    for await (const { name, data } of follow(client, `/documents/${id}/events`, leaving.signal)) {
      if (name !== 'status' && name !== 'progress') continue;
      const at = documents.value.findIndex((doc) => doc.id === id);
      const doc = documents.value[at];
      if (!doc || !isActive(doc)) continue;
      const work = {
        attempt: 1,
        attempts_max: 1,
        ...doc.work,
        done: undefined,
        total: undefined,
        estimated_end: undefined,
        ...data,
      };
      documents.value = documents.value.with(at, {
        ...doc,
        state: data.stage === 'queued' ? 'queued' : 'processing',
        work,
      });
    }
  } catch {
    // Gone, or refused: the refresh tells.
  } finally {
    followed.delete(id);
    if (!leaving.signal.aborted) await refresh(id);
  }
}
