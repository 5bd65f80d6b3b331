//! How fast documents become searchable, and what that takes, through the product's own path.
//!
//! `make bench-ingest` reads the PDFs in `../shared/eval/pdf` where they are, else those of the tests.
//! `FOLDER=…` names another folder, whose files of all formats are read, and `WORKERS=…` a number of workers that share
//! the queue, and the cores: each has its part of the model's threads.
//! Prints pages, chunks, tokens and seconds; processor time per page by stage: the model, everything else in the
//! workers, and the parsers; peak memory of the largest worker, of the largest parser process, and of the API with the
//! benchmark in it; and then the time from a question to its first and last token.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and it ends at the first error"
)]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use clap::Parser;
use lectern_api::testing;
use lectern_shared::testing::Place;
use reqwest::{Client, multipart};
use serde_json::{Value, json};

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Parser)]
struct Arguments {
    /// Whose files are read
    folder: Option<PathBuf>,
    /// Workers on the queue
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// What cargo passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn files(named: Option<PathBuf>) -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = named.is_some();
    let folder = named.unwrap_or_else(|| here.join("../../shared/eval/pdf"));
    let folder = if folder.exists() {
        folder
    } else {
        here.join("tests/files")
    };
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files
        .retain(|path| path.is_file() && (all || path.extension().is_some_and(|end| end == "pdf")));
    files.sort();
    files
}

/// A field of `/proc/<pid>/status`, in MB.
fn memory_mb(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or_default();
    line.trim_start_matches(':')
        .trim()
        .trim_end_matches(" kB")
        .parse::<f64>()
        .unwrap_or_default()
        / 1024.0
}

/// Seconds of processor time of a worker, by what they went into.
#[derive(Clone, Copy, Default)]
struct Seconds {
    model: f64,
    /// Chunking, the database, Redis.
    rest: f64,
    /// Processes that have ended: parsers and Tesseract.
    parsers: f64,
}

impl Seconds {
    fn of(pid: u32) -> Self {
        let [own, children] = ticks(&format!("/proc/{pid}/stat"));
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter();
        let model = threads.flatten().flatten().map(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
            let stat = thread.path().join("stat").to_string_lossy().into_owned();
            if name.starts_with("embedder") {
                ticks(&stat)[0]
            } else {
                0.0
            }
        });
        let model: f64 = model.sum();
        Self {
            model,
            rest: own - model,
            parsers: children,
        }
    }

    fn of_all(workers: &[Worker]) -> Self {
        workers.iter().map(|worker| Self::of(worker.0.id())).fold(
            Self::default(),
            |sum, seconds| Self {
                model: sum.model + seconds.model,
                rest: sum.rest + seconds.rest,
                parsers: sum.parsers + seconds.parsers,
            },
        )
    }
}

/// Of a `stat` file: seconds of the process or thread itself, and of its children that have ended.
fn ticks(path: &str) -> [f64; 2] {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let seconds = |index: usize| fields.get(index).copied().unwrap_or_default() / 100.0;
    [seconds(11) + seconds(12), seconds(13) + seconds(14)]
}

/// The most memory that any parser process has had, watched from outside.
async fn watch_parsers(worker: u32) -> f64 {
    let mut most = 0.0_f64;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{worker}/task/{worker}/children"))
            .unwrap_or_default();
        let mut tasks = children;
        for task in std::fs::read_dir(format!("/proc/{worker}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            tasks.push_str(
                &std::fs::read_to_string(task.path().join("children")).unwrap_or_default(),
            );
        }
        for pid in tasks.split_whitespace() {
            // Until it has become a parser, a new process shares the memory of the worker.
            let command =
                std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if !command.contains("parse-child") {
                continue;
            }
            most = most.max(memory_mb(pid.parse().unwrap_or_default(), "VmHWM"));
        }
        MOST.fetch_max(most.to_bits(), std::sync::atomic::Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As bits, which are in the order of the numbers where those are positive.
static MOST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[tokio::main]
async fn main() {
    let place = Place::new().await.unwrap();
    let api = testing::start(testing::settings(&[]), &place)
        .await
        .unwrap();
    let base = format!("http://{}/api/v1", api.address);

    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let workers: Vec<Worker> = (0..arguments.workers.max(1))
        .map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_lectern-worker"));
            command
                .arg("run")
                .envs(place.environment())
                .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
                // The same questions are asked several times.
                .env("LECTERN_CACHE", "false")
                .env("LECTERN_LOG", "warn");
            if arguments.workers > 1 {
                let threads = (cores / arguments.workers).max(1);
                command.env("LECTERN_MODEL_THREADS", threads.to_string());
            }
            Worker(command.spawn().unwrap())
        })
        .collect();
    let pid = workers[0].0.id();
    let client = Client::new();
    let request = |method: &str, path: &str| {
        client
            .request(method.parse().unwrap(), format!("{base}{path}"))
            .bearer_auth("lectern-dev")
    };
    while request("GET", "/health").send().await.unwrap().status() != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!(
        "worker ready after {:.2} s with {:.0} MB",
        started.elapsed().as_secs_f64(),
        memory_mb(pid, "VmRSS")
    );
    for worker in &workers {
        tokio::spawn(watch_parsers(worker.0.id()));
    }

    let files = files(arguments.folder);
    let (began, before) = (Instant::now(), Seconds::of_all(&workers));
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let part = multipart::Part::bytes(std::fs::read(path).unwrap()).file_name(name);
        let form = multipart::Form::new().part("file", part);
        let response = request("POST", "/documents")
            .multipart(form)
            .send()
            .await
            .unwrap();
        // The same content twice is one document.
        assert!(response.status().is_success(), "{path:?}: {response:?}");
    }
    let documents = loop {
        let list: Value = request("GET", "/documents?limit=200")
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let documents = list["documents"].as_array().unwrap().clone();
        if documents
            .iter()
            .all(|document| !matches!(document["state"].as_str(), Some("queued" | "processing")))
        {
            break documents;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let seconds = began.elapsed().as_secs_f64();
    let after = Seconds::of_all(&workers);
    let sum = |field: &str| {
        documents
            .iter()
            .filter_map(|document| document[field].as_f64())
            .sum::<f64>()
    };
    let (pages, chunks) = (sum("pages"), sum("chunks"));
    let tokens: i64 = sqlx::query_scalar("select coalesce(sum(tokens), 0)::int8 from chunks")
        .fetch_one(&place.pool)
        .await
        .unwrap();
    let ready = documents
        .iter()
        .filter(|document| document["state"] == "ready")
        .count();
    println!(
        "{ready} of {} documents ready: {pages} pages, {chunks} chunks, {tokens} tokens in {seconds:.1} s",
        files.len()
    );
    println!(
        "{:.1} pages/s, {:.1} chunks/s, {:.0} tokens/s",
        pages / seconds,
        chunks / seconds,
        tokens as f64 / seconds
    );
    let spent = [
        ("model", after.model - before.model),
        ("rest of the workers", after.rest - before.rest),
        ("parsers", after.parsers - before.parsers),
    ];
    let total: f64 = spent.iter().map(|(_, seconds)| seconds).sum();
    let by_stage = spent.map(|(stage, seconds)| {
        let share = 100.0 * seconds / total;
        format!("{:.4} {stage} ({share:.1} %)", seconds / pages)
    });
    println!(
        "processor seconds per page: {:.4} = {}; per 1,000 tokens: {:.3}",
        total / pages,
        by_stage.join(" + "),
        1000.0 * total / tokens as f64
    );
    let largest = |field| {
        let memory = workers.iter().map(|worker| memory_mb(worker.0.id(), field));
        memory.fold(0.0, f64::max)
    };
    println!(
        "peak memory: {:.0} MB largest worker, {:.0} MB largest parser, {:.0} MB API and this benchmark",
        largest("VmHWM"),
        f64::from_bits(MOST.load(std::sync::atomic::Ordering::Relaxed)),
        memory_mb(std::process::id(), "VmHWM")
    );
    let tried: i64 = sqlx::query_scalar("select count(*) from jobs where attempt > 1")
        .fetch_one(&place.pool)
        .await
        .unwrap();
    println!("jobs that were tried more than once: {tried}");

    let questions = [
        "What is /var/spool for?",
        "How is a trace recorded?",
        "What does the licence allow?",
        "Wie wird der Abstand definiert?",
    ];
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for round in 0..10 {
        for question in questions {
            let body = json!({"question": question});
            let asked = Instant::now();
            let response = request("POST", "/questions")
                .header("accept", "text/event-stream")
                .json(&body)
                .send()
                .await
                .unwrap();
            let mut response = response;
            let mut told = String::new();
            let mut first_token = None;
            while let Some(bytes) = response.chunk().await.unwrap() {
                told.push_str(&String::from_utf8_lossy(&bytes));
                if told.contains("event: token") {
                    first_token.get_or_insert_with(|| asked.elapsed());
                }
            }
            if round > 0 {
                first.push(first_token.unwrap_or_else(|| asked.elapsed()).as_secs_f64() * 1000.0);
                last.push(asked.elapsed().as_secs_f64() * 1000.0);
            }
        }
    }
    for (what, mut times) in [("first", first), ("last", last)] {
        times.sort_by(f64::total_cmp);
        println!(
            "question to {what} token: p50 {:.0} ms, p95 {:.0} ms",
            times[times.len() / 2],
            times[times.len() * 95 / 100]
        );
    }
    println!("worker afterwards: {:.0} MB", memory_mb(pid, "VmRSS"));
}
