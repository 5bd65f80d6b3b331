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

/** The server doesn't answer: what the list shows may be old. */
export const isStale = signal(false);

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

let listed = '';
/** When the newest change that was seen took place. */
let seen = '';

/** The list follows the collection, the filter and the order. */
effect(() => {
  if (signedIn.value !== 'yes') return;
  void [collection.value, search.value, state.value, sort.value];
  if (listed !== collection.value) {
    // Those of another collection would look as if they were in this one.
    batch(() => {
      documents.value = [];
      next.value = null;
      loaded.value = false;
    });
    seen = '';
  }
  listed = collection.value;
  void reload();
});

// ---- Changes

export function put(doc: Doc): void {
  const at = documents.value.findIndex(({ id }) => id === doc.id);
  const before = documents.value[at];
  if (before) note(before, doc);
  if (at >= 0) documents.value = documents.value.with(at, doc);
  else if (isListed(doc)) insert(doc);
}

/** What a change means elsewhere. */
function note(before: Doc, doc: Doc): void {
  if (isActive(before) && !isActive(doc)) tellEnd(doc);
  if (before.version !== doc.version) forget(doc.id);
}

function isListed(doc: Doc): boolean {
  const isFound = doc.name.toLowerCase().includes(search.value.toLowerCase());
  return doc.collection === collection.value && isFound && (state.value === '' || doc.state === state.value);
}

/** Where the order has it; what comes after all that is loaded is found there when one scrolls. */
function insert(doc: Doc): void {
  const all = documents.value;
  const at = all.findIndex((other) => goesBefore(doc, other));
  if (at >= 0) documents.value = all.toSpliced(at, 0, doc);
  else if (!next.value) documents.value = [...all, doc];
}

function goesBefore(doc: Doc, other: Doc): boolean {
  const key = sort.value.replace('-', '') as 'created_at' | 'updated_at' | 'name' | 'bytes' | 'pages';
  const [one, two] = [doc[key] ?? 0, other[key] ?? 0];
  return sort.value.startsWith('-') ? one > two : one < two;
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

/** One round may meet a server that restarts. */
const FAILURES_MAX = 2;

/** Rounds of looking at what is active, until `signal` says that nobody watches. */
export async function watch(signal: AbortSignal): Promise<void> {
  for (let failures = 0; !signal.aborted; ) {
    if (signedIn.value === 'yes' && !document.hidden) {
      await look().then(
        () => {
          failures = 0;
        },
        () => failures++,
      );
      isStale.value = failures >= FAILURES_MAX;
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  for (const leaving of followed.values()) leaving.abort();
  followed.clear();
}

const PROCESSING_MAX = 50;
const CHANGED_MAX = 50;
/** A tab that was hidden has missed more than a page. */
const CHANGED_PAGES_MAX = 10;
/** Of what waits too far back to be listed so many are looked at by themselves, in turn. */
const FAR_MAX = 4;
let far = 0;

export async function look(): Promise<void> {
  const active = documents.value.filter(isActive);
  if (!active.length) return;
  for (const doc of active.filter(({ state }) => state === 'processing').slice(0, FOLLOWED_MAX)) void listen(doc.id);
  const page = (parameters: Record<string, string | number | undefined>) =>
    client.get<{ documents: Doc[]; next: string | null }>(
      `/documents${query({ collection: collection.value, ...parameters })}`,
    );
  seen ||= newest(documents.value);
  const [changed, processing, queued] = await Promise.all([
    changes(page),
    page({ state: 'processing', sort: 'created_at', limit: PROCESSING_MAX }),
    page({ state: 'queued', sort: 'created_at', limit: PAGE }),
  ]);
  const now = new Map<string, Doc>();
  for (const doc of [...changed, ...queued.documents, ...processing.documents]) {
    // They were asked for at once: one that moves on meanwhile may come twice.
    if ((now.get(doc.id)?.updated_at ?? '') <= doc.updated_at) now.set(doc.id, doc);
  }
  batch(() => {
    documents.value = documents.value.map((before) => {
      const doc = followed.has(before.id) ? undefined : now.get(before.id);
      if (doc) note(before, doc);
      return doc ?? before;
    });
  });
  const rest = active.filter(({ id }) => !now.has(id) && !followed.has(id));
  far = far >= rest.length ? 0 : far;
  await Promise.all(rest.slice(far, far + FAR_MAX).map(({ id }) => refresh(id)));
  far += FAR_MAX;
}

type Page = (
  parameters: Record<string, string | number | undefined>,
) => Promise<{ documents: Doc[]; next: string | null }>;

const newest = (all: Doc[]): string => all.reduce((last, doc) => (doc.updated_at > last ? doc.updated_at : last), '');

/** What has changed since the round before, such as what has ended: of thousands, in few requests. */
async function changes(page: Page): Promise<Doc[]> {
  const found: Doc[] = [];
  let cursor: string | undefined;
  for (let pages = 0; pages < CHANGED_PAGES_MAX; pages++) {
    const limit = cursor ? PAGE : CHANGED_MAX;
    const { documents: some, next } = await page({ sort: '-updated_at', limit, cursor });
    found.push(...some);
    const oldest = some.at(-1)?.updated_at;
    if (!next || !oldest || oldest < seen) {
      seen = newest(found) || seen;
      return found;
    }
    cursor = next;
  }
  // More than is worth leafing through.
  seen = '';
  await reload();
  return [];
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
