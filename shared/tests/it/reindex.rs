//! Switching the model, as far as PostgreSQL sees it.

use std::time::Duration;

use lectern_shared::{
    store::{
        self, StoreError, index,
        models::{self, ModelId, ModelIdentity},
        reindex::{self, Begun, Builder, Missing, Switch},
    },
    testing::Place,
};

const PATIENCE: Duration = Duration::from_secs(20);

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

/// Documents of ten visible chunks each, with vectors of the active model, which has four dimensions.
async fn add_documents(place: &Place, documents: i32) {
    let statement = format!(
        "with added as (
             insert into documents (id, tenant_id, collection_id, name, state, version)
             select gen_random_uuid(), tenant_id, id, 'd', 'ready', 1
             from collections, generate_series(1, {documents})
             returning id, tenant_id, collection_id
         )
         insert into chunks (tenant_id, collection_id, document_id, version, ordinal, page_first, page_last, spans, text,
             tokens, model_id, embedding)
         select tenant_id, collection_id, id, 1, ordinal, 1, 1, '[]', 'text', 1,
             (select id from embedding_models where active), '[1,0,0,0]'
         from added, generate_series(1, 10) as ordinal"
    );
    run(place, &statement).await;
}

async fn run(place: &Place, statement: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&place.pool)
        .await
        .unwrap();
}

async fn count(place: &Place, rows: &str) -> i64 {
    let query = sqlx::AssertSqlSafe(format!("select count(*) from {rows}"));
    sqlx::query_scalar(query)
        .fetch_one(&place.pool)
        .await
        .unwrap()
}

async fn begin(place: &Place, identity: &ModelIdentity) -> ModelId {
    match reindex::begin(&place.pool, identity).await.unwrap() {
        Begun::Building(model) => model,
        other => panic!("{other:?}"),
    }
}

fn ids(batch: &[Missing]) -> Vec<i64> {
    batch.iter().map(|missing| missing.id).collect()
}

/// Gives every chunk that has none this vector.
async fn build(place: &Place, model: ModelId, vector: &[f32]) -> usize {
    let mut builder = Builder::join(&place.pool, model).await.unwrap();
    let mut built = 0;
    loop {
        let batch = builder.take(0).await.unwrap();
        if batch.is_empty() {
            return built;
        }
        let vectors = vec![vector.to_vec(); batch.len()];
        let tokens = vec![Some(vec![1_u8]); batch.len()];
        builder
            .store(&ids(&batch), &vectors, &tokens)
            .await
            .unwrap();
        built += batch.len();
    }
}

#[tokio::test]
async fn builders_share_the_chunks_and_what_a_dead_one_had_goes_to_another() {
    let place = Place::new().await.unwrap();
    models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    add_documents(&place, 30).await;
    let model = begin(&place, &identity(4, "int8")).await;
    assert_eq!(begin(&place, &identity(4, "int8")).await, model, "joined");

    let mut one = Builder::join(&place.pool, model).await.unwrap();
    let mut other = Builder::join(&place.pool, model).await.unwrap();
    let (first, second) = (one.take(0).await.unwrap(), other.take(0).await.unwrap());
    assert!(!first.is_empty() && !second.is_empty());
    assert!(ids(&first).iter().max() < ids(&second).iter().min());
    drop(one);
    other
        .store(
            &ids(&second),
            &vec![vec![0.0, 1.0, 0.0, 0.0]; second.len()],
            &vec![None; second.len()],
        )
        .await
        .unwrap();
    // PostgreSQL notices the end of a connection in its own time.
    let began = std::time::Instant::now();
    while ids(&other.take(0).await.unwrap()) != ids(&first) {
        assert!(
            began.elapsed() < PATIENCE,
            "the dead builder's chunks are nobody's"
        );
        drop(other);
        other = Builder::join(&place.pool, model).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let progress = reindex::progress(&place.pool).await.unwrap().unwrap();
    assert_eq!(progress.total, 300);
    assert_eq!(progress.done, second.len() as i64);
}

#[tokio::test]
async fn a_switch_swaps_all_vectors_at_once_with_their_index_and_not_before_all_are_there() {
    let place = Place::new().await.unwrap();
    let old = models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    add_documents(&place, 10).await;
    index::build(&place.pool, 64).await.unwrap();
    let new = begin(&place, &identity(2, "int8")).await;
    assert_eq!(
        reindex::switch(&place.pool, new).await.unwrap(),
        Switch::Incomplete
    );
    assert_eq!(build(&place, new, &[0.0, 1.0]).await, 100);
    // While it is built: of a document, and of an ingest that has not ended.
    add_documents(&place, 1).await;
    assert_eq!(
        reindex::switch(&place.pool, new).await.unwrap(),
        Switch::Incomplete
    );
    assert_eq!(build(&place, new, &[0.0, 1.0]).await, 10);
    add_documents(&place, 1).await;
    run(&place, "update documents set version = 0 where id = (select document_id from chunks order by id desc limit 1)").await;
    reindex::build_index(&place.pool, 64).await.unwrap();

    assert_eq!(
        reindex::switch(&place.pool, new).await.unwrap(),
        Switch::Done
    );
    assert!(!models::is_active(&place.pool, old).await.unwrap());
    assert!(models::is_active(&place.pool, new).await.unwrap());
    assert_eq!(
        count(&place, "chunks").await,
        110,
        "the unfinished ingest's are gone"
    );
    let of_the_new = format!("chunks where model_id = {} and embedding = '[0,1]'", new.0);
    assert_eq!(count(&place, &of_the_new).await, 110);
    let tokens = format!("chunk_token_vectors where model_id = {}", new.0);
    assert_eq!(count(&place, &tokens).await, 110);
    run(
        &place,
        &format!(
            "insert into chunk_token_vectors select id, {}, '\\x01' from chunks",
            old.0
        ),
    )
    .await;
    assert!(index::is_valid(&place.pool).await.unwrap());
    let indexed = "pg_indexes where indexname = 'chunks_embedding_hnsw' and indexdef like '%(embedding halfvec%'";
    assert_eq!(count(&place, indexed).await, 1);

    assert!(reindex::forget(&place.pool, PATIENCE).await.unwrap());
    let left = "chunks where embedding_next is not null or model_id_next is not null";
    assert_eq!(count(&place, left).await, 0);
    let hnsw = "pg_indexes where indexdef like '%hnsw%'";
    assert_eq!(count(&place, hnsw).await, 1);
    assert_eq!(count(&place, "chunk_token_vectors").await, 110);
    assert!(reindex::progress(&place.pool).await.unwrap().is_none());
    assert_eq!(
        reindex::begin(&place.pool, &identity(2, "int8"))
            .await
            .unwrap(),
        Begun::Active
    );
    let wrong = sqlx::query("update chunks set embedding = null")
        .execute(&place.pool)
        .await;
    assert!(wrong.is_err(), "a chunk has a vector");
}

#[tokio::test]
async fn a_build_of_another_model_is_refused_until_the_one_that_runs_is_given_up() {
    let place = Place::new().await.unwrap();
    let old = models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    assert_eq!(
        reindex::begin(&place.pool, &identity(4, "int8"))
            .await
            .unwrap(),
        Begun::Empty
    );
    add_documents(&place, 1).await;
    let second = begin(&place, &identity(4, "int8")).await;
    let mut builder = Builder::join(&place.pool, second).await.unwrap();
    let batch = builder.take(0).await.unwrap();
    let refused = reindex::begin(&place.pool, &identity(8, "fp32"))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, StoreError::ModelMismatch(why) if why.contains("--abort")),
        "{refused}"
    );

    assert!(reindex::abort(&place.pool, PATIENCE).await.unwrap());
    assert!(!reindex::abort(&place.pool, PATIENCE).await.unwrap());
    let late = builder
        .store(
            &ids(&batch),
            &vec![vec![0.0; 4]; batch.len()],
            &vec![Some(vec![1_u8]); batch.len()],
        )
        .await;
    assert!(
        matches!(late, Err(StoreError::ModelMismatch(_))),
        "{late:?}"
    );
    assert!(reindex::switch(&place.pool, second).await.is_err());
    assert_eq!(
        count(&place, "chunks where embedding_next is not null").await,
        0
    );
    assert_eq!(count(&place, "chunk_token_vectors").await, 0);
    assert!(models::is_active(&place.pool, old).await.unwrap());

    let third = begin(&place, &identity(8, "fp32")).await;
    build(&place, third, &[0.5; 8]).await;
    assert_eq!(
        reindex::switch(&place.pool, third).await.unwrap(),
        Switch::Done
    );
}

#[tokio::test]
async fn the_way_back_needs_vectors_only_of_what_came_since() {
    let place = Place::new().await.unwrap();
    let old = models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    add_documents(&place, 3).await;
    let new = begin(&place, &identity(4, "int8")).await;
    build(&place, new, &[0.0, 1.0, 0.0, 0.0]).await;
    assert_eq!(
        reindex::switch(&place.pool, new).await.unwrap(),
        Switch::Done
    );
    add_documents(&place, 1).await;

    assert_eq!(begin(&place, &identity(4, "fp32")).await, old);
    assert_eq!(build(&place, old, &[0.0, 0.0, 1.0, 0.0]).await, 10);
    assert_eq!(
        reindex::switch(&place.pool, old).await.unwrap(),
        Switch::Done
    );
    let first = format!(
        "chunks where model_id = {} and embedding = '[1,0,0,0]'",
        old.0
    );
    assert_eq!(count(&place, &first).await, 30);
    let since = format!(
        "chunks where model_id = {} and embedding = '[0,0,1,0]'",
        old.0
    );
    assert_eq!(count(&place, &since).await, 10);
}

#[tokio::test]
async fn a_switch_waits_for_no_reader_but_says_that_it_is_busy() {
    let place = Place::new().await.unwrap();
    models::adopt(&place.pool, &identity(4, "fp32"))
        .await
        .unwrap();
    add_documents(&place, 1).await;
    let new = begin(&place, &identity(4, "int8")).await;
    build(&place, new, &[0.0, 1.0, 0.0, 0.0]).await;
    let mut reader = store::transaction(&place.pool).await.unwrap();
    sqlx::query("select from chunks limit 1")
        .execute(&mut *reader)
        .await
        .unwrap();
    assert_eq!(
        reindex::switch(&place.pool, new).await.unwrap(),
        Switch::Busy
    );
    reader.rollback().await.unwrap();
    assert_eq!(
        reindex::switch(&place.pool, new).await.unwrap(),
        Switch::Done
    );
}
