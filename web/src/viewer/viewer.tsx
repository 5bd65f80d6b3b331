/** The side panel: a source on its page, or in its text, with the ones before and after it. */

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Source } from '../api/shapes';
import { save } from '../documents/actions';
import { IconButton, Name, Spinner } from '../parts/controls';
import { t } from '../texts';
import { type Opened as File, openFile } from './files';
import { close, type Opened, opened, step } from './opened';
import { Page } from './page';
import { findPassage, flowing, where } from './place';

export function Viewer() {
  const now = opened.value;
  return now ? <Panel now={now} /> : null;
}

function Panel({ now }: { now: Opened }) {
  const texts = t.value.source;
  const source = now.sources[now.at] as Source;
  const panel = useRef<HTMLElement>(null);
  const [wide, setWide] = useState(false);
  const isMany = now.sources.length > 1;
  useEffect(() => panel.current?.focus({ preventScroll: true }), []);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape') close();
    else if (event.altKey && event.key === 'ArrowRight') step(1);
    else if (event.altKey && event.key === 'ArrowLeft') step(-1);
  };
  return (
    <aside
      class={`viewer${wide ? ' is-wide' : ''}`}
      ref={panel}
      tabIndex={-1}
      aria-label={texts.title}
      onKeyDown={onKeyDown}
    >
      <header>
        <div class="viewer-names">
          <strong title={source.document_name}>
            <Name>{source.document_title ?? source.document_name}</Name>
          </strong>
          <span class="fine">
            {now.isDocument
              ? source.document_name
              : `${texts.label(now.at + 1, now.sources.length)} · ${where(source)}`}
          </span>
        </div>
        {isMany && (
          <>
            <IconButton icon="left" label={texts.previous} onClick={() => step(-1)} disabled={now.at === 0} />
            <IconButton
              icon="right"
              label={texts.next}
              onClick={() => step(1)}
              disabled={now.at === now.sources.length - 1}
            />
          </>
        )}
        <span class="on-desk">
          <IconButton icon="wide" label={wide ? texts.narrower : texts.wider} onClick={() => setWide(!wide)} />
        </span>
        <IconButton icon="save" label={texts.save} onClick={() => void save(source.document, source.document_name)} />
        <IconButton icon="close" label={texts.close} onClick={close} />
      </header>
      <Body key={source.document} source={source} isDocument={now.isDocument} />
    </aside>
  );
}

function Body({ source, isDocument }: { source: Source; isDocument: boolean }) {
  const texts = t.value.source;
  const [file, setFile] = useState<File>();
  const [failed, setFailed] = useState<string>();
  useEffect(() => {
    let isWanted = true;
    openFile(source.document).then(
      (found) => isWanted && setFile(found),
      (error) => isWanted && setFailed(error?.status === 404 ? texts.gone : texts.failed),
    );
    return () => {
      isWanted = false;
    };
  }, [source.document]);
  if (failed) {
    return (
      <div class="viewer-body">
        <p class="fine">{failed}</p>
        <Passage source={source} />
      </div>
    );
  }
  if (!file) {
    return (
      <div class="viewer-body">
        <Spinner label={texts.loading} />
      </div>
    );
  }
  if (file.pdf) return <Pages file={file} source={source} onFail={() => setFailed(texts.failed)} />;
  return (
    <div class="viewer-body">
      {isDocument ? <WholeText file={file} source={source} /> : <InText file={file} source={source} />}
    </div>
  );
}

function Pages({ file, source, onFail }: { file: File; source: Source; onFail: () => void }) {
  const texts = t.value.source;
  const pdf = file.pdf;
  // The page where the marked lines begin: a heading on the page before may belong to the passage, too.
  const begin = source.spans.find((span) => span.boxes?.length)?.page ?? source.page_first;
  const [number, setNumber] = useState(begin);
  useEffect(() => setNumber(begin), [source, begin]);
  if (!pdf) return null;
  const last = pdf.numPages;
  return (
    <>
      <div class="viewer-body is-page" tabIndex={0}>
        <Page pdf={pdf} number={Math.min(number, last)} spans={source.spans} onFail={onFail} />
      </div>
      <footer>
        <IconButton
          icon="left"
          label={texts.previousPage}
          onClick={() => setNumber(number - 1)}
          disabled={number <= 1}
        />
        <span class="fine">{texts.pageOf(Math.min(number, last), last)}</span>
        <IconButton
          icon="right"
          label={texts.nextPage}
          onClick={() => setNumber(number + 1)}
          disabled={number >= last}
        />
      </footer>
    </>
  );
}

function Passage({ source }: { source: Source }) {
  return (
    <>
      {source.heading && <p class="passage-heading">{source.heading}</p>}
      <blockquote class="passage" dir="auto">
        <mark>{flowing(source)}</mark>
      </blockquote>
    </>
  );
}

/** The passage where it stands in a file that is text; of others the passage as it was read. */
function InText({ file, source }: { file: File; source: Source }) {
  const mark = useRef<HTMLElement>(null);
  const place = file.text === undefined ? undefined : findPassage(file.text, source.text);
  useEffect(() => mark.current?.scrollIntoView({ block: 'center' }), [source]);
  if (!place) return <Passage source={source} />;
  return (
    <pre class="file-text" dir="auto">
      {place.before}
      <mark ref={mark}>{place.passage}</mark>
      {place.after}
    </pre>
  );
}

/** Of a text more than this is slow to lay out, and nobody reads it here. */
const SHOWN_CHARS_MAX = 200_000;

function WholeText({ file, source }: { file: File; source: Source }) {
  if (file.text !== undefined) {
    return (
      <pre class="file-text" dir="auto">
        {file.text.slice(0, SHOWN_CHARS_MAX)}
      </pre>
    );
  }
  return (
    <p>
      <button type="button" onClick={() => void save(source.document, source.document_name)}>
        {t.value.source.save}
      </button>
    </p>
  );
}
