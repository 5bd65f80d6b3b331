//! How well and how fast passages are found: the collections with known answers go in through the product's own import
//! and are asked by `lectern-worker evaluate`, part by part of the search.
//!
//! `make eval` does so for the ten collections in `../shared/eval/retrieval`; README.md here has the results. The
//! database stays, one for each model, so that what was embedded once costs nothing again; `--fresh` drops it.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement's output, and it ends at the first error"
)]

mod judged;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use clap::Parser;
use lectern_shared::{
    ids::DEFAULT_TENANT,
    store::{
        self,
        collections::{self, CollectionSettings},
    },
};
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};

/// All that have a dev part.
const COLLECTIONS: &str = "squad-dev,scifact,cranfield,squad-pdf,xquad-en,xquad-de,xquad-es,xquad-es-to-en,\
                           xquad-es-to-squad-en,xquad-mixed";

#[derive(Parser)]
struct Arguments {
    /// Where the collections are
    #[arg(long)]
    sets: Option<PathBuf>,
    #[arg(long, value_delimiter = ',', default_value = COLLECTIONS)]
    collections: Vec<String>,
    /// As `lectern-worker evaluate` takes them
    #[arg(long, default_value = "words,vectors,fused,reranked")]
    variants: String,
    /// Ask only so many questions of each collection
    #[arg(long)]
    limit: Option<usize>,
    /// Tokens of a chunk, where the default is not meant
    #[arg(long)]
    tokens: Option<u32>,
    /// Read and embed everything anew
    #[arg(long)]
    fresh: bool,
    /// A role that may create databases
    #[arg(long, env = "LECTERN_TEST_DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "LECTERN_TEST_REDIS_URL")]
    redis_url: String,
    #[arg(long, env = "LECTERN_MODEL_DIR")]
    model_dir: PathBuf,
    #[arg(long, env = "LECTERN_MODEL_QUANTIZATION", default_value = "fp32")]
    quantization: String,
    #[arg(long, hide = true)]
    bench: bool,
}

/// Killed when it is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Place {
    database_url: String,
    redis_url: String,
    name: String,
    folder: PathBuf,
    pool: PgPool,
}

impl Place {
    async fn open(arguments: &Arguments) -> Self {
        let model = arguments.model_dir.file_name().unwrap().to_string_lossy();
        let tokens = arguments
            .tokens
            .map_or_else(String::new, |tokens| format!("_{tokens}"));
        let name = format!("lectern_eval_{model}_{}{tokens}", arguments.quantization)
            .to_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let mut admin = PgConnection::connect(&arguments.database_url)
            .await
            .unwrap();
        if arguments.fresh {
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
        let (server, _) = arguments.database_url.rsplit_once('/').unwrap();
        let database_url = format!("{server}/{name}");
        let pool = PgPool::connect(&database_url).await.unwrap();
        store::migrate(&pool).await.unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
        fs::create_dir_all(&folder).unwrap();
        Self {
            database_url,
            redis_url: arguments.redis_url.clone(),
            name,
            folder,
            pool,
        }
    }

    fn lectern(&self, command: &str) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_lectern-worker"));
        program
            .arg(command)
            .env("LECTERN_DATABASE_URL", &self.database_url)
            .env("LECTERN_REDIS_URL", &self.redis_url)
            .env("LECTERN_REDIS_PREFIX", &self.name)
            .env("LECTERN_BLOBS", self.folder.join("blobs"))
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_LOG", "warn,apalis=error");
        program
    }

    async fn import(&self, collection: &str, tokens: Option<u32>, path: &Path) {
        let settings = CollectionSettings {
            chunk_tokens: tokens,
            ..CollectionSettings::default()
        };
        collections::create(&self.pool, DEFAULT_TENANT, collection, &settings)
            .await
            .unwrap();
        let mut import = self.lectern("import");
        import.args(["--collection", collection]).arg(path);
        assert!(import.status().unwrap().success(), "{}", path.display());
    }

    /// Until everything is read and its words are in order.
    async fn work(&self) {
        let worker = Worker(self.lectern("run").spawn().unwrap());
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

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let sets = arguments.sets.clone().unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eval/retrieval")
    });
    if !sets.exists() {
        println!(
            "{} is not there: name the folder of the collections with --sets",
            sets.display()
        );
        return;
    }
    let place = Place::open(&arguments).await;
    for name in &arguments.collections {
        let folder = sets.join(name);
        let files = if folder.join("pdf").exists() {
            folder.join("pdf")
        } else {
            folder.join("corpus.jsonl.gz")
        };
        place.import(name, arguments.tokens, &files).await;
    }
    place.work().await;

    let mut rows: Vec<Value> = Vec::new();
    for (index, name) in arguments.collections.iter().enumerate() {
        let questions = place.folder.join(format!("{name}.jsonl"));
        fs::write(&questions, judged::questions(&sets.join(name))).unwrap();
        let json = place.folder.join(format!("{name}.json"));
        let mut evaluate = place.lectern("evaluate");
        evaluate
            .args(["--collection", name, "--variants", &arguments.variants])
            .arg("--set")
            .arg(&questions)
            .arg("--json")
            .arg(&json);
        if let Some(limit) = arguments.limit {
            evaluate.args(["--limit", &limit.to_string()]);
        }
        let output = evaluate.output().unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let table = String::from_utf8(output.stdout).unwrap();
        let head = if index == 0 { 0 } else { 2 };
        for line in table.lines().skip(head) {
            println!("{line}");
        }
        let measured: Vec<Value> = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        rows.extend(measured);
    }
    let all = place.folder.join("eval.json");
    fs::write(&all, serde_json::to_vec_pretty(&rows).unwrap()).unwrap();
    println!("\nas JSON: {}", all.display());
}
