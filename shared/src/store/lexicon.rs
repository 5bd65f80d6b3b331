//! The lexicon: postings of every collection in segments, which a BM25 search reads and a job keeps few.
//!
//! What the bytes of the postings mean is the workers' business; here they are moved about. A segment's chunks are
//! numbered from 0, document after document.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::{
    Result,
    documents::ForIngest,
    jobs::{self, Claimed, Enqueued, Limits},
    transaction, transaction_as,
};
use crate::{
    ids::{CollectionId, DocumentId, JobId, TenantId},
    jobs::Kind,
};

/// Postings that are written in one statement.
const ROWS: usize = 5_000;

/// A merge is asked for whenever a collection has another so many segments.
const SEGMENTS_PER_REQUEST: i64 = 8;

/// Documents without postings that are found at a time.
const MISSING: i64 = 100;

/// The postings of one document, or of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSegment {
    pub chunks: i32,
    pub words: i64,
    pub languages: Vec<String>,
    /// Each term once.
    pub postings: Vec<(String, Vec<u8>)>,
}

/// A document's stretch of a segment's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stretch {
    pub segment: i64,
    /// The number of its first chunk.
    pub base: i32,
    pub chunks: i32,
    /// Of all its chunks.
    pub words: i64,
}

/// Writes the postings of the version that is being made, which no search sees before
/// [`super::documents::complete_ingest`]. False: the lease is lost or the document deleted.
///
/// # Errors
/// When the database fails.
pub async fn insert(
    pool: &PgPool,
    job: &Claimed,
    document: &ForIngest,
    segment: &NewSegment,
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    if !jobs::hold(&mut tx, job.id, job.attempt).await? {
        return Ok(false);
    }
    let written = write_own(&mut tx, document.id, document.version, false, segment).await?;
    tx.commit().await?;
    Ok(written)
}

/// A document whose visible version has no postings: one of an earlier release.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    pub document: DocumentId,
    pub version: i32,
}

/// Some of the collection's documents whose visible version has no postings.
///
/// # Errors
/// When the database fails.
pub async fn missing(pool: &PgPool, collection: CollectionId) -> Result<Vec<Missing>> {
    Ok(sqlx::query_as!(
        Missing,
        r#"select id as "document: DocumentId", version
           from documents document
           where collection_id = $1 and version > 0 and chunks > 0
             and not exists (
                 select from segment_documents stretch
                 where stretch.document_id = document.id and stretch.version = document.version and stretch.live
             )
           limit $2"#,
        collection.0,
        MISSING,
    )
    .fetch_all(pool)
    .await?)
}

/// Asks for [`Kind::Lexicon`] in every collection that has documents without postings.
///
/// # Errors
/// When the database fails.
pub async fn request_missing(pool: &PgPool, limits: &Limits) -> Result<Vec<Enqueued>> {
    let collections = sqlx::query_as!(
        Owned,
        r#"select distinct tenant_id as "tenant: TenantId", collection_id as "collection: CollectionId"
           from documents document
           where version > 0 and chunks > 0
             and not exists (
                 select from segment_documents stretch
                 where stretch.document_id = document.id and stretch.version = document.version and stretch.live
             )"#
    )
    .fetch_all(pool)
    .await?;
    request_each(pool, &collections, limits).await
}

/// Asks for [`Kind::Lexicon`] in every collection where words of deleted documents have stayed for so long.
///
/// # Errors
/// When the database fails.
pub async fn request_stale(
    pool: &PgPool,
    older_than: Duration,
    limits: &Limits,
) -> Result<Vec<Enqueued>> {
    let collections = sqlx::query_as!(
        Owned,
        r#"select distinct tenant_id as "tenant: TenantId", collection_id as "collection: CollectionId"
           from segments
           where created_at < now() - make_interval(secs => $1)
             and exists (
                 select from segment_documents stretch
                 where stretch.segment_id = segments.id and stretch.document_id is null
             )"#,
        older_than.as_secs_f64(),
    )
    .fetch_all(pool)
    .await?;
    request_each(pool, &collections, limits).await
}

/// A collection and whose it is.
struct Owned {
    tenant: TenantId,
    collection: CollectionId,
}

async fn request_each(
    pool: &PgPool,
    collections: &[Owned],
    limits: &Limits,
) -> Result<Vec<Enqueued>> {
    let mut enqueued = Vec::new();
    let mut connection = pool.acquire().await?;
    for owned in collections {
        let request = request(&mut connection, owned.tenant, owned.collection, limits);
        enqueued.extend(request.await?);
    }
    Ok(enqueued)
}

/// Asks for the job that keeps a collection's lexicon, in the caller's transaction, unless one waits or runs already.
pub(super) async fn request(
    tx: &mut PgConnection,
    tenant: TenantId,
    collection: CollectionId,
    limits: &Limits,
) -> Result<Option<Enqueued>> {
    let (id, queue) = (JobId::fresh(), Kind::Lexicon.queue());
    let requested = sqlx::query!(
        "insert into jobs (id, tenant_id, kind, queue, subject, max_attempts, dispatched_at)
         values ($1, $2, $3, $4, $5, $6, now())
         on conflict (subject) where kind = 'lexicon' and state in ('queued', 'running') do nothing",
        id.0,
        tenant.0,
        Kind::Lexicon.as_str(),
        queue.as_str(),
        collection.0,
        limits.attempts_max.cast_signed(),
    )
    .execute(tx)
    .await?;
    Ok((requested.rows_affected() == 1).then_some(Enqueued {
        id,
        queue,
        wake: true,
    }))
}

/// [`request`] when the document's collection has so many segments that some should be merged.
pub(super) async fn request_if_many(
    tx: &mut PgConnection,
    document: &ForIngest,
    limits: &Limits,
) -> Result<Option<Enqueued>> {
    let segments = sqlx::query_scalar!(
        r#"select count(*) as "count!" from segments where collection_id = $1"#,
        document.collection.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    if segments % SEGMENTS_PER_REQUEST != 0 {
        return Ok(None);
    }
    request(tx, document.tenant, document.collection, limits).await
}

/// What most chunks of a collection are written in, as ISO 639-1.
///
/// # Errors
/// When the database fails.
pub async fn usual_language(pool: &PgPool, collection: CollectionId) -> Result<Option<String>> {
    Ok(sqlx::query_scalar!(
        "select language from segments, unnest(languages) as language
         where collection_id = $1
         group by language
         order by sum(chunks) desc, language
         limit 1",
        collection.0,
    )
    .fetch_optional(pool)
    .await?
    .flatten())
}

/// A chunk as its words are counted.
#[derive(Clone, Debug)]
pub struct ChunkText {
    pub heading: Option<String>,
    pub text: String,
}

/// The texts of a document's chunks in order.
///
/// # Errors
/// When the database fails.
pub async fn texts(pool: &PgPool, missing: Missing) -> Result<Vec<ChunkText>> {
    Ok(sqlx::query_as!(
        ChunkText,
        "select heading, text from chunks where document_id = $1 and version = $2 order by ordinal",
        missing.document.0,
        missing.version,
    )
    .fetch_all(pool)
    .await?)
}

/// Writes the postings of a visible version. Nothing happens when it has some by now, or isn't visible any more.
///
/// # Errors
/// When the database fails.
pub async fn catch_up(
    pool: &PgPool,
    missing: Missing,
    language: Option<&str>,
    segment: &NewSegment,
) -> Result<()> {
    let mut tx = transaction(pool).await?;
    // The lock keeps the version visible, and a second job from doing the same.
    let visible = sqlx::query_scalar!(
        "update documents set language = $3 where id = $1 and version = $2 returning true",
        missing.document.0,
        missing.version,
        language,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let known = sqlx::query_scalar!(
        "select true from segment_documents where document_id = $1 and version = $2 and live",
        missing.document.0,
        missing.version,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if visible.is_some() && known.is_none() {
        write_own(&mut tx, missing.document, missing.version, true, segment).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// A segment of one document. False: the document is gone.
async fn write_own(
    tx: &mut PgConnection,
    document: DocumentId,
    version: i32,
    live: bool,
    segment: &NewSegment,
) -> Result<bool> {
    let made = sqlx::query!(
        r#"with segment as (
             insert into segments (tenant_id, collection_id, documents, chunks, words, languages)
             select tenant_id, collection_id, 1, $4, $5, $6 from documents where id = $1
             returning id, tenant_id
         )
         insert into segment_documents (segment_id, base, tenant_id, chunks, words, document_id, version, live)
         select segment.id, 0, segment.tenant_id, $4, $5, $1, $2, $3 from segment
         returning segment_id as id, tenant_id as "tenant: TenantId""#,
        document.0,
        version,
        live,
        segment.chunks,
        segment.words,
        &segment.languages,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(made) = made else {
        return Ok(false);
    };
    for rows in segment.postings.chunks(ROWS) {
        write_postings(tx, made.tenant, made.id, rows).await?;
    }
    Ok(true)
}

async fn write_postings(
    connection: &mut PgConnection,
    tenant: TenantId,
    segment: i64,
    rows: &[(String, Vec<u8>)],
) -> Result<()> {
    let (terms, entries): (Vec<&str>, Vec<&[u8]>) = rows
        .iter()
        .map(|(term, entries)| (term.as_str(), entries.as_slice()))
        .unzip();
    sqlx::query!(
        "insert into postings (segment_id, term, tenant_id, entries)
         select $1, posting.term, $2, posting.entries
         from unnest($3::text[], $4::bytea[]) as posting (term, entries)",
        segment,
        tenant.0,
        &terms as &[&str],
        &entries as &[&[u8]],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has searches see the postings of this version of a document and skip those of its others, in the transaction that
/// makes it visible.
pub(super) async fn show(
    tx: &mut PgConnection,
    document: DocumentId,
    version: i32,
    language: Option<&str>,
) -> Result<()> {
    retire(tx, document, Some(version), None).await?;
    sqlx::query!(
        "with shown as (
             update segment_documents set live = true where document_id = $1 and version = $2
         )
         update documents set language = $3 where id = $1",
        document.0,
        version,
        language,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Has searches skip a document's postings, but for those of one version, or of one version and its predecessors.
/// Segments that hold nothing else go at once, the rest when its segment is merged.
pub(super) async fn retire(
    tx: &mut PgConnection,
    document: DocumentId,
    but: Option<i32>,
    but_up_to: Option<i32>,
) -> Result<()> {
    wait_for_merge(tx, document).await?;
    sqlx::query!(
        "with retired as (
             update segment_documents set live = false, document_id = null
             where document_id = $1 and ($2::int is null or version <> $2) and ($3::int is null or version > $3)
             returning segment_id
         )
         delete from segments where documents = 1 and id in (select segment_id from retired)",
        document.0,
        but,
        but_up_to,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Waits until no merge puts a new segment in the place of others, and keeps the next one from it until the transaction
/// ends: it would overlook what is retired meanwhile. Before the document itself is locked for its deletion, since a
/// merge that refers to it waits for that.
pub(super) async fn wait_for_merge(tx: &mut PgConnection, document: DocumentId) -> Result<()> {
    sqlx::query_scalar!(
        "select true from collections
         where id = (select collection_id from documents where id = $1)
         for key share",
        document.0,
    )
    .fetch_optional(tx)
    .await?;
    Ok(())
}

/// A segment as a search needs it.
#[derive(Clone, Debug)]
pub struct Segment {
    pub id: i64,
    pub chunks: i32,
    pub words: i64,
    pub languages: Vec<String>,
}

/// A lexicon as it was at one moment, however long one reads in it.
pub struct Snapshot {
    tx: sqlx::Transaction<'static, sqlx::Postgres>,
    segments: Vec<Segment>,
}

/// A word's postings in one segment.
#[derive(Clone, Debug)]
pub struct Postings {
    pub segment: i64,
    pub term: String,
    pub entries: Vec<u8>,
}

/// A chunk by its place, with what the words of a question make of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    pub document: DocumentId,
    pub version: i32,
    pub ordinal: i32,
    pub score: f32,
}

impl Snapshot {
    /// # Errors
    /// When the database fails.
    pub async fn open(pool: &PgPool, tenant: TenantId, collection: CollectionId) -> Result<Self> {
        let mut tx =
            transaction_as(pool, "begin isolation level repeatable read read only").await?;
        let segments = sqlx::query_as!(
            Segment,
            "select id, chunks, words, languages from segments
             where tenant_id = $1 and collection_id = $2 order by id",
            tenant.0,
            collection.0,
        )
        .fetch_all(&mut *tx)
        .await?;
        Ok(Self { tx, segments })
    }

    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn ids(&self) -> Vec<i64> {
        self.segments.iter().map(|segment| segment.id).collect()
    }

    /// Stretches that no search may see, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hidden(&mut self) -> Result<Vec<Stretch>> {
        let ids = self.ids();
        Ok(sqlx::query_as!(
            Stretch,
            "select segment_id as segment, base, chunks, words from segment_documents
             where segment_id = any($1) and (not live or document_id is null)
             order by segment_id, base",
            &ids,
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// Stretches of the documents whose metadata contain this, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn matching(&mut self, filter: &Value) -> Result<Vec<Stretch>> {
        let ids = self.ids();
        Ok(sqlx::query_as!(
            Stretch,
            "select segment_id as segment, base, stretch.chunks, stretch.words
             from documents document
             join segment_documents stretch on stretch.document_id = document.id
             where document.metadata @> $2 and stretch.segment_id = any($1) and stretch.live
             order by segment_id, base",
            &ids,
            filter,
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// The postings of these terms.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn postings(&mut self, terms: &[String]) -> Result<Vec<Postings>> {
        let ids = self.ids();
        Ok(sqlx::query_as!(
            Postings,
            "select segment_id as segment, term, entries from postings
             where segment_id = any($1) and term = any($2)",
            &ids,
            terms,
        )
        .fetch_all(&mut *self.tx)
        .await?)
    }

    /// Whose chunks these are, given by segment, number and score, in the same order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn matches(&mut self, found: &[(i64, i32, f32)]) -> Result<Vec<Match>> {
        let segments: Vec<i64> = found.iter().map(|found| found.0).collect();
        let numbers: Vec<i32> = found.iter().map(|found| found.1).collect();
        let rows = sqlx::query!(
            r#"select found.place as "place!", document_id as "document!: DocumentId", version,
                   found.number - base as "ordinal!"
               from unnest($1::bigint[], $2::int[]) with ordinality as found (segment, number, place)
               cross join lateral (
                   select document_id, version, base from segment_documents
                   where segment_id = found.segment and base <= found.number
                   order by base desc
                   limit 1
               ) stretch
               where document_id is not null
               order by found.place"#,
            &segments,
            &numbers,
        )
        .fetch_all(&mut *self.tx)
        .await?;
        let matched = rows.into_iter().filter_map(|row| {
            let place = usize::try_from(row.place).ok()?.checked_sub(1)?;
            Some(Match {
                document: row.document,
                version: row.version,
                ordinal: row.ordinal,
                score: found.get(place)?.2,
            })
        });
        Ok(matched.collect())
    }
}

/// A segment that may be merged.
#[derive(Clone, Debug)]
pub struct Mergeable {
    pub id: i64,
    pub chunks: i32,
    pub languages: Vec<String>,
    /// Of these, chunks of documents that are gone.
    pub gone: i64,
    /// Since when the segment is as it is.
    pub age_seconds: f64,
}

/// The collection's segments whose documents are visible or gone: not those that an ingest is about to show.
///
/// # Errors
/// When the database fails.
pub async fn mergeable(pool: &PgPool, collection: CollectionId) -> Result<Vec<Mergeable>> {
    Ok(sqlx::query_as!(
        Mergeable,
        r#"select segment.id, segment.chunks, segment.languages,
               coalesce(sum(stretch.chunks) filter (where stretch.document_id is null), 0) as "gone!",
               extract(epoch from now() - segment.created_at)::float8 as "age_seconds!"
           from segments segment
           join segment_documents stretch on stretch.segment_id = segment.id
           where segment.collection_id = $1
           group by segment.id, segment.tenant_id
           having bool_and(stretch.live or stretch.document_id is null)
           order by segment.chunks, segment.id"#,
        collection.0,
    )
    .fetch_all(pool)
    .await?)
}

/// Segments of one collection on their way to be one.
pub struct Merge {
    /// The new one, which no search sees yet.
    target: i64,
    tenant: TenantId,
    /// With their stretches that lived when the merge began.
    sources: Vec<(i64, Vec<Stretch>)>,
}

impl Merge {
    /// Makes an empty segment of the same collection. `None`: a source is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin(pool: &PgPool, sources: &[i64]) -> Result<Option<Self>> {
        let mut tx = transaction(pool).await?;
        let stretches = sqlx::query_as!(
            Stretch,
            "select segment_id as segment, base, chunks, words from segment_documents
             where segment_id = any($1) and live and document_id is not null
             order by segment_id, base",
            sources,
        )
        .fetch_all(&mut *tx)
        .await?;
        let target = sqlx::query!(
            r#"insert into segments (tenant_id, collection_id, documents, chunks, words, languages)
             select tenant_id, collection_id, 0, 0, 0, '{}' from segments where id = $1
             returning id, tenant_id as "tenant: TenantId""#,
            sources.first(),
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(target) = target else {
            return Ok(None);
        };
        tx.commit().await?;
        let sources = sources
            .iter()
            .map(|&id| {
                let own = stretches.iter().filter(|stretch| stretch.segment == id);
                (id, own.copied().collect())
            })
            .collect();
        Ok(Some(Self {
            target: target.id,
            tenant: target.tenant,
            sources,
        }))
    }

    /// The sources in the order in which their chunks are numbered anew, each with the stretches to keep.
    #[must_use]
    pub fn sources(&self) -> &[(i64, Vec<Stretch>)] {
        &self.sources
    }

    /// Up to `limit` postings of each source after that term, in order of terms; empty: there are no more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn read(
        &self,
        pool: &PgPool,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Vec<Postings>> {
        let ids: Vec<i64> = self.sources.iter().map(|(id, _)| *id).collect();
        Ok(sqlx::query_as!(
            Postings,
            r#"select source.id as "segment!", posting.term, posting.entries
               from unnest($1::bigint[]) as source (id)
               cross join lateral (
                   select term, entries from postings
                   where segment_id = source.id and ($2::text is null or term > $2)
                   order by term
                   limit $3
               ) posting"#,
            &ids,
            after,
            limit,
        )
        .fetch_all(pool)
        .await?)
    }

    /// # Errors
    /// When the database fails.
    pub async fn write(&self, pool: &PgPool, rows: &[(String, Vec<u8>)]) -> Result<()> {
        let mut connection = pool.acquire().await?;
        for rows in rows.chunks(ROWS) {
            write_postings(&mut connection, self.tenant, self.target, rows).await?;
        }
        Ok(())
    }

    /// Puts the new segment in the place of its sources. Documents that have gone since the merge began are skipped in
    /// the new one, too. False: another merge was first, and the new one is dropped.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn finish(self, pool: &PgPool, languages: &[String]) -> Result<bool> {
        let mut tx = transaction(pool).await?;
        let ids: Vec<i64> = self.sources.iter().map(|(id, _)| *id).collect();
        // Whoever shows or retires a document waits from here on: see `wait_for_merge`.
        sqlx::query_scalar!(
            "select true from collections
             where id = (select collection_id from segments where id = $1)
             for update",
            self.target,
        )
        .fetch_optional(&mut *tx)
        .await?;
        let now = sqlx::query!(
            r#"select segment_id, base, chunks, words, document_id as "document: DocumentId", version
               from segment_documents where segment_id = any($1) order by segment_id, base"#,
            &ids,
        )
        .fetch_all(&mut *tx)
        .await?;
        let gone = sqlx::query!("delete from segments where id = any($1)", &ids)
            .execute(&mut *tx)
            .await?;
        if gone.rows_affected() < ids.len() as u64 {
            tx.rollback().await?;
            self.abandon(pool).await?;
            return Ok(false);
        }
        if self
            .sources
            .iter()
            .all(|(_, stretches)| stretches.is_empty())
        {
            sqlx::query!("delete from segments where id = $1", self.target)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            return Ok(true);
        }
        let mut base = 0;
        let mut all_words = 0;
        let mut columns = Columns::default();
        for stretch in self.sources.iter().flat_map(|(_, stretches)| stretches) {
            let row = now
                .iter()
                .find(|row| row.segment_id == stretch.segment && row.base == stretch.base);
            columns.bases.push(base);
            columns.chunks.push(stretch.chunks);
            columns.words.push(stretch.words);
            columns
                .documents
                .push(row.and_then(|row| row.document.map(|id| id.0)));
            columns.versions.push(row.map_or(0, |row| row.version));
            base += stretch.chunks;
            all_words += stretch.words;
        }
        sqlx::query!(
            "insert into segment_documents (segment_id, tenant_id, base, chunks, words, document_id, version, live)
             select $1, $2, base, chunks, words, document_id, version, document_id is not null
             from unnest($3::int[], $4::int[], $5::bigint[], $6::uuid[], $7::int[])
                 as stretch (base, chunks, words, document_id, version)",
            self.target,
            self.tenant.0,
            &columns.bases,
            &columns.chunks,
            &columns.words,
            &columns.documents as &[Option<uuid::Uuid>],
            &columns.versions,
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!(
            "update segments set documents = $2, chunks = $3, words = $4, languages = $5, created_at = now()
             where id = $1",
            self.target,
            i32::try_from(columns.bases.len()).unwrap_or(i32::MAX),
            base,
            all_words,
            languages,
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Drops the new segment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn abandon(self, pool: &PgPool) -> Result<()> {
        sqlx::query!("delete from segments where id = $1", self.target)
            .execute(pool)
            .await?;
        Ok(())
    }
}

#[derive(Default)]
struct Columns {
    bases: Vec<i32>,
    chunks: Vec<i32>,
    words: Vec<i64>,
    documents: Vec<Option<uuid::Uuid>>,
    versions: Vec<i32>,
}

/// Drops what a merge that was killed has left, when no other can be at it.
///
/// # Errors
/// When the database fails.
pub async fn drop_abandoned(pool: &PgPool, collection: CollectionId) -> Result<()> {
    sqlx::query!(
        "delete from segments segment
         where collection_id = $1
           and not exists (select from segment_documents where segment_id = segment.id)",
        collection.0,
    )
    .execute(pool)
    .await?;
    Ok(())
}
