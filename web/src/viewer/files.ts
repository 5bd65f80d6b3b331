/** The last few documents that were looked at, so that going from source to source doesn't fetch them again. */

import { client } from '../state';
import type { PDFDocumentProxy } from './pdf';
import { openText, type Text } from './text';

/** A PDF is shown as it is, of everything else the text that was read. */
export interface Opened {
  pdf?: PDFDocumentProxy;
  text: Text;
}

const KEPT_MAX = 3;

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
    // One that can't be drawn, such as one with a password, has been read nevertheless.
    const pdf = await openPdf(data).catch(() => undefined);
    return pdf ? { pdf, text: openText(document) } : { text: openText(document) };
  }
  await response.body?.cancel();
  return { text: openText(document) };
}
