/** Files on their way: how many, how far, and what was refused and why. */

import { useEffect } from 'preact/hooks';
import { bytes } from '../format';
import { IconButton, Name } from '../parts/controls';
import { inWords } from '../state';
import { t } from '../texts';
import {
  ended,
  forgetUploads,
  isUploading,
  retryFailedUploads,
  retryUpload,
  stopAll,
  stopUpload,
  type Upload,
  uploads,
} from './uploads';

/** Of thousands, these are shown; the rest is a number. */
const SHOWN_MAX = 6;

/** What went well needs no reading twice. */
const SHOWN_MS = 6000;

export function UploadPanel() {
  const isDone = uploads.value.length > 0 && uploads.value.every(({ state }) => state === 'done');
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(forgetUploads, SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  const texts = t.value.documents.uploads;
  const all = uploads.value;
  if (!all.length) return null;
  const done = all.filter(({ state }) => ended(state)).length;
  const failed = all.filter(({ state }) => state === 'failed');
  const moving = all.filter(({ state }) => !ended(state) && state !== 'waiting');
  const resting = isUploading.value
    ? all.filter(({ state }) => state === 'waiting')
    : all.filter(({ state }) => state === 'duplicate');
  const rows = [...failed, ...moving, ...resting].slice(0, SHOWN_MAX);
  const sent = all.reduce((sum, upload) => sum + upload.bytes * upload.share, 0);
  const total = all.reduce((sum, upload) => sum + upload.bytes, 0);
  const words = isUploading.value ? texts.running(done + 1, all.length) : texts.finished(done - failed.length);
  return (
    <section class="uploads" aria-label={texts.title}>
      <header>
        <strong role="status">{words}</strong>
        {failed.length > 0 && <span class="bad">{texts.failed(failed.length)}</span>}
        <span class="grow" />
        {failed.length > 1 && (
          <button type="button" class="link" onClick={retryFailedUploads}>
            {texts.retryAll}
          </button>
        )}
        {isUploading.value ? (
          <button type="button" class="link" onClick={stopAll}>
            {texts.stop}
          </button>
        ) : (
          <button type="button" class="link" onClick={forgetUploads}>
            {texts.hide}
          </button>
        )}
      </header>
      {isUploading.value && <progress aria-label={texts.title} max={Math.max(total, 1)} value={sent} />}
      <ul>
        {rows.map((upload) => (
          <UploadRow key={upload.id} upload={upload} />
        ))}
      </ul>
    </section>
  );
}

function UploadRow({ upload }: { upload: Upload }) {
  const texts = t.value.documents.uploads;
  const { id, name, state, share, error } = upload;
  const words = {
    waiting: texts.waiting,
    sending: `${Math.floor(share * 100)} % · ${bytes(upload.bytes)}`,
    checking: texts.sent,
    paused: inWords(error),
    done: '',
    duplicate: texts.duplicate,
    failed: inWords(error),
  }[state];
  return (
    <li>
      <Name>{name}</Name>
      <span class={state === 'failed' ? 'bad words' : 'fine words'}>{words}</span>
      {state === 'failed' && (
        <button type="button" class="link" onClick={() => retryUpload(id)}>
          {texts.retry}
        </button>
      )}
      <IconButton icon="close" label={texts.stopOne(name)} onClick={() => stopUpload(id)} />
    </li>
  );
}
