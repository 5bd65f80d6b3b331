//! The semantic cache: answers that are given again to questions that mean the same.
//!
//! An entry counts as long as no document that its answer was made from has changed, and the collection hasn't either
//! (or not for longer than the settings allow). An answer is copied in one transaction, which holds the documents that
//! it cites: while it is given, none of them can change.

use std::time::Duration;

use pgvector::HalfVector;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::{
    Result,
    jobs::{self, Claimed, interval},
    models::ModelId,
    transaction,
};
use crate::ids::{CollectionId, QuestionId, TenantId};

/// What an entry and a question must have in common.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub model: ModelId,
    /// SHA-256 of all else: filter, number of passages, generator, settings.
    pub conditions: &'a [u8],
}

/// Which entries count.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub similarity_min: f64,
    pub age_max: Duration,
    /// How long an answer may be given on after its collection has changed, though no document that it cites.
    pub grace: Duration,
}

/// How often what searches see of a collection has changed.
///
/// # Errors
/// When the database fails.
pub async fn changes(pool: &PgPool, collection: CollectionId) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        "select changes from collection_changes where collection_id = $1",
        collection.0
    )
    .fetch_optional(pool)
    .await?
    .unwrap_or_default())
}

/// An answer that may be given again.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub question: QuestionId,
    pub text: String,
    pub similarity: f64,
}

/// The answers to the most similar questions, the most similar first.
///
/// # Errors
/// When the database fails.
pub async fn similar(
    pool: &PgPool,
    key: &Key<'_>,
    embedding: &[f32],
    rules: &Rules,
) -> Result<Vec<Candidate>> {
    Ok(sqlx::query_as!(
        Candidate,
        r#"with near as materialized (
               select entry.question_id, 1 - (entry.embedding <=> $5::halfvec) as similarity
               from answer_cache entry
               left join collection_changes changed on changed.collection_id = entry.collection_id
               where entry.tenant_id = $1 and entry.collection_id = $2 and entry.model_id = $3 and entry.conditions = $4
                 and entry.created_at > now() - $7::interval
                 and (entry.changes = coalesce(changed.changes, 0) or entry.created_at > now() - $8::interval)
           )
           select question.id as "question: QuestionId", question.text, similarity as "similarity!"
           from near
           join questions question on question.id = near.question_id
           join answers answer on answer.question_id = near.question_id
           where similarity >= $6 and not answer.outdated
           order by similarity desc, question.id
           limit 5"#,
        key.tenant.0,
        key.collection.0,
        key.model.0,
        key.conditions,
        HalfVector::from_f32_slice(embedding) as _,
        rules.similarity_min,
        interval(rules.age_max),
        interval(rules.grace),
    )
    .fetch_all(pool)
    .await?)
}

/// An answer that was given again.
#[derive(Clone, Debug)]
pub struct Copied {
    pub text: String,
    pub generator: String,
    pub confidence: Option<f32>,
    /// Of the question, as ISO 639-1.
    pub language: Option<String>,
    /// What it has cost when it was made.
    pub usage: Value,
    pub timings: Value,
}

/// What has become of a copy.
#[derive(Clone, Debug)]
pub enum Copying {
    Done(Copied),
    /// What it was made from has changed since it was found.
    Stale,
    LeaseLost,
}

/// Makes a cached answer that of the job's question, with its sources, and ends the job, in one transaction.
///
/// # Errors
/// When the database fails.
pub async fn copy(
    pool: &PgPool,
    job: &Claimed,
    from: QuestionId,
    usage: &Value,
    timings: &Value,
) -> Result<Copying> {
    let mut tx = transaction(pool).await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(Copying::LeaseLost);
    }
    super::questions::hold_documents(&mut tx, from).await?;
    let copied = sqlx::query_as!(
        Copied,
        "select text, generator, confidence, language, usage, timings from answers
         where question_id = $1 and not outdated
           and exists (select from answer_cache entry where entry.question_id = $1)
           and not exists (
               select from sources source
               join documents document on document.id = source.document_id
               where source.question_id = $1 and document.version <> source.version
           )",
        from.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(copied) = copied else {
        return Ok(Copying::Stale);
    };
    let question = sqlx::query!(
        "update questions set state = 'answered', failure = null, history = null, finished_at = now() where id = $1",
        job.subject
    )
    .execute(&mut *tx)
    .await?;
    if question.rows_affected() == 1 {
        sqlx::query!(
            "insert into answers (question_id, tenant_id, text, generator, usage, timings, confidence, language, signals,
                 settings, cached, cached_from)
             select $1, tenant_id, text, generator, $3, $4, confidence, language, signals, settings, true, question_id
             from answers where question_id = $2",
            job.subject,
            from.0,
            usage,
            timings,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "insert into sources (question_id, ordinal, tenant_id, document_id, version, page_first, page_last, spans,
                 heading, place, text, score, cited)
             select $1, ordinal, tenant_id, document_id, version, page_first, page_last, spans, heading, place, text,
                 score, cited
             from sources where question_id = $2",
            job.subject,
            from.0,
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(Copying::Done(copied))
}

/// An entry that comes with its answer.
#[derive(Clone, Debug)]
pub struct NewEntry<'a> {
    pub key: Key<'a>,
    pub embedding: &'a [f32],
    /// Of the collection, as [`changes`] told before the retrieval began.
    pub changes: i64,
    /// Entries of a collection, at the most: the oldest leave.
    pub entries_max: u32,
}

/// Keeps an answer that is being written, unless it is outdated already.
pub(super) async fn keep(
    tx: &mut PgConnection,
    question: uuid::Uuid,
    entry: &NewEntry<'_>,
) -> Result<()> {
    let kept = sqlx::query!(
        "insert into answer_cache (question_id, tenant_id, collection_id, conditions, model_id, embedding, changes)
         select $1, $2, $3, $4, $5, $6, $7
         where exists (select from answers where question_id = $1 and not outdated)",
        question,
        entry.key.tenant.0,
        entry.key.collection.0,
        entry.key.conditions,
        entry.key.model.0,
        HalfVector::from_f32_slice(entry.embedding) as _,
        entry.changes,
    )
    .execute(&mut *tx)
    .await?;
    if kept.rows_affected() == 1 {
        sqlx::query!(
            "delete from answer_cache where question_id in (
                 select question_id from answer_cache
                 where question_id in (
                     select question_id from answer_cache where collection_id = $1
                     order by created_at desc, question_id desc offset $2
                 )
                 for update skip locked
             )",
            entry.key.collection.0,
            i64::from(entry.entries_max),
        )
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Drops entries that count no more: too old, or outdated, or of a collection that has changed.
///
/// # Errors
/// When the database fails.
pub async fn forget(pool: &PgPool, rules: &Rules) -> Result<u64> {
    let forgotten = sqlx::query!(
        "delete from answer_cache where question_id in (
             select entry.question_id
             from answer_cache entry
             join answers answer on answer.question_id = entry.question_id
             left join collection_changes changed on changed.collection_id = entry.collection_id
             where answer.outdated
                or entry.created_at <= now() - $1::interval
                or entry.changes <> coalesce(changed.changes, 0) and entry.created_at <= now() - $2::interval
             limit 1000
             for update of entry skip locked
         )",
        interval(rules.age_max),
        interval(rules.grace),
    )
    .execute(pool)
    .await?;
    Ok(forgotten.rows_affected())
}
