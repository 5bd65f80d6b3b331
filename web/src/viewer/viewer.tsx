/** The side panel: a source on its page, or in its text, with the ones before and after it. */

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Source, Span } from '../api/shapes';
import { save } from '../documents/actions';
import { IconButton, Name, Spinner } from '../parts/controls';
import { t } from '../texts';
import { type Opened as File, openFile } from './files';
import { close, type Opened, opened, step } from './opened';
import { Page } from './page';
import type { PDFDocumentProxy } from './pdf';
import { flowing, pieces, where } from './place';
import type { Shown, Text } from './text';

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
    if (event.key === 'Escape') return close();
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!event.altKey || !by) return;
    // Browsers would go back or forward with it.
    event.preventDefault();
    step(by);
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
  const [cantDraw, setCantDraw] = useState(false);
  const [file, setFile] = useState<File>();
  const [failed, setFailed] = useState<'gone' | 'failed'>();
  useEffect(() => {
    let isWanted = true;
    openFile(source.document).then(
      (found) => isWanted && setFile(found),
      (error) => isWanted && setFailed(error?.status === 404 ? 'gone' : 'failed'),
    );
    return () => {
      isWanted = false;
    };
  }, [source.document]);
  if (failed) {
    return (
      <div class="viewer-body">
        {isDocument ? (
          <p role="alert">{failed === 'gone' ? texts.documentGone : texts.documentFailed}</p>
        ) : (
          <Passage source={source} note={texts[failed]} />
        )}
      </div>
    );
  }
  if (!file) return <Loading />;
  if (file.pdf && !cantDraw) {
    const parts = { text: file.text, source, isDocument };
    return <PdfPages pdf={file.pdf} {...parts} onFail={() => setCantDraw(true)} />;
  }
  return <TextPages text={file.text} source={source} onFail={() => setFailed('failed')} />;
}

function Loading() {
  return (
    <div class="viewer-body">
      <Spinner label={t.value.source.loading} />
    </div>
  );
}

interface PdfProperties {
  pdf: PDFDocumentProxy;
  text: Text;
  source: Source;
  isDocument: boolean;
  onFail: () => void;
}

const NO_SPANS: Span[] = [];

function PdfPages({ pdf, text, source, isDocument, onFail }: PdfProperties) {
  const texts = t.value.source;
  // The page where the marked lines begin: a heading on the page before may belong to the passage, too.
  const begin = source.spans.find((span) => span.boxes?.length)?.page ?? source.page_first;
  const [number, setNumber] = useState(begin);
  useEffect(() => setNumber(begin), [source, begin]);
  const last = pdf.numPages;
  const fate = useFate(text, source, begin);
  const hasBoxes = source.spans.some(({ boxes }) => boxes?.length);
  const isMarked = fate === 'same' && hasBoxes;
  return (
    <>
      <div class="viewer-body is-page" tabIndex={0}>
        {/* The marks are seen only; this is heard only. */}
        {isMarked && <p class="unseen">{texts.marked(flowing(source))}</p>}
        {fate === 'changed' && <Passage source={source} note={texts.changed} />}
        {fate === 'same' && !hasBoxes && !isDocument && <Passage source={source} note={texts.unmarked} />}
        <Page pdf={pdf} number={Math.min(number, last)} spans={isMarked ? source.spans : NO_SPANS} onFail={onFail} />
      </div>
      <Pager number={Math.min(number, last)} last={last} onTurn={setNumber} />
    </>
  );
}

/**
 * Whether the page still reads as it did when the passage was taken from it. Boxes that are older than the file would
 * lie over other words, so they wait for this.
 */
function useFate(text: Text, source: Source, begin: number): 'same' | 'changed' | undefined {
  const [fate, setFate] = useState<'same' | 'changed'>();
  useEffect(() => {
    let isWanted = true;
    setFate(source.spans.length ? undefined : 'same');
    if (!source.spans.length) return;
    text.page(begin).then(
      // What was cut off can't be compared.
      (page) => isWanted && setFate(page.cut || pieces(page.text, begin, source) ? 'same' : 'changed'),
      // Beyond the end of a shorter file; else the server is away, and most files stay as they are.
      (error) => isWanted && setFate(error?.status === 400 ? 'changed' : 'same'),
    );
    return () => {
      isWanted = false;
    };
  }, [text, source]);
  return fate;
}

interface TextProperties {
  text: Text;
  source: Source;
  onFail: () => void;
}

/** What was read of a file that isn't shown as it is: the passage with the text around it, part by part. */
function TextPages({ text, source, onFail }: TextProperties) {
  const texts = t.value.source;
  const [number, setNumber] = useState(source.page_first);
  const [page, setPage] = useState<Shown>();
  const mark = useRef<HTMLElement>(null);
  useEffect(() => setNumber(source.page_first), [source]);
  useEffect(() => {
    let isWanted = true;
    text.page(number).then(
      (found) => isWanted && setPage(found),
      () => isWanted && onFail(),
    );
    return () => {
      isWanted = false;
    };
  }, [text, number]);
  useEffect(() => mark.current?.scrollIntoView({ block: 'center' }), [page, source]);
  if (!page) return <Loading />;
  const shown = pieces(page.text, page.number, source);
  const first = shown?.findIndex(({ isMarked }) => isMarked);
  return (
    <>
      <div class="viewer-body" tabIndex={0}>
        {page.label && <p class="passage-heading">{page.label}</p>}
        {!shown && <Passage source={source} note={texts.changed} />}
        {shown && (
          <div class="file-text" dir="auto">
            {shown.map(({ text: piece, isMarked }, index) =>
              isMarked ? (
                <mark key={index} ref={index === first ? mark : null}>
                  {piece}
                </mark>
              ) : (
                piece
              ),
            )}
          </div>
        )}
        {page.cut && <p class="fine">{texts.cut}</p>}
      </div>
      {page.total > 1 && <Pager number={page.number} last={page.total} onTurn={setNumber} isParts />}
    </>
  );
}

interface PagerProperties {
  number: number;
  last: number;
  onTurn: (number: number) => void;
  /** Of a file without pages. */
  isParts?: boolean;
}

function Pager({ number, last, onTurn, isParts = false }: PagerProperties) {
  const texts = t.value.source;
  return (
    <footer>
      <IconButton
        icon="left"
        label={isParts ? texts.previousPart : texts.previousPage}
        onClick={() => onTurn(number - 1)}
        disabled={number <= 1}
      />
      <span class="fine">{(isParts ? texts.partOf : texts.pageOf)(number, last)}</span>
      <IconButton
        icon="right"
        label={isParts ? texts.nextPart : texts.nextPage}
        onClick={() => onTurn(number + 1)}
        disabled={number >= last}
      />
    </footer>
  );
}

function Passage({ source, note }: { source: Source; note: string }) {
  return (
    <>
      <p class="fine">{note}</p>
      {source.heading && <p class="passage-heading">{source.heading}</p>}
      <blockquote class="passage" dir="auto">
        <mark>{flowing(source)}</mark>
      </blockquote>
    </>
  );
}
