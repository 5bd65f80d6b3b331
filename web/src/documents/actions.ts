/** What can be done with a document. */

import type { Doc } from '../api/shapes';
import { confirmFirst } from '../parts/dialog';
import { client, say, tell } from '../state';
import { t } from '../texts';
import { drop, put, refresh, reload } from './store';

const path = (doc: Doc) => `/documents/${doc.id}`;

export function cancel(doc: Doc): void {
  client
    .send('POST', `${path(doc)}/cancel`)
    .then(() => refresh(doc.id))
    .catch(tell);
}

export async function retry(doc: Doc, password?: string): Promise<void> {
  try {
    put(await client.send<Doc>('POST', `${path(doc)}/retry`, password ? { password } : undefined));
  } catch (error) {
    tell(error);
  }
}

export function reingest(doc: Doc): void {
  client
    .send<Doc>('POST', `${path(doc)}/reingest`)
    .then(put)
    .catch(tell);
}

export function remove(doc: Doc): void {
  const { removeTitle, removeText, removed } = t.value.documents;
  confirmFirst({
    title: removeTitle,
    text: removeText(doc.name),
    onConfirm: () => {
      client
        .send('DELETE', path(doc))
        .then(() => {
          drop(doc.id);
          say(removed(doc.name));
          // Whoever works with the keyboard would otherwise start again at the top of the page.
          document.querySelector<HTMLElement>('#add-documents')?.focus();
        })
        .catch(tell);
    },
  });
}

export async function retryAllFailed(collection: string): Promise<void> {
  try {
    const { retried } = await client.send<{ retried: number }>('POST', '/documents/retry', { collection });
    say(t.value.documents.retriedAll(retried));
    await reload();
  } catch (error) {
    tell(error);
  }
}

/** Saves the file as it is. A link can't: it would come without the key. */
export async function save(id: string, name: string): Promise<void> {
  try {
    const response = await client.request(`/documents/${id}/file`);
    // To be saved, never shown: a blob of another type, such as HTML, would run with this page's rights.
    const blob = new Blob([await response.arrayBuffer()], { type: 'application/octet-stream' });
    const url = URL.createObjectURL(blob);
    const link = Object.assign(document.createElement('a'), { href: url, download: name.split('/').pop() ?? name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    tell(error);
  }
}
