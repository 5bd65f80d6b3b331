//! The HNSW index over the vectors: built by a job of its own, concurrently, one build at a time.

use sqlx::{Connection, PgConnection, PgPool, pool::PoolConnection};
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    Result,
    jobs::{Enqueued, Limits},
    versions,
};
use crate::{
    ids::{DEFAULT_TENANT, JobId},
    jobs::Kind,
};

/// Any number will do, as long as nobody else uses it.
const BUILD_LOCK: i64 = 0x4c45_4354_4852_4e31;

/// Asks for a build in the caller's transaction, unless one waits or runs already.
pub(super) async fn request(tx: &mut PgConnection, limits: &Limits) -> Result<Option<Enqueued>> {
    let (id, queue) = (JobId::fresh(), Kind::Index.queue());
    let requested = sqlx::query!(
        "insert into jobs (id, tenant_id, kind, queue, subject, max_attempts, dispatched_at)
         values ($1, $2, $3, $4, $5, $6, now())
         on conflict (kind) where kind = 'index' and state in ('queued', 'running') do nothing",
        id.0,
        DEFAULT_TENANT.0,
        Kind::Index.as_str(),
        queue.as_str(),
        // It is about all documents.
        Uuid::nil(),
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

/// Whether there is a complete, valid index.
///
/// # Errors
/// When the database fails.
pub async fn is_valid(pool: &PgPool) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from pg_index where indexrelid = to_regclass('chunks_embedding_hnsw') and indisvalid
           ) as "exists!""#
    )
    .fetch_one(pool)
    .await?)
}

/// Whether a build that failed has left its remains.
///
/// # Errors
/// When the database fails.
pub async fn is_invalid(pool: &PgPool) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from pg_index where indexrelid = to_regclass('chunks_embedding_hnsw') and not indisvalid
           ) as "exists!""#
    )
    .fetch_one(pool)
    .await?)
}

/// Asks for a build, unless one waits or runs already: then false.
///
/// # Errors
/// When the database fails.
pub async fn ask(pool: &PgPool, limits: &Limits) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    Ok(request(&mut connection, limits).await?.is_some())
}

/// Whether a build waits or runs.
///
/// # Errors
/// When the database fails.
pub async fn is_requested(pool: &PgPool) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from jobs where kind = 'index' and state in ('queued', 'running')
           ) as "exists!""#
    )
    .fetch_one(pool)
    .await?)
}

/// What a build has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Built,
    /// There was a valid one.
    NotNeeded,
    /// Another worker is at it.
    Busy,
}

/// Builds the index unless there is a valid one. Searches and inserts go on meanwhile; a failed build's remains are
/// dropped first.
///
/// # Errors
/// When the database fails.
pub async fn build(pool: &PgPool, memory_mib: u32) -> Result<Build> {
    build_over("embedding", pool, memory_mib).await
}

/// The same over the vectors of a model that is not active yet.
pub(super) async fn build_next(pool: &PgPool, memory_mib: u32) -> Result<Build> {
    build_over("embedding_next", pool, memory_mib).await
}

async fn build_over(column: &'static str, pool: &PgPool, memory_mib: u32) -> Result<Build> {
    // A connection of its own, closed at the end: the settings and the lock die with it even if this future is
    // dropped halfway.
    let mut connection = PoolConnection::detach(pool.acquire().await?);
    let locked = sqlx::query_scalar!(
        r#"select pg_try_advisory_lock($1) as "locked!""#,
        BUILD_LOCK
    )
    .fetch_one(&mut connection)
    .await?;
    if !locked {
        return Ok(Build::Busy);
    }
    let built = build_locked(column, &mut connection, pool, memory_mib).await;
    // Closing ends the session in PostgreSQL's own time, and whoever asks next would find it busy.
    if built.is_ok() {
        sqlx::query_scalar!(r#"select pg_advisory_unlock($1) as "freed!""#, BUILD_LOCK)
            .fetch_one(&mut connection)
            .await?;
    }
    connection.close().await?;
    built
}

async fn build_locked(
    column: &str,
    connection: &mut PgConnection,
    pool: &PgPool,
    memory_mib: u32,
) -> Result<Build> {
    let name = format!("chunks_{column}_hnsw");
    let is_valid = sqlx::query_scalar!(
        r#"select exists (
               select from pg_index where indexrelid = to_regclass($1) and indisvalid
           ) as "exists!""#,
        name
    )
    .fetch_one(&mut *connection)
    .await?;
    if is_valid {
        return Ok(Build::NotNeeded);
    }
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "drop index concurrently if exists {name}"
    )))
    .execute(&mut *connection)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "set maintenance_work_mem = '{memory_mib}MB'"
    )))
    .execute(&mut *connection)
    .await?;
    let pgvector = versions(pool).await?.pgvector;
    if !is_at_least(&pgvector, [0, 8, 2]) {
        // Earlier ones overflow a buffer when they build in parallel.
        warn!(
            pgvector,
            "pgvector is older than 0.8.2: the index is built by one process"
        );
        sqlx::query("set max_parallel_maintenance_workers = 0")
            .execute(&mut *connection)
            .await?;
    }
    info!("building the vector index");
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "create index concurrently {name} on chunks using hnsw ({column} halfvec_cosine_ops)"
    )))
    .execute(connection)
    .await?;
    Ok(Build::Built)
}

/// Compares dotted version numbers. Whatever can't be read counts as old.
#[must_use]
pub fn is_at_least(version: &str, wanted: [u32; 3]) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let found: [u32; 3] = std::array::from_fn(|_| parts.next().unwrap_or(0));
    found >= wanted
}

#[cfg(test)]
mod tests {
    use super::is_at_least;

    #[test]
    fn versions_compare_by_number() {
        assert!(is_at_least("0.8.10", [0, 8, 4]));
        assert!(is_at_least("0.8.4", [0, 8, 4]));
        assert!(!is_at_least("0.8.0", [0, 8, 2]));
        assert!(!is_at_least("unknown", [0, 8, 2]));
    }
}
