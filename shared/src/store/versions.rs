//! Versions: what becomes of a file that was uploaded.
//!
//! The same content again is the same document, the same name with other content a new version of it. Which version
//! searches see changes in [`super::documents::complete_ingest`].

use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::{
    Result,
    documents::Password,
    jobs::{self, Enqueued, Limits, NewJob},
    quotas::{self, Quota},
    reach::Reach,
    removals, transaction,
};
use crate::{
    ids::{CollectionId, DocumentId, JobId, TenantId},
    jobs::Kind,
};

/// A file in the blob store that is to be read.
#[derive(Clone, Debug)]
pub struct NewFile<'a> {
    pub tenant: TenantId,
    pub media_type: &'a str,
    pub bytes: i64,
    pub sha256: &'a [u8],
    pub blob_key: &'a str,
}

/// What people say of a document; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub title: Option<String>,
    pub source_url: Option<String>,
    /// A JSON object.
    pub metadata: Option<Value>,
    /// What opens the file.
    pub password: Option<Password>,
}

/// Where a file belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub collection: CollectionId,
    pub name: &'a str,
    /// A document of its own, whatever is there already.
    pub force: bool,
}

/// The document that a file is to be the newest version of, whatever its name.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub reach: &'a Reach,
    pub document: DocumentId,
    /// Read it again although it is the same.
    pub force: bool,
}

/// What has become of a file.
#[derive(Clone, Debug)]
pub enum Added {
    /// It is this document's newest version already, and its file is not needed.
    Duplicate(DocumentId),
    Made(Made),
}

/// A version that is to be read.
#[derive(Clone, Debug)]
pub struct Made {
    pub document: DocumentId,
    pub version: i32,
    pub job: Enqueued,
    /// Ingests of the version before it, that some worker still works on without being able to write any more.
    pub superseded: Vec<JobId>,
}

impl Made {
    /// `created` or `replaced`.
    #[must_use]
    pub fn outcome(&self) -> &'static str {
        if self.version == 1 {
            "created"
        } else {
            "replaced"
        }
    }
}

/// Makes a document of the file, or a new version of one, with the job to ingest it, in one transaction.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn add(
    pool: &PgPool,
    place: &Place<'_>,
    file: &NewFile<'_>,
    facts: &Facts,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Added> {
    let mut tx = transaction(pool).await?;
    let added = add_in(&mut tx, place, file, facts, request_id, limits).await?;
    tx.commit().await?;
    Ok(added)
}

/// [`add`] in the caller's transaction.
pub(super) async fn add_in(
    tx: &mut PgConnection,
    place: &Place<'_>,
    file: &NewFile<'_>,
    facts: &Facts,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Added> {
    // Of two equal uploads at one moment the second waits here, and then sees the first.
    sqlx::query_scalar!(
        "select true from collections where id = $1 for no key update",
        place.collection.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let known = if place.force {
        None
    } else {
        match twin(tx, place, file).await? {
            Some(Twin { id, usable: true }) => return Ok(Added::Duplicate(id)),
            // "Upload it again", it was told: the file may be what is missing.
            Some(Twin { id, usable: false }) => Some(id),
            None => namesake(tx, place, file).await?,
        }
    };
    if let Some(id) = known
        && let Some(made) = make(tx, id, Some(file), facts, request_id, limits).await?
    {
        count(tx, file, limits).await?;
        return Ok(Added::Made(made));
    }
    let id = DocumentId::fresh();
    sqlx::query!(
        "insert into documents (id, tenant_id, collection_id, name, title, title_given, source_url, metadata, password)
         values ($1, $2, $3, $4, $5, $5::text is not null, $6, coalesce($7::jsonb, '{}'), $8)",
        id.0,
        file.tenant.0,
        place.collection.0,
        place.name,
        facts.title,
        facts.source_url,
        facts.metadata,
        facts.password.as_ref().map(Password::reveal),
    )
    .execute(&mut *tx)
    .await?;
    let version = 1;
    insert(tx, id, version, file).await?;
    let job = enqueue(tx, file.tenant, id, request_id, limits).await?;
    count(tx, file, limits).await?;
    Ok(Added::Made(Made {
        document: id,
        version,
        job,
        superseded: Vec::new(),
    }))
}

/// A document of the same content.
struct Twin {
    id: DocumentId,
    /// It was read, or is to be.
    usable: bool,
}

async fn twin(
    tx: &mut PgConnection,
    place: &Place<'_>,
    file: &NewFile<'_>,
) -> Result<Option<Twin>> {
    Ok(sqlx::query_as!(
        Twin,
        r#"select document.id as "id: DocumentId", document.state not in ('failed', 'cancelled') as "usable!"
           from versions version
           join documents document on document.id = version.document_id and document.wanted = version.number
           where version.tenant_id = $1 and version.sha256 = $2 and document.collection_id = $3
           order by document.state in ('failed', 'cancelled'), document.name <> $4, document.id
           limit 1"#,
        file.tenant.0,
        file.sha256,
        place.collection.0,
        place.name,
    )
    .fetch_optional(tx)
    .await?)
}

/// The newest document of the same name.
async fn namesake(
    tx: &mut PgConnection,
    place: &Place<'_>,
    file: &NewFile<'_>,
) -> Result<Option<DocumentId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: DocumentId" from documents
           where tenant_id = $1 and collection_id = $2 and name = $3
           order by id desc
           limit 1"#,
        file.tenant.0,
        place.collection.0,
        place.name,
    )
    .fetch_optional(tx)
    .await?)
}

/// Makes the file the newest version of that document, whatever its name is. `None`: there is no such document.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn replace(
    pool: &PgPool,
    target: Target<'_>,
    file: &NewFile<'_>,
    facts: &Facts,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Option<Added>> {
    let Target {
        reach,
        document,
        force,
    } = target;
    let mut tx = transaction(pool).await?;
    if !lock_collection_of(&mut tx, reach, document).await? {
        return Ok(None);
    }
    let same = sqlx::query_scalar!(
        r#"select true as "same!"
           from versions version
           join documents document on document.id = version.document_id and document.wanted = version.number
           where document.id = $1 and version.sha256 = $2 and document.state not in ('failed', 'cancelled')"#,
        document.0,
        file.sha256,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if same.is_some() && !force {
        return Ok(Some(Added::Duplicate(document)));
    }
    let made = make(&mut tx, document, Some(file), facts, request_id, limits).await?;
    if made.is_some() {
        count(&mut tx, file, limits).await?;
    }
    tx.commit().await?;
    Ok(made.map(Added::Made))
}

/// Reads the newest file again, as a version of its own, so that searches see the old one until it is done.
/// `None`: there is no such document.
///
/// # Errors
/// When the tenant's queue is full or the database fails.
pub async fn reingest(
    pool: &PgPool,
    reach: &Reach,
    document: DocumentId,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Option<Made>> {
    let mut tx = transaction(pool).await?;
    if !lock_collection_of(&mut tx, reach, document).await? {
        return Ok(None);
    }
    let facts = Facts::default();
    let made = make(&mut tx, document, None, &facts, request_id, limits).await?;
    tx.commit().await?;
    Ok(made)
}

/// Whoever enqueues an ingest has this lock, so that a document never has two. False: there is no such document.
pub(super) async fn lock_collection_of(
    tx: &mut PgConnection,
    reach: &Reach,
    document: DocumentId,
) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select true as "locked!" from collections
           where id = (select collection_id from documents where id = $1 and tenant_id = $2)
             and ($3::uuid[] is null or id = any($3))
           for no key update"#,
        document.0,
        reach.tenant.0,
        reach.collections(),
    )
    .fetch_optional(tx)
    .await?
    .is_some())
}

/// Makes the next version of a document: of the file, or of its newest one again. `None`: it is gone.
async fn make(
    tx: &mut PgConnection,
    document: DocumentId,
    file: Option<&NewFile<'_>>,
    facts: &Facts,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Option<Made>> {
    // Jobs before documents, as everywhere: an ingest that runs locks them in this order, too.
    // A worker that still has the old one finds its lease lost, and so can neither write nor end the document.
    let superseded = sqlx::query_scalar!(
        r#"with running as (
               select id from jobs where subject = $1 and kind = 'ingest' and state = 'running'
           ), stopped as (
               update jobs
               set state = 'cancelled', cancel_requested = true, finished_at = now(), lease_owner = null,
                   lease_until = null
               where subject = $1 and kind = 'ingest' and state in ('queued', 'running')
               returning id
           )
           select id as "id!: JobId" from stopped where id in (select id from running)"#,
        document.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    let Some(row) = sqlx::query!(
        r#"update documents
           set wanted = wanted + 1, state = 'queued', failure = null, updated_at = now(),
               title = coalesce($2, title), title_given = title_given or $2::text is not null,
               source_url = coalesce($3, source_url), metadata = coalesce($4, metadata),
               password = coalesce($5, password)
           where id = $1
           returning wanted, tenant_id as "tenant: TenantId""#,
        document.0,
        facts.title,
        facts.source_url,
        facts.metadata,
        facts.password.as_ref().map(Password::reveal),
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(None);
    };
    if let Some(file) = file {
        insert(tx, document, row.wanted, file).await?;
    } else {
        sqlx::query!(
            "insert into versions (document_id, number, tenant_id, sha256, bytes, media_type, blob_key)
             select document_id, $2, tenant_id, sha256, bytes, media_type, blob_key
             from versions where document_id = $1 and number = $2 - 1",
            document.0,
            row.wanted,
        )
        .execute(&mut *tx)
        .await?;
    }
    drop_others(tx, document, row.tenant, request_id).await?;
    // Its dead letter, if it was one, has been looked at.
    sqlx::query!(
        "update jobs set state = 'failed' where subject = $1 and state = 'dead'",
        document.0
    )
    .execute(&mut *tx)
    .await?;
    let job = enqueue(tx, row.tenant, document, request_id, limits).await?;
    Ok(Some(Made {
        document,
        version: row.wanted,
        job,
        superseded,
    }))
}

/// Towards the tenant's quotas. Reading a file anew is not counted: it was when it came.
async fn count(tx: &mut PgConnection, file: &NewFile<'_>, limits: &Limits) -> Result<()> {
    let amounts = [(Quota::Documents, 1), (Quota::Bytes, file.bytes)];
    quotas::take(tx, file.tenant, &amounts, &limits.quotas).await
}

async fn insert(
    tx: &mut PgConnection,
    document: DocumentId,
    number: i32,
    file: &NewFile<'_>,
) -> Result<()> {
    sqlx::query!(
        "insert into versions (document_id, number, tenant_id, sha256, bytes, media_type, blob_key)
         values ($1, $2, $3, $4, $5, $6, $7)",
        document.0,
        number,
        file.tenant.0,
        file.sha256,
        file.bytes,
        file.media_type,
        file.blob_key,
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn enqueue(
    tx: &mut PgConnection,
    tenant: TenantId,
    document: DocumentId,
    request_id: Option<&str>,
    limits: &Limits,
) -> Result<Enqueued> {
    let job = NewJob {
        tenant,
        kind: Kind::Ingest,
        subject: document.0,
        request_id,
    };
    jobs::enqueue(tx, &job, limits).await
}

/// Drops the versions that are neither visible nor wanted, and has their files deleted.
pub(super) async fn drop_others(
    tx: &mut PgConnection,
    document: DocumentId,
    tenant: TenantId,
    request_id: Option<&str>,
) -> Result<()> {
    let files = sqlx::query_scalar!(
        r#"with gone as (
               delete from versions version using documents document
               where document.id = $1 and version.document_id = $1
                 and version.number not in (document.version, document.wanted)
               returning version.blob_key
           )
           -- What stays may be the same file, read anew. This statement sees the rows as they were before it.
           select distinct blob_key as "blob_key!" from gone
           where blob_key not in (
               select kept.blob_key
               from versions kept
               join documents document on document.id = kept.document_id
               where document.id = $1 and kept.number in (document.version, document.wanted)
           )"#,
        document.0,
    )
    .fetch_all(&mut *tx)
    .await?;
    removals::request(tx, tenant, &files, request_id).await
}
