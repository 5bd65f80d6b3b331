//! How well a model's vectors alone find passages, how fast it is and how much memory it takes.
//!
//! ```text
//! make eval-models MODEL=.dev/models/multilingual-e5-small QUANTIZATION=int8 COLLECTIONS="xquad-es-to-en xquad-de"
//! ```
//!
//! A collection is a folder with `corpus.jsonl.gz`, `queries.jsonl.gz` and `qrels.tsv` in the format of BEIR. Every
//! question is compared with every passage, so that no index has a say. One model per process: memory is the process's.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement's output, and it ends at the first error"
)]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use flate2::read::GzDecoder;
use lectern_worker::models::{EmbedderHandle, ModelSettings, Quantization, Runtime, TokenCounter};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::Deserialize;

#[derive(Parser)]
struct Arguments {
    #[arg(long, env = "LECTERN_MODEL_DIR")]
    model_dir: PathBuf,
    #[arg(long, default_value = "fp32")]
    quantization: Quantization,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long, env = "LECTERN_ONNX_RUNTIME")]
    onnx_runtime: PathBuf,
    /// Where the collections are
    #[arg(long)]
    folder: PathBuf,
    /// Questions of a collection, at the most, evenly taken
    #[arg(long, default_value_t = 500)]
    questions_max: usize,
    collections: Vec<String>,
    /// As cargo calls it.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Deserialize)]
struct Text {
    id: String,
    #[serde(default)]
    title: String,
    text: String,
}

struct Collection {
    passages: Vec<Text>,
    questions: Vec<Text>,
    /// By question, then by passage, how relevant it is.
    relevant: HashMap<String, HashMap<String, f64>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let settings = ModelSettings {
        dir: arguments.model_dir.clone(),
        runtime: Runtime::Ort,
        quantization: arguments.quantization,
        threads: arguments.threads,
        onnx_runtime: arguments.onnx_runtime.clone(),
    };
    let (model, tokens) = EmbedderHandle::spawn_with_tokens(settings, 64)
        .await
        .unwrap();
    println!("{}", model.identity());
    println!("loaded: {}", memory());
    println!("unrelated texts have a mean cosine of {:.3}", floor(&model));
    for name in &arguments.collections {
        let collection = Collection::read(&arguments.folder.join(name), arguments.questions_max);
        measure(name, &collection, &model, &tokens).await;
    }
    println!("at the end: {}", memory());
}

/// The cosine that counts as nothing.
fn floor(model: &EmbedderHandle) -> f32 {
    let (zero, one) = (model.calibrated(0.0), model.calibrated(1.0));
    -zero / (one - zero)
}

async fn measure(
    name: &str,
    collection: &Collection,
    model: &EmbedderHandle,
    tokens: &TokenCounter,
) {
    let texts: Vec<String> = collection.passages.iter().map(Text::whole).collect();
    let count: usize = texts.iter().map(|text| tokens.count(text).unwrap()).sum();
    let began = processor_time();
    let passages = model.embed_passages(texts).await.unwrap();
    let seconds = (processor_time() - began).as_secs_f64();
    let mut ndcg = 0.0;
    for question in &collection.questions {
        let vector = model.embed_question(&question.text).await.unwrap();
        let mut ranked: Vec<(f32, &str)> = passages
            .iter()
            .zip(&collection.passages)
            .map(|(passage, text)| (dot(passage, &vector), text.id.as_str()))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let ids = ranked.iter().map(|(_, id)| *id);
        ndcg += ndcg_at_10(ids, &collection.relevant[&question.id]);
    }
    let questions = collection.questions.len();
    println!(
        "{name}: nDCG@10 {:.4} ({questions} questions, {} passages), {:.0} tokens of passages per second of a \
         processor, {}",
        ndcg / questions as f64,
        passages.len(),
        count as f64 / seconds,
        memory(),
    );
}

impl Text {
    fn whole(&self) -> String {
        format!("{} {}", self.title, self.text).trim().to_owned()
    }
}

impl Collection {
    fn read(folder: &Path, questions_max: usize) -> Self {
        let mut relevant: HashMap<String, HashMap<String, f64>> = HashMap::new();
        let judgments = fs::read_to_string(folder.join("qrels.tsv")).unwrap();
        for line in judgments.lines().skip(1) {
            let mut columns = line.split('\t');
            let mut column = || columns.next().unwrap().to_owned();
            let (question, passage, grade) = (column(), column(), column());
            let grade = grade.parse().unwrap();
            relevant.entry(question).or_default().insert(passage, grade);
        }
        let mut questions = lines(&folder.join("queries.jsonl.gz"));
        questions.retain(|question| relevant.contains_key(&question.id));
        let every = questions.len().div_ceil(questions_max).max(1);
        Self {
            passages: lines(&folder.join("corpus.jsonl.gz")),
            questions: questions.into_iter().step_by(every).collect(),
            relevant,
        }
    }
}

fn lines(path: &Path) -> Vec<Text> {
    BufReader::new(GzDecoder::new(File::open(path).unwrap()))
        .lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// As `trec_eval` computes it: gains are the grades themselves.
fn ndcg_at_10<'a>(ranked: impl Iterator<Item = &'a str>, relevant: &HashMap<String, f64>) -> f64 {
    let discounted = |gains: &mut dyn Iterator<Item = f64>| -> f64 {
        let gains = gains.take(10).zip(2_u8..);
        gains.map(|(gain, at)| gain / f64::from(at).log2()).sum()
    };
    let found = discounted(&mut ranked.map(|id| relevant.get(id).copied().unwrap_or(0.0)));
    let mut best: Vec<f64> = relevant.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    found / discounted(&mut best.into_iter())
}

/// Of all threads of this process.
fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time = |time: TimeVal| {
        Duration::from_secs(time.tv_sec().cast_unsigned())
            + Duration::from_micros(time.tv_usec().cast_unsigned())
    };
    time(usage.user_time()) + time(usage.system_time())
}

fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or_default() / 1024
    };
    format!(
        "{} MiB of memory ({} of its own, {} of files), {} at the peak",
        mib("VmRSS:"),
        mib("RssAnon:"),
        mib("RssFile:"),
        mib("VmHWM:")
    )
}
