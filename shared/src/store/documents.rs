//! Documents: what was uploaded, and which version of it searches see. How they come to be is in [`mod@super::versions`],
//! how they are listed in [`super::listing`].

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Result,
    jobs::{self, Claimed, Enqueued, Limits, NewJob},
    lexicon,
    models::{self, ModelId},
    reach::Reach,
    removals, transaction, versions,
};
use crate::{
    ids::{CollectionId, DocumentId, JobId, TenantId},
    jobs::Kind,
    webhooks::Event,
};

/// What opens an encrypted file: never empty, and never shown, so that no log has it.
#[derive(Clone, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Password(String);

impl Password {
    /// PDF takes 127 bytes at most; some writers take more and cut.
    pub const BYTES_MAX: usize = 1024;

    /// `None` for one that can't be: empty, too long, or with a NUL, which neither PostgreSQL nor a process's
    /// environment can hold.
    #[must_use]
    pub fn new(raw: String) -> Option<Self> {
        let fits = (1..=Self::BYTES_MAX).contains(&raw.len()) && !raw.contains('\0');
        fits.then_some(Self(raw))
    }

    /// The password itself, for whoever opens the file.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password")
    }
}

/// A document as the API shows it. File, size and type are those of its newest version.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Document {
    pub id: DocumentId,
    pub collection: String,
    pub name: String,
    pub title: Option<String>,
    pub source_url: Option<String>,
    pub metadata: Value,
    pub media_type: String,
    pub bytes: i64,
    pub sha256: Vec<u8>,
    /// Of the newest version; an older one may be visible whatever this is.
    pub state: String,
    /// What searches see; 0: nothing yet.
    pub version: i32,
    /// The newest.
    pub wanted: i32,
    pub pages: Option<i32>,
    pub chunks: Option<i32>,
    pub notes: Vec<String>,
    /// What most of the visible version is written in, as ISO 639-1; null: not told apart.
    pub language: Option<String>,
    pub failure: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, reach: &Reach, id: DocumentId) -> Result<Option<Document>> {
    Ok(sqlx::query_as!(
        Document,
        r#"select document.id as "id: DocumentId", collection.name as collection, document.name, title, source_url,
               metadata, media_type, bytes, sha256, state, version, wanted, pages, chunks, notes, language, failure,
               document.created_at, updated_at
           from documents document
           join versions newest on newest.document_id = document.id and newest.number = document.wanted
           join collections collection on collection.id = document.collection_id
           where document.id = $1 and document.tenant_id = $2 and ($3::uuid[] is null or collection_id = any($3))"#,
        id.0,
        reach.tenant.0,
        reach.collections()
    )
    .fetch_optional(pool)
    .await?)
}

/// A document's file.
#[derive(Clone, Debug)]
pub struct StoredFile {
    pub name: String,
    pub media_type: String,
    pub bytes: i64,
    pub sha256: Vec<u8>,
    pub blob_key: String,
}

/// The file of the visible version, which answers point into; of the newest while none is visible.
///
/// # Errors
/// When the database fails.
pub async fn file(pool: &PgPool, reach: &Reach, id: DocumentId) -> Result<Option<StoredFile>> {
    Ok(sqlx::query_as!(
        StoredFile,
        "select name, media_type, bytes, sha256, blob_key
         from documents document
         join versions stored on stored.document_id = document.id
             and stored.number = case when document.version > 0 then document.version else document.wanted end
         where document.id = $1 and document.tenant_id = $2 and ($3::uuid[] is null or collection_id = any($3))",
        id.0,
        reach.tenant.0,
        reach.collections()
    )
    .fetch_optional(pool)
    .await?)
}

/// What people change about a document. `None` leaves it, `Some(None)` takes it away.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<String>,
    pub title: Option<Option<String>>,
    pub source_url: Option<Option<String>>,
    /// Replaces the whole object.
    pub metadata: Option<Value>,
}

/// Changes what is said of a document. False: there is no such document, or it has changed since it was `unchanged_since`.
///
/// # Errors
/// When the database fails.
pub async fn change(
    pool: &PgPool,
    reach: &Reach,
    id: DocumentId,
    changes: &Changes,
    unchanged_since: Option<DateTime<Utc>>,
) -> Result<bool> {
    let (title, source_url) = (changes.title.as_ref(), changes.source_url.as_ref());
    let changed = sqlx::query!(
        "update documents
         set name = coalesce($3, name),
             title = case when $4 then $5 else title end,
             title_given = case when $4 then $5::text is not null else title_given end,
             source_url = case when $6 then $7 else source_url end,
             metadata = coalesce($8, metadata), updated_at = now()
         where id = $1 and tenant_id = $2 and ($9::uuid[] is null or collection_id = any($9))
           and updated_at = coalesce($10, updated_at)",
        id.0,
        reach.tenant.0,
        changes.name,
        title.is_some(),
        title.and_then(Option::as_deref),
        source_url.is_some(),
        source_url.and_then(Option::as_deref),
        changes.metadata,
        reach.collections(),
        unchanged_since,
    )
    .execute(pool)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Deletes a document with all that was made from it, and enqueues the deletion of its files in the same transaction.
/// Returns the jobs that some worker still holds. `None`: there is no such document.
///
/// Answers that were made from it keep their text, lose the sources that quote it, and are marked as outdated.
///
/// # Errors
/// When the database fails.
pub async fn delete(
    pool: &PgPool,
    reach: &Reach,
    id: DocumentId,
    request_id: Option<&str>,
) -> Result<Option<Vec<JobId>>> {
    let tenant = reach.tenant;
    let mut tx = transaction(pool).await?;
    lexicon::wait_for_merge(&mut tx, id).await?;
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
    // The lock keeps a version from coming in between.
    let found = sqlx::query_scalar!(
        "select true from documents
         where id = $1 and tenant_id = $2 and ($3::uuid[] is null or collection_id = any($3))
         for update",
        id.0,
        tenant.0,
        reach.collections()
    )
    .fetch_optional(&mut *tx)
    .await?;
    if found.is_none() {
        return Ok(None);
    }
    let files = sqlx::query_scalar!(
        "select distinct blob_key from versions where document_id = $1",
        id.0
    )
    .fetch_all(&mut *tx)
    .await?;
    outdate_answers(&mut tx, id, None).await?;
    lexicon::retire(&mut tx, id, None, None).await?;
    sqlx::query!("delete from documents where id = $1", id.0)
        .execute(&mut *tx)
        .await?;
    removals::request(&mut tx, tenant, &files, request_id).await?;
    tx.commit().await?;
    Ok(Some(running))
}

/// Marks the answers that were made from a document, or from its versions before `version`.
async fn outdate_answers(
    tx: &mut PgConnection,
    document: DocumentId,
    version: Option<i32>,
) -> Result<()> {
    sqlx::query!(
        "update answers set outdated = true
         where not outdated and question_id in (
             select question_id from sources where document_id = $1 and ($2::int is null or version < $2)
         )",
        document.0,
        version,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Tries a failed or cancelled document again, with another password if one is given. `None`: it is not in such a state.
///
/// # Errors
/// When the database fails.
pub async fn retry(
    pool: &PgPool,
    reach: &Reach,
    id: DocumentId,
    password: Option<&Password>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Option<Enqueued>> {
    let tenant = reach.tenant;
    let mut tx = transaction(pool).await?;
    if !versions::lock_collection_of(&mut tx, reach, id).await? {
        return Ok(None);
    }
    let reset = sqlx::query!(
        "update documents set state = 'queued', failure = null, password = coalesce($3, password), updated_at = now()
         where id = $1 and tenant_id = $2 and state in ('failed', 'cancelled')",
        id.0,
        tenant.0,
        password.map(Password::reveal)
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
    pub media_type: String,
    pub password: Option<Password>,
    /// The version that the ingest makes.
    pub version: i32,
}

/// Marks the document as being worked on and clears what a killed attempt may have left. `None`: it was deleted, or
/// this attempt has lost its lease.
///
/// # Errors
/// When the database fails.
pub async fn begin_ingest(pool: &PgPool, job: &Claimed) -> Result<Option<ForIngest>> {
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(None);
    }
    let document = sqlx::query_as!(
        ForIngest,
        r#"update documents document set state = 'processing', failure = null, updated_at = now()
           from versions newest
           where document.id = $1 and newest.document_id = document.id and newest.number = document.wanted
           returning document.id as "id: DocumentId", document.tenant_id as "tenant: TenantId",
               collection_id as "collection: CollectionId", blob_key, bytes, media_type,
               password as "password: Password", newest.number as version"#,
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
    let visible = sqlx::query_scalar!("select version from documents where id = $1", document)
        .fetch_optional(&mut *tx)
        .await?;
    lexicon::retire(tx, DocumentId(document), None, visible).await?;
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
    /// What most of it is written in, as ISO 639-1.
    pub language: Option<&'a str>,
    /// Build the vector index if it is missing.
    pub request_index: bool,
    /// What its vectors were made with.
    pub model: ModelId,
}

/// Makes the new version visible.
///
/// It becomes the current one, the old one's rows leave, and the job is done, all in one transaction; the jobs that
/// build the vector index, if that was asked for, and that merge the lexicon's segments, if they are many, come with it.
/// `None`: the lease is lost, the document deleted or a newer version wanted, and nothing has changed.
///
/// # Errors
/// When the database fails.
pub async fn complete_ingest(
    pool: &PgPool,
    job: &Claimed,
    document: &ForIngest,
    completion: &Completion<'_>,
    limits: &Limits,
) -> Result<Option<Vec<Enqueued>>> {
    let version = document.version;
    let mut tx = transaction(pool).await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(None);
    }
    let updated = sqlx::query!(
        "update documents
         set state = 'ready', version = $2, title = case when title_given then title else $3 end, pages = $4,
             chunks = $5, notes = $6, failure = null, updated_at = now()
         where id = $1 and wanted = $2",
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
    // Not before the table was written to: see there.
    if !models::is_active_in(&mut tx, completion.model).await? {
        return Err(models::retired(completion.model));
    }
    sqlx::query!(
        "delete from pages where document_id = $1 and version < $2",
        document.id.0,
        version
    )
    .execute(&mut *tx)
    .await?;
    outdate_answers(&mut tx, document.id, Some(version)).await?;
    lexicon::show(&mut tx, document.id, version, completion.language).await?;
    let upkeep = lexicon::request_if_many(&mut tx, document, limits).await?;
    versions::drop_others(
        &mut tx,
        document.id,
        document.tenant,
        job.request_id.as_deref(),
    )
    .await?;
    super::webhooks::announce(&mut tx, document.id.0, Event::DocumentReady).await?;
    let index = if completion.request_index {
        super::index::request(&mut tx, limits).await?
    } else {
        None
    };
    tx.commit().await?;
    Ok(Some(index.into_iter().chain(upkeep).collect()))
}
