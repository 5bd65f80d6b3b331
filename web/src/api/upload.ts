/** Sends a file. By XHR: fetch can't tell how much has been sent. */

import { type Client, Problem, problemOf } from './client';

export interface Sent {
  id: string;
  state: string;
  version: number;
  duplicate: boolean;
}

export interface Sending {
  /** Where to: the list of documents for a new one, a document's file for its next version. */
  path: string;
  method: 'POST' | 'PUT';
  file: File;
  fields: Record<string, string>;
  onProgress: (sent: number, total: number) => void;
  signal: AbortSignal;
}

export function send(client: Client, { path, method, file, fields, onProgress, signal }: Sending): Promise<Sent> {
  return new Promise((resolve, reject) => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append('file', file);
    const xhr = new XMLHttpRequest();
    xhr.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    xhr.onload = () => {
      if (xhr.status === 401) client.onRefused();
      if (xhr.status === 200 || xhr.status === 202) resolve(JSON.parse(xhr.responseText) as Sent);
      else reject(problemOf(xhr.status, xhr.responseText, xhr.getResponseHeader('retry-after')));
    };
    xhr.onerror = () => reject(new Problem(0, 'unreachable', ''));
    xhr.onabort = () => reject(new Problem(0, 'stopped', ''));
    xhr.open(method, `${client.base}/api/v1${path}`);
    for (const [name, value] of Object.entries(client.headers)) xhr.setRequestHeader(name, value);
    signal.addEventListener('abort', () => xhr.abort(), { once: true });
    if (signal.aborted) reject(new Problem(0, 'stopped', ''));
    else xhr.send(form);
  });
}
