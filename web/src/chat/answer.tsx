/** A question with its answer, as it is written and when it is complete. */

import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { Source } from '../api/shapes';
import { CITATION, withSources } from '../markdown/citations';
import { Markdown } from '../markdown/markdown';
import { safeLink } from '../markdown/render';
import { Trouble } from '../parts/controls';
import { CopyButton } from '../parts/copy';
import { Icon } from '../parts/icons';
import { inWordsOf } from '../state';
import { t } from '../texts';
import { openSource } from '../viewer/opened';
import { label } from '../viewer/place';
import { Rating } from './rating';
import { Sources } from './sources';
import { askAgain, lookAt } from './store';
import { isOpen, type Turn, type TurnState } from './turn';

/** So far from the screen an answer's sources are fetched. */
const NEARLY_SEEN = '600px';

export function Answer({ turn }: { turn: Turn }) {
  const texts = t.value.chat;
  const now = turn.value;
  const busy = isOpen(now);
  const article = useRef<HTMLElement>(null);
  const { isPartial } = now;
  useEffect(() => {
    if (!isPartial || !article.current) return;
    const watcher = new IntersectionObserver(([entry]) => entry?.isIntersecting && lookAt(turn), {
      rootMargin: NEARLY_SEEN,
    });
    watcher.observe(article.current);
    return () => watcher.disconnect();
  }, [isPartial]);
  return (
    <article class="turn" data-state={now.state} ref={article}>
      <h2 class="asked" dir="auto">
        <span class="unseen">{texts.you}: </span>
        {now.question}
      </h2>
      {now.standalone && now.standalone !== now.question && <p class="fine taken">{texts.takenFor(now.standalone)}</p>}
      {now.abstained && (
        <p class="abstained">
          <Icon name="search" />
          {texts.abstained}
        </p>
      )}
      {/* Busy until it is whole: screen readers wait for that instead of reading it word by word. */}
      <div class={`answer${busy && now.text ? ' is-writing' : ''}`} aria-busy={busy} dir="auto">
        <Written turn={now} busy={busy} />
      </div>
      {busy && <Progress now={now} />}
      <Ended turn={turn} />
    </article>
  );
}

function Written({ turn, busy }: { turn: TurnState; busy: boolean }) {
  const byNumber = new Map(turn.sources.map((source) => [source.number, source]));
  const cite = (number: number, key: string) => {
    const source = byNumber.get(number);
    if (!source) return null;
    return (
      <button
        type="button"
        class="cite"
        key={key}
        aria-label={t.value.chat.cite(number, label(source))}
        title={label(source)}
        onClick={() => openSource(shownSources(turn), number)}
      >
        {number}
      </button>
    );
  };
  return <Markdown text={turn.text} streaming={busy} cite={cite} />;
}

/** Those to go through in the side panel: what the answer cites, in its order; else all. */
export function shownSources(turn: TurnState): TurnState['sources'] {
  const order = [...turn.text.matchAll(CITATION)].flatMap((match) => (match[1] ?? '').split(',').map(Number));
  const cited = [...new Set(order)]
    .map((number) => turn.sources.find((source) => source.number === number))
    .filter((source) => source !== undefined);
  return cited.length ? cited : turn.sources;
}

function Progress({ now }: { now: TurnState }) {
  const { chat, documents, problem } = t.value;
  const stage = chat.stages[now.stage] ?? now.stage;
  const words = now.stage === 'queued' && now.ahead ? `${stage} · ${documents.ahead(now.ahead)}` : stage;
  return (
    <p class="stage" role="status">
      <span class="dots" aria-hidden="true" />
      {now.dropped ? (now.waitSeconds ? problem.wait(now.waitSeconds) : problem.offline) : words}
    </p>
  );
}

function Ended({ turn }: { turn: Turn }) {
  const texts = t.value.chat;
  const now = turn.value;
  if (now.problem !== undefined) return <Trouble error={now.problem} onRetry={() => void askAgain(turn)} />;
  if (now.state === 'failed') {
    return (
      <div class="trouble" role="alert">
        <Icon name="warn" />
        <p>{now.failure && inWordsOf(now.failure)}</p>
        <button type="button" onClick={() => void askAgain(turn)}>
          {texts.askAgain}
        </button>
      </div>
    );
  }
  if (now.state === 'cancelled') {
    return (
      <p class="fine ended">
        {texts.stopped}{' '}
        <button type="button" class="link" onClick={() => void askAgain(turn)}>
          {texts.askAgain}
        </button>
      </p>
    );
  }
  if (now.state !== 'answered') return null;
  return (
    <>
      {now.faq && <FaqNote now={now} />}
      <Sources turn={now} />
      <div class="answer-foot">
        <CopyButton label={texts.copy} text={() => withSources(now.text, now.sources.map(named))} />
        {now.id && <Rating turn={turn} />}
        <Marks now={now} />
      </div>
    </>
  );
}

function FaqNote({ now }: { now: TurnState }) {
  const texts = t.value.chat;
  const link = now.faq?.link ? safeLink(now.faq.link) : undefined;
  return (
    <p class="fine">
      {texts.faqHint(now.faq?.question ?? '')}{' '}
      {link && (
        <a href={link} target="_blank" rel="noopener noreferrer">
          {texts.faqLink}
        </a>
      )}
    </p>
  );
}

const named = (source: Source) => ({ number: source.number, label: label(source) });

/** From these on an answer counts as well, or partly, supported. */
const LEVELS = { high: 0.7, middle: 0.4 };

/** What is to be known of an answer, each with what it means when it is pressed. */
function Marks({ now }: { now: TurnState }) {
  const texts = t.value.chat;
  const [shown, setShown] = useState<string>();
  const id = useId();
  const { confidence } = now;
  const level = (share: number) => (share >= LEVELS.high ? 'high' : share >= LEVELS.middle ? 'middle' : 'low');
  const marks: [string, string, string][] = [];
  if (now.outdated) marks.push(['is-warning', texts.outdated, texts.outdatedHint]);
  if (now.uncited) marks.push(['is-warning', texts.uncited, texts.uncitedHint]);
  if (now.faq) marks.push(['', texts.faq, texts.faqHint(now.faq.question)]);
  if (now.cached) marks.push(['', texts.cached, texts.cachedHint]);
  if (typeof confidence === 'number' && !now.abstained) {
    const hint = `${texts.confidence(Math.round(confidence * 100))}. ${texts.confidenceHint}`;
    marks.push([`confidence is-${level(confidence)}`, texts.confidenceLevels[level(confidence)], hint]);
  }
  return (
    <>
      <span class="marks-of-answer">
        {marks.map(([kind, name, hint]) => (
          <button
            type="button"
            key={name}
            class={`mark ${kind}`}
            aria-expanded={shown === hint}
            aria-controls={id}
            onClick={() => setShown(shown === hint ? undefined : hint)}
          >
            {name}
          </button>
        ))}
      </span>
      <p class="fine hint" id={id} role="status">
        {shown}
      </p>
    </>
  );
}
