-- What a key may do, and whose questions are whose.
--
-- A key is looked up once a request, together with its tenant. Of 25,000 keys of 1,001 tenants:
--   explain analyze select … from api_keys key join tenants tenant on tenant.id = key.tenant_id
--   where hash = '…' and revoked_at is null and (expires_at is null or expires_at > now())
--   Nested Loop (actual time=0.026..0.027 rows=1.00 loops=1)
--     -> Index Scan using api_keys_hash_unique on api_keys key (actual time=0.015..0.015 rows=1.00 loops=1)
--     -> Index Scan using tenants_pkey on tenants tenant (actual time=0.007..0.007 rows=1.00 loops=1)
--   Execution Time: 0.050 ms
-- A cache would save that, and would let a revoked key in wherever it hadn't heard of it yet.

alter table tenants
    -- its keys are refused, and its data stay
    add column suspended_at timestamptz,
    add constraint tenants_name_not_empty check (name <> '');

alter table api_keys
    -- 'widget': public, since it stands in web pages; it may only ask
    add column kind text not null default 'secret',
    -- what it begins with, which is no secret: by it people and scanners know it again
    add column prefix text not null default 'lectern_',
    -- Keys from before this, and those that the release before makes, may do what they could: all but operate tenants.
    add column scopes text[] not null default '{read,ask,write,admin}',
    -- the only collections that it reaches, some of which may be gone; null: all, also those to come
    add column collections uuid[],
    -- of a widget: the web pages that may use it, as the header Origin names them, or 'https://*.example.com'
    add column origins text[] not null default '{}',
    add column expires_at timestamptz,
    -- to the minute
    add column last_used_at timestamptz,
    add constraint api_keys_kind_known check (kind in ('secret', 'widget')),
    add constraint api_keys_widgets_only_ask check (
        kind <> 'widget'
        or (scopes = '{ask}' and coalesce(cardinality(collections), 0) > 0 and cardinality(origins) > 0)
    ),
    -- Whoever administers a tenant reaches all of it.
    add constraint api_keys_limited_do_not_administer check (
        collections is null or not scopes && '{admin,operator}'
    );
update api_keys set prefix = 'lectern-dev', scopes = '{read,ask,write,admin,operator}' where development;
create index api_keys_by_tenant on api_keys (tenant_id, id desc);
-- "does any widget's key name this origin?", asked before browsers show the key. Of the same keys, 5,000 of them widgets':
--   explain analyze select exists (select from api_keys where kind = 'widget' and origins && '{…}' and …)
--   -> Bitmap Index Scan on api_keys_by_origin (actual time=0.030..0.030 rows=1.00 loops=1)
--   Execution Time: 0.075 ms
create index api_keys_by_origin on api_keys using gin (origins) where kind = 'widget';

-- Who has asked, for keys that see no more than what was asked with them. No foreign key: that it was asked with a key
-- stays true. Null: asked before this.
alter table questions
    add column asked_with uuid,
    -- SHA-256 of what the visitor of a web page calls itself, if its widget says so
    add column visitor_sha256 bytea;
alter table conversations
    add column asked_with uuid,
    add column visitor_sha256 bytea;
