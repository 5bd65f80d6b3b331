//! Migrations, the model's identity, and the index.

use lectern_shared::{
    ids::DEFAULT_TENANT,
    store::{
        self, StoreError, index,
        models::{self, ModelIdentity},
        tenants,
    },
    testing::Place,
};

fn identity(dimensions: u16, quantization: &str) -> ModelIdentity {
    ModelIdentity {
        name: "test".to_owned(),
        revision: "0".repeat(64),
        dimensions,
        pooling: "mean".to_owned(),
        quantization: quantization.to_owned(),
        max_tokens: 256,
    }
}

/// A document with one chunk, of a model with four dimensions.
async fn insert_chunk(place: &Place) {
    sqlx::raw_sql(
        "insert into documents (id, tenant_id, collection_id, name)
         select gen_random_uuid(), tenant_id, id, 'd' from collections;
         insert into chunks (tenant_id, collection_id, document_id, version, ordinal, page_first, page_last, spans,
             text, tokens, model_id, embedding)
         select tenant_id, collection_id, id, 1, 0, 1, 1, '[]', 'text', 1, (select id from embedding_models where active),
             '[1,0,0,0]'
         from documents",
    )
    .execute(&place.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn replicas_that_start_at_once_migrate_once() {
    let place = Place::new().await.unwrap();
    sqlx::raw_sql("drop schema public cascade; create schema public")
        .execute(&place.pool)
        .await
        .unwrap();
    assert!(!store::is_migrated(&place.pool).await);
    let starts = (0..4).map(|_| store::migrate(&place.pool));
    for migrated in futures::future::join_all(starts).await {
        migrated.unwrap();
    }
    assert!(store::is_migrated(&place.pool).await);
}

#[tokio::test]
async fn another_model_is_taken_while_there_are_no_vectors_and_refused_when_there_are() {
    let place = Place::new().await.unwrap();
    let first = models::adopt(&place.pool, &identity(8, "fp32"))
        .await
        .unwrap();
    assert_eq!(
        models::adopt(&place.pool, &identity(8, "fp32"))
            .await
            .unwrap(),
        first
    );
    let second = models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    assert_ne!(first, second);

    insert_chunk(&place).await;
    let refused = models::adopt(&place.pool, &identity(4, "int8"))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, StoreError::ModelMismatch(why) if why.contains("LECTERN_MODEL")),
        "{refused}"
    );
    assert_eq!(
        models::adopt(&place.pool, &identity(4, "fp32"))
            .await
            .unwrap(),
        second
    );
    let wrong = sqlx::query("update chunks set embedding = '[1,0,0]'")
        .execute(&place.pool)
        .await;
    assert!(
        wrong.is_err(),
        "a vector of other dimensions is refused by the table"
    );
}

#[tokio::test]
async fn the_vector_index_is_built_once_and_a_broken_one_is_replaced() {
    let place = Place::new().await.unwrap();
    models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    let (one, other) = tokio::join!(index::build(&place.pool, 64), index::build(&place.pool, 64));
    let mut builds = [one.unwrap(), other.unwrap()];
    builds.sort_by_key(|build| *build != index::Build::Built);
    assert_eq!(builds[0], index::Build::Built);
    assert!(matches!(
        builds[1],
        index::Build::Busy | index::Build::NotNeeded
    ));
    assert!(index::is_valid(&place.pool).await.unwrap());

    sqlx::query("update pg_index set indisvalid = false where indexrelid = 'chunks_embedding_hnsw'::regclass")
        .execute(&place.pool)
        .await
        .unwrap();
    assert!(!index::is_valid(&place.pool).await.unwrap());
    assert_eq!(
        index::build(&place.pool, 64).await.unwrap(),
        index::Build::Built
    );
    assert_eq!(
        index::build(&place.pool, 64).await.unwrap(),
        index::Build::NotNeeded
    );
}

#[tokio::test]
async fn every_key_and_reference_of_a_tenants_rows_carries_the_tenant() {
    let place = Place::new().await.unwrap();
    let without: Vec<String> = sqlx::query_scalar(
        "with owned as (select attrelid as id from pg_attribute where attname = 'tenant_id' and attnum > 0)
         select key.indexrelid::regclass::text
         from pg_index key
         join owned on owned.id = key.indrelid
         where key.indisunique and pg_get_indexdef(key.indexrelid) not like '%tenant_id%'
         union all
         select conname from pg_constraint
         where contype = 'f' and conrelid in (select id from owned) and confrelid in (select id from owned)
             and pg_get_constraintdef(oid) not like '%tenant_id%'
         order by 1",
    )
    .fetch_all(&place.pool)
    .await
    .unwrap();
    let excepted = [
        // Looked up before it is known whose key it is.
        "api_keys_hash_unique",
        // For the release before: a later one drops them.
        "feedback_of_older_releases",
        "requests_of_older_releases",
        "segments_pkey",
        "token_vectors_of_older_releases",
        // Short, and looked over as a whole.
        "jobs_one_index_build",
        "jobs_one_lexicon",
        "jobs_pkey",
        "removals_pkey",
    ];
    let mut excepted: Vec<&str> = excepted.to_vec();
    excepted.sort_unstable();
    let mut without: Vec<&str> = without.iter().map(String::as_str).collect();
    without.sort_unstable();
    assert_eq!(without, excepted);

    let ownerless: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace and not exists (
             select from pg_attribute where attrelid = pg_class.oid and attname = 'tenant_id')
         order by 1",
    )
    .fetch_all(&place.pool)
    .await
    .unwrap();
    assert_eq!(
        ownerless,
        ["_sqlx_migrations", "embedding_models", "tenants", "workers"]
    );
}

#[tokio::test]
async fn what_the_release_before_writes_gets_its_tenant_and_no_row_gets_another() {
    let place = Place::new().await.unwrap();
    models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    insert_chunk(&place).await;
    sqlx::raw_sql(
        "insert into chunk_token_vectors (chunk_id, model_id, vectors) select id, model_id, 'x' from chunks;
         insert into segments (tenant_id, collection_id, documents, chunks, words, languages)
         select tenant_id, collection_id, 1, 1, 1, '{}' from documents;
         insert into segment_documents (segment_id, base, chunks, words, document_id, version)
         select segments.id, 0, 1, 1, documents.id, 1 from segments, documents;
         insert into postings (segment_id, term, entries) select id, 'text', 'x' from segments;
         insert into api_keys (id, tenant_id, name, hash) select gen_random_uuid(), id, 'k', 'x' from tenants;
         insert into idempotent_requests (api_key_id, idempotency_key, request_sha256, turn, busy_until, expires_at)
         select id, 'word', 'x', gen_random_uuid(), now(), now() from api_keys",
    )
    .execute(&place.pool)
    .await
    .unwrap();
    let tables = [
        "chunk_token_vectors",
        "segment_documents",
        "postings",
        "idempotent_requests",
    ];
    for table in tables {
        let ours = format!("select count(*) from {table} where tenant_id = $1");
        let ours: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(ours))
            .bind(DEFAULT_TENANT.0)
            .fetch_one(&place.pool)
            .await
            .unwrap();
        assert_eq!(ours, 1, "{table}");
    }

    let other = tenants::create(&place.pool, "other")
        .await
        .unwrap()
        .unwrap();
    for table in tables.into_iter().chain(["documents", "chunks"]) {
        let stolen = format!("update {table} set tenant_id = $1");
        let stolen = sqlx::query(sqlx::AssertSqlSafe(stolen))
            .bind(other.id.0)
            .execute(&place.pool)
            .await;
        assert!(
            stolen.is_err_and(|error| error.to_string().contains("foreign key")),
            "{table}"
        );
    }
}
