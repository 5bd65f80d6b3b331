//! Documents: what was uploaded, and which version of it searches see.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Result,
    jobs::{self, Claimed, Enqueued, Limits, NewJob},
};
use crate::{
    ids::{CollectionId, DocumentId, JobId, TenantId},
    jobs::Kind,
};

/// An upload whose file is in the blob store.
#[derive(Clone, Debug)]
pub struct NewDocument<'a> {
    pub id: DocumentId,
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub name: &'a str,
    pub media_type: &'a str,
    pub bytes: i64,
    pub sha256: &'a [u8],
    pub blob_key: &'a str,
}

/// Writes the document and the job to ingest it, in one transaction.
///
/// # Errors
/// When the database fails.
pub async fn create(
    pool: &PgPool,
    document: &NewDocument<'_>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Enqueued> {
    let mut tx = pool.begin().await?;
    sqlx::query!(
        "insert into documents (id, tenant_id, collection_id, name, media_type, bytes, sha256, blob_key)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        document.id.0,
        document.tenant.0,
        document.collection.0,
        document.name,
        document.media_type,
        document.bytes,
        document.sha256,
        document.blob_key,
    )
    .execute(&mut *tx)
    .await?;
    let job = NewJob {
        tenant: document.tenant,
        kind: Kind::Ingest,
        subject: document.id.0,
        request_id,
    };
    let enqueued = jobs::enqueue(&mut tx, &job, limits).await?;
    tx.commit().await?;
    Ok(enqueued)
}

/// A document as the API shows it.
#[derive(Clone, Debug)]
pub struct Document {
    pub id: DocumentId,
    pub collection: String,
    pub name: String,
    pub title: Option<String>,
    pub media_type: String,
    pub bytes: i64,
    pub sha256: Vec<u8>,
    pub blob_key: String,
    pub state: String,
    pub version: i32,
    pub pages: Option<i32>,
    pub chunks: Option<i32>,
    pub notes: Vec<String>,
    pub failure: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, tenant: TenantId, id: DocumentId) -> Result<Option<Document>> {
    Ok(sqlx::query_as!(
        Document,
        r#"select document.id as "id: DocumentId", collection.name as collection, document.name, title, media_type,
               bytes, sha256, blob_key, state, version, pages, chunks, notes, failure, document.created_at, updated_at
           from documents document
           join collections collection on collection.id = document.collection_id
           where document.id = $1 and document.tenant_id = $2"#,
        id.0,
        tenant.0
    )
    .fetch_optional(pool)
    .await?)
}

/// A page of the tenant's documents, newest first, older than `before`.
///
/// # Errors
/// When the database fails.
pub async fn list(
    pool: &PgPool,
    tenant: TenantId,
    collection: Option<CollectionId>,
    before: Option<DocumentId>,
    limit: u32,
) -> Result<Vec<Document>> {
    Ok(sqlx::query_as!(
        Document,
        r#"select document.id as "id: DocumentId", collection.name as collection, document.name, title, media_type,
               bytes, sha256, blob_key, state, version, pages, chunks, notes, failure, document.created_at, updated_at
           from documents document
           join collections collection on collection.id = document.collection_id
           where document.tenant_id = $1
             and ($2::uuid is null or collection_id = $2)
             and ($3::uuid is null or document.id < $3)
           order by document.id desc
           limit $4"#,
        tenant.0,
        collection.map(|id| id.0),
        before.map(|id| id.0),
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?)
}

/// Deletes a document with all that was made from it, and enqueues the deletion of its file in the same transaction.
/// `None`: there is no such document.
///
/// # Errors
/// When the database fails.
pub async fn delete(
    pool: &PgPool,
    tenant: TenantId,
    id: DocumentId,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Option<Deleted>> {
    let mut tx = pool.begin().await?;
    // Jobs before documents, as everywhere: an ingest that runs locks them in this order, too.
    // What waits need not begin, and what runs is told to stop.
    let running = sqlx::query_scalar!(
        r#"with stopped as (
               update jobs
               set cancel_requested = true,
                   state = case when state = 'queued' then 'cancelled' else state end,
                   finished_at = case when state = 'queued' then now() end
               where subject = $1 and tenant_id = $2 and state in ('queued', 'running')
               returning id, state
           )
           select id as "id: JobId" from stopped where state = 'running'"#,
        id.0,
        tenant.0
    )
    .fetch_all(&mut *tx)
    .await?;
    let deleted = sqlx::query!(
        "delete from documents where id = $1 and tenant_id = $2",
        id.0,
        tenant.0
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Ok(None);
    }
    let job = NewJob {
        tenant,
        kind: Kind::Purge,
        subject: id.0,
        request_id,
    };
    let purge = jobs::enqueue(&mut tx, &job, limits).await?;
    tx.commit().await?;
    Ok(Some(Deleted { purge, running }))
}

/// A deleted document's remains.
#[derive(Clone, Debug)]
pub struct Deleted {
    /// The deletion of its file.
    pub purge: Enqueued,
    /// Jobs that some worker still holds.
    pub running: Vec<JobId>,
}

/// Tries a failed or cancelled document again. `None`: it is not in such a state.
///
/// # Errors
/// When the database fails.
pub async fn retry(
    pool: &PgPool,
    tenant: TenantId,
    id: DocumentId,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Option<Enqueued>> {
    let mut tx = pool.begin().await?;
    let reset = sqlx::query!(
        "update documents set state = 'queued', failure = null, updated_at = now()
         where id = $1 and tenant_id = $2 and state in ('failed', 'cancelled')",
        id.0,
        tenant.0
    )
    .execute(&mut *tx)
    .await?;
    if reset.rows_affected() == 0 {
        return Ok(None);
    }
    // Its dead letter, if it was one, has been looked at.
    sqlx::query!(
        "update jobs set state = 'failed' where subject = $1 and state = 'dead'",
        id.0
    )
    .execute(&mut *tx)
    .await?;
    let job = NewJob {
        tenant,
        kind: Kind::Ingest,
        subject: id.0,
        request_id,
    };
    let enqueued = jobs::enqueue(&mut tx, &job, limits).await?;
    tx.commit().await?;
    Ok(Some(enqueued))
}

/// What an ingest works on.
#[derive(Clone, Debug)]
pub struct ForIngest {
    pub id: DocumentId,
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub blob_key: String,
    pub bytes: i64,
    /// The version that searches see; the ingest makes the one after it.
    pub version: i32,
}

/// Marks the document as being worked on and clears what a killed attempt may have left. `None`: it was deleted, or
/// this attempt has lost its lease.
///
/// # Errors
/// When the database fails.
pub async fn begin_ingest(pool: &PgPool, job: &Claimed) -> Result<Option<ForIngest>> {
    let mut tx = pool.begin().await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(None);
    }
    let document = sqlx::query_as!(
        ForIngest,
        r#"update documents set state = 'processing', failure = null, updated_at = now()
           where id = $1
           returning id as "id: DocumentId", tenant_id as "tenant: TenantId",
               collection_id as "collection: CollectionId", blob_key, bytes, version"#,
        job.subject
    )
    .fetch_optional(&mut *tx)
    .await?;
    if document.is_some() {
        drop_unfinished(&mut tx, job.subject).await?;
    }
    tx.commit().await?;
    Ok(document)
}

/// Drops what an ingest that did not come to its end has written.
pub(super) async fn drop_unfinished(tx: &mut PgConnection, document: Uuid) -> Result<()> {
    sqlx::query!(
        "delete from chunks using documents document
         where document.id = $1 and chunks.document_id = document.id and chunks.version > document.version",
        document
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from pages using documents document
         where document.id = $1 and pages.document_id = document.id and pages.version > document.version",
        document
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What is known of a document once it is read.
#[derive(Clone, Debug)]
pub struct Completion<'a> {
    pub title: Option<&'a str>,
    pub pages: i32,
    pub chunks: i32,
    pub notes: &'a [String],
    /// Build the vector index if it is missing.
    pub request_index: bool,
}

/// Makes the new version visible.
///
/// It becomes the current one, the old one's rows leave, and the job is done, all in one transaction; the job that
/// builds the vector index comes with it when that was asked for.
/// `None`: the lease is lost or the document deleted, and nothing has changed.
///
/// # Errors
/// When the database fails.
pub async fn complete_ingest(
    pool: &PgPool,
    job: &Claimed,
    document: &ForIngest,
    completion: &Completion<'_>,
    limits: &Limits,
) -> Result<Option<Option<Enqueued>>> {
    let version = document.version + 1;
    let mut tx = pool.begin().await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(None);
    }
    let updated = sqlx::query!(
        "update documents
         set state = 'ready', version = $2, title = $3, pages = $4, chunks = $5, notes = $6, failure = null,
             updated_at = now()
         where id = $1",
        document.id.0,
        version,
        completion.title,
        completion.pages,
        completion.chunks,
        completion.notes,
    )
    .execute(&mut *tx)
    .await?;
    if updated.rows_affected() == 0 {
        return Ok(None);
    }
    sqlx::query!(
        "delete from chunks where document_id = $1 and version < $2",
        document.id.0,
        version
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from pages where document_id = $1 and version < $2",
        document.id.0,
        version
    )
    .execute(&mut *tx)
    .await?;
    let index = if completion.request_index {
        super::index::request(&mut tx, limits).await?
    } else {
        None
    };
    tx.commit().await?;
    Ok(Some(index))
}
