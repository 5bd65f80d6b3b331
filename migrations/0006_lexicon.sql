-- The lexicon: which words stand in which chunks, for BM25. It takes the place of a tsvector, which has neither
-- document frequencies nor a document's own language.

-- Of the visible version, as ISO 639-1 ("en"); null: not told apart.
alter table documents add column language text;
-- The same of the question.
alter table answers add column language text;

-- A segment holds the postings of one document as an ingest writes them, or of many that were merged: a word of a
-- question is then a handful of rows, not one for each document.
create table segments (
    id bigint generated always as identity primary key,
    tenant_id uuid not null references tenants on delete cascade,
    collection_id uuid not null references collections on delete cascade,
    -- how many documents it was made of; one of its own goes as a whole when its document does
    documents integer not null,
    -- chunks are numbered from 0 within their segment
    chunks integer not null,
    -- words of all its chunks
    words bigint not null,
    -- whose stemmers its words went through: a question goes through the same
    languages text[] not null,
    created_at timestamptz not null default now()
);
create index segments_by_collection on segments (collection_id);

-- Which numbers are whose. A document's chunks stand together, in order of their ordinals.
create table segment_documents (
    segment_id bigint not null references segments on delete cascade,
    -- the number of its first chunk
    base integer not null,
    chunks integer not null,
    words bigint not null,
    -- null: it is gone, and its numbers are to be skipped until the segment is merged
    document_id uuid references documents on delete set null,
    version integer not null,
    -- searches see it
    live boolean not null default false,
    primary key (segment_id, base)
);
create index segment_documents_by_document on segment_documents (document_id);
-- what a search has to skip: few
create index segment_documents_to_skip on segment_documents (segment_id) where not live or document_id is null;

create table postings (
    segment_id bigint not null references segments on delete cascade,
    -- a stem, or a word as it stands, after "="; in the order of its bytes, in which segments are merged
    term text collate "C" not null,
    -- for each chunk in order: its distance from the one before, how often the term stands in it, and its words,
    -- each as a variable-length integer of 7 bits a byte
    entries bytea not null,
    primary key (segment_id, term)
);
-- they don't shrink any more, and are read whole
alter table postings alter column entries set storage external;

drop index chunks_by_lexeme;
alter table chunks drop column lexemes;

alter table jobs drop constraint jobs_kind_known;
alter table jobs add constraint jobs_kind_known
    check (kind in ('ingest', 'answer', 'search', 'index', 'purge', 'import', 'webhook', 'lexicon'));
-- one at a time for each collection waits or runs
create unique index jobs_one_lexicon on jobs (subject) where kind = 'lexicon' and state in ('queued', 'running');
