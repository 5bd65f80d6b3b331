//! How fast questions find their sources in a large collection, and how many of the nearest passages the index finds.
//!
//! `make bench-search` loads the 250,000 chunks of `../shared/load` through the product's own import, which takes more
//! than an hour the first time, and asks; README.md here has the results. The database stays.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement's output, and it ends at the first error"
)]

#[path = "../kept/mod.rs"]
mod kept;
#[path = "../kept/served.rs"]
mod served;

mod askers;
mod corpus;
mod percentiles;
mod questions;
mod recall;

use std::path::{Path, PathBuf};

use clap::Parser;
use lectern_worker::{
    config::{EmbeddingSettings, SearchSettings},
    models,
};

use self::kept::{Kept, Place};

#[derive(Parser)]
struct Arguments {
    /// Where the shards are
    #[arg(long)]
    shards: Option<PathBuf>,
    /// Ask of what is in the database already
    #[arg(long)]
    as_it_is: bool,
    /// Questions that are asked, of each number of askers
    #[arg(long, default_value_t = 300)]
    questions: usize,
    #[arg(long, value_delimiter = ',', default_value = "1,8,32")]
    askers: Vec<usize>,
    /// Tokens of a chunk
    #[arg(long, default_value_t = 256)]
    tokens: u32,
    /// A role that may create databases
    #[arg(long, env = "LECTERN_TEST_DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "LECTERN_TEST_REDIS_URL")]
    redis_url: String,
    #[command(flatten)]
    embedding: EmbeddingSettings,
    #[command(flatten)]
    search: SearchSettings,
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let shards = arguments
        .shards
        .clone()
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/load"));
    let kept = Kept {
        purpose: "load",
        database_url: &arguments.database_url,
        redis_url: &arguments.redis_url,
        model_dir: &arguments.embedding.model_dir,
        quantization: &arguments.embedding.model_quantization.to_string(),
        tokens: Some(arguments.tokens),
    };
    let place = Place::open(&kept, false).await;
    if !arguments.as_it_is {
        if !shards.exists() {
            println!(
                "{} is not there: name the folder of the corpus with --shards",
                shards.display()
            );
            return;
        }
        corpus::import(&place, &shards).await;
        place.work(place.lectern("run")).await;
    }
    let passages: i64 = sqlx::query_scalar("select count(*) from chunks")
        .fetch_one(&place.pool)
        .await
        .unwrap();
    println!("{passages} passages\n");

    let count = arguments.questions;
    // Each is asked but once, since even the database's pages that one has read help the next.
    let all = questions::from_passages(&place.pool, count * (arguments.askers.len() + 1)).await;
    let mut sets = all.chunks(count);

    let mut model = models::load(&arguments.embedding.model()).unwrap();
    let first = sets.next().unwrap();
    recall::measure(&place.pool, &arguments.search, model.as_mut(), first).await;
    drop(model);

    let running = served::api(&place).await;
    let url = format!("http://{}", running.address);
    let mut worker = place.lectern("run");
    // Only what is computed is measured.
    worker.env("LECTERN_CACHE", "false");
    let _worker = Place::start(worker);
    askers::warm_up(&url, &first[..first.len().min(20)]).await;
    askers::head();
    let mut stages = vec![askers::stages_head()];
    for (&number, questions) in arguments.askers.iter().zip(sets) {
        stages.push(askers::ask(&url, number, questions).await);
    }
    println!("\n{}", stages.join("\n"));
}
