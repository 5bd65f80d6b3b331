/** What the side panel shows: one of an answer's sources, or a document. */

import { signal } from '@preact/signals';
import type { Doc, Source } from '../api/shapes';

export interface Opened {
  /** Those of one answer, to go from one to the next; of a document by itself only that. */
  sources: Source[];
  at: number;
  /** The document as a whole: nothing is marked. */
  isDocument: boolean;
}

export const opened = signal<Opened | undefined>(undefined);

let before: Element | null = null;

function open(what: Opened): void {
  if (!opened.value) before = document.activeElement;
  opened.value = what;
}

export function openSource(sources: Source[], number: number): void {
  const at = sources.findIndex((source) => source.number === number);
  if (at >= 0) open({ sources, at, isDocument: false });
}

export function openDocument(doc: Doc): void {
  const source: Source = {
    number: 1,
    document: doc.id,
    document_name: doc.name,
    document_title: doc.title,
    page_first: 1,
    page_last: 1,
    spans: [],
    heading: null,
    text: '',
    score: 0,
  };
  open({ sources: [source], at: 0, isDocument: true });
}

export function step(by: number): void {
  const now = opened.value;
  if (!now) return;
  const at = now.at + by;
  if (at >= 0 && at < now.sources.length) opened.value = { ...now, at };
}

export function close(): void {
  opened.value = undefined;
  if (before instanceof HTMLElement && before.isConnected) before.focus();
}
