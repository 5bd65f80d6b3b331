/** A question with its answer, as it is written and when it is complete. */

import { useState } from 'preact/hooks';
import { CITATION, withSources } from '../markdown/citations';
import { Markdown } from '../markdown/markdown';
import { safeLink } from '../markdown/render';
import { IconButton, Trouble } from '../parts/controls';
import { Icon } from '../parts/icons';
import { inWordsOf } from '../state';
import { t } from '../texts';
import { openSource } from '../viewer/opened';
import { label } from '../viewer/place';
import { Rating } from './rating';
import { Sources } from './sources';
import { askAgain } from './store';
import { isOpen, type Turn, type TurnState } from './turn';

export function Answer({ turn }: { turn: Turn }) {
  const texts = t.value.chat;
  const now = turn.value;
  const busy = isOpen(now);
  return (
    <article class="turn" data-state={now.state}>
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
      {now.dropped ? problem.offline : words}
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
        <Copy now={now} />
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

function Copy({ now }: { now: TurnState }) {
  const texts = t.value.chat;
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    const sources = now.sources.map((source) => ({ number: source.number, label: label(source) }));
    await navigator.clipboard.writeText(withSources(now.text, sources));
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <IconButton
      icon={copied ? 'check' : 'copy'}
      label={copied ? texts.copied : texts.copy}
      onClick={() => void copy().catch(() => {})}
    />
  );
}

/** From these on an answer counts as well, or partly, supported. */
const LEVELS = { high: 0.7, middle: 0.4 };

function Marks({ now }: { now: TurnState }) {
  const texts = t.value.chat;
  const { confidence } = now;
  const level = (share: number) => (share >= LEVELS.high ? 'high' : share >= LEVELS.middle ? 'middle' : 'low');
  return (
    <span class="marks-of-answer">
      {now.outdated && (
        <span class="mark is-warning" title={texts.outdatedHint}>
          {texts.outdated}
        </span>
      )}
      {now.faq && <span class="mark">{texts.faq}</span>}
      {now.cached && (
        <span class="mark" title={texts.cachedHint}>
          {texts.cached}
        </span>
      )}
      {typeof confidence === 'number' && !now.abstained && (
        <span
          class={`mark confidence is-${level(confidence)}`}
          title={`${texts.confidence(Math.round(confidence * 100))}. ${texts.confidenceHint}`}
        >
          {texts.confidenceLevels[level(confidence)]}
        </span>
      )}
    </span>
  );
}
