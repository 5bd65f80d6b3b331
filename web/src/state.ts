/** What all of the page shares: the client with its key, what the key may do, the route, the collection, messages. */

import { computed, effect, signal } from '@preact/signals';
import { Client, Problem } from './api/client';
import type { Collection, Failure, Key, Scope } from './api/shapes';
import { t } from './texts';

// ---- The key

/** The session's storage, so that closing the tab forgets the key. */
const KEY = 'lectern.key';
/** What a server for development takes. Others would count it as a key that was refused, once for each visit. */
const DEVELOPMENT_KEY = isOwnMachine(location.hostname) ? 'lectern-dev' : '';
export const client = new Client(sessionStorage.getItem(KEY) ?? DEVELOPMENT_KEY);
export const signedIn = signal<'unknown' | 'yes' | 'no'>(client.key ? 'unknown' : 'no');
export const wasRefused = signal(false);
client.onRefused = () => {
  wasRefused.value = sessionStorage.getItem(KEY) !== null;
  signedIn.value = 'no';
};

export function isOwnMachine(host: string): boolean {
  return host === '[::1]' || /^127(\.\d+){3}$|(^|\.)localhost$/.test(host);
}

export function signIn(key: string): void {
  sessionStorage.setItem(KEY, key);
  // Nothing that the key before was allowed to see stays on the page.
  location.reload();
}

export function signOut(): void {
  sessionStorage.removeItem(KEY);
  wasRefused.value = false;
  signedIn.value = 'no';
}

/** What the key may do; nothing is known of a server that doesn't tell, so there all is tried. */
const scopes = signal<Scope[] | undefined>(undefined);
export const may = (scope: Scope): boolean => scopes.value?.includes(scope) ?? true;

// ---- The route

export type View = 'chat' | 'documents' | 'operations';
export interface Route {
  view: View;
  id?: string;
}

export function parseRoute(hash: string): Route {
  const [view, id] = hash.replace(/^#\/?/, '').split('/');
  if (view === 'documents' || view === 'operations') return { view };
  return id && /^[0-9a-f-]{36}$/.test(id) ? { view: 'chat', id } : { view: 'chat' };
}

export const route = signal<Route>(parseRoute(location.hash));
addEventListener('hashchange', () => {
  route.value = parseRoute(location.hash);
});

export function go(view: View, id?: string, replace = false): void {
  const hash = `#/${view}${id ? `/${id}` : ''}`;
  if (replace) history.replaceState(null, '', hash);
  else if (location.hash !== hash) history.pushState(null, '', hash);
  route.value = parseRoute(hash);
}

// ---- Collections

const COLLECTION = 'lectern.collection';
export const collections = signal<Collection[]>([]);
export const collection = signal(localStorage.getItem(COLLECTION) ?? 'default');
effect(() => localStorage.setItem(COLLECTION, collection.value));

export async function loadCollections(): Promise<void> {
  const { collections: found } = await client.get<{ collections: Collection[] }>('/collections');
  collections.value = found;
  const first = found[0];
  if (first && !found.some(({ name }) => name === collection.value)) collection.value = first.name;
}

export const settings = computed(() => collections.value.find(({ name }) => name === collection.value)?.settings ?? {});

// ---- Messages

export interface Message {
  id: number;
  text: string;
  isBad: boolean;
}
export const messages = signal<Message[]>([]);
/** For screen readers: what has ended. Every step of the way would be noise. */
export const announcement = signal({ number: 0, text: '' });
let lastMessage = 0;

/** Numbered, so that what is said twice is read out twice. */
export function announce(text: string): void {
  announcement.value = { number: announcement.peek().number + 1, text };
}

export function say(text: string, isBad = false): void {
  const id = ++lastMessage;
  messages.value = [...messages.value.slice(-2), { id, text, isBad }];
  setTimeout(() => dismiss(id), isBad ? 12_000 : 5000);
}

export function dismiss(id: number): void {
  messages.value = messages.value.filter((message) => message.id !== id);
}

/** Why something failed and what to do, in the reader's language as far as we have it. */
export function inWords(error: unknown): string {
  const { problem, failures } = t.value;
  if (!(error instanceof Problem)) return problem.broken;
  const text =
    error.status === 0
      ? problem.unreachable
      : (failures[error.code] ?? (error.message || problem.status(error.status)));
  return error.waitSeconds ? `${text} ${problem.wait(error.waitSeconds)}` : text;
}

/** Why a document or a question failed. */
export const inWordsOf = (failure: Failure): string => t.value.failures[failure.code] ?? failure.message;

/** Tells a failure. The sign-in shows by itself. */
export function tell(error: unknown): void {
  if (error instanceof DOMException && error.name === 'AbortError') return;
  if (error instanceof Problem && (error.status === 401 || error.code === 'stopped')) return;
  say(inWords(error), true);
}

// ---- Start

export async function start(): Promise<void> {
  if (!client.key) return;
  await loadCollections();
  try {
    const { key } = await client.get<{ key: Key }>('/me');
    scopes.value = key.scopes;
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 404) throw error;
  }
  signedIn.value = 'yes';
}
