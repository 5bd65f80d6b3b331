//! A database and a key prefix of its own for each test, on the real servers.

use std::{process::Command, sync::OnceLock};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sqlx::{Connection, PgConnection, PgPool};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    config::{Quotas, StoreSettings},
    store,
};

/// Where the tests' servers are; `make test` sets it.
#[derive(Parser, Debug)]
struct Servers {
    /// A role that may create databases
    #[arg(long, env = "LECTERN_TEST_DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "LECTERN_TEST_REDIS_URL")]
    redis_url: String,
}

/// Dropped when the test ends, with everything in it.
pub struct Place {
    pub settings: StoreSettings,
    pub pool: PgPool,
    admin_url: String,
    database: String,
    /// Holds the blobs.
    folder: TempDir,
}

impl Place {
    /// A migrated database, copied from a template that the first test makes.
    ///
    /// # Errors
    /// When the servers are not there: start them with `make services`.
    pub async fn new() -> Result<Self> {
        let servers = Servers::try_parse_from(["test"])
            .context("the tests' servers are unknown: use `make test`")?;
        let folder = tempfile::tempdir()?;
        let database = format!("lectern_test_{}", Uuid::now_v7().simple());
        let mut admin = PgConnection::connect(&servers.database_url).await?;
        let template = template(&mut admin, &servers.database_url).await?;
        // A template can't be copied while somebody is connected to it or copies it: take turns.
        sqlx::query("select pg_advisory_lock(7)")
            .execute(&mut admin)
            .await?;
        let statement =
            format!("create database {database} template {template} strategy file_copy");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut admin)
            .await?;
        admin.close().await?;
        let settings = settings(
            in_database(&servers.database_url, &database)?,
            servers.redis_url,
            database.clone(),
            folder.path().to_string_lossy().into_owned(),
        );
        let pool = store::connect(&settings)?;
        Ok(Self {
            settings,
            pool,
            admin_url: servers.database_url,
            database,
            folder,
        })
    }

    /// The environment that a child process needs to work in this place.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LECTERN_DATABASE_URL", self.settings.database_url.clone()),
            ("LECTERN_REDIS_URL", self.settings.redis_url.clone()),
            ("LECTERN_REDIS_PREFIX", self.settings.redis_prefix.clone()),
            ("LECTERN_BLOBS", self.settings.blobs.clone()),
            (
                "LECTERN_WEBHOOK_ALLOW_HTTP",
                self.settings.webhook_allow_http.to_string(),
            ),
            (
                "LECTERN_WEBHOOK_ALLOW_PRIVATE",
                self.settings.webhook_allow_private.to_string(),
            ),
        ]
    }

    /// How many files the blob store holds.
    #[must_use]
    pub fn blob_count(&self) -> usize {
        let mut folders = vec![self.folder.path().to_owned()];
        let mut files = 0;
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    Ok(_) => files += 1,
                    Err(_) => {}
                }
            }
        }
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (url, database) = (self.admin_url.clone(), self.database.clone());
        // A thread of its own, since a runtime can't be entered from within a runtime.
        let dropped = std::thread::spawn(move || -> Result<()> {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(async {
                    let mut admin = PgConnection::connect(&url).await?;
                    let statement = format!("drop database if exists {database} with (force)");
                    sqlx::query(sqlx::AssertSqlSafe(statement))
                        .execute(&mut admin)
                        .await?;
                    Ok(())
                })
        })
        .join();
        if !matches!(dropped, Ok(Ok(()))) {
            tracing::warn!(database = self.database, "test database left behind");
        }
    }
}

/// The defaults, at a place.
#[must_use]
pub fn settings(
    database_url: String,
    redis_url: String,
    redis_prefix: String,
    blobs: String,
) -> StoreSettings {
    StoreSettings {
        database_url,
        database_connections_max: 8,
        redis_url,
        redis_prefix,
        blobs,
        events_ttl_seconds: 300,
        dispatch_max: 1000,
        dispatch_tenant_max: 64,
        queue_tenant_max: 10_000,
        job_attempts_max: 4,
        webhook_allow_http: false,
        webhook_allow_private: false,
        quotas: Quotas::default(),
    }
}

/// A migrated database to copy, named after the migrations so that a changed schema gets a new one.
async fn template(admin: &mut PgConnection, url: &str) -> Result<String> {
    static NAME: OnceLock<String> = OnceLock::new();
    if let Some(name) = NAME.get() {
        return Ok(name.clone());
    }
    let name = format!("lectern_template_{}", store::schema_fingerprint());
    sqlx::query("select pg_advisory_lock(7)")
        .execute(&mut *admin)
        .await?;
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut *admin)
            .await?;
    if !exists {
        let making = format!("{name}_making");
        for statement in [
            format!("drop database if exists {making}"),
            format!("create database {making}"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .execute(&mut *admin)
                .await?;
        }
        let pool = PgPool::connect(&in_database(url, &making)?).await?;
        store::migrate(&pool).await?;
        pool.close().await;
        // Renamed only when it is complete: a killed run leaves no half template behind.
        let statement = format!("alter database {making} rename to {name}");
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut *admin)
            .await?;
    }
    sqlx::query("select pg_advisory_unlock(7)")
        .execute(admin)
        .await?;
    Ok(NAME.get_or_init(|| name).clone())
}

fn in_database(url: &str, database: &str) -> Result<String> {
    let Some((server, _)) = url.rsplit_once('/') else {
        bail!("no database in the URL of the tests' server")
    };
    Ok(format!("{server}/{database}"))
}

/// Kills a process as a crash or the kernel would, with no chance to tidy up.
///
/// # Errors
/// When it can't be killed.
pub fn kill_hard(pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status()?;
    if !status.success() {
        bail!("process {pid} could not be killed");
    }
    Ok(())
}
