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
#[path = "../kept/mod.rs"]
mod kept;

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Parser;
use serde_json::Value;

use self::kept::{Kept, Place};

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
    let kept = Kept {
        purpose: "eval",
        database_url: &arguments.database_url,
        redis_url: &arguments.redis_url,
        model_dir: &arguments.model_dir,
        quantization: &arguments.quantization,
        tokens: arguments.tokens,
    };
    let place = Place::open(&kept, arguments.fresh).await;
    for name in &arguments.collections {
        let folder = sets.join(name);
        let files = if folder.join("pdf").exists() {
            folder.join("pdf")
        } else {
            folder.join("corpus.jsonl.gz")
        };
        place.make_collection(name).await;
        place.import(name, None, &files);
    }
    place.work(place.lectern("run")).await;

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
