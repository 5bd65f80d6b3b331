//! How much memory the longest document takes, of worker and parser together: `make bench-long`.
//!
//! Writes a PDF of 5,000 pages, uploads it, and watches until it is read and cut and its first passages are embedded;
//! then it is cancelled, since embedding the rest takes long and no more memory. `cargo bench --bench long -- PAGES`
//! writes another number of pages.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and it ends at the first error"
)]

use std::{
    fmt::Write,
    fs,
    process::{Child, Command},
    time::{Duration, Instant},
};

use clap::Parser;
use lectern_api::testing;
use lectern_shared::testing::Place;
use lopdf::{Dictionary, Document, Object, Stream, dictionary};
use reqwest::{Client, multipart};
use serde_json::Value;

#[derive(Parser)]
struct Arguments {
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    #[arg(default_value_t = 5000)]
    pages: u32,
}

const LINES: u32 = 45;

const WORDS: [&str; 24] = [
    "pump", "valve", "the", "lever", "of", "pressure", "opens", "and", "spring", "under", "a",
    "housing", "which", "guards", "bearing", "when", "warm", "oil", "runs", "through", "its",
    "channel", "slowly", "again",
];

/// Pages as manuals have them: a running head, sections, lines of about seventy characters.
fn pdf(pages: u32) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica",
    });
    let fonts = dictionary! { "F1" => font };
    let kids: Vec<Object> = (1..=pages)
        .map(|number| {
            let mut content = Stream::new(Dictionary::new(), drawing(number));
            content.compress().unwrap();
            let content = document.add_object(content);
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content,
                "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
                "Resources" => dictionary! { "Font" => fonts.clone() },
            };
            document.add_object(page).into()
        })
        .collect();
    let root = dictionary! { "Type" => "Pages", "Count" => i64::from(pages), "Kids" => kids };
    document.objects.insert(tree, Object::Dictionary(root));
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

fn drawing(page: u32) -> Vec<u8> {
    let mut seed = u64::from(page);
    let mut content = format!("BT /F1 9 Tf 50 810 Td (Manual, page {page}) Tj 0 -30 Td 16 TL ");
    write!(
        content,
        "/F1 16 Tf ({page}. Section {page}) Tj T* /F1 10 Tf "
    )
    .unwrap();
    for _ in 0..LINES {
        let mut line = String::new();
        while line.len() < 68 {
            // Knuth's MMIX generator: any words will do, the same ones in every run.
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            line.push_str(WORDS[(seed >> 33) as usize % WORDS.len()]);
            line.push(if seed >> 60 == 0 { '.' } else { ' ' });
        }
        write!(content, "({line}) Tj T* ").unwrap();
    }
    content.push_str("ET");
    content.into_bytes()
}

/// A field of `/proc/<pid>/status`, in MB.
fn memory_mb(pid: &str, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.map(|line| line.trim_matches([':', ' ', '\t', 'k', 'B']));
    number
        .and_then(|number| number.parse::<f64>().ok())
        .unwrap_or_default()
        / 1024.0
}

/// The memory of the worker, and of the parser that it has at the moment.
fn together_mb(worker: u32) -> (f64, f64) {
    let tasks = fs::read_dir(format!("/proc/{worker}/task"));
    let children: Vec<String> = tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .collect();
    let parsers = children.iter().flat_map(|pids| pids.split_whitespace());
    // Until it has become a parser, a new process shares the memory of the worker.
    let parsers = parsers.filter(|pid| {
        fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|command| command.contains("parse-child"))
    });
    let parser = parsers.map(|pid| memory_mb(pid, "VmRSS")).sum();
    (memory_mb(&worker.to_string(), "VmRSS"), parser)
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() {
    let pages = Arguments::parse().pages;
    let file = pdf(pages);
    let place = Place::new().await.unwrap();
    let api = testing::start(testing::settings(&[]), &place)
        .await
        .unwrap();
    let base = format!("http://{}/api/v1", api.address);
    let worker = Worker(
        Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("run")
            .envs(place.environment())
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_LOG", "warn")
            .spawn()
            .unwrap(),
    );
    let client = Client::new();
    let request = |method: &str, path: &str| {
        client
            .request(method.parse().unwrap(), format!("{base}{path}"))
            .bearer_auth("lectern-dev")
    };
    while request("GET", "/health").send().await.unwrap().status() != 200 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let idle = together_mb(worker.0.id()).0;
    println!(
        "{pages} pages, {:.1} MB; worker idle: {idle:.0} MB",
        file.len() as f64 / 1e6
    );

    let form =
        multipart::Form::new().part("file", multipart::Part::bytes(file).file_name("long.pdf"));
    let began = Instant::now();
    let told = request("POST", "/documents")
        .multipart(form)
        .send()
        .await
        .unwrap();
    let told: Value = told.json().await.unwrap();
    let id = told["id"].as_str().unwrap();

    let (mut most, mut of_stage) = ((0.0, 0.0, 0.0), Vec::<(String, f64, f64)>::new());
    let mut asked = Instant::now() - Duration::from_secs(1);
    let mut stage = String::from("queued");
    loop {
        let (own, parser) = together_mb(worker.0.id());
        if own + parser > most.0 {
            most = (own + parser, own, parser);
        }
        match of_stage.last_mut() {
            Some((name, peak, _)) if *name == stage => *peak = peak.max(own + parser),
            _ => of_stage.push((stage.clone(), own + parser, began.elapsed().as_secs_f64())),
        }
        if asked.elapsed() > Duration::from_millis(100) {
            asked = Instant::now();
            let path = format!("/documents/{id}");
            let document: Value = request("GET", &path)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert_ne!(document["state"], "failed", "{document}");
            let found: Option<String> = sqlx::query_scalar("select stage from jobs limit 1")
                .fetch_one(&place.pool)
                .await
                .unwrap();
            stage = found.unwrap_or(stage);
            let chunks: i64 = sqlx::query_scalar("select count(*) from chunks")
                .fetch_one(&place.pool)
                .await
                .unwrap();
            if chunks >= 128 || document["state"] == "ready" {
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for (stage, peak, since) in of_stage {
        println!("from {since:6.1} s on {stage}: up to {peak:.0} MB together");
    }
    println!(
        "peak memory: {:.0} MB together: {:.0} MB worker and {:.0} MB parser",
        most.0, most.1, most.2
    );
    request("POST", &format!("/documents/{id}/cancel"))
        .send()
        .await
        .unwrap();
}
