/** The last few files that were looked at, so that going from source to source doesn't fetch them again. */

import { client } from '../state';
import type { PDFDocumentProxy } from './pdf';

export interface Opened {
  type: string;
  /** Of a PDF. */
  pdf?: PDFDocumentProxy;
  /** Of a file that is text. */
  text?: string;
}

const KEPT_MAX = 3;
/** Longer texts are shown by their passage alone. */
const TEXT_BYTES_MAX = 2_000_000;

const kept = new Map<string, Promise<Opened>>();

export function openFile(document: string): Promise<Opened> {
  const known = kept.get(document);
  const file = known ?? fetchFile(document);
  kept.delete(document);
  kept.set(document, file);
  file.catch(() => kept.delete(document));
  const oldest = kept.keys().next().value;
  if (kept.size > KEPT_MAX && oldest) forget(oldest);
  return file;
}

/** A document that was replaced has another file. */
export function forget(document: string): void {
  const file = kept.get(document);
  kept.delete(document);
  file?.then(({ pdf }) => pdf?.destroy()).catch(() => {});
}

async function fetchFile(document: string): Promise<Opened> {
  const response = await client.request(`/documents/${document}/file`);
  const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
  if (type === 'application/pdf') {
    const [{ openPdf }, data] = await Promise.all([import('./pdf'), response.arrayBuffer()]);
    return { type, pdf: await openPdf(data) };
  }
  const isText = /^text\/(plain|markdown|csv)$|json/.test(type);
  if (isText && Number(response.headers.get('content-length')) <= TEXT_BYTES_MAX) {
    return { type, text: await response.text() };
  }
  await response.body?.cancel();
  return { type };
}
