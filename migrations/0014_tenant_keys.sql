-- no-transaction
-- Every key of rows that belong to a tenant carries the tenant, and so does every reference between them: no row can
-- belong to another tenant than what it is part of, and tables can be spread over servers by tenant (deploy/SCALING.md).
-- Not so `jobs` and `removals`, which are short, and are looked over as a whole.
-- The release before goes on working, but for its command `lectern-worker golden`, which groups by what was a key.
--
-- One step at a time, each committed: a lock is held for as long as an index takes to build and no longer. What was done
-- is not done again, so that whatever breaks off goes on with the next start. What can't get its lock within ten seconds
-- breaks off, rather than hold up everybody behind it.
do $migration$
declare
    step record;
    first bigint;
begin
    perform set_config('client_min_messages', 'warning', false);
    -- The tables that had it through what they are part of.
    perform set_config('lock_timeout', '10s', true);
    alter table postings add column if not exists tenant_id uuid;
    alter table segment_documents add column if not exists tenant_id uuid;
    alter table chunk_token_vectors add column if not exists tenant_id uuid;
    alter table idempotent_requests add column if not exists tenant_id uuid;
    alter table collection_changes add column if not exists tenant_id uuid;
    commit;

    -- The release before writes to them meanwhile, and doesn't know the column. A later release drops these.
    perform set_config('lock_timeout', '10s', true);
    create or replace function tenant_of_segment() returns trigger language plpgsql as $$
    begin
        new.tenant_id = (select tenant_id from segments where id = new.segment_id);
        return new;
    end
    $$;
    create or replace function tenant_of_chunk() returns trigger language plpgsql as $$
    begin
        new.tenant_id = (select tenant_id from chunks where id = new.chunk_id);
        return new;
    end
    $$;
    create or replace function tenant_of_key() returns trigger language plpgsql as $$
    begin
        new.tenant_id = (select tenant_id from api_keys where id = new.api_key_id);
        return new;
    end
    $$;
    create or replace trigger postings_of_older_releases before insert on postings
        for each row when (new.tenant_id is null) execute function tenant_of_segment();
    create or replace trigger segment_documents_of_older_releases before insert on segment_documents
        for each row when (new.tenant_id is null) execute function tenant_of_segment();
    create or replace trigger token_vectors_of_older_releases before insert on chunk_token_vectors
        for each row when (new.tenant_id is null) execute function tenant_of_chunk();
    create or replace trigger requests_of_older_releases before insert on idempotent_requests
        for each row when (new.tenant_id is null) execute function tenant_of_key();
    create or replace function count_collection_change() returns trigger language plpgsql as $$
    begin
        -- A deleted collection takes its documents along: then there is nothing to count.
        insert into collection_changes (collection_id, tenant_id, changes)
        select id, tenant_id, 1 from collections
        where id = case when tg_op = 'DELETE' then old.collection_id else new.collection_id end
        on conflict on constraint collection_changes_pkey do update set changes = collection_changes.changes + 1;
        return null;
    end
    $$;
    commit;

    for step in select id, tenant_id from segments loop
        update postings set tenant_id = step.tenant_id where segment_id = step.id and tenant_id is null;
        update segment_documents set tenant_id = step.tenant_id where segment_id = step.id and tenant_id is null;
        commit;
    end loop;
    first = 0;
    while first <= (select coalesce(max(chunk_id), -1) from chunk_token_vectors) loop
        update chunk_token_vectors vectors set tenant_id = chunks.tenant_id
        from chunks
        where vectors.chunk_id >= first and vectors.chunk_id < first + 10000 and vectors.tenant_id is null
            and chunks.id = vectors.chunk_id;
        commit;
        first = first + 10000;
    end loop;
    update idempotent_requests request set tenant_id = api_keys.tenant_id
    from api_keys
    where api_keys.id = request.api_key_id and request.tenant_id is null;
    commit;
    update collection_changes change set tenant_id = collections.tenant_id
    from collections
    where collections.id = change.collection_id and change.tenant_id is null;
    commit;
    for step in
        select unnest(array['postings', 'segment_documents', 'chunk_token_vectors', 'idempotent_requests', 'collection_changes'])
            as table_name
    loop
        perform set_config('lock_timeout', '10s', true);
        execute format('alter table %I alter column tenant_id set not null', step.table_name);
        commit;
    end loop;

    -- The tenant stands last in them: what is looked up by the rest of a key is found by it as before.
    drop table if exists pg_temp.keys_to_be;
    create temporary table keys_to_be (table_name text, name text, kind text, columns text, rows text default '');
    insert into keys_to_be (table_name, name, kind, columns) values
        ('api_keys', 'api_keys_pkey', 'primary key', 'id'),
        ('collections', 'collections_pkey', 'primary key', 'id'),
        ('collection_changes', 'collection_changes_pkey', 'primary key', 'collection_id'),
        ('documents', 'documents_pkey', 'primary key', 'id'),
        ('versions', 'versions_pkey', 'primary key', 'document_id, number'),
        ('pages', 'pages_pkey', 'primary key', 'document_id, version, number'),
        ('chunks', 'chunks_pkey', 'primary key', 'id'),
        ('chunks', 'chunks_place_unique', 'unique', 'document_id, version, ordinal'),
        ('chunk_token_vectors', 'chunk_token_vectors_pkey', 'primary key', 'chunk_id, model_id'),
        ('embeddings', 'embeddings_pkey', 'primary key', 'id'),
        -- Its primary key stays for now: the release before groups by it alone. A later one takes this in its place.
        ('segments', 'segments_tenant_unique', 'unique', 'id'),
        ('segment_documents', 'segment_documents_pkey', 'primary key', 'segment_id, base'),
        ('postings', 'postings_pkey', 'primary key', 'segment_id, term'),
        ('imports', 'imports_pkey', 'primary key', 'id'),
        ('import_entries', 'import_entries_pkey', 'primary key', 'import_id, ordinal'),
        ('conversations', 'conversations_pkey', 'primary key', 'id'),
        ('questions', 'questions_pkey', 'primary key', 'id'),
        ('answers', 'answers_pkey', 'primary key', 'question_id'),
        ('sources', 'sources_pkey', 'primary key', 'question_id, ordinal'),
        ('answer_cache', 'answer_cache_pkey', 'primary key', 'question_id'),
        ('feedback', 'feedback_pkey', 'primary key', 'question_id'),
        ('faqs', 'faqs_pkey', 'primary key', 'id'),
        ('faqs', 'faqs_question_unique', 'unique', 'collection_id, question_sha256'),
        ('unanswered', 'unanswered_pkey', 'primary key', 'id'),
        ('unanswered', 'unanswered_question_unique', 'unique', 'collection_id, question_sha256'),
        ('webhooks', 'webhooks_pkey', 'primary key', 'id'),
        ('webhook_deliveries', 'webhook_deliveries_pkey', 'primary key', 'id'),
        ('idempotent_requests', 'idempotent_requests_pkey', 'primary key', 'api_key_id, idempotency_key');
    insert into keys_to_be values
        ('questions', 'questions_turn_unique', 'index', 'conversation_id, turn', 'where conversation_id is not null');
    delete from keys_to_be where pg_get_indexdef(to_regclass(name)) like '%tenant_id%';
    commit;
    for step in select * from keys_to_be loop
        perform set_config('lock_timeout', '10s', true);
        execute format(
            'create unique index if not exists %I on %I (%s, tenant_id) %s',
            step.name || '_with_tenant', step.table_name, step.columns, step.rows
        );
        commit;
    end loop;

    -- The release before names the columns of these where a row may be there already. A later release drops these, too.
    perform set_config('lock_timeout', '10s', true);
    create unique index if not exists feedback_of_older_releases on feedback (question_id);
    create unique index if not exists requests_of_older_releases on idempotent_requests (api_key_id, idempotency_key);
    create unique index if not exists token_vectors_of_older_releases on chunk_token_vectors (chunk_id, model_id);
    commit;

    for step in
        select child.conrelid::regclass as table_name, child.conname as name, mine.attname as column_name,
            child.confrelid::regclass as parent, theirs.attname as parent_column,
            case child.confdeltype when 'n' then format('set null (%I)', mine.attname) else 'cascade' end as on_delete
        from pg_constraint child
        join pg_attribute mine on mine.attrelid = child.conrelid and mine.attnum = child.conkey[1]
        join pg_attribute theirs on theirs.attrelid = child.confrelid and theirs.attnum = child.confkey[1]
        where child.contype = 'f' and array_length(child.conkey, 1) = 1 and child.connamespace = 'public'::regnamespace
            and child.confrelid <> 'tenants'::regclass
            and exists (select from pg_attribute where attrelid = child.conrelid and attname = 'tenant_id')
            and exists (select from pg_attribute where attrelid = child.confrelid and attname = 'tenant_id')
    loop
        perform set_config('lock_timeout', '10s', true);
        execute format(
            'alter table %s drop constraint %I, add constraint %I
                 foreign key (%I, tenant_id) references %s (%I, tenant_id) on delete %s not valid',
            step.table_name, step.name, step.name, step.column_name, step.parent, step.parent_column, step.on_delete
        );
        commit;
    end loop;
    for step in
        select conrelid::regclass as table_name, conname as name
        from pg_constraint
        where contype = 'f' and not convalidated and connamespace = 'public'::regnamespace
    loop
        execute format('alter table %s validate constraint %I', step.table_name, step.name);
        commit;
    end loop;

    for step in select * from keys_to_be loop
        perform set_config('lock_timeout', '10s', true);
        if step.kind = 'index' then
            execute format('drop index %I', step.name);
            execute format('alter index %I rename to %I', step.name || '_with_tenant', step.name);
            commit;
            continue;
        end if;
        execute format(
            'alter table %I drop constraint if exists %I, add constraint %I %s using index %I',
            step.table_name, step.name, step.name, step.kind, step.name || '_with_tenant'
        );
        commit;
    end loop;
    drop table keys_to_be;
    reset client_min_messages;
end
$migration$;
