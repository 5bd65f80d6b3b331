//! Migrations, the model's identity, and the index.

use lectern_shared::{
    store::{
        self, StoreError, index,
        models::{self, ModelIdentity},
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
