/** A document's row: its name, how it stands in words, its numbers, and what can be done. */

import { useRef, useState } from 'preact/hooks';
import type { Doc, Work } from '../api/shapes';
import { ago, bytes, date, duration, number, until } from '../format';
import { Menu, Name } from '../parts/controls';
import type { IconName } from '../parts/icons';
import { inWordsOf, may } from '../state';
import { t } from '../texts';
import { openDocument } from '../viewer/opened';
import { cancel, reingest, remove, retry, save } from './actions';
import { Details } from './details';
import { PasswordDialog } from './password';
import { isActive } from './store';
import { replaceFile } from './uploads';

const KINDS: [RegExp, string][] = [
  [/pdf/, 'PDF'],
  [/wordprocessing/, 'DOC'],
  [/presentation/, 'PPT'],
  [/spreadsheet/, 'XLS'],
  [/epub/, 'EPUB'],
  [/html/, 'HTML'],
  [/markdown/, 'MD'],
  [/csv|tab-separated/, 'CSV'],
  [/json/, 'JSON'],
];
const kind = (type: string): string => KINDS.find(([pattern]) => pattern.test(type))?.[1] ?? 'TXT';

/** What a stage is called, with numbers where the API has them. */
export function stageInWords(work: Work, now = Date.now()): string {
  const texts = t.value.documents;
  const parts = [texts.stages[work.stage] ?? work.stage];
  if (work.stage === 'queued' && work.ahead) parts.push(texts.ahead(work.ahead));
  if (work.total) {
    const words = work.stage === 'embedding' ? texts.ofPassages : texts.ofPages;
    parts.push(words(work.done ?? 0, work.total));
  }
  if (work.stage === 'retrying' && work.retry_at) {
    parts.push(texts.retryAt(duration((new Date(work.retry_at).getTime() - now) / 1000)));
  }
  if (work.attempt > 1) parts.push(texts.attempt(work.attempt, work.attempts_max));
  const left = until(work.estimated_end, now);
  if (left) parts.push(texts.left(left));
  return parts.join(' · ');
}

/** Which version searches see while it isn't the newest. */
export function versionInWords(doc: Doc): string | undefined {
  const { versionHint, versionKept } = t.value.documents;
  if (doc.version === 0 || doc.version >= doc.wanted) return undefined;
  return (isActive(doc) ? versionHint : versionKept)(doc.version, doc.wanted);
}

export function Row({ doc, index, top }: { doc: Doc; index: number; top: number }) {
  const texts = t.value.documents;
  const hint = versionInWords(doc);
  return (
    <div
      role="row"
      aria-rowindex={index + 2}
      class={`row is-${doc.state}`}
      style={{ transform: `translateY(${top}px)` }}
    >
      <div role="cell" class="cell-name">
        <span class="kind" aria-hidden="true">
          {kind(doc.media_type)}
        </span>
        <span class="names">
          {doc.version > 0 ? (
            <button type="button" class="link title" onClick={() => openDocument(doc)} title={doc.name}>
              <Name>{doc.name}</Name>
            </button>
          ) : (
            <span class="title" title={doc.name}>
              <Name>{doc.name}</Name>
            </span>
          )}
          {hint ? (
            <span class="fine version-hint" title={hint}>
              {texts.versionSearched(doc.version)}
            </span>
          ) : (
            doc.title && (
              <span class="fine subtitle">
                <Name>{doc.title}</Name>
              </span>
            )
          )}
        </span>
      </div>
      <State doc={doc} />
      <Cell name="pages" value={doc.pages} words={texts.pages} />
      <Cell name="chunks" value={doc.chunks} words={texts.passages} />
      <div role="cell" class="cell-bytes">
        {bytes(doc.bytes)}
      </div>
      <div role="cell" class="cell-updated" title={date(doc.updated_at)}>
        {ago(doc.updated_at)}
      </div>
      <Actions doc={doc} />
    </div>
  );
}

/** A number; on a phone, where columns have no heads, with what it counts. */
function Cell({ name, value, words }: { name: string; value: number | null; words: (n: number) => string }) {
  return (
    <div role="cell" class={`cell-${name}`}>
      {value !== null && (
        <>
          <span class="on-desk">{number(value)}</span>
          <span class="on-phone">{words(value)}</span>
        </>
      )}
    </div>
  );
}

function State({ doc }: { doc: Doc }) {
  const texts = t.value.documents;
  const { work } = doc;
  const [asksWhy, setAsksWhy] = useState(false);
  const share = work?.total ? (work.done ?? 0) / work.total : undefined;
  const words =
    isActive(doc) && work
      ? stageInWords(work)
      : doc.state === 'failed' && doc.failure
        ? inWordsOf(doc.failure)
        : doc.notes.join(' · ');
  return (
    <div role="cell" class="cell-state">
      {!(isActive(doc) && work) && (
        <span class={`badge is-${doc.state}`}>
          {texts.states[doc.state] ?? doc.state}
          {doc.version > 1 && doc.state === 'ready' && ` · ${texts.version(doc.version)}`}
        </span>
      )}
      {words && !isActive(doc) && (
        <button type="button" class="link fine words" title={words} onClick={() => setAsksWhy(true)}>
          {words}
        </button>
      )}
      {words && isActive(doc) && <span class="fine words">{words}</span>}
      {asksWhy && <Details doc={doc} words={words} hint={versionInWords(doc)} onClose={() => setAsksWhy(false)} />}
      {isActive(doc) && <progress aria-label={words || texts.states[doc.state]} max={1} value={share} />}
    </div>
  );
}

interface Item {
  label: string;
  icon: IconName;
  onClick: () => void;
  isBad?: boolean;
}

function Actions({ doc }: { doc: Doc }) {
  const { actions, actionsOf } = t.value.documents;
  const [asksPassword, setAsksPassword] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const items: (Item | false)[] = [
    doc.version > 0 && { label: actions.open, icon: 'documents', onClick: () => openDocument(doc) },
    doc.failure?.code === 'password_required' &&
      may('write') && { label: actions.password, icon: 'settings', onClick: () => setAsksPassword(true) },
    (doc.state === 'failed' || doc.state === 'cancelled') &&
      may('write') && { label: actions.retry, icon: 'refresh', onClick: () => void retry(doc) },
    isActive(doc) && may('write') && { label: actions.cancel, icon: 'stop', onClick: () => cancel(doc) },
    may('write') && { label: actions.replace, icon: 'upload', onClick: () => input.current?.click() },
    doc.state === 'ready' && may('write') && { label: actions.reingest, icon: 'refresh', onClick: () => reingest(doc) },
    doc.version > 0 && { label: actions.save, icon: 'save', onClick: () => void save(doc.id, doc.name) },
    may('write') && { label: actions.remove, icon: 'trash', onClick: () => remove(doc), isBad: true },
  ];
  return (
    <div role="cell" class="cell-actions">
      <input
        ref={input}
        type="file"
        hidden
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) replaceFile(doc, file);
          event.currentTarget.value = '';
        }}
      />
      <Menu label={actionsOf(doc.name)} items={items.filter((item) => item !== false)} />
      {asksPassword && <PasswordDialog doc={doc} onClose={() => setAsksPassword(false)} />}
    </div>
  );
}
