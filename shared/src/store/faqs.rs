//! FAQs: questions that people have answered, given before anything is searched.

use chrono::{DateTime, Utc};
use pgvector::HalfVector;
use sqlx::{PgConnection, PgPool};

use super::{
    Result,
    jobs::{self, Claimed, Enqueued, Limits, NewJob},
    models::ModelId,
    transaction,
};
use crate::{
    ids::{CollectionId, FaqId, TenantId},
    jobs::Kind,
    wording,
};

/// A FAQ as the API shows it.
#[derive(Clone, Debug)]
pub struct Faq {
    pub id: FaqId,
    pub question: String,
    pub answer: String,
    pub link: Option<String>,
    /// Whether similar questions find it, too; equal ones do at once.
    pub embedded: bool,
    pub hits: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
pub struct NewFaq<'a> {
    pub question: &'a str,
    pub answer: &'a str,
    /// Where readers find more.
    pub link: Option<&'a str>,
}

/// What becomes of a FAQ that somebody has written.
#[derive(Clone, Debug)]
pub enum Written {
    /// With the job that embeds its question.
    Done(Faq, Enqueued),
    /// There is a FAQ with this question already.
    Taken,
    /// The collection has as many as it may have.
    Full,
    /// There is no such FAQ.
    Missing,
}

/// Makes a FAQ, with the job that embeds its question.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn create(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    faq: &NewFaq<'_>,
    faqs_max: u32,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Written> {
    let mut tx = transaction(pool).await?;
    let written = create_in(
        &mut tx, tenant, collection, faq, faqs_max, request_id, limits,
    )
    .await?;
    tx.commit().await?;
    Ok(written)
}

/// [`create`] in the caller's transaction.
pub(super) async fn create_in(
    tx: &mut PgConnection,
    tenant: TenantId,
    collection: CollectionId,
    faq: &NewFaq<'_>,
    faqs_max: u32,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Written> {
    // Two at once would otherwise both find room.
    sqlx::query_scalar!(
        "select true from collections where id = $1 for no key update",
        collection.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let faqs = sqlx::query_scalar!(
        r#"select count(*) as "count!" from faqs where collection_id = $1"#,
        collection.0
    )
    .fetch_one(&mut *tx)
    .await?;
    if faqs >= i64::from(faqs_max) {
        return Ok(Written::Full);
    }
    let made = sqlx::query_as!(
        Faq,
        r#"insert into faqs (id, tenant_id, collection_id, question, question_sha256, answer, link)
           values ($1, $2, $3, $4, $5, $6, $7)
           on conflict on constraint faqs_question_unique do nothing
           returning id as "id: FaqId", question, answer, link, false as "embedded!", hits, created_at, updated_at"#,
        FaqId::fresh().0,
        tenant.0,
        collection.0,
        faq.question,
        &wording::digest(faq.question),
        faq.answer,
        faq.link,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(made) = made else {
        return Ok(Written::Taken);
    };
    let job = enqueue(tx, tenant, made.id, request_id, limits).await?;
    Ok(Written::Done(made, job))
}

async fn enqueue(
    tx: &mut PgConnection,
    tenant: TenantId,
    id: FaqId,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Enqueued> {
    let job = NewJob {
        tenant,
        kind: Kind::Faq,
        subject: id.0,
        request_id,
    };
    jobs::enqueue(tx, &job, limits).await
}

/// Replaces a FAQ's texts. What is asked of it counts on.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn replace(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    id: FaqId,
    faq: &NewFaq<'_>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Written> {
    let mut tx = transaction(pool).await?;
    let digest = wording::digest(faq.question);
    let taken = sqlx::query_scalar!(
        r#"select exists (
               select from faqs where collection_id = $1 and question_sha256 = $2 and id <> $3
           ) as "taken!""#,
        collection.0,
        &digest,
        id.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    if taken {
        return Ok(Written::Taken);
    }
    let replaced = sqlx::query_as!(
        Faq,
        r#"update faqs
           set question = $4, question_sha256 = $5, answer = $6, link = $7, updated_at = now(),
               embedding = case when question = $4 then embedding end
           where id = $1 and tenant_id = $2 and collection_id = $3
           returning id as "id: FaqId", question, answer, link, embedding is not null as "embedded!", hits,
               created_at, updated_at"#,
        id.0,
        tenant.0,
        collection.0,
        faq.question,
        &digest,
        faq.answer,
        faq.link,
    )
    .fetch_optional(&mut *tx)
    .await;
    let replaced = match replaced {
        Ok(replaced) => replaced,
        // Somebody has written the same question in between.
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("faqs_question_unique") => {
            return Ok(Written::Taken);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(replaced) = replaced else {
        return Ok(Written::Missing);
    };
    let job = enqueue(&mut tx, tenant, id, request_id, limits).await?;
    tx.commit().await?;
    Ok(Written::Done(replaced, job))
}

/// # Errors
/// When the database fails.
pub async fn find(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    id: FaqId,
) -> Result<Option<Faq>> {
    Ok(sqlx::query_as!(
        Faq,
        r#"select id as "id: FaqId", question, answer, link, embedding is not null as "embedded!", hits, created_at,
               updated_at
           from faqs where id = $1 and tenant_id = $2 and collection_id = $3"#,
        id.0,
        tenant.0,
        collection.0,
    )
    .fetch_optional(pool)
    .await?)
}

/// The FAQs of a collection older than `before`, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    before: Option<FaqId>,
    limit: u32,
) -> Result<Vec<Faq>> {
    Ok(sqlx::query_as!(
        Faq,
        r#"select id as "id: FaqId", question, answer, link, embedding is not null as "embedded!", hits, created_at,
               updated_at
           from faqs
           where tenant_id = $1 and collection_id = $2 and ($3::uuid is null or id < $3)
           order by id desc
           limit $4"#,
        tenant.0,
        collection.0,
        before.map(|id| id.0),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?)
}

/// Deletes a FAQ. False: there is no such FAQ.
///
/// # Errors
/// When the database fails.
pub async fn delete(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    id: FaqId,
) -> Result<bool> {
    let deleted = sqlx::query!(
        "delete from faqs where id = $1 and tenant_id = $2 and collection_id = $3",
        id.0,
        tenant.0,
        collection.0,
    )
    .execute(pool)
    .await?;
    Ok(deleted.rows_affected() == 1)
}

/// The question of a FAQ that is to be embedded. `None`: it is gone.
///
/// # Errors
/// When the database fails.
pub async fn question(pool: &PgPool, job: &Claimed) -> Result<Option<String>> {
    Ok(
        sqlx::query_scalar!("select question from faqs where id = $1", job.subject)
            .fetch_optional(pool)
            .await?,
    )
}

/// Stores the vector of a FAQ's question, unless the question has changed meanwhile, and ends the job. False: the
/// lease is lost and nothing was written.
///
/// # Errors
/// When the database fails.
pub async fn embedded(
    pool: &PgPool,
    job: &Claimed,
    question: &str,
    model: ModelId,
    embedding: &[f32],
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    sqlx::query!(
        "update faqs set model_id = $3, embedding = $4 where id = $1 and question = $2",
        job.subject,
        question,
        model.0,
        HalfVector::from_f32_slice(embedding) as _,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(true)
}

/// A FAQ that answers a question.
#[derive(Clone, Debug)]
pub struct Match {
    pub id: FaqId,
    pub question: String,
    pub answer: String,
    pub link: Option<String>,
    /// Cosine similarity of the questions; 1 when they are equal.
    pub similarity: f64,
}

/// The FAQ with the same question, but for what [`wording::normalised`] takes away.
///
/// # Errors
/// When the database fails.
pub async fn equal(
    pool: &PgPool,
    tenant: TenantId,
    collection: CollectionId,
    question: &str,
) -> Result<Option<Match>> {
    Ok(sqlx::query_as!(
        Match,
        r#"select id as "id: FaqId", question, answer, link, 1.0::float8 as "similarity!"
           from faqs where tenant_id = $1 and collection_id = $2 and question_sha256 = $3"#,
        tenant.0,
        collection.0,
        &wording::digest(question),
    )
    .fetch_optional(pool)
    .await?)
}

/// FAQs whose question is at least so similar, the most similar first.
///
/// All of the collection's are read: there are few, and an index of vectors would be one more to keep.
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
) -> Result<Vec<Match>> {
    Ok(sqlx::query_as!(
        Match,
        r#"with near as materialized (
               select id, 1 - (embedding <=> $4::halfvec) as similarity
               from faqs
               where tenant_id = $1 and collection_id = $2 and model_id = $3 and embedding is not null
           )
           select faq.id as "id: FaqId", question, answer, link, similarity as "similarity!"
           from near
           join faqs faq on faq.id = near.id
           where similarity >= $5
           order by similarity desc, faq.id
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

/// Counts an answer that was given.
pub(super) async fn hit(tx: &mut PgConnection, id: FaqId) -> Result<()> {
    sqlx::query!("update faqs set hits = hits + 1 where id = $1", id.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// Enqueues the embedding of questions that have no vector of the active model and no job, as after a change of the
/// model; a hundred at a time. Their wake-ups are left to the sweep.
///
/// # Errors
/// When a queue is full or the database fails.
pub async fn enqueue_missing(pool: &PgPool, limits: &Limits) -> Result<usize> {
    let mut tx = transaction(pool).await?;
    let missing = sqlx::query!(
        r#"select id as "id: FaqId", tenant_id as "tenant: TenantId" from faqs
           where (embedding is null or model_id <> (select id from embedding_models where active))
             and not exists (select from jobs where subject = faqs.id and state in ('queued', 'running', 'dead'))
           limit 100
           for update of faqs skip locked"#
    )
    .fetch_all(&mut *tx)
    .await?;
    let limits = Limits {
        dispatch_max: 0,
        ..*limits
    };
    for faq in &missing {
        enqueue(&mut tx, faq.tenant, faq.id, None, &limits).await?;
    }
    tx.commit().await?;
    Ok(missing.len())
}
