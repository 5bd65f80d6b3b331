-- The spine: who owns what, what was uploaded, what was asked, and the ledger of the work.
-- Stays within what PostgreSQL 15 offers. Every table that grows carries tenant_id, so that it can be
-- partitioned or distributed by tenant later without a rewrite of the data.

create extension if not exists vector;

create table tenants (
    id uuid primary key,
    name text not null,
    created_at timestamptz not null default now(),
    constraint tenants_name_unique unique (name)
);

-- Keys are stored as SHA-256 of the whole key: 256 random bits need no slow hash, and a look-up by hash
-- leaks nothing through timing.
create table api_keys (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    name text not null,
    hash bytea not null,
    -- the key that development mode accepts out of the box; never accepted in production
    development boolean not null default false,
    created_at timestamptz not null default now(),
    revoked_at timestamptz,
    constraint api_keys_hash_unique unique (hash)
);

create table collections (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    name text not null,
    created_at timestamptz not null default now(),
    constraint collections_name_unique unique (tenant_id, name)
);

-- The identity of whatever made the vectors. One model is active; a worker with another one refuses to start.
create table embedding_models (
    id smallint generated always as identity primary key,
    name text not null,
    -- SHA-256 of the weights, in hex
    revision text not null,
    dimensions smallint not null,
    pooling text not null,
    quantization text not null,
    max_tokens smallint not null,
    active boolean not null default false,
    created_at timestamptz not null default now(),
    constraint embedding_models_identity_unique
        unique (name, revision, dimensions, pooling, quantization, max_tokens)
);
create unique index embedding_models_one_active on embedding_models (active) where active;

create table documents (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    collection_id uuid not null references collections on delete cascade,
    -- as uploaded: shown to people, never used as a path
    name text not null,
    title text,
    media_type text not null,
    bytes bigint not null,
    sha256 bytea not null,
    blob_key text not null,
    state text not null default 'queued',
    -- the version that searches see; 0 until the first one is complete
    version integer not null default 0,
    pages integer,
    chunks integer,
    -- what the parser had to do to read the file ("page 3 dropped: …")
    notes text[] not null default '{}',
    failure text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint documents_state_known check (state in ('queued', 'processing', 'ready', 'failed', 'cancelled'))
);
-- the list, newest first: ids are UUIDv7 and so in order of time
create index documents_by_collection on documents (tenant_id, collection_id, id desc);

-- Page texts are what citations are verbatim parts of.
create table pages (
    tenant_id uuid not null,
    document_id uuid not null references documents on delete cascade,
    version integer not null,
    number integer not null,
    text text not null,
    primary key (document_id, version, number)
);

create table chunks (
    id bigint generated always as identity primary key,
    tenant_id uuid not null,
    collection_id uuid not null,
    document_id uuid not null references documents on delete cascade,
    -- rows of a version above documents.version are not visible yet
    version integer not null,
    ordinal integer not null,
    page_first integer not null,
    page_last integer not null,
    -- [{"page": 3, "start": 120, "end": 480}]: offsets in characters into pages.text
    spans jsonb not null,
    heading text,
    text text not null,
    tokens integer not null,
    model_id smallint not null references embedding_models,
    -- Without dimensions here: they are those of the model, set when the first model is registered.
    embedding halfvec not null,
    -- Stemmed English and, beside it, the words as they are, for names and codes.
    lexemes tsvector not null generated always as (
        to_tsvector('english', coalesce(heading, '') || ' ' || text)
        || to_tsvector('simple', coalesce(heading, '') || ' ' || text)
    ) stored,
    constraint chunks_place_unique unique (document_id, version, ordinal)
);
-- exact vector search over a small collection, and counting one: an index range scan by collection
create index chunks_by_collection on chunks (collection_id);
create index chunks_by_lexeme on chunks using gin (lexemes);
-- The HNSW index is built by a job of its own (see the index handler), once there is enough to index.

create table questions (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    collection_id uuid not null references collections on delete cascade,
    -- 'search' stops after retrieval
    mode text not null,
    text text not null,
    passages_max smallint not null,
    -- goes on although nobody reads
    background boolean not null default false,
    state text not null default 'queued',
    failure text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint questions_mode_known check (mode in ('answer', 'search')),
    constraint questions_state_known check (state in ('queued', 'running', 'answered', 'failed', 'cancelled'))
);
create index questions_by_tenant on questions (tenant_id, id desc);
-- searches are swept away when they are old
create index questions_searches on questions (created_at) where mode = 'search';

create table answers (
    question_id uuid primary key references questions on delete cascade,
    tenant_id uuid not null,
    text text not null,
    generator text not null,
    usage jsonb not null,
    timings jsonb not null,
    confidence real,
    cached boolean not null default false,
    created_at timestamptz not null default now()
);

create table sources (
    question_id uuid not null references questions on delete cascade,
    -- the number in the answer's [n]
    ordinal smallint not null,
    tenant_id uuid not null,
    document_id uuid not null references documents on delete cascade,
    version integer not null,
    page_first integer not null,
    page_last integer not null,
    spans jsonb not null,
    heading text,
    text text not null,
    score real not null,
    primary key (question_id, ordinal)
);
-- deleting a document deletes what was quoted from it
create index sources_by_document on sources (document_id);

-- The ledger: the truth about work. Redis only carries wake-ups.
create table jobs (
    id uuid primary key,
    tenant_id uuid not null,
    kind text not null,
    queue text not null,
    -- the document or question that the job is about; no foreign key: a missing row is success
    subject uuid not null,
    state text not null default 'queued',
    run_at timestamptz not null default now(),
    attempt integer not null default 0,
    max_attempts integer not null,
    lease_owner text,
    lease_until timestamptz,
    -- when the last wake-up was sent; null: none yet
    dispatched_at timestamptz,
    cancel_requested boolean not null default false,
    stage text,
    progress_done integer,
    progress_total integer,
    error text,
    -- of the HTTP request that asked for it: carried into the worker's logs
    request_id text,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    constraint jobs_kind_known check (kind in ('ingest', 'answer', 'search', 'index', 'purge')),
    constraint jobs_queue_known check (queue in ('ingest', 'question', 'maintenance')),
    constraint jobs_state_known check (state in ('queued', 'running', 'done', 'failed', 'dead', 'cancelled'))
);
-- the sweep: what is due, what has waited too long for its worker
create index jobs_waiting on jobs (queue, tenant_id, run_at) where state = 'queued';
create index jobs_leased on jobs (lease_until) where state = 'running';
create index jobs_by_subject on jobs (subject);
create index jobs_dead on jobs (tenant_id, finished_at) where state = 'dead';
-- finished jobs are swept away when they are old
create index jobs_finished on jobs (finished_at) where state in ('done', 'failed', 'cancelled');
-- one index build at a time waits or runs
create unique index jobs_one_index_build on jobs (kind) where kind = 'index' and state in ('queued', 'running');

-- Who is alive: what the health report and the operations page show.
create table workers (
    name text primary key,
    version text not null,
    model text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);

insert into tenants (id, name) values ('00000000-0000-7000-8000-000000000001', 'default');
insert into collections (id, tenant_id, name)
values ('00000000-0000-7000-8000-000000000002', '00000000-0000-7000-8000-000000000001', 'default');
