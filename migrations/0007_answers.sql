-- What stands around retrieval: questions that are answered by people (FAQs), answers that are given again (the cache),
-- questions that the documents don't answer, and what readers think of answers.

-- Texts of questions may be longer than an entry of a B-tree, so they are compared by SHA-256 of their normalised form.
create table faqs (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    collection_id uuid not null references collections on delete cascade,
    question text not null,
    question_sha256 bytea not null,
    answer text not null,
    -- where readers find more
    link text,
    -- of the question, made by a job; null until it is done, and again when the question changes
    model_id smallint references embedding_models,
    embedding halfvec,
    hits bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    -- the exact match, the list and the scan by similarity all begin with the collection
    constraint faqs_question_unique unique (collection_id, question_sha256)
);
create index faqs_by_collection on faqs (collection_id, id desc);

alter table answers
    -- the documents don't answer: the sources are the nearest passages
    add column abstained boolean not null default false,
    -- the FAQ that was the answer, as it was then: {"id", "question", "link", "similarity"}
    add column faq jsonb,
    -- the question whose answer this is a copy of; no foreign key: that it is one stays true when that is gone
    add column cached_from uuid,
    -- what the confidence was made of
    add column signals jsonb,
    -- what produced it: model, generator, limits
    add column settings jsonb not null default '{}';

-- How often what searches see of a collection has changed. A row of its own, and counted at the very end of a
-- transaction, so that whoever changes a document waits for nobody who holds anything else.
create table collection_changes (
    collection_id uuid primary key references collections on delete cascade,
    changes bigint not null
);

create function count_collection_change() returns trigger language plpgsql as $$
begin
    -- A deleted collection takes its documents along: then there is nothing to count.
    insert into collection_changes (collection_id, changes)
    select id, 1 from collections
    where id = case when tg_op = 'DELETE' then old.collection_id else new.collection_id end
    on conflict (collection_id) do update set changes = collection_changes.changes + 1;
    return null;
end
$$;

create constraint trigger documents_change_collections
    after update on documents deferrable initially deferred
    for each row
    when (old.version is distinct from new.version or old.metadata is distinct from new.metadata
          or old.collection_id is distinct from new.collection_id)
    execute function count_collection_change();
create constraint trigger documents_leave_collections
    after delete on documents deferrable initially deferred
    for each row
    when (old.version > 0)
    execute function count_collection_change();

-- Answers that may be given again to a question that means the same.
create table answer_cache (
    question_id uuid primary key references questions on delete cascade,
    tenant_id uuid not null,
    collection_id uuid not null references collections on delete cascade,
    -- SHA-256 of all else that must be equal: filter, number of passages, generator, settings
    conditions bytea not null,
    model_id smallint not null references embedding_models,
    embedding halfvec not null,
    -- of the collection, read before its retrieval began
    changes bigint not null,
    created_at timestamptz not null default now()
);
-- A look-up reads all entries of a collection, of which there are LECTERN_CACHE_ENTRIES_MAX at most, and the oldest
-- leave first.
create index answer_cache_by_collection on answer_cache (collection_id, created_at);

-- Questions that the documents didn't answer, equal and similar ones together.
create table unanswered (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    collection_id uuid not null references collections on delete cascade,
    -- as it was asked first
    question text not null,
    question_sha256 bytea not null,
    model_id smallint references embedding_models,
    embedding halfvec,
    count bigint not null default 1,
    first_asked_at timestamptz not null default now(),
    last_asked_at timestamptz not null default now(),
    -- the latest of them: its sources are the nearest passages, and leave with their documents
    question_id uuid references questions on delete set null,
    constraint unanswered_question_unique unique (collection_id, question_sha256)
);
-- the list, the most often asked first
create index unanswered_by_tenant on unanswered (tenant_id, count desc, id desc);
-- deleting a question, and finding the group that it is in
create index unanswered_by_question on unanswered (question_id);

-- What readers think of answers, with what produced these: it outlives documents, and so has none of their text.
create table feedback (
    question_id uuid primary key references questions on delete cascade,
    -- in order of time, for the list
    id uuid not null,
    tenant_id uuid not null,
    collection_id uuid not null,
    rating text not null,
    reason text,
    comment text,
    -- [{"number", "document", "version", "page_first", "page_last", "score", "text_sha256"}]
    passages jsonb not null,
    settings jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint feedback_rating_known check (rating in ('up', 'down'))
);
create index feedback_by_tenant on feedback (tenant_id, id desc);

alter table jobs drop constraint jobs_kind_known;
alter table jobs add constraint jobs_kind_known
    check (kind in ('ingest', 'answer', 'search', 'index', 'purge', 'import', 'webhook', 'lexicon', 'faq'));
