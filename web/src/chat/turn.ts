/**
 * A question and what becomes of it: asked, followed event by event, or as it was kept.
 *
 * An answer is always built anew from the beginning of its events, or from its row; so whatever drops, it is there once
 * and whole.
 */

import { type Signal, signal } from '@preact/signals';
import { type Client, freshWord } from '../api/client';
import { follow } from '../api/events';
import type { AnswerDone, Failure, FaqUsed, Question, QuestionState, Source } from '../api/shapes';

export interface TurnState {
  id?: string;
  /** Names it before it has an id, so that a question isn't asked twice when the answer to its asking gets lost. */
  word: string;
  question: string;
  state: QuestionState | 'sending';
  /** What is being done now. */
  stage: string;
  ahead?: number;
  /** The connection is away, and being tried again. */
  dropped: boolean;
  /** For so long, if the server said so. */
  waitSeconds?: number | undefined;
  /** Of an answer that was listed: its sources are to be fetched. */
  isPartial?: boolean;
  text: string;
  sources: Source[];
  standalone?: string | null;
  failure?: Failure | null;
  /** It could not be asked or looked at. */
  problem?: unknown;
  confidence?: number | null;
  cached?: boolean;
  abstained?: boolean;
  /** It cites none of its sources. */
  uncited?: boolean;
  outdated?: boolean;
  faq?: FaqUsed;
  generator?: string | null;
  tookMs?: number;
  rating?: 'up' | 'down';
}

export type Turn = Signal<TurnState>;

const blank = (question: string): TurnState => ({
  word: freshWord(),
  question,
  state: 'sending',
  stage: 'sending',
  dropped: false,
  text: '',
  sources: [],
});

export const freshTurn = (question: string): Turn => signal(blank(question));

export const isOpen = ({ state }: TurnState): boolean =>
  state === 'sending' || state === 'queued' || state === 'running';

export function change(turn: Turn, to: Partial<TurnState>): void {
  turn.value = { ...turn.value, ...to };
}

/** As the API keeps it. */
export function fromQuestion(kept: Question): TurnState {
  const { question, state, answer, failure, id } = kept;
  return {
    ...blank(question),
    id,
    state,
    stage: 'queued',
    isPartial: state === 'answered' && kept.sources === undefined,
    text: answer ?? '',
    failure,
    standalone: kept.standalone_question,
    outdated: kept.outdated ?? false,
    sources: kept.sources ?? [],
    confidence: kept.confidence ?? null,
    cached: kept.cached ?? false,
    abstained: kept.abstained ?? false,
    uncited: kept.notice === 'uncited',
    generator: kept.generator ?? null,
    ...(kept.faq ? { faq: kept.faq } : {}),
    ...(kept.rating ? { rating: kept.rating } : {}),
    ...(kept.timings?.total_ms === undefined ? {} : { tookMs: kept.timings.total_ms }),
  };
}

const completing = new WeakSet<Turn>();

/** Sources and all else that a conversation doesn't list. */
export async function complete(client: Client, turn: Turn): Promise<void> {
  const { id } = turn.value;
  if (!id || completing.has(turn)) return;
  completing.add(turn);
  try {
    const kept = await client.get<Question>(`/questions/${id}`);
    const { word, rating } = turn.value;
    turn.value = { ...fromQuestion(kept), word, ...(rating ? { rating } : {}) };
  } finally {
    completing.delete(turn);
  }
}

/** Tokens come faster than anybody reads: so often they are shown at most. */
const SHOWN_EVERY_MS = 40;

/** Follows an answer to its end. */
export async function listen(client: Client, turn: Turn, signal: AbortSignal): Promise<void> {
  let text = '';
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = () => {
    clearTimeout(timer);
    timer = undefined;
    if (turn.value.text !== text) change(turn, { text });
  };
  const clear = () => {
    text = '';
    change(turn, { text, sources: [] });
  };
  clear();
  try {
    for await (const { name, data } of follow(client, `/questions/${turn.value.id}/events`, signal)) {
      if (signal.aborted) return;
      if (name === 'dropped') change(turn, { dropped: true, waitSeconds: data.waitSeconds });
      else if (turn.value.dropped) change(turn, { dropped: false });
      if (name === 'status') noteStage(turn, data);
      else if (name === 'reset') clear();
      else if (name === 'sources') change(turn, { sources: data.sources });
      else if (name === 'token') {
        text += data.text;
        timer ??= setTimeout(show, SHOWN_EVERY_MS);
      } else if (name === 'failed') {
        show();
        change(turn, data.code === 'cancelled' ? { state: 'cancelled' } : { state: 'failed', failure: data });
      } else if (name === 'done') {
        show();
        change(turn, ending(turn.value.sources, data));
      }
    }
  } catch (problem) {
    if (!signal.aborted) change(turn, { state: 'failed', problem });
  } finally {
    clearTimeout(timer);
  }
}

/** What there was of an answer when it was stopped, for as long as the server remembers. */
export async function recall(client: Client, turn: Turn, signal: AbortSignal): Promise<void> {
  let text = '';
  let sources: Source[] = [];
  for await (const { name, data } of follow(client, `/questions/${turn.value.id}/events`, signal)) {
    if (name === 'reset') text = '';
    else if (name === 'sources') sources = data.sources;
    else if (name === 'token') text += data.text;
  }
  if (!signal.aborted && text) change(turn, { text, sources });
}

function noteStage(turn: Turn, data: { stage: string; ahead?: number; standalone_question?: string }): void {
  change(turn, {
    state: data.stage === 'queued' ? 'queued' : 'running',
    stage: data.stage,
    ...(data.ahead === undefined ? {} : { ahead: data.ahead }),
    ...(data.standalone_question ? { standalone: data.standalone_question } : {}),
  });
}

function ending(sources: Source[], done: AnswerDone): Partial<TurnState> {
  const cited = new Set(done.cited);
  return {
    state: 'answered',
    sources: sources.map((source) => ({ ...source, cited: cited.has(source.number) })),
    confidence: done.confidence,
    cached: done.cached,
    abstained: done.abstained ?? false,
    uncited: done.notice === 'uncited',
    generator: done.generator,
    ...(done.faq ? { faq: done.faq } : {}),
    ...(done.timings?.total_ms === undefined ? {} : { tookMs: done.timings.total_ms }),
  };
}
