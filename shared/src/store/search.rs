//! Retrieval: vectors and words, fused by reciprocal rank in one statement.

use pgvector::HalfVector;
use serde_json::Value;
use sqlx::{PgPool, types::Json};

use super::{Result, chunks::Span};
use crate::ids::{CollectionId, DocumentId, TenantId};

/// What to look for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub text: &'a str,
    /// Of the active model's dimensions, normalised to length 1.
    pub embedding: &'a [f32],
    pub passages_max: u32,
    /// Only documents whose metadata contain this JSON object.
    pub filter: Option<&'a Value>,
}

/// A retrieved chunk.
#[derive(Clone, Debug)]
pub struct Passage {
    pub chunk: i64,
    pub document: DocumentId,
    pub document_name: String,
    pub document_title: Option<String>,
    pub version: i32,
    pub page_first: i32,
    pub page_last: i32,
    pub spans: Json<Vec<Span>>,
    pub heading: Option<String>,
    pub place: Option<String>,
    pub text: String,
    /// The sum of reciprocal ranks, at most 2/61.
    pub score: f64,
    /// Cosine similarity to the question, from -1 to 1.
    pub similarity: f64,
}

/// Candidates that each of the two rankings brings in.
const CANDIDATES: i64 = 50;

/// The constant of reciprocal rank fusion, from Cormack, Clarke and Büttcher (SIGIR 2009).
const FUSION_K: i64 = 60;

/// The best passages, best first. Only complete versions are seen.
///
/// # Errors
/// When the database fails.
pub async fn passages(pool: &PgPool, query: &Query<'_>) -> Result<Vec<Passage>> {
    Ok(sqlx::query_as!(
        Passage,
        r#"with dense as (
               select chunk.id, chunk.embedding <=> $3::halfvec as distance
               from chunks chunk
               join documents document on document.id = chunk.document_id and document.version = chunk.version
               where chunk.tenant_id = $1 and chunk.collection_id = $2
                 and ($8::jsonb is null or document.metadata @> $8)
               order by chunk.embedding <=> $3::halfvec
               limit $5
           ), wanted as materialized (
               -- Any word may match: people ask in sentences. Both forms, as in chunks.lexemes.
               select (nullif(replace(plainto_tsquery('english', $4)::text, '&', '|'), '')::tsquery
                       || nullif(replace(plainto_tsquery('simple', $4)::text, '&', '|'), '')::tsquery) as words
           ), lexical as (
               select chunk.id, ts_rank_cd(chunk.lexemes, wanted.words, 1) as rank
               from wanted, chunks chunk
               join documents document on document.id = chunk.document_id and document.version = chunk.version
               where chunk.tenant_id = $1 and chunk.collection_id = $2 and chunk.lexemes @@ wanted.words
                 and ($8::jsonb is null or document.metadata @> $8)
               order by rank desc, chunk.id
               limit $5
           ), fused as (
               select id, sum(1.0::float8 / ($6::bigint + place)) as score
               from (
                   select id, row_number() over (order by distance, id) as place from dense
                   union all
                   select id, row_number() over (order by rank desc, id) as place from lexical
               ) ranked
               group by id
               order by score desc, id
               limit $7
           )
           select chunk.id as chunk, document.id as "document: DocumentId", document.name as document_name,
               document.title as document_title, chunk.version, page_first, page_last,
               spans as "spans: Json<Vec<Span>>", heading, place, text, fused.score as "score!",
               1 - (chunk.embedding <=> $3::halfvec) as "similarity!"
           from fused
           join chunks chunk on chunk.id = fused.id
           join documents document on document.id = chunk.document_id
           order by fused.score desc, chunk.id"#,
        query.tenant.0,
        query.collection.0,
        HalfVector::from_f32_slice(query.embedding) as _,
        query.text,
        CANDIDATES,
        FUSION_K,
        i64::from(query.passages_max),
        query.filter,
    )
    .fetch_all(pool)
    .await?)
}
