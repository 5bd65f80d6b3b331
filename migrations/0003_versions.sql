-- Documents that live on: versions, what people say of them, imports, and files that are to go.
-- Nothing of Lectern was released with the columns that leave here, so they leave at once.

-- What was uploaded, one row for each file that searches see or that an ingest is to make visible.
-- A version that is neither any more leaves, and its file with it (see removals).
create table versions (
    document_id uuid not null references documents on delete cascade,
    number integer not null,
    tenant_id uuid not null,
    sha256 bytea not null,
    bytes bigint not null,
    media_type text not null,
    -- versions of one document share a file when it was only read anew
    blob_key text not null,
    created_at timestamptz not null default now(),
    primary key (document_id, number)
);
insert into versions (document_id, number, tenant_id, sha256, bytes, media_type, blob_key, created_at)
select id, greatest(version, 1), tenant_id, sha256, bytes, media_type, blob_key, created_at from documents;
-- "has this collection this content already?", asked at each upload
create index versions_by_content on versions (tenant_id, sha256);
-- "does any version name this file?", asked before one is deleted
create index versions_by_blob on versions (blob_key);

alter table documents
    -- the newest version: what an ingest makes, or has made, visible; documents.version is what searches see
    add column wanted integer not null default 1,
    -- the title was given by people: what the file says of itself doesn't replace it
    add column title_given boolean not null default false,
    add column source_url text,
    add column metadata jsonb not null default '{}',
    drop column sha256,
    drop column bytes,
    drop column media_type,
    drop column blob_key,
    add constraint documents_metadata_is_an_object check (jsonb_typeof(metadata) = 'object');
update documents set wanted = greatest(version, 1);

-- Containment, in lists, searches and questions.
create index documents_by_metadata on documents using gin (metadata jsonb_path_ops);
-- "is there a document of this name?", asked at each upload; also the list in order of names
create index documents_by_name on documents (tenant_id, collection_id, name, id);
-- The list over all collections, newest first, and in order of changes. With 10,000 documents a page takes under a
-- millisecond; in orders without an index (bytes, pages, names over all collections) it is a scan and a sort of the
-- first 51, 20 to 60 ms on a busy machine, which asks for no index more.
--   explain analyze select … where document.tenant_id = $1 order by document.updated_at desc, document.id desc limit 51
--   Limit
--     -> Nested Loop
--          -> Index Scan using documents_by_change on documents document (actual time=0.031..0.069 rows=51.00)
--               Index Cond: (tenant_id = '…'::uuid)
--          -> Index Scan using versions_pkey on versions newest (actual time=0.003..0.003 rows=1.00 loops=51)
--   Execution Time: 0.481 ms
create index documents_by_tenant on documents (tenant_id, id desc);
create index documents_by_change on documents (tenant_id, updated_at desc, id desc);

-- Files that no row names any more, written in the transaction that takes the last row away. A job of kind purge
-- deletes those of its subject; the row goes when the file has.
create table removals (
    blob_key text primary key,
    -- the subject of the job
    purge uuid not null,
    tenant_id uuid not null,
    created_at timestamptz not null default now()
);
create index removals_by_purge on removals (purge);
-- Until now such a job named a deleted document, and its file was named after that.
insert into removals (blob_key, purge, tenant_id)
select distinct tenant_id || '/' || subject, subject, tenant_id from jobs where kind = 'purge' and state <> 'done'
on conflict do nothing;

-- An uploaded zip whose files are to become documents.
create table imports (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    collection_id uuid not null references collections on delete cascade,
    name text not null,
    bytes bigint not null,
    blob_key text not null,
    -- said of each of its documents
    source_url text,
    metadata jsonb,
    force boolean not null,
    -- the limit of uploads, as it was when this one came
    entry_bytes_max bigint not null,
    state text not null default 'queued',
    failure text,
    -- how many files are in it, once that is known
    entries integer,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint imports_state_known check (state in ('queued', 'running', 'done', 'failed', 'cancelled'))
);
-- What has become of each file: an import that was killed goes on after the last row.
create table import_entries (
    import_id uuid not null references imports on delete cascade,
    -- its place in the zip
    ordinal integer not null,
    tenant_id uuid not null,
    name text not null,
    outcome text not null,
    -- no foreign key: that the document was made stays true when it is deleted
    document_id uuid,
    -- why it was skipped: a code
    reason text,
    primary key (import_id, ordinal),
    constraint import_entries_outcome_known check (outcome in ('created', 'replaced', 'duplicate', 'skipped'))
);

alter table jobs drop constraint jobs_kind_known;
alter table jobs add constraint jobs_kind_known
    check (kind in ('ingest', 'answer', 'search', 'index', 'purge', 'import'));

-- Only documents whose metadata contain this are searched for it.
alter table questions add column filter jsonb;

-- A document that it was made from was deleted or replaced since: no cache may serve it again.
alter table answers add column outdated boolean not null default false;
