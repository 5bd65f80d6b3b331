/** The widget's button and its panel. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem } from '../api/client';
import type { Source } from '../api/shapes';
import { isOpen, type Turn, type TurnState } from '../chat/turn';
import { safeLink } from '../markdown/render';
import { Markdown } from '../markdown/small';
import type { Store } from './store';
import type { Texts } from './texts';

interface Properties {
  store: Store;
  texts: Texts;
  startsOpen: boolean;
}

function Glyph({ d }: { d: string }) {
  return (
    <svg viewBox="0 0 20 20" width="20" height="20" aria-hidden="true">
      <path d={d} />
    </svg>
  );
}
const CHAT =
  'M4 5.5A1.500 1.500 0 0 1 5.500 4h9A1.500 1.500 0 0 1 16 5.500v6a1.500 1.500 0 0 1-1.500 1.500H9l-3.500 3v-3A1.500 1.500 0 0 1 4 11.500z';
const CLOSE = 'M5.500 5.500l9 9M14.500 5.500l-9 9';
const SEND = 'M10 16V4.500M5 9l5-5 5 5';
const STOP = 'M6 6h8v8H6z';
const FRESH = 'M15.500 8A6 6 0 1 0 16 11.500M16 4v4h-4';

export function Widget({ store, texts, startsOpen }: Properties) {
  const [open, setOpen] = useState(startsOpen);
  const opener = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (open) void store.resume();
  }, [open]);
  const close = () => {
    setOpen(false);
    opener.current?.focus();
  };
  return (
    <>
      {open && <Panel store={store} texts={texts} onClose={close} />}
      <button
        type="button"
        class="opener"
        ref={opener}
        aria-expanded={open}
        aria-label={open ? texts.close : texts.open}
        onClick={() => (open ? close() : setOpen(true))}
      >
        <Glyph d={open ? CLOSE : CHAT} />
      </button>
    </>
  );
}

function Panel({ store, texts, onClose }: { store: Store; texts: Texts; onClose: () => void }) {
  const turns = store.turns.value;
  const [text, setText] = useState('');
  const field = useRef<HTMLTextAreaElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const busy = turns.some((turn) => isOpen(turn.value));
  const length = turns[turns.length - 1]?.value.text.length;
  useEffect(() => field.current?.focus(), []);
  useEffect(() => end.current?.scrollIntoView({ block: 'end' }), [turns.length, length, busy]);
  const startOver = () => {
    store.startOver();
    // The button is gone with the questions, and the focus would be with it.
    field.current?.focus();
  };
  const submit = () => {
    const question = text.trim();
    if (!question || busy) return;
    setText('');
    void store.ask(question);
  };
  return (
    <div
      class="panel"
      role="dialog"
      aria-label={texts.title}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <header>
        <h2>{texts.title}</h2>
        {turns.length > 0 && (
          <button type="button" class="icon" aria-label={texts.fresh} title={texts.fresh} onClick={startOver}>
            <Glyph d={FRESH} />
          </button>
        )}
        <button type="button" class="icon" aria-label={texts.close} title={texts.close} onClick={onClose}>
          <Glyph d={CLOSE} />
        </button>
      </header>
      <div class="thread" tabIndex={0} role="log" aria-label={texts.title}>
        <p class="greeting">{texts.greeting}</p>
        {turns.map((turn) => (
          <Answer key={turn.value.word} turn={turn} store={store} texts={texts} />
        ))}
        <div ref={end} />
      </div>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
      >
        <textarea
          ref={field}
          rows={1}
          value={text}
          maxLength={2000}
          placeholder={texts.placeholder}
          aria-label={texts.placeholder}
          dir="auto"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            // While a word is being composed, as in Japanese, Enter belongs to the word.
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            submit();
          }}
        />
        {busy ? (
          <button type="button" class="send" aria-label={texts.stop} onClick={() => store.stop()}>
            <Glyph d={STOP} />
          </button>
        ) : (
          <button type="submit" class="send" aria-label={texts.send} disabled={!text.trim()}>
            <Glyph d={SEND} />
          </button>
        )}
      </form>
    </div>
  );
}

function Answer({ turn, store, texts }: { turn: Turn; store: Store; texts: Texts }) {
  const now = turn.value;
  const busy = isOpen(now);
  const [shown, setShown] = useState<number>();
  const source = now.sources.find(({ number }) => number === shown);
  const cite = (number: number, key: string) =>
    now.sources.some((source) => source.number === number) && (
      <button
        type="button"
        class="cite"
        key={key}
        aria-label={`${texts.source} ${number}`}
        aria-expanded={shown === number}
        onClick={() => setShown(shown === number ? undefined : number)}
      >
        {number}
      </button>
    );
  const link = now.faq?.link ? safeLink(now.faq.link) : undefined;
  return (
    <article>
      <p class="asked" dir="auto">
        {now.question}
      </p>
      {now.abstained && <p class="abstained">{texts.abstained}</p>}
      {now.uncited && <p class="abstained">{texts.uncited}</p>}
      <div class="answer" aria-busy={busy} dir="auto">
        <Markdown text={now.text} streaming={busy} cite={cite} />
      </div>
      {link && (
        <a href={link} target="_blank" rel="noopener noreferrer">
          {link}
        </a>
      )}
      {busy && (
        <p class="fine" role="status">
          {now.dropped ? away(now, texts) : now.stage === 'generating' ? texts.writing : texts.searching}
        </p>
      )}
      {source && <Passage source={source} texts={texts} />}
      {now.state === 'cancelled' && <p class="fine">{texts.stopped}</p>}
      {now.state === 'failed' && (
        <p class="bad" role="alert">
          {inWords(now.problem, texts)}{' '}
          <button type="button" class="link" onClick={() => void store.again(turn)}>
            {texts.again}
          </button>
        </p>
      )}
      {now.state === 'answered' && now.id && <Thumbs turn={turn} store={store} texts={texts} />}
    </article>
  );
}

const away = ({ waitSeconds }: TurnState, texts: Texts): string =>
  waitSeconds ? texts.wait.replace('#', String(waitSeconds)) : texts.offline;

function inWords(problem: unknown, texts: Texts): string {
  if (!(problem instanceof Problem)) return texts.failed;
  if (problem.status === 401 || problem.status === 403) return texts.refused;
  if (problem.waitSeconds) return texts.wait.replace('#', String(problem.waitSeconds));
  if (problem.status === 429) return texts.busy;
  return problem.status === 0 ? texts.unreachable : texts.failed;
}

function Passage({ source, texts }: { source: Source; texts: Texts }) {
  const where = source.place ?? `${texts.page} ${source.page_first}`;
  return (
    <figure class="passage">
      <figcaption>
        <bdi>{source.document_title ?? source.document_name}</bdi>, {where}
      </figcaption>
      <blockquote dir="auto">{source.text.replace(/([^\n])\n(?!\n)/g, '$1 ')}</blockquote>
    </figure>
  );
}

function Thumbs({ turn, store, texts }: { turn: Turn; store: Store; texts: Texts }) {
  const { rating } = turn.value;
  const thumb = (which: 'up' | 'down', label: string, glyph: string) => (
    <button
      type="button"
      class="icon small"
      aria-label={label}
      title={label}
      aria-pressed={rating === which}
      onClick={() => void store.rate(turn, which).catch(() => {})}
    >
      <Glyph d={glyph} />
    </button>
  );
  return (
    <div class="thumbs">
      {thumb(
        'up',
        texts.good,
        'M7 9v7.500M7 9l3-6c1 0 2 .8 2 2v3h3.600c.9 0 1.500.8 1.300 1.700l-1.200 5.500c-.2.8-.8 1.300-1.600 1.300H4V9z',
      )}
      {thumb(
        'down',
        texts.bad,
        'M13 11V3.500M13 11l-3 6c-1 0-2-.8-2-2v-3H4.400c-.9 0-1.500-.8-1.300-1.700l1.200-5.500c.2-.8.8-1.300 1.600-1.300H16V11z',
      )}
    </div>
  );
}
