//! Questions that the documents didn't answer: equal and similar ones together, with how often they were asked.

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Result,
    faqs::{self, NewFaq, Written},
    jobs::Limits,
    models::ModelId,
    reach::Reach,
    transaction,
};
use crate::{
    ids::{CollectionId, DocumentId, QuestionId, TenantId, UnansweredId},
    wording,
};

/// How similar questions must be to be counted together, from 0 (nothing to do with each other) to 1 (equal).
///
/// Lower than the cache's: here a mistake makes a list shorter, and gives nobody a wrong answer.
pub const SIMILARITY_MIN: f64 = 0.9;

/// A group that a question may belong to.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: UnansweredId,
    pub question: String,
}

/// Groups whose first question is so similar to this, as a cosine, the most similar first.
///
/// # Errors
/// When the database fails.
pub async fn similar(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    model: ModelId,
    embedding: &[f32],
    similarity_min: f64,
) -> Result<Vec<Group>> {
    Ok(sqlx::query_as!(
        Group,
        r#"with near as materialized (
               select id, 1 - (embedding <=> $4::halfvec) as similarity
               from unanswered
               where tenant_id = $1 and collection_id = $2 and model_id = $3 and embedding is not null
           )
           select asked.id as "id: UnansweredId", question
           from near
           join unanswered asked on asked.id = near.id
           where similarity >= $5
           order by similarity desc, asked.id
           limit 5"#,
        tenant.0,
        collection.0,
        model.0,
        HalfVector::from_f32_slice(embedding) as _,
        similarity_min,
    )
    .fetch_all(pool)
    .await?)
}

/// A question that the documents didn't answer.
#[derive(Clone, Debug)]
pub struct NewUnanswered<'a> {
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub question: &'a str,
    pub model: ModelId,
    pub embedding: &'a [f32],
    /// The group that it belongs to, as far as that could be told; equal questions find each other by themselves.
    pub group: Option<UnansweredId>,
    /// Groups of a collection, at the most: those that were asked the longest ago leave.
    pub groups_max: u32,
}

/// Files a question, in the transaction that writes its answer.
pub(super) async fn file(tx: &mut PgConnection, id: Uuid, asked: &NewUnanswered<'_>) -> Result<()> {
    let counted = sqlx::query!(
        "update unanswered set count = count + 1, last_asked_at = now(), question_id = $2 where id = $1",
        asked.group.map(|group| group.0),
        id,
    )
    .execute(&mut *tx)
    .await?;
    if counted.rows_affected() == 1 {
        return Ok(());
    }
    sqlx::query!(
        "insert into unanswered (id, tenant_id, collection_id, question, question_sha256, model_id, embedding,
             question_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict on constraint unanswered_question_unique do update
         set count = unanswered.count + 1, last_asked_at = now(), question_id = excluded.question_id",
        UnansweredId::fresh().0,
        asked.tenant.0,
        asked.collection.0,
        asked.question,
        &wording::digest(asked.question),
        asked.model.0,
        HalfVector::from_f32_slice(asked.embedding) as _,
        id,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from unanswered where id in (
             select id from unanswered
             where id in (
                 select id from unanswered where collection_id = $1
                 order by last_asked_at desc, id desc offset $2
             )
             for update skip locked
         )",
        asked.collection.0,
        i64::from(asked.groups_max),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Questions that weren't answered, as the API shows them.
#[derive(Clone, Debug)]
pub struct Unanswered {
    pub id: UnansweredId,
    pub collection: String,
    /// As it was asked first.
    pub question: String,
    pub count: i64,
    pub first_asked_at: DateTime<Utc>,
    pub last_asked_at: DateTime<Utc>,
    /// The latest of them.
    pub latest: Option<QuestionId>,
}

/// What was asked most often, and among equals latest; after the given place in that order.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    reach: &Reach,
    collection: Option<CollectionId>,
    after: Option<(i64, UnansweredId)>,
    limit: u32,
) -> Result<Vec<Unanswered>> {
    Ok(sqlx::query_as!(
        Unanswered,
        r#"select asked.id as "id: UnansweredId", collection.name as collection, question, count, first_asked_at,
               last_asked_at, question_id as "latest: QuestionId"
           from unanswered asked
           join collections collection on collection.id = asked.collection_id
           where asked.tenant_id = $1 and ($2::uuid is null or asked.collection_id = $2)
             and ($3::bigint is null or (count, asked.id) < ($3, $4::uuid))
             and ($6::uuid[] is null or asked.collection_id = any($6))
           order by count desc, asked.id desc
           limit $5"#,
        reach.tenant.0,
        collection.map(|id| id.0),
        after.map(|(count, _)| count),
        after.map(|(_, id)| id.0),
        i64::from(limit),
        reach.collections(),
    )
    .fetch_all(pool)
    .await?)
}

/// A passage that was near, but didn't answer.
#[derive(Clone, Debug)]
pub struct Nearest {
    pub question: QuestionId,
    pub document: DocumentId,
    pub document_name: String,
    pub page_first: i32,
    pub page_last: i32,
    pub score: f32,
}

/// The three nearest passages of each of these questions, the nearest first.
///
/// # Errors
/// When the database fails.
pub async fn nearest(
    pool: &PgPool,
    tenant: TenantId,
    questions: &[QuestionId],
) -> Result<Vec<Nearest>> {
    let questions: Vec<Uuid> = questions.iter().map(|id| id.0).collect();
    Ok(sqlx::query_as!(
        Nearest,
        r#"select question_id as "question: QuestionId", document_id as "document: DocumentId",
               document.name as document_name, page_first, page_last, score
           from sources source
           join documents document on document.id = source.document_id
           where question_id = any($1) and source.tenant_id = $2 and ordinal <= 3
           order by question_id, ordinal"#,
        &questions,
        tenant.0,
    )
    .fetch_all(pool)
    .await?)
}

/// Makes a FAQ of it and takes it off the list. The question stays as it was asked, unless another one is given.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn to_faq(
    pool: &PgPool,
    reach: &Reach,
    id: UnansweredId,
    faq: &ToFaq<'_>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Written> {
    let mut tx = transaction(pool).await?;
    let Some(asked) = sqlx::query!(
        r#"delete from unanswered where id = $1 and tenant_id = $2 and ($3::uuid[] is null or collection_id = any($3))
           returning collection_id as "collection: CollectionId", question"#,
        id.0,
        reach.tenant.0,
        reach.collections(),
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(Written::Missing);
    };
    let new = NewFaq {
        question: faq.question.unwrap_or(&asked.question),
        answer: faq.answer,
        link: faq.link,
    };
    let written = faqs::create_in(
        &mut tx,
        reach.tenant,
        asked.collection,
        &new,
        faq.faqs_max,
        request_id,
        limits,
    )
    .await?;
    // What could not become a FAQ stays on the list.
    if matches!(written, Written::Done(..)) {
        tx.commit().await?;
    }
    Ok(written)
}

/// What a FAQ is made of besides the question that wasn't answered.
#[derive(Clone, Copy, Debug)]
pub struct ToFaq<'a> {
    pub question: Option<&'a str>,
    pub answer: &'a str,
    pub link: Option<&'a str>,
    /// FAQs of a collection, at the most.
    pub faqs_max: u32,
}

/// Takes it off the list, until it is asked again. False: there is no such one.
///
/// # Errors
/// When the database fails.
pub async fn dismiss(pool: &PgPool, reach: &Reach, id: UnansweredId) -> Result<bool> {
    let dismissed = sqlx::query!(
        "delete from unanswered where id = $1 and tenant_id = $2 and ($3::uuid[] is null or collection_id = any($3))",
        id.0,
        reach.tenant.0,
        reach.collections()
    )
    .execute(pool)
    .await?;
    Ok(dismissed.rows_affected() == 1)
}
