/** Files on their way to the server: a few at a time, in their order, and again later when the server is busy. */

import { computed, effect, signal } from '@preact/signals';
import { Problem } from '../api/client';
import type { Doc } from '../api/shapes';
import { send } from '../api/upload';
import { client, collection } from '../state';
import type { Dropped } from './drop';
import { refresh } from './store';

export type UploadState = 'waiting' | 'sending' | 'checking' | 'paused' | 'done' | 'duplicate' | 'failed';

export interface Upload {
  id: number;
  name: string;
  bytes: number;
  state: UploadState;
  /** From 0 to 1. */
  share: number;
  error?: unknown;
}

/** Uploads share the browser's six connections with streams and questions. */
const AT_ONCE = 2;
/** A server that stays busy for longer is worth telling. */
const PAUSES_MAX = 20;

interface Task {
  file: File;
  path: string;
  method: 'POST' | 'PUT';
  fields: Record<string, string>;
  leaving: AbortController;
}

export const uploads = signal<Upload[]>([]);
export const isUploading = computed(() => uploads.value.some(({ state }) => !ended(state)));
export const ended = (state: UploadState): boolean => state === 'done' || state === 'duplicate' || state === 'failed';

const tasks = new Map<number, Task>();
const waiting: number[] = [];
let running = 0;
let last = 0;

function change(id: number, to: Partial<Upload>): void {
  uploads.value = uploads.value.map((upload) => (upload.id === id ? { ...upload, ...to } : upload));
}

export function addFiles(files: Dropped[]): void {
  const added = files.map(({ file, path }) => {
    const id = ++last;
    // Files of one name in different folders would otherwise be versions of each other.
    const fields: Record<string, string> = { collection: collection.value };
    if (path.includes('/')) fields.name = path;
    tasks.set(id, { file, path: '/documents', method: 'POST', fields, leaving: new AbortController() });
    waiting.push(id);
    return { id, name: path, bytes: file.size, state: 'waiting' as const, share: 0 };
  });
  const kept = isUploading.value ? uploads.value : uploads.value.filter(({ state }) => state === 'failed');
  uploads.value = [...kept, ...added];
  begin();
}

export function replaceFile(document: Doc, file: File): void {
  const id = ++last;
  const path = `/documents/${document.id}/file`;
  tasks.set(id, { file, path, method: 'PUT', fields: {}, leaving: new AbortController() });
  uploads.value = [...uploads.value, { id, name: document.name, bytes: file.size, state: 'waiting', share: 0 }];
  waiting.push(id);
  begin();
}

function begin(): void {
  while (running < AT_ONCE) {
    const id = waiting.shift();
    if (id === undefined) return;
    const task = tasks.get(id);
    if (!task) continue;
    running++;
    void run(id, task).finally(() => {
      running--;
      begin();
    });
  }
}

async function run(id: number, task: Task): Promise<void> {
  const onProgress = (sent: number, total: number) =>
    change(id, { share: total ? sent / total : 0, state: sent < total ? 'sending' : 'checking' });
  for (let pauses = 0; ; pauses++) {
    try {
      change(id, { state: 'sending' });
      const sent = await send(client, { ...task, onProgress, signal: task.leaving.signal });
      tasks.delete(id);
      change(id, { state: sent.duplicate ? 'duplicate' : 'done', share: 1 });
      if (task.fields.collection === undefined || task.fields.collection === collection.value) await refresh(sent.id);
      return;
    } catch (error) {
      if (task.leaving.signal.aborted) return;
      const waits = error instanceof Problem && (error.status === 429 || error.status === 503);
      if (!waits || pauses >= PAUSES_MAX) {
        change(id, { state: 'failed', error });
        return;
      }
      change(id, { state: 'paused', share: 0, error });
      await new Promise((resolve) => setTimeout(resolve, (error.waitSeconds ?? 5) * 1000));
      if (task.leaving.signal.aborted) return;
    }
  }
}

export function stopUpload(id: number): void {
  tasks.get(id)?.leaving.abort();
  tasks.delete(id);
  uploads.value = uploads.value.filter((upload) => upload.id !== id);
}

export function stopAll(): void {
  for (const { id, state } of uploads.value) if (!ended(state)) stopUpload(id);
}

export function retryUpload(id: number): void {
  change(id, { state: 'waiting', share: 0 });
  waiting.push(id);
  begin();
}

export function retryFailedUploads(): void {
  for (const { id, state } of uploads.value) if (state === 'failed') retryUpload(id);
}

/** Whoever leaves now is asked first: what isn't sent yet would be lost. */
const stay = (event: BeforeUnloadEvent) => event.preventDefault();
effect(() => {
  if (isUploading.value) addEventListener('beforeunload', stay);
  else removeEventListener('beforeunload', stay);
});

export function forgetUploads(): void {
  for (const { id } of uploads.value) tasks.delete(id);
  uploads.value = [];
}
