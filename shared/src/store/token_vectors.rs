//! The passages' token vectors, and what else reranking wants to know of passages that a search has found.

use std::collections::HashMap;

use pgvector::HalfVector;
use sqlx::{PgConnection, PgPool};

use super::{Result, chunks::TextHash, documents::ForIngest, models::ModelId};
use crate::ids::TenantId;

/// Adds the token vectors of chunks that this transaction has just written: `vectors[i]` are those of the chunk
/// `ordinals[i]`.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    tx: &mut PgConnection,
    document: &ForIngest,
    model: ModelId,
    ordinals: &[i32],
    vectors: &[Option<Vec<u8>>],
) -> Result<()> {
    sqlx::query!(
        "insert into chunk_token_vectors (chunk_id, model_id, tenant_id, vectors)
         select chunk.id, $3, chunk.tenant_id, given.vectors
         from unnest($4::int[], $5::bytea[]) as given (ordinal, vectors)
         join chunks chunk
             on chunk.document_id = $1 and chunk.version = $2 and chunk.ordinal = given.ordinal
         where given.vectors is not null",
        document.id.0,
        document.version,
        model.0,
        ordinals,
        vectors as &[Option<Vec<u8>>],
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The token vectors that some of these texts have already, wherever in the tenant's documents they stand.
///
/// # Errors
/// When the database fails.
pub async fn of_texts(
    pool: &PgPool,
    tenant: TenantId,
    model: ModelId,
    texts: &[TextHash],
) -> Result<HashMap<TextHash, Vec<u8>>> {
    let wanted: Vec<Vec<u8>> = texts.iter().map(|hash| hash.to_vec()).collect();
    let rows = sqlx::query!(
        r#"select distinct on (chunk.embedded_sha256) chunk.embedded_sha256 as "hash!", token.vectors
           from chunks chunk
           join chunk_token_vectors token on token.chunk_id = chunk.id and token.model_id = chunk.model_id
           where chunk.tenant_id = $1 and chunk.embedded_sha256 = any($2) and chunk.model_id = $3"#,
        tenant.0,
        &wanted,
        model.0,
    )
    .fetch_all(pool)
    .await?;
    let known = rows
        .into_iter()
        .filter_map(|row| Some((row.hash.try_into().ok()?, row.vectors)));
    Ok(known.collect())
}

/// What reranking wants to know of a chunk.
#[derive(Clone, Debug)]
pub struct Details {
    /// Its place in its document, from 0 without gaps.
    pub ordinal: i32,
    /// Tokens of its text.
    pub tokens: i32,
    /// Of length 1.
    pub embedding: Vec<f32>,
    /// None for a chunk that was stored without them.
    pub token_vectors: Option<Vec<u8>>,
}

/// The details of chunks that a search has found, by their ids; those that are gone meanwhile are missing.
/// Token vectors are read of those among them that are named in `with_token_vectors`.
///
/// # Errors
/// When the database fails.
pub async fn details(
    pool: &PgPool,
    model: ModelId,
    chunks: &[i64],
    with_token_vectors: &[i64],
) -> Result<HashMap<i64, Details>> {
    let rows = sqlx::query!(
        r#"select chunk.id, chunk.ordinal, chunk.tokens, chunk.embedding as "embedding: HalfVector",
               token.vectors as "token_vectors?"
           from chunks chunk
           left join chunk_token_vectors token
               on token.chunk_id = chunk.id and token.model_id = $2 and chunk.id = any($3)
           where chunk.id = any($1)"#,
        chunks,
        model.0,
        with_token_vectors,
    )
    .fetch_all(pool)
    .await?;
    let details = rows.into_iter().map(|row| {
        let embedding = row.embedding.to_vec().into_iter().map(f32::from).collect();
        let details = Details {
            ordinal: row.ordinal,
            tokens: row.tokens,
            embedding,
            token_vectors: row.token_vectors,
        };
        (row.id, details)
    });
    Ok(details.collect())
}
