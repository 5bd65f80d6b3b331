//! PostgreSQL: the truth. The only place with SQL; one function per question that we ask the database.

pub mod cache;
pub mod chunks;
pub mod collections;
pub mod conversations;
pub mod doctor;
pub mod documents;
pub mod embeddings;
pub mod faqs;
pub mod feedback;
pub mod idempotency;
pub mod imports;
pub mod index;
pub mod jobs;
pub mod keys;
pub mod lexicon;
pub mod listing;
pub mod lookups;
pub mod models;
pub mod operations;
pub mod pages;
pub mod questions;
pub mod quotas;
pub mod reach;
pub mod reindex;
pub mod removals;
pub mod retries;
pub mod search;
pub mod tenants;
pub mod token_vectors;
pub mod unanswered;
pub mod versions;
pub mod webhooks;
pub mod work;
pub mod workers;

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool, Postgres, SqlSafeStr, SqlStr, Transaction,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::config::StoreSettings;

/// A connection that has lived so short a while ago is taken to live.
const TRUSTED: Duration = Duration::from_secs(1);

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Everything that the store can't do for its caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The same, of a statement that several have waited for.
    #[error("the database failed")]
    SharedDatabase(#[source] Arc<sqlx::Error>),
    #[error("migration failed")]
    Migration(#[from] sqlx::migrate::MigrateError),
    #[error("the tenant's queue is full")]
    QueueFull,
    #[error("the quota of {} per {} is used up", .0.quota, .0.period)]
    QuotaExceeded(quotas::Exceeded),
    #[error("the conversation has as many turns as it may have")]
    ConversationFull,
    #[error("unreadable row: {0}")]
    Unreadable(String),
    /// A worker's model is not the one that the vectors were made with.
    #[error("{0}")]
    ModelMismatch(String),
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// Opens the pool. Connections are made when they are needed, so that a process starts without waiting for others.
///
/// # Errors
/// When the URL doesn't parse.
pub fn connect(settings: &StoreSettings) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(&settings.database_url)?
        .application_name("lectern")
        // Filtered searches on the vector index go on until they have enough; in strict order, so that ranks hold.
        .options([("hnsw.iterative_scan", "strict_order")])
        .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(1));
    Ok(PgPoolOptions::new()
        .max_connections(settings.database_connections_max)
        .acquire_timeout(Duration::from_secs(5))
        // sqlx asks a connection whether it lives when it is given back, and again when it is taken: under load the second
        // time is a third of all round trips, and tells nothing new.
        .test_before_acquire(false)
        .before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for >= TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options))
}

/// Begins a transaction that is rolled back unless it is committed, whenever its caller is dropped.
///
/// [`PgPool::begin`] is not that safe: sqlx counts the transaction when the server has answered to BEGIN. A caller that
/// is dropped before (its client has gone, its job is cancelled) gives the connection back with a transaction that
/// nobody ends, and what others write through that connection is lost (<https://github.com/launchbadge/sqlx/issues/4393>,
/// in 0.9.0). Here the answer is awaited by a task of its own.
///
/// # Errors
/// When no connection is to be had in time, or the database fails.
pub async fn transaction(pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
    begin(pool, None).await
}

/// [`transaction`], by a statement that says what kind of transaction it is.
///
/// # Errors
/// As those of [`transaction`].
pub async fn transaction_as(
    pool: &PgPool,
    statement: impl SqlSafeStr,
) -> Result<Transaction<'static, Postgres>> {
    begin(pool, Some(statement.into_sql_str())).await
}

async fn begin(pool: &PgPool, statement: Option<SqlStr>) -> Result<Transaction<'static, Postgres>> {
    let connection = pool.acquire().await?;
    let begun = tokio::spawn(Transaction::begin(connection, statement)).await;
    // The task isn't aborted by anybody, so it has panicked, or the runtime ends.
    Ok(begun.map_err(|_| sqlx::Error::WorkerCrashed)??)
}

/// Brings the schema up to date. Replicas that start at once take turns: sqlx holds an advisory lock meanwhile.
///
/// # Errors
/// When a migration fails, or one that was applied has changed since.
pub async fn migrate(pool: &PgPool) -> Result<()> {
    Ok(MIGRATOR.run(pool).await?)
}

/// Whether every migration of this release is applied. False, too, while the database can't be reached.
pub async fn is_migrated(pool: &PgPool) -> bool {
    let newest = MIGRATOR
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default();
    // Unchecked: the table is sqlx's own and may not exist yet.
    sqlx::query_scalar::<_, bool>(
        "select exists (select from _sqlx_migrations where version >= $1 and success)",
    )
    .bind(newest)
    .fetch_one(pool)
    .await
    .unwrap_or(false)
}

/// Versions of the database and of pgvector.
#[derive(Clone, Debug)]
pub struct Versions {
    pub postgres: String,
    pub pgvector: String,
}

/// # Errors
/// When the database can't be reached, or has no pgvector.
pub async fn versions(pool: &PgPool) -> Result<Versions> {
    let row = sqlx::query!(
        r#"select current_setting('server_version') as "postgres!", extversion as pgvector
           from pg_extension where extname = 'vector'"#
    )
    .fetch_one(pool)
    .await?;
    Ok(Versions {
        postgres: row.postgres,
        pgvector: row.pgvector,
    })
}

/// Differs whenever the migrations do.
#[cfg(feature = "testing")]
pub(crate) fn schema_fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for migration in MIGRATOR.iter() {
        digest.update(&migration.checksum);
    }
    digest.finalize()[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
