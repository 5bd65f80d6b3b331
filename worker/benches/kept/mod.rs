//! A database that stays between runs of a benchmark, so that what was read and embedded once costs nothing again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use lectern_shared::{
    ids::DEFAULT_TENANT,
    store::{
        self,
        collections::{self, CollectionSettings},
    },
};
use sqlx::{Connection, PgConnection, PgPool};

/// Where it is, and what its vectors are made by.
pub(crate) struct Kept<'a> {
    /// Begins the database's name.
    pub(crate) purpose: &'a str,
    /// A role that may create databases.
    pub(crate) database_url: &'a str,
    pub(crate) redis_url: &'a str,
    pub(crate) model_dir: &'a Path,
    pub(crate) quantization: &'a str,
    /// Tokens of a chunk, where the default is not meant.
    pub(crate) tokens: Option<u32>,
}

pub(crate) struct Place {
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    pub(crate) name: String,
    /// For whatever belongs to it, the blobs among it.
    pub(crate) folder: PathBuf,
    pub(crate) pool: PgPool,
    tokens: Option<u32>,
}

/// A worker's process; killed when it is dropped.
pub(crate) struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Place {
    /// Empty at first, or with `fresh`.
    pub(crate) async fn open(kept: &Kept<'_>, fresh: bool) -> Self {
        let model = kept.model_dir.file_name().unwrap().to_string_lossy();
        let tokens = kept
            .tokens
            .map_or_else(String::new, |tokens| format!("_{tokens}"));
        let name = format!(
            "lectern_{}_{model}_{}{tokens}",
            kept.purpose, kept.quantization
        )
        .to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let mut admin = PgConnection::connect(kept.database_url).await.unwrap();
        if fresh {
            run(&mut admin, format!("drop database if exists {name}")).await;
        }
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(&name)
                .fetch_one(&mut admin)
                .await
                .unwrap();
        if !exists {
            run(&mut admin, format!("create database {name}")).await;
        }
        let (server, _) = kept.database_url.rsplit_once('/').unwrap();
        let database_url = format!("{server}/{name}");
        let pool = PgPool::connect(&database_url).await.unwrap();
        store::migrate(&pool).await.unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(&folder).unwrap();
        Self {
            database_url,
            redis_url: kept.redis_url.to_owned(),
            name,
            folder,
            pool,
            tokens: kept.tokens,
        }
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.folder.join("blobs")
    }

    /// The worker's program, at work here.
    pub(crate) fn lectern(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_lectern-worker"));
        program
            .arg(command)
            .env("LECTERN_DATABASE_URL", &self.database_url)
            .env("LECTERN_REDIS_URL", &self.redis_url)
            .env("LECTERN_REDIS_PREFIX", &self.name)
            .env("LECTERN_BLOBS", self.blobs())
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_LOG", "warn,apalis=error");
        program
    }

    pub(crate) async fn make_collection(&self, name: &str) {
        let settings = CollectionSettings {
            chunk_tokens: self.tokens,
            ..CollectionSettings::default()
        };
        collections::create(&self.pool, DEFAULT_TENANT, name, &settings)
            .await
            .unwrap();
    }

    /// What is there already isn't read again.
    pub(crate) fn import(&self, collection: &str, metadata: Option<&str>, path: &Path) {
        let mut import = self.lectern("import");
        import.args(["--collection", collection]);
        if let Some(metadata) = metadata {
            import.args(["--metadata", metadata]);
        }
        assert!(
            import.arg(path).status().unwrap().success(),
            "{}",
            path.display()
        );
    }

    pub(crate) fn start(mut worker: Command) -> Worker {
        Worker(worker.spawn().unwrap())
    }

    /// Until everything is read, its words are in order and its vectors are indexed.
    pub(crate) async fn work(&self, worker: Command) {
        let worker = Self::start(worker);
        let began = Instant::now();
        loop {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from jobs where state in ('queued', 'running')",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap();
            if waiting == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        drop(worker);
        let failed: Vec<String> =
            sqlx::query_scalar("select name from documents where state <> 'ready'")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        assert!(failed.is_empty(), "not ready: {failed:?}");
        sqlx::query("analyze").execute(&self.pool).await.unwrap();
        println!(
            "read and embedded in {:.0} s\n",
            began.elapsed().as_secs_f64()
        );
    }
}

async fn run(connection: &mut PgConnection, statement: String) {
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(connection)
        .await
        .unwrap();
}
