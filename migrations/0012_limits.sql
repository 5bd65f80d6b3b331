-- Limits of single keys, quotas of tenants, and requests that are answered once however often they are sent.

-- In place of the settings; null: as the settings say.
alter table api_keys
    add column requests_per_minute integer,
    add column asks_per_minute integer,
    add column uploads_per_minute integer,
    add column streams_max integer,
    add constraint api_keys_limits_positive check (
        requests_per_minute > 0 and asks_per_minute > 0 and uploads_per_minute > 0 and streams_max >= 0
    );

-- What a tenant has used of each quota in each day and month, of UTC. Counted in the transaction that makes what is
-- counted, so that nothing is counted that isn't there, and nothing is there that wasn't counted.
create table quota_usage (
    tenant_id uuid not null references tenants on delete cascade,
    quota text not null,
    period text not null,
    starts date not null,
    used bigint not null,
    primary key (tenant_id, quota, period, starts),
    constraint quota_usage_quota_known check (quota in ('documents', 'bytes', 'questions', 'tokens')),
    constraint quota_usage_period_known check (period in ('day', 'month'))
);

-- What a tenant may use, in place of the settings.
create table quota_overrides (
    tenant_id uuid not null references tenants on delete cascade,
    quota text not null,
    period text not null,
    -- null: as much as it likes
    allowed bigint,
    primary key (tenant_id, quota, period),
    constraint quota_overrides_quota_known check (quota in ('documents', 'bytes', 'questions', 'tokens')),
    constraint quota_overrides_period_known check (period in ('day', 'month')),
    constraint quota_overrides_allowed_not_negative check (allowed >= 0)
);

-- Requests with an Idempotency-Key, and what was answered.
create table idempotent_requests (
    -- of whoever asked: the same word from somebody else is another request
    api_key_id uuid not null references api_keys on delete cascade,
    idempotency_key text not null,
    -- SHA-256 of method, path and body
    request_sha256 bytea not null,
    -- whose turn it is to answer: one that was given up may be taken over, and must then not answer any more
    turn uuid not null,
    -- until when it is being answered; after that whoever was at it has died
    busy_until timestamptz not null,
    -- null while it is being answered
    status smallint,
    -- where the thing is that was made
    location text,
    body bytea,
    expires_at timestamptz not null,
    primary key (api_key_id, idempotency_key)
);
-- they are swept away when they are old
create index idempotent_requests_by_expiry on idempotent_requests (expires_at);

-- What readers are told beside the answer: a code, as 'budget_exhausted'.
alter table answers add column notice text;
