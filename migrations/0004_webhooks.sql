-- How fast a job goes and how often it was tried, whose turn it is, and webhooks.

alter table jobs
    -- units of progress per second, when progress was noted last; null: not known yet
    add column rate real,
    add column progress_at timestamptz,
    -- attempts of earlier jobs of the same subject, and those that were handed back: what people aren't shown
    add column attempts_before integer not null default 0,
    -- the reason that users see, by its code; `error` is for operators
    add column failure text;

-- "whose turn is it?", asked for each ingest that a worker takes. With 10,000 jobs waiting, 1,000 of them with a
-- wake-up, of 20 tenants:
--   Update on jobs (actual time=11.5 rows=1)
--     -> Index Only Scan using jobs_dispatched (rows=993)
--     -> Index Only Scan Backward using jobs_served (actual time=0.008 rows=1 loops=20)
--     -> Index Scan using jobs_dispatched (actual time=0.5 rows=993)
-- What could be taken …
create index jobs_dispatched on jobs (queue, tenant_id, run_at) where state = 'queued' and dispatched_at is not null;
-- … and when each of these tenants was served last
create index jobs_served on jobs (queue, tenant_id, started_at) where started_at is not null;
-- how long ingests took lately: Index Scan Backward using jobs_ingested (actual time=0.06 rows=100)
create index jobs_ingested on jobs (finished_at) where state = 'done' and kind = 'ingest';

alter table jobs drop constraint jobs_kind_known;
alter table jobs add constraint jobs_kind_known
    check (kind in ('ingest', 'answer', 'search', 'index', 'purge', 'import', 'webhook'));
alter table jobs drop constraint jobs_queue_known;
alter table jobs add constraint jobs_queue_known
    check (queue in ('ingest', 'question', 'maintenance', 'webhook'));

-- Whom a tenant wants told when a document is ready or has failed.
create table webhooks (
    id uuid primary key,
    tenant_id uuid not null references tenants on delete cascade,
    url text not null,
    events text[] not null,
    -- Signs every delivery, so it can't be kept as a hash.
    secret bytea not null,
    created_at timestamptz not null default now(),
    constraint webhooks_events_known
        check (cardinality(events) > 0 and events <@ array['document.ready', 'document.failed'])
);
create index webhooks_by_tenant on webhooks (tenant_id, id);

-- What is to be told, written in the transaction that makes it true. Each has a job, whose subject it is.
create table webhook_deliveries (
    -- the receiver's `webhook-id`: the same at every attempt
    id uuid primary key,
    tenant_id uuid not null,
    webhook_id uuid not null references webhooks on delete cascade,
    document_id uuid not null references documents on delete cascade,
    event text not null,
    -- as it was when it happened: every attempt sends these bytes
    body text not null,
    -- what the receiver answered last; null: nothing yet
    status smallint,
    delivered_at timestamptz,
    created_at timestamptz not null default now()
);
create index webhook_deliveries_by_webhook on webhook_deliveries (webhook_id, id desc);
-- deleting a document deletes what was to be told of it
create index webhook_deliveries_by_document on webhook_deliveries (document_id);
-- old ones are swept away
create index webhook_deliveries_by_age on webhook_deliveries (created_at);
