-- What the OpenAI-compatible API needs: questions that bring their conversation along, and vectors of texts.

-- The turns before a question whose client keeps the conversation itself: oldest first, as
-- [{"text", "standalone_question", "answer"}]. They leave with the answer: a conversation that is not ours leaves nothing.
alter table questions add column history jsonb;

-- Texts whose vectors somebody waits for. A row leaves with the end of its job; what a failure leaves, the sweep takes.
create table embeddings (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    texts text[] not null,
    -- as a question is embedded, with that prefix of the model; else as a passage
    as_questions boolean not null,
    created_at timestamptz not null default now()
);
-- the sweep
create index embeddings_by_age on embeddings (created_at);

alter table jobs drop constraint jobs_kind_known;
alter table jobs add constraint jobs_kind_known
    check (kind in ('ingest', 'answer', 'search', 'index', 'purge', 'import', 'webhook', 'lexicon', 'faq', 'embed'));
