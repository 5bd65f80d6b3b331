//! What should not be: rows, files and jobs that have lost each other.
//!
//! `lectern-worker doctor` asks for it and mends it. What a crash leaves is mended by the next attempt or by the sweep,
//! but for files between the blob store and the rows; the rest is for restored backups and hands in the database.

use std::time::Duration;

use sqlx::{PgPool, postgres::types::PgInterval};
use uuid::Uuid;

use super::{Result, jobs::Limits, reach::Reach, removals, transaction};
use crate::{
    failure::Failure,
    ids::{DocumentId, JobId, TenantId},
};

/// Which of these files some row names.
///
/// # Errors
/// When the database fails.
pub async fn named_files(pool: &PgPool, blob_keys: &[String]) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!(
        r#"select key as "key!" from unnest($1::text[]) as file (key)
           where exists (select from versions where blob_key = key)
              or exists (select from removals where blob_key = key)
              or exists (select from imports where blob_key = key and state in ('queued', 'running'))"#,
        blob_keys,
    )
    .fetch_all(pool)
    .await?)
}

/// A file that a version names.
#[derive(Clone, Debug)]
pub struct NamedFile {
    pub tenant: TenantId,
    pub document: DocumentId,
    pub number: i32,
    pub blob_key: String,
}

/// Files that versions name, in order, after that version; those that were told to be missing are not among them.
///
/// # Errors
/// When the database fails.
pub async fn files(pool: &PgPool, after: (DocumentId, i32), limit: i64) -> Result<Vec<NamedFile>> {
    Ok(sqlx::query_as!(
        NamedFile,
        r#"select version.tenant_id as "tenant: TenantId", document_id as "document: DocumentId", number, blob_key
           from versions version
           join documents document on document.id = version.document_id
           where (document_id, number) > ($1, $2) and document.failure is distinct from $4
           order by document_id, number
           limit $3"#,
        after.0.0,
        after.1,
        limit,
        Failure::FileMissing.code(),
    )
    .fetch_all(pool)
    .await?)
}

/// Whether that version still names that file: what was looked at a while ago may have been replaced.
///
/// # Errors
/// When the database fails.
pub async fn still_names(pool: &PgPool, file: &NamedFile) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        "select true from versions where document_id = $1 and number = $2 and blob_key = $3",
        file.document.0,
        file.number,
        file.blob_key,
    )
    .fetch_optional(pool)
    .await?
    .is_some())
}

/// Tells that a document's newest file is missing, so that uploading it again makes a new version. What searches see
/// stays.
///
/// # Errors
/// When the database fails.
pub async fn tell_missing(pool: &PgPool, document: DocumentId) -> Result<()> {
    sqlx::query!(
        "update documents set state = 'failed', failure = $2, updated_at = now()
         where id = $1 and state in ('ready', 'failed', 'cancelled')",
        document.0,
        Failure::FileMissing.code(),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Rows of chunks and pages that are of no document, or of a version that is neither visible nor being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strays {
    pub chunks: i64,
    pub pages: i64,
}

/// # Errors
/// When the database fails.
pub async fn strays(pool: &PgPool) -> Result<Strays> {
    Ok(sqlx::query_as!(
        Strays,
        r#"select
               (select count(*) from chunks where not exists (
                   select from documents document
                   where document.id = document_id and (chunks.version = document.version
                       or chunks.version = document.wanted and document.state in ('queued', 'processing'))
               )) as "chunks!",
               (select count(*) from pages where not exists (
                   select from documents document
                   where document.id = document_id and (pages.version = document.version
                       or pages.version = document.wanted and document.state in ('queued', 'processing'))
               )) as "pages!""#
    )
    .fetch_one(pool)
    .await?)
}

/// # Errors
/// When the database fails.
pub async fn drop_strays(pool: &PgPool) -> Result<()> {
    let mut tx = transaction(pool).await?;
    sqlx::query!(
        "delete from chunks where not exists (
             select from documents document
             where document.id = document_id and (chunks.version = document.version
                 or chunks.version = document.wanted and document.state in ('queued', 'processing'))
         )"
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from pages where not exists (
             select from documents document
             where document.id = document_id and (pages.version = document.version
                 or pages.version = document.wanted and document.state in ('queued', 'processing'))
         )"
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// A job that does nobody any good.
#[derive(Clone, Debug)]
pub struct StuckJob {
    pub id: JobId,
    pub kind: String,
    pub state: String,
    pub subject: Uuid,
}

/// Jobs that wait or run for a document, a question, an import or a FAQ that is gone.
///
/// # Errors
/// When the database fails.
pub async fn jobs_without_subject(pool: &PgPool) -> Result<Vec<StuckJob>> {
    Ok(sqlx::query_as!(
        StuckJob,
        r#"select id as "id: JobId", kind, state, subject from jobs
           where state in ('queued', 'running', 'dead')
             and (kind = 'ingest' and not exists (select from documents where id = subject)
               or kind in ('answer', 'search') and not exists (select from questions where id = subject)
               or kind = 'import' and not exists (select from imports where id = subject)
               or kind = 'faq' and not exists (select from faqs where id = subject))
           order by id"#
    )
    .fetch_all(pool)
    .await?)
}

/// Ends jobs that nobody needs.
///
/// # Errors
/// When the database fails.
pub async fn cancel_jobs(pool: &PgPool, jobs: &[JobId]) -> Result<()> {
    let jobs: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    sqlx::query!(
        "update jobs
         set state = 'cancelled', cancel_requested = true, finished_at = now(), lease_owner = null, lease_until = null
         where id = any($1) and state in ('queued', 'running', 'dead')",
        &jobs,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Jobs whose lease is over for longer than `grace`: no worker sweeps, or they would have been taken back.
///
/// # Errors
/// When the database fails.
pub async fn jobs_with_old_lease(pool: &PgPool, grace: Duration) -> Result<Vec<StuckJob>> {
    let grace = PgInterval::try_from(grace).unwrap_or_default();
    Ok(sqlx::query_as!(
        StuckJob,
        r#"select id as "id: JobId", kind, state, subject from jobs
           where state = 'running' and lease_until < now() - $1::interval
           order by id"#,
        grace,
    )
    .fetch_all(pool)
    .await?)
}

/// A document or an import that waits for nothing.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub id: Uuid,
    pub state: String,
}

/// Documents that are queued or processed without a job that waits or runs.
///
/// # Errors
/// When the database fails.
pub async fn documents_without_job(pool: &PgPool) -> Result<Vec<Waiting>> {
    Ok(sqlx::query_as!(
        Waiting,
        "select id, state from documents
         where state in ('queued', 'processing') and not exists (
             select from jobs where subject = documents.id and kind = 'ingest' and state in ('queued', 'running')
         )
         order by id"
    )
    .fetch_all(pool)
    .await?)
}

/// Writes such a document's job. False: it has one by now, or is gone.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn enqueue_document(pool: &PgPool, id: DocumentId, limits: &Limits) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    let tenant = sqlx::query_scalar!(
        r#"select tenant_id as "tenant: TenantId" from documents where id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(tenant) = tenant else {
        return Ok(false);
    };
    super::versions::lock_collection_of(&mut tx, &Reach::all(tenant), id).await?;
    let waits = sqlx::query_scalar!(
        "select true from documents
         where id = $1 and state in ('queued', 'processing') and not exists (
             select from jobs where subject = documents.id and kind = 'ingest' and state in ('queued', 'running')
         )",
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if waits.is_none() {
        return Ok(false);
    }
    super::versions::enqueue(&mut tx, tenant, id, None, limits).await?;
    tx.commit().await?;
    Ok(true)
}

/// Files that are to be deleted and that no job is about, by tenant.
///
/// # Errors
/// When the database fails.
pub async fn removals_without_job(pool: &PgPool) -> Result<Vec<(TenantId, String)>> {
    let rows = sqlx::query!(
        r#"select tenant_id as "tenant: TenantId", blob_key from removals
           where not exists (
               select from jobs where subject = purge and kind = 'purge' and state in ('queued', 'running')
           )
           order by tenant_id, blob_key"#
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.tenant, row.blob_key))
        .collect())
}

/// Has files deleted that no row names: what came in between is looked at once more.
///
/// # Errors
/// When the database fails.
pub async fn remove_files(pool: &PgPool, tenant: TenantId, blob_keys: &[String]) -> Result<()> {
    let mut tx = transaction(pool).await?;
    let unnamed = sqlx::query_scalar!(
        r#"select key as "key!" from unnest($1::text[]) as file (key)
           where not exists (select from versions where blob_key = key)
             and not exists (select from imports where blob_key = key and state in ('queued', 'running'))"#,
        blob_keys,
    )
    .fetch_all(&mut *tx)
    .await?;
    removals::request(&mut tx, tenant, &unnamed, None).await?;
    tx.commit().await?;
    Ok(())
}
