//! Retrieval: the nearest vectors and the best matches of words, fused in one statement.

use pgvector::HalfVector;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, types::Json};

use super::{Result, chunks::Span, lexicon::Match, transaction};
use crate::ids::{CollectionId, DocumentId, TenantId};

/// What to look for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    pub tenant: TenantId,
    pub collection: CollectionId,
    /// Of the active model's dimensions, normalised to length 1.
    pub embedding: &'a [f32],
    /// What the words of the question have found, best first; empty: search by vectors alone.
    pub matches: &'a [Match],
    /// Only documents whose metadata contain this JSON object.
    pub filter: Option<&'a Value>,
    pub vectors: Vectors,
    pub fusion: Fusion,
    pub passages_max: u32,
}

/// How the nearest vectors are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// Not at all.
    Off,
    /// All of them are compared: for few, of a small collection or left by a filter.
    Exact { candidates: u32 },
    /// By the HNSW index, which goes on until it has enough that the filter lets through.
    Approximate {
        candidates: u32,
        /// Neighbours that are kept while the graph is searched: more find better and take longer.
        ef_search: u32,
        /// Vectors that are looked at, at the most.
        scan_max: u32,
    },
}

/// How the two rankings become one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fusion {
    /// What similarity counts, from 0 to 1; the words count the rest.
    pub vector_weight: f32,
    /// The least cosine that counts for anything: -1, or more for a model whose vectors all point one way.
    pub similarity_least: f32,
}

/// A retrieved chunk.
#[derive(Clone, Debug)]
pub struct Passage {
    pub chunk: i64,
    pub document: DocumentId,
    pub document_name: String,
    pub document_title: Option<String>,
    pub version: i32,
    pub ordinal: i32,
    pub page_first: i32,
    pub page_last: i32,
    pub spans: Json<Vec<Span>>,
    pub heading: Option<String>,
    pub place: Option<String>,
    pub text: String,
    pub tokens: i32,
    /// From 0 to 1; comparable within one search.
    pub score: f64,
    /// Cosine similarity to the question, from -1 to 1.
    pub similarity: f64,
    /// BM25; 0: no word of the question is in it, or too many others are better.
    pub words_score: f64,
}

/// The best passages, best first. Only complete versions are seen.
///
/// # Errors
/// When the database fails.
pub async fn passages(pool: &PgPool, query: &Query<'_>) -> Result<Vec<Passage>> {
    let Vectors::Approximate {
        ef_search,
        scan_max,
        ..
    } = query.vectors
    else {
        let mut connection = pool.acquire().await?;
        return fused(&mut connection, query).await;
    };
    let mut tx = transaction(pool).await?;
    // Plain HNSW takes its ef_search nearest and then applies the filter: of a rare one nothing would be left. Strict
    // order isn't needed, since all candidates are sorted once more. A plan for any limit and any filter, which PostgreSQL
    // makes when a connection has asked a few times, would compare all vectors: planning anew takes a millisecond.
    sqlx::query!(
        "select set_config(name, value, true)
         from (values ('hnsw.ef_search', $1), ('hnsw.max_scan_tuples', $2), ('hnsw.iterative_scan', 'relaxed_order'),
                 ('plan_cache_mode', 'force_custom_plan'))
             as setting (name, value)",
        ef_search.to_string(),
        scan_max.to_string(),
    )
    .fetch_all(&mut *tx)
    .await?;
    let found = fused(&mut tx, query).await?;
    tx.commit().await?;
    Ok(found)
}

/// How many chunks there are, of all tenants, as far as PostgreSQL has counted: the HNSW index has all of them.
///
/// # Errors
/// When the database fails.
pub async fn chunks_estimate(pool: &PgPool) -> Result<i64> {
    let estimate = sqlx::query_scalar!(
        r#"select greatest(reltuples, 0)::bigint as "estimate!" from pg_class where oid = 'chunks'::regclass"#
    );
    Ok(estimate.fetch_one(pool).await?)
}

/// Similarity and the words' scores are each brought to 0 … 1, from the least that they can be to the most that they are
/// among the candidates, and added with their weights: Bruch, Gai and Ingber, "An Analysis of Fusion Functions for
/// Hybrid Retrieval" (2023). A candidate of the words alone has its similarity all the same; one of the vectors alone
/// counts as one that no word is in.
async fn fused(connection: &mut PgConnection, query: &Query<'_>) -> Result<Vec<Passage>> {
    let (exact, nearest) = match query.vectors {
        Vectors::Off => (0, 0),
        Vectors::Exact { candidates } => (candidates, 0),
        Vectors::Approximate { candidates, .. } => (0, candidates),
    };
    let documents: Vec<_> = query.matches.iter().map(|found| found.document.0).collect();
    let versions: Vec<i32> = query.matches.iter().map(|found| found.version).collect();
    let ordinals: Vec<i32> = query.matches.iter().map(|found| found.ordinal).collect();
    let scores: Vec<f32> = query.matches.iter().map(|found| found.score).collect();
    Ok(sqlx::query_as!(
        Passage,
        r#"with exact as (
               select chunk.id
               from chunks chunk
               join documents document on document.id = chunk.document_id and document.version = chunk.version
               where $5::bigint > 0 and chunk.tenant_id = $1 and chunk.collection_id = $2
                 and ($4::jsonb is null or document.metadata @> $4)
               -- The sum keeps the planner from the HNSW index.
               order by (chunk.embedding <=> $3::halfvec) + 0
               limit $5::bigint
           ), nearest as (
               select chunk.id
               from chunks chunk
               join documents document on document.id = chunk.document_id and document.version = chunk.version
               where $6::bigint > 0 and chunk.tenant_id = $1 and chunk.collection_id = $2
                 and ($4::jsonb is null or document.metadata @> $4)
               order by chunk.embedding <=> $3::halfvec
               limit $6::bigint
           ), worded as (
               select chunk.id, matched.score
               from unnest($7::uuid[], $8::int[], $9::int[], $10::real[])
                   as matched (document_id, version, ordinal, score)
               join documents document on document.id = matched.document_id and document.version = matched.version
               join chunks chunk
                   on chunk.document_id = matched.document_id and chunk.version = matched.version
                   and chunk.ordinal = matched.ordinal
               where document.tenant_id = $1 and document.collection_id = $2
           ), candidates as materialized (
               select chunk.id, 1 - (chunk.embedding <=> $3::halfvec) as similarity,
                   coalesce(worded.score, 0)::float8 as words_score
               from (select id from exact union select id from nearest union select id from worded) found
               join chunks chunk on chunk.id = found.id
               left join worded on worded.id = found.id
           ), scored as (
               select id, similarity, words_score,
                   $11::float8 * greatest(similarity - $13::float8, 0)
                       / greatest(max(similarity) over () - $13::float8, 1e-6)
                   + (1 - $11::float8) * coalesce(words_score / nullif(max(words_score) over (), 0), 0) as score
               from candidates
           )
           select chunk.id as chunk, document.id as "document: DocumentId", document.name as document_name,
               document.title as document_title, chunk.version, chunk.ordinal, page_first, page_last,
               spans as "spans: Json<Vec<Span>>", heading, place, text, tokens, best.score as "score!",
               best.similarity as "similarity!", best.words_score as "words_score!"
           from (select * from scored order by score desc, id limit $12) best
           join chunks chunk on chunk.id = best.id
           join documents document on document.id = chunk.document_id
           order by best.score desc, best.id"#,
        query.tenant.0,
        query.collection.0,
        HalfVector::from_f32_slice(query.embedding) as _,
        query.filter,
        i64::from(exact),
        i64::from(nearest),
        &documents,
        &versions,
        &ordinals,
        &scores,
        f64::from(query.fusion.vector_weight),
        i64::from(query.passages_max),
        f64::from(query.fusion.similarity_least),
    )
    .fetch_all(connection)
    .await?)
}
