//! Trying again: every failed document of a tenant at once, and dead letters one by one.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Result, StoreError, jobs::Limits, reach::Reach, transaction};
use crate::{
    ids::{CollectionId, DocumentId, JobId, TenantId},
    jobs::{Kind, Queue},
};

/// Documents that may be tried again: failed or cancelled, of one collection or of all, for one reason or for any.
/// Oldest first, no more than `limit`.
///
/// # Errors
/// When the database fails.
pub async fn failed_documents(
    pool: &PgPool,
    reach: &Reach,
    collection: Option<CollectionId>,
    failure: Option<&str>,
    limit: u32,
) -> Result<Vec<DocumentId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: DocumentId" from documents
           where tenant_id = $1 and state in ('failed', 'cancelled')
             and ($2::uuid is null or collection_id = $2)
             and ($3::text is null or failure = $3)
             and ($5::uuid[] is null or collection_id = any($5))
           order by id
           limit $4"#,
        reach.tenant.0,
        collection.map(|id| id.0),
        failure,
        i64::from(limit),
        reach.collections(),
    )
    .fetch_all(pool)
    .await?)
}

/// Tries these documents again, as far as the tenant's queue has room; returns how many.
///
/// Only those count that are failed or cancelled now. The sweep sends the wake-ups, in turns with the other tenants'.
///
/// # Errors
/// [`StoreError::QueueFull`] when there is no room at all; or when the database fails.
pub async fn retry_documents(
    pool: &PgPool,
    tenant: TenantId,
    documents: &[DocumentId],
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<u64> {
    let subjects: Vec<Uuid> = documents.iter().map(|document| document.0).collect();
    let jobs: Vec<Uuid> = documents.iter().map(|_| JobId::fresh().0).collect();
    let mut tx = transaction(pool).await?;
    // As everybody who enqueues an ingest does, so that a document never has two.
    sqlx::query!(
        "select from collections
         where id in (select collection_id from documents where id = any($1) and tenant_id = $2)
         order by id
         for no key update",
        &subjects,
        tenant.0,
    )
    .execute(&mut *tx)
    .await?;
    let room = room(&mut tx, tenant, Queue::Ingest, limits).await?;
    let retried = sqlx::query!(
        "with wanted as materialized (
             select * from unnest($2::uuid[], $3::uuid[]) as wanted (subject, job)
         ), chosen as materialized (
             select id from documents
             where id = any($2) and tenant_id = $1 and state in ('failed', 'cancelled')
             order by id
             limit $4
             for update skip locked
         ), reset as (
             update documents set state = 'queued', failure = null, updated_at = now()
             where id in (select id from chosen)
             returning id
         ), looked_at as (
             -- A dead letter of a document that is tried again has been looked at.
             update jobs set state = 'failed'
             where subject in (select id from reset) and kind = 'ingest' and state = 'dead'
         )
         insert into jobs (id, tenant_id, kind, queue, subject, attempt, attempts_before, max_attempts, request_id)
         select job, $1, $5, $6, subject, spent.attempts, spent.attempts, spent.attempts + $7, $8
         from wanted
         join reset on reset.id = wanted.subject
         -- Attempts count on, as for every job of a subject that had one before.
         cross join lateral (
             select coalesce(max(attempt) + 1, 0) as attempts from jobs where jobs.subject = wanted.subject
         ) spent",
        tenant.0,
        &subjects,
        &jobs,
        room,
        Kind::Ingest.as_str(),
        Kind::Ingest.queue().as_str(),
        limits.attempts_max.cast_signed(),
        request_id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(retried.rows_affected())
}

/// How many more jobs of the tenant may wait in the queue.
async fn room(
    tx: &mut PgConnection,
    tenant: TenantId,
    queue: Queue,
    limits: &Limits,
) -> Result<i64> {
    let max = i64::from(limits.queue_tenant_max);
    let waiting = sqlx::query_scalar!(
        r#"select count(*) as "count!" from jobs where queue = $1 and tenant_id = $2 and state = 'queued'"#,
        queue.as_str(),
        tenant.0
    )
    .fetch_one(tx)
    .await?;
    if waiting >= max {
        return Err(StoreError::QueueFull);
    }
    Ok(max - waiting)
}

/// A job that was tried as often as allowed.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub id: JobId,
    pub kind: String,
    pub subject: Uuid,
    /// The document that it is about, if it is about one that is still there.
    pub document: Option<Uuid>,
    pub document_name: Option<String>,
    pub attempts: i32,
    /// The reason that users see; `None` in rows of an older release.
    pub failure: Option<String>,
    pub created_at: DateTime<Utc>,
    pub died_at: Option<DateTime<Utc>>,
}

/// The tenant's dead letters, newest jobs first, older than `before`.
///
/// # Errors
/// When the database fails.
pub async fn dead_letters(
    pool: &PgPool,
    tenant: TenantId,
    before: Option<JobId>,
    limit: u32,
) -> Result<Vec<DeadLetter>> {
    Ok(sqlx::query_as!(
        DeadLetter,
        r#"select job.id as "id: JobId", job.kind, job.subject, document.id as "document?",
               document.name as "document_name?", job.attempt - job.attempts_before as "attempts!", job.failure,
               job.created_at, job.finished_at as died_at
           from jobs job
           left join webhook_deliveries delivery on delivery.id = job.subject
           left join documents document
               on document.id = coalesce(delivery.document_id, job.subject) and document.tenant_id = $1
           where job.tenant_id = $1 and job.state = 'dead' and ($2::uuid is null or job.id < $2)
           order by job.id desc
           limit $3"#,
        tenant.0,
        before.map(|id| id.0),
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?)
}

/// What came of trying a dead letter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revival {
    /// It waits for a worker; the sweep wakes one.
    Queued,
    /// There is no such dead letter.
    NotDead,
    /// What it is about is gone, or is being worked on by a newer job, or nobody waits for it any more.
    Pointless,
}

/// What a dead letter is about.
///
/// # Errors
/// When the database fails.
pub async fn subject_of_dead(pool: &PgPool, tenant: TenantId, id: JobId) -> Result<Option<Uuid>> {
    Ok(sqlx::query_scalar!(
        "select subject from jobs where id = $1 and tenant_id = $2 and state = 'dead'",
        id.0,
        tenant.0
    )
    .fetch_optional(pool)
    .await?)
}

/// Gives a dead letter as many attempts again as it had.
///
/// # Errors
/// When the database fails, or the row is from a newer release.
pub async fn revive(
    pool: &PgPool,
    tenant: TenantId,
    id: JobId,
    request_id: Option<&str>,
) -> Result<Revival> {
    let mut tx = transaction(pool).await?;
    // Attempts count on from all jobs of the subject, and one is left out for what the sweep may have said when it
    // buried this one: ids of events only rise. At most one index build may wait or run.
    let row = sqlx::query!(
        "with spent as materialized (
             select max(attempt) + 1 as attempts from jobs
             where subject = (select subject from jobs where id = $1)
         )
         update jobs
         set state = 'queued', run_at = now(), dispatched_at = null, finished_at = null, error = null, failure = null,
             cancel_requested = false, request_id = coalesce($3, request_id),
             attempt = spent.attempts, attempts_before = spent.attempts,
             max_attempts = spent.attempts + greatest(1, max_attempts - attempts_before)
         from spent
         where id = $1 and tenant_id = $2 and state = 'dead'
           and (kind <> 'index' or not exists (
               select from jobs build where build.kind = 'index' and build.state in ('queued', 'running')
           ))
         returning kind, subject",
        id.0,
        tenant.0,
        request_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else {
        return Ok(Revival::NotDead);
    };
    let kind = row
        .kind
        .parse()
        .map_err(|error: crate::jobs::UnknownKind| StoreError::Unreadable(error.to_string()))?;
    if !revive_subject(&mut tx, kind, row.subject).await? {
        return Ok(Revival::Pointless);
    }
    tx.commit().await?;
    Ok(Revival::Queued)
}

/// Makes the subject wait again. False: trying again would be pointless.
async fn revive_subject(tx: &mut PgConnection, kind: Kind, subject: Uuid) -> Result<bool> {
    let reset = match kind {
        Kind::Ingest => sqlx::query!(
            "update documents set state = 'queued', failure = null, updated_at = now()
             where id = $1 and failure is not null and state in ('failed', 'cancelled', 'ready')",
            subject
        )
        .execute(tx)
        .await?
        .rows_affected(),
        Kind::Answer => sqlx::query!(
            "update questions set state = 'queued', failure = null, finished_at = null
             where id = $1 and state in ('failed', 'cancelled')",
            subject
        )
        .execute(tx)
        .await?
        .rows_affected(),
        // Whoever has searched has been told long ago, and the zip of an import goes with its end.
        Kind::Search | Kind::Embed | Kind::Import => 0,
        Kind::Webhook => sqlx::query!(
            "update webhook_deliveries set status = null where id = $1 and delivered_at is null",
            subject
        )
        .execute(tx)
        .await?
        .rows_affected(),
        Kind::Faq => sqlx::query!(
            "update faqs set updated_at = updated_at where id = $1",
            subject
        )
        .execute(tx)
        .await?
        .rows_affected(),
        Kind::Index | Kind::Purge | Kind::Lexicon => 1,
    };
    Ok(reset == 1)
}

/// Takes a dead letter off the list: somebody has looked at it, and it stays failed. False: there is no such one.
///
/// # Errors
/// When the database fails.
pub async fn dismiss(pool: &PgPool, tenant: TenantId, id: JobId) -> Result<bool> {
    let dismissed = sqlx::query!(
        "update jobs set state = 'failed' where id = $1 and tenant_id = $2 and state = 'dead'",
        id.0,
        tenant.0
    )
    .execute(pool)
    .await?;
    Ok(dismissed.rows_affected() == 1)
}
