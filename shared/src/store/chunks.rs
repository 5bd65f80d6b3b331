//! Chunks and pages as an ingest writes them: in batches, fenced, invisible until the version is complete.

use pgvector::HalfVector;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};

use super::{
    Result,
    documents::ForIngest,
    jobs::{self, Claimed},
    models::{self, ModelId},
    token_vectors, transaction,
};
use crate::ids::TenantId;

/// A part of a page's text: `start..end` in characters (Unicode scalar values).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Span {
    pub page: u32,
    pub start: u32,
    pub end: u32,
    /// Of its lines on the page as shown, in order. Empty for formats without pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<Bounds>,
}

/// A box on a page as shown, in shares of the page's width and height, from its top left corner:
/// `[left, top, right, bottom]`, each from 0 to 1, with four digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bounds(pub [f32; 4]);

/// A chunk with its vector.
#[derive(Clone, Debug)]
pub struct NewChunk {
    pub ordinal: i32,
    pub page_first: i32,
    pub page_last: i32,
    pub spans: Vec<Span>,
    /// The titles that it stands under, outermost first: "3 Methods › 3.2 Data".
    pub heading: Option<String>,
    /// What to call where it stands if its pages don't say it: "Costs, rows 12–30".
    pub place: Option<String>,
    pub text: String,
    pub tokens: i32,
    /// SHA-256 of the text that was embedded.
    pub embedded_sha256: TextHash,
    /// Of the model's dimensions, normalised to length 1.
    pub embedding: Vec<f32>,
    /// Those of its tokens, as they are stored; none if reranking is to do without.
    pub token_vectors: Option<Vec<u8>>,
}

/// Writes a batch of chunks of the version that is being made. False: the lease is lost or the document deleted,
/// and nothing was written.
///
/// # Errors
/// [`StoreError::ModelMismatch`](super::StoreError::ModelMismatch) when another model has become the active one; or
/// when the database fails.
pub async fn insert(
    pool: &PgPool,
    job: &Claimed,
    document: &ForIngest,
    model: ModelId,
    chunks: Vec<NewChunk>,
) -> Result<bool> {
    let mut columns = Columns::default();
    for chunk in chunks {
        columns.push(chunk);
    }
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    let inserted = sqlx::query!(
        "insert into chunks (tenant_id, collection_id, document_id, version, ordinal, page_first, page_last, spans,
             heading, place, text, tokens, model_id, embedded_sha256, embedding)
         select document.tenant_id, document.collection_id, document.id, $2, chunk.ordinal, chunk.page_first,
             chunk.page_last, chunk.spans, chunk.heading, chunk.place, chunk.text, chunk.tokens, $3,
             chunk.embedded_sha256, chunk.embedding
         from documents document
             join embedding_models model on model.id = $3 and model.active,
             unnest($4::int[], $5::int[], $6::int[], $7::jsonb[], $8::text[], $9::text[], $10::text[],
                    $11::int[], $12::bytea[], $13::halfvec[])
                 as chunk (ordinal, page_first, page_last, spans, heading, place, text, tokens, embedded_sha256,
                     embedding)
         where document.id = $1
         order by chunk.ordinal",
        document.id.0,
        document.version,
        model.0,
        &columns.ordinal,
        &columns.page_first,
        &columns.page_last,
        &columns.spans as &[Json<Vec<Span>>],
        &columns.heading as &[Option<String>],
        &columns.place as &[Option<String>],
        &columns.text,
        &columns.tokens,
        &columns.embedded_sha256,
        &columns.embedding as &[HalfVector],
    )
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 && !models::is_active_in(&mut tx, model).await? {
        return Err(models::retired(model));
    }
    let (ordinals, vectors) = (&columns.ordinal, &columns.token_vectors);
    token_vectors::insert(&mut tx, document, model, ordinals, vectors).await?;
    tx.commit().await?;
    Ok(inserted.rows_affected() > 0 || columns.ordinal.is_empty())
}

/// The batch turned on its side, as `unnest` wants it.
#[derive(Default)]
struct Columns {
    ordinal: Vec<i32>,
    page_first: Vec<i32>,
    page_last: Vec<i32>,
    spans: Vec<Json<Vec<Span>>>,
    heading: Vec<Option<String>>,
    place: Vec<Option<String>>,
    text: Vec<String>,
    tokens: Vec<i32>,
    embedded_sha256: Vec<Vec<u8>>,
    embedding: Vec<HalfVector>,
    token_vectors: Vec<Option<Vec<u8>>>,
}

impl Columns {
    fn push(&mut self, chunk: NewChunk) {
        self.ordinal.push(chunk.ordinal);
        self.page_first.push(chunk.page_first);
        self.page_last.push(chunk.page_last);
        self.spans.push(Json(chunk.spans));
        self.heading.push(chunk.heading);
        self.place.push(chunk.place);
        self.text.push(chunk.text);
        self.tokens.push(chunk.tokens);
        self.embedded_sha256.push(chunk.embedded_sha256.to_vec());
        self.embedding
            .push(HalfVector::from_f32_slice(&chunk.embedding));
        self.token_vectors.push(chunk.token_vectors);
    }
}

/// A page's text; `label` is what people call it where it isn't "page n".
#[derive(Clone, Copy, Debug)]
pub struct NewPage<'a> {
    pub number: i32,
    pub label: Option<&'a str>,
    pub text: &'a str,
}

/// Writes the page texts of the version that is being made. False: the lease is lost or the document deleted.
///
/// # Errors
/// When the database fails.
pub async fn insert_pages(
    pool: &PgPool,
    job: &Claimed,
    document: &ForIngest,
    pages: &[NewPage<'_>],
) -> Result<bool> {
    let numbers: Vec<i32> = pages.iter().map(|page| page.number).collect();
    let labels: Vec<Option<String>> = pages
        .iter()
        .map(|page| page.label.map(str::to_owned))
        .collect();
    let texts: Vec<String> = pages.iter().map(|page| page.text.to_owned()).collect();
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    let inserted = sqlx::query!(
        "insert into pages (tenant_id, document_id, version, number, label, text)
         select document.tenant_id, document.id, $2, page.number, page.label, page.text
         from documents document, unnest($3::int[], $4::text[], $5::text[]) as page (number, label, text)
         where document.id = $1",
        document.id.0,
        document.version,
        &numbers,
        &labels as &[Option<String>],
        &texts,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(inserted.rows_affected() > 0 || numbers.is_empty())
}

/// SHA-256 of a text that was embedded.
pub type TextHash = [u8; 32];

/// The vectors that some of these texts have already, wherever in the tenant's documents they stand.
///
/// # Errors
/// When the database fails.
pub async fn vectors_of(
    pool: &PgPool,
    tenant: TenantId,
    model: ModelId,
    texts: &[TextHash],
) -> Result<Vec<(TextHash, Vec<f32>)>> {
    let wanted: Vec<Vec<u8>> = texts.iter().map(|hash| hash.to_vec()).collect();
    let rows = sqlx::query!(
        r#"select distinct on (embedded_sha256) embedded_sha256 as "hash!", embedding as "embedding: HalfVector"
           from chunks
           where tenant_id = $1 and embedded_sha256 = any($2) and model_id = $3"#,
        tenant.0,
        &wanted,
        model.0,
    )
    .fetch_all(pool)
    .await?;
    let known = rows.into_iter().filter_map(|row| {
        let numbers = row.embedding.to_vec().into_iter().map(f32::from);
        Some((row.hash.try_into().ok()?, numbers.collect()))
    });
    Ok(known.collect())
}

/// How many chunks there are in all, visible or not; counts up to `limit` and no further.
///
/// # Errors
/// When the database fails.
pub async fn count_up_to(pool: &PgPool, limit: i64) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from (select from chunks limit $1) rows"#,
        limit
    )
    .fetch_one(pool)
    .await?)
}
