//! Imports: zips whose files become documents, one transaction a file, so that a killed import goes on where it was.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    Result,
    jobs::{self, Claimed, End, Enqueued, Limits, NewJob},
    reach::Reach,
    removals, transaction,
    versions::{self, Added, Facts, NewFile, Place},
};
use crate::{
    ids::{CollectionId, DocumentId, ImportId, TenantId},
    jobs::Kind,
};

/// A zip in the blob store.
#[derive(Clone, Debug)]
pub struct NewImport<'a> {
    pub id: ImportId,
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub name: &'a str,
    pub bytes: i64,
    pub blob_key: &'a str,
    /// Of each of its documents; a title is not among them.
    pub facts: &'a Facts,
    /// A document of its own for each file, whatever is there already.
    pub force: bool,
    pub entry_bytes_max: i64,
}

/// Writes the import and its job, in one transaction.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn create(
    pool: &PgPool,
    import: &NewImport<'_>,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Enqueued> {
    let mut tx = transaction(pool).await?;
    sqlx::query!(
        "insert into imports (id, tenant_id, collection_id, name, bytes, blob_key, source_url, metadata, force,
             entry_bytes_max)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        import.id.0,
        import.tenant.0,
        import.collection.0,
        import.name,
        import.bytes,
        import.blob_key,
        import.facts.source_url,
        import.facts.metadata,
        import.force,
        import.entry_bytes_max,
    )
    .execute(&mut *tx)
    .await?;
    let job = NewJob {
        tenant: import.tenant,
        kind: Kind::Import,
        subject: import.id.0,
        request_id,
    };
    let enqueued = jobs::enqueue(&mut tx, &job, limits).await?;
    tx.commit().await?;
    Ok(enqueued)
}

/// What an import's job works on.
#[derive(Clone, Debug)]
pub struct ForImport {
    pub id: ImportId,
    pub tenant: TenantId,
    pub collection: CollectionId,
    pub blob_key: String,
    pub source_url: Option<String>,
    pub metadata: Option<Value>,
    pub force: bool,
    pub entry_bytes_max: i64,
    /// Files before this one are dealt with already.
    pub next_ordinal: i32,
}

/// Marks the import as being worked on. `None`: it is gone, or this attempt has lost its lease.
///
/// # Errors
/// When the database fails.
pub async fn begin(pool: &PgPool, job: &Claimed) -> Result<Option<ForImport>> {
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(None);
    }
    let import = sqlx::query_as!(
        ForImport,
        r#"update imports set state = 'running'
           where id = $1 and state in ('queued', 'running')
           returning id as "id: ImportId", tenant_id as "tenant: TenantId",
               collection_id as "collection: CollectionId", blob_key, source_url, metadata, force, entry_bytes_max,
               (select coalesce(max(ordinal) + 1, 0) from import_entries where import_id = $1) as "next_ordinal!""#,
        job.subject
    )
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(import)
}

/// Notes how many entries the zip has.
///
/// # Errors
/// When the database fails.
pub async fn note_entries(pool: &PgPool, id: ImportId, entries: i32) -> Result<()> {
    sqlx::query!(
        "update imports set entries = $2 where id = $1",
        id.0,
        entries
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Why a file of an import is no document. Noted by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    Empty,
    TooLarge,
    UnsupportedType,
    Encrypted,
    Damaged,
    UnknownCompression,
    NotAFile,
    QuotaExceeded,
}

impl Skip {
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::TooLarge,
        Self::UnsupportedType,
        Self::Encrypted,
        Self::Damaged,
        Self::UnknownCompression,
        Self::NotAFile,
        Self::QuotaExceeded,
    ];

    /// Part of the API, never renamed.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty_file",
            Self::TooLarge => "too_large",
            Self::UnsupportedType => "unsupported_type",
            Self::Encrypted => "encrypted",
            Self::Damaged => "damaged",
            Self::UnknownCompression => "unknown_compression",
            Self::NotAFile => "not_a_file",
            Self::QuotaExceeded => "quota_exceeded",
        }
    }

    /// What it is and what to do, for people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Empty => "This file is empty.",
            Self::TooLarge => {
                "This file is larger than this server accepts. Split it, or raise LECTERN_UPLOAD_BYTES_MAX."
            }
            Self::UnsupportedType => {
                "By its content this is no file that can be read. Convert it and upload the result."
            }
            Self::Encrypted => "This file is encrypted. Pack it without a password.",
            Self::Damaged => "This file can't be unpacked. Pack it anew.",
            Self::UnknownCompression => {
                "This file is packed in a way that is not read here. Pack it as an ordinary zip (deflate)."
            }
            Self::NotAFile => {
                "This is a link, or something else than a file. Pack what it points to."
            }
            Self::QuotaExceeded => {
                "There is no room for it in your quotas (GET /api/v1/usage). Upload it when there is again."
            }
        }
    }

    /// Of a row, which a newer release may have written.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|skip| skip.code() == code)
    }
}

/// One file of an import.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub ordinal: i32,
    pub name: &'a str,
}

/// Makes a document of a file, as an upload would, and notes it with the entry in the same transaction.
/// `None`: the lease is lost, and nothing was written.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn add(
    pool: &PgPool,
    job: &Claimed,
    import: &ForImport,
    entry: Entry<'_>,
    file: &NewFile<'_>,
    limits: &Limits,
) -> Result<Option<Added>> {
    let place = Place {
        collection: import.collection,
        name: entry.name,
        force: import.force,
    };
    let facts = Facts {
        title: None,
        source_url: import.source_url.clone(),
        metadata: import.metadata.clone(),
        password: None,
    };
    let request_id = job.request_id.as_deref();
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(None);
    }
    let added = versions::add_in(&mut tx, &place, file, &facts, request_id, limits).await?;
    let (outcome, document) = match &added {
        Added::Duplicate(document) => ("duplicate", *document),
        Added::Made(made) => (made.outcome(), made.document),
    };
    note(&mut tx, import, entry, outcome, Some(document), None).await?;
    tx.commit().await?;
    Ok(Some(added))
}

/// Notes that an entry is no document, and why. False: the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn skip(
    pool: &PgPool,
    job: &Claimed,
    import: &ForImport,
    entry: Entry<'_>,
    reason: &str,
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    note(&mut tx, import, entry, "skipped", None, Some(reason)).await?;
    tx.commit().await?;
    Ok(true)
}

async fn note(
    tx: &mut PgConnection,
    import: &ForImport,
    entry: Entry<'_>,
    outcome: &str,
    document: Option<DocumentId>,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        "insert into import_entries (import_id, ordinal, tenant_id, name, outcome, document_id, reason)
         values ($1, $2, $3, $4, $5, $6, $7)",
        import.id.0,
        entry.ordinal,
        import.tenant.0,
        entry.name,
        outcome,
        document.map(|id| id.0),
        reason,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends an import whose entries are all dealt with, and has the zip deleted. False: the lease is lost.
///
/// # Errors
/// When the database fails.
pub async fn complete(pool: &PgPool, job: &Claimed) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::finish(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    close(&mut tx, job.subject, "done", None).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends an import whose job ends otherwise than well. The documents that it has made stay.
pub(super) async fn end(tx: &mut PgConnection, subject: Uuid, state: &str, end: End) -> Result<()> {
    close(tx, subject, state, Some(end.failure().code())).await
}

async fn close(
    tx: &mut PgConnection,
    subject: Uuid,
    state: &str,
    failure: Option<&str>,
) -> Result<()> {
    let closed = sqlx::query!(
        r#"update imports set state = $2, failure = $3, finished_at = now()
           where id = $1 and state in ('queued', 'running')
           returning tenant_id as "tenant: TenantId", blob_key"#,
        subject,
        state,
        failure,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(closed) = closed {
        removals::request(tx, closed.tenant, &[closed.blob_key], None).await?;
    }
    Ok(())
}

/// An import as the API shows it.
#[derive(Clone, Debug)]
pub struct Import {
    pub id: ImportId,
    pub collection: String,
    pub name: String,
    pub bytes: i64,
    pub state: String,
    pub failure: Option<String>,
    pub entries: Option<i32>,
    pub created: i64,
    pub replaced: i64,
    pub duplicates: i64,
    pub skipped: i64,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, reach: &Reach, id: ImportId) -> Result<Option<Import>> {
    Ok(sqlx::query_as!(
        Import,
        r#"select import.id as "id: ImportId", collection.name as collection, import.name, bytes, state, failure,
               entries, outcomes.created as "created!", outcomes.replaced as "replaced!",
               outcomes.duplicates as "duplicates!", outcomes.skipped as "skipped!", import.created_at, finished_at
           from imports import
           join collections collection on collection.id = import.collection_id
           cross join lateral (
               select count(*) filter (where outcome = 'created') as created,
                   count(*) filter (where outcome = 'replaced') as replaced,
                   count(*) filter (where outcome = 'duplicate') as duplicates,
                   count(*) filter (where outcome = 'skipped') as skipped
               from import_entries where import_id = import.id
           ) outcomes
           where import.id = $1 and import.tenant_id = $2
             and ($3::uuid[] is null or collection_id = any($3))"#,
        id.0,
        reach.tenant.0,
        reach.collections()
    )
    .fetch_optional(pool)
    .await?)
}

/// What has become of one file.
#[derive(Clone, Debug)]
pub struct ImportedEntry {
    pub ordinal: i32,
    pub name: String,
    pub outcome: String,
    pub document: Option<DocumentId>,
    pub reason: Option<String>,
}

/// Entries of an import in the order of the zip, after `after`.
///
/// # Errors
/// When the database fails.
pub async fn entries(
    pool: &PgPool,
    tenant: TenantId,
    id: ImportId,
    after: i32,
    limit: u32,
) -> Result<Vec<ImportedEntry>> {
    Ok(sqlx::query_as!(
        ImportedEntry,
        r#"select ordinal, name, outcome, document_id as "document: DocumentId", reason
           from import_entries
           where import_id = $1 and tenant_id = $2 and ordinal > $3
           order by ordinal
           limit $4"#,
        id.0,
        tenant.0,
        after,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?)
}
