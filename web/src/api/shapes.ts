/** What the API sends, as JSON: the names are those of its views. */

export interface Failure {
  code: string;
  message: string;
  retryable: boolean;
}

/** What is under way for a document. */
export interface Work {
  stage: string;
  done?: number;
  total?: number;
  rate?: number;
  estimated_end?: string;
  attempt: number;
  attempts_max: number;
  ahead?: number;
  retry_at?: string;
}

export type DocumentState = 'queued' | 'processing' | 'ready' | 'failed' | 'cancelled';

export interface Doc {
  id: string;
  collection: string;
  name: string;
  title: string | null;
  media_type: string;
  bytes: number;
  state: DocumentState;
  version: number;
  wanted: number;
  pages: number | null;
  chunks: number | null;
  notes: string[];
  language: string | null;
  failure: Failure | null;
  work?: Work;
  created_at: string;
  updated_at: string;
}

/** `[left, top, right, bottom]` in shares of the page as shown, from its top left corner. */
export type Box = [number, number, number, number];

export interface Span {
  page: number;
  start: number;
  end: number;
  boxes?: Box[];
}

export interface DocumentPage {
  number: number;
  label: string | null;
  text: string;
  cut: boolean;
}

export interface DocumentPages {
  pages_total: number;
  pages: DocumentPage[];
}

export interface Source {
  number: number;
  document: string;
  document_name: string;
  document_title: string | null;
  page_first: number;
  page_last: number;
  spans: Span[];
  heading: string | null;
  place?: string;
  text: string;
  score: number;
  cited?: boolean;
}

export interface Faq {
  id: string;
  question: string;
  answer: string;
  link: string | null;
  embedded: boolean;
  hits: number;
}

export interface FaqUsed {
  id: string;
  question: string;
  link: string | null;
  similarity: number;
}

export type QuestionState = 'queued' | 'running' | 'answered' | 'failed' | 'cancelled';

/** A question of a conversation; all but the first fields only when it is looked at by itself. */
export interface Question {
  id: string;
  question: string;
  standalone_question: string | null;
  state: QuestionState;
  failure: Failure | null;
  answer: string | null;
  outdated: boolean | null;
  created_at: string;
  sources?: Source[];
  generator?: string | null;
  timings?: { total_ms?: number } | null;
  confidence?: number | null;
  cached?: boolean | null;
  abstained?: boolean | null;
  faq?: FaqUsed;
  notice?: Notice;
  /** What was said of it. */
  rating?: 'up' | 'down';
}

export interface AnswerDone {
  generator: string;
  timings: { total_ms?: number };
  confidence: number | null;
  cached: boolean;
  cited: number[];
  abstained?: boolean;
  faq?: FaqUsed;
  notice?: Notice;
}

/** What readers should know of an answer besides: others say so in its text. */
export type Notice = 'budget_exhausted' | 'uncited';

export interface Conversation {
  id: string;
  collection: string;
  turns: number;
  question: string | null;
  created_at: string;
  updated_at: string;
}

export interface Collection {
  id: string;
  name: string;
  settings: {
    chunk_tokens?: number;
    ocr?: 'off' | 'auto' | 'force';
    ocr_languages?: string[];
    faq_similarity_min?: number;
  };
}

export interface Queue {
  queue: string;
  waiting: number;
  later: number;
  running: number;
  dead: number;
  oldest_seconds: number | null;
  done: number[];
  failed: number[];
}

export interface RunningJob {
  id: string;
  kind: string;
  worker: string | null;
  document: string | null;
  document_name: string | null;
  stage: string | null;
  done: number | null;
  total: number | null;
  attempt: number;
  started_at: string | null;
}

export interface Hour {
  generated: number;
  cached: number;
  faq: number;
  abstained: number;
  failed: number;
}

export interface Operations {
  version: string;
  model: string | null;
  grafana: string | null;
  queues: Queue[];
  running: RunningJob[];
  workers: { name: string; version: string; model: string; started_at: string }[];
  documents: { state: DocumentState; count: number; pages: number; chunks: number }[];
  answers: Hour[];
}

export interface DeadLetter {
  id: string;
  kind: string;
  document: string | null;
  document_name: string | null;
  attempts: number;
  failure: Failure;
  died_at: string | null;
}

export interface Unanswered {
  id: string;
  collection: string;
  question: string;
  count: number;
  last_asked_at: string;
  nearest: { document: string; document_name: string; page_first: number; page_last: number }[];
}

export type Scope = 'read' | 'ask' | 'write' | 'admin' | 'operator';

/** What a key may do in place of what the settings say; null: as they say. */
export const LIMITS = ['asks_per_minute', 'requests_per_minute', 'uploads_per_minute', 'streams_max'] as const;
export type Limit = (typeof LIMITS)[number];

export interface Key extends Partial<Record<Limit, number | null>> {
  id: string;
  name: string;
  kind: 'secret' | 'widget';
  prefix: string;
  scopes: Scope[];
  collections: string[] | null;
  origins: string[];
  expires_at: string | null;
  created_at: string;
  last_used_at: string | null;
  revoked_at: string | null;
  key?: string;
}
