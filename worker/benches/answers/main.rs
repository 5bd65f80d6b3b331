//! How often an answer says what was asked for: questions with known answers, through the API, as a reader has them.
//!
//! `make eval-answers` asks those of `../shared/eval/retrieval/squad-dev`; README.md here has the results.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement's output, and it ends at the first error"
)]

#[path = "../kept/mod.rs"]
mod kept;
#[path = "../search/percentiles.rs"]
mod percentiles;
#[path = "../kept/served.rs"]
mod served;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Parser;
use eventsource_stream::Eventsource;
use flate2::read::MultiGzDecoder;
use futures::StreamExt;
use lectern_worker::config::EmbeddingSettings;
use reqwest::{Client, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use unicode_segmentation::UnicodeSegmentation;

use self::{
    kept::{Kept, Place},
    percentiles::Percentiles,
};

#[derive(Parser)]
struct Arguments {
    /// The folder of a collection with answers
    #[arg(long)]
    set: Option<PathBuf>,
    /// Questions that are asked
    #[arg(long, default_value_t = 300)]
    questions: usize,
    /// Print so many answers, to be read
    #[arg(long, default_value_t = 10)]
    show: usize,
    /// A role that may create databases
    #[arg(long, env = "LECTERN_TEST_DATABASE_URL")]
    database_url: String,
    #[arg(long, env = "LECTERN_TEST_REDIS_URL")]
    redis_url: String,
    #[command(flatten)]
    embedding: EmbeddingSettings,
    #[arg(long, hide = true)]
    bench: bool,
}

struct Question {
    text: String,
    /// Any of them will do.
    answers: Vec<String>,
}

struct Answer {
    text: String,
    abstained: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let folder = arguments.set.clone().unwrap_or_else(|| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/eval/retrieval/squad-dev")
    });
    if !folder.exists() {
        println!(
            "{} is not there: name the folder of a collection with --set",
            folder.display()
        );
        return;
    }
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let kept = Kept {
        purpose: "eval",
        database_url: &arguments.database_url,
        redis_url: &arguments.redis_url,
        model_dir: &arguments.embedding.model_dir,
        quantization: &arguments.embedding.model_quantization.to_string(),
        tokens: None,
    };
    let place = Place::open(&kept, false).await;
    place.make_collection(&name).await;
    place.import(&name, None, &folder.join("corpus.jsonl.gz"));
    place.work(place.lectern("run")).await;

    let running = served::api(&place).await;
    let url = format!("http://{}/api/v1/questions", running.address);
    let mut worker = place.lectern("run");
    // Each is answered for itself.
    worker.env("LECTERN_CACHE", "false");
    let _worker = Place::start(worker);

    let client = Client::new();
    let (mut said, mut abstained, mut words) = (0, 0, 0);
    let (mut sources, mut first_token) = (Percentiles::default(), Percentiles::default());
    let questions = questions(&folder, arguments.questions);
    for (number, question) in questions.iter().enumerate() {
        let times = (&mut sources, &mut first_token);
        let answer = ask(&client, &url, &name, &question.text, times).await;
        let is_said = !answer.abstained && question.is_answered_by(&answer.text);
        said += usize::from(is_said);
        abstained += usize::from(answer.abstained);
        if !answer.abstained {
            words += answer.text.unicode_words().count();
        }
        if number < arguments.show {
            let mark = if is_said { "said" } else { "not said" };
            println!(
                "{}\n  {}\n  {mark}: {}\n",
                question.text,
                answer.text.replace('\n', "\n  "),
                question.answers[0]
            );
        }
    }
    let share = |count: usize, of: usize| 100.0 * count as f64 / of.max(1) as f64;
    let given = questions.len() - abstained;
    println!(
        "| questions | abstained | answer said | of those given | words of an answer | sources p50 | first token p50 | p95 |\n|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    println!(
        "| {} | {:.1} % | {:.1} % | {:.1} % | {:.1} | {:.1} ms | {:.1} ms | {:.1} |",
        sources.count(),
        share(abstained, questions.len()),
        share(said, questions.len()),
        share(said, given),
        words as f64 / given.max(1) as f64,
        sources.at(0.5),
        first_token.at(0.5),
        first_token.at(0.95),
    );
}

impl Question {
    fn is_answered_by(&self, answer: &str) -> bool {
        let answer = plain(answer);
        self.answers
            .iter()
            .any(|accepted| answer.contains(&plain(accepted)))
    }
}

/// Its words alone, so that neither quotation marks nor capitals matter.
fn plain(text: &str) -> String {
    let words: Vec<String> = text.unicode_words().map(str::to_lowercase).collect();
    format!(" {} ", words.join(" "))
}

/// In an order that has nothing to do with the articles, and is always the same.
fn questions(folder: &Path, count: usize) -> Vec<Question> {
    let answers: std::collections::HashMap<String, Vec<String>> =
        records(&folder.join("answers.jsonl.gz"))
            .map(|record| {
                let accepted = serde_json::from_value(record["answers"].clone()).unwrap();
                (record["id"].as_str().unwrap().to_owned(), accepted)
            })
            .collect();
    let mut asked: Vec<Value> = records(&folder.join("queries.jsonl.gz")).collect();
    asked.sort_by_key(|query| Sha256::digest(query["id"].as_str().unwrap()));
    asked
        .iter()
        .filter_map(|query| {
            Some(Question {
                text: query["text"].as_str()?.to_owned(),
                answers: answers.get(query["id"].as_str()?)?.clone(),
            })
        })
        .filter(|question| !question.answers.is_empty())
        .take(count)
        .collect()
}

fn records(path: &Path) -> impl Iterator<Item = Value> {
    let file = BufReader::new(MultiGzDecoder::new(File::open(path).unwrap()));
    file.lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

async fn ask(
    client: &Client,
    url: &str,
    collection: &str,
    question: &str,
    (sources, first_token): (&mut Percentiles, &mut Percentiles),
) -> Answer {
    let began = Instant::now();
    let response = client
        .post(url)
        .bearer_auth("lectern-dev")
        .header(header::ACCEPT, "text/event-stream")
        .json(&json!({ "question": question, "collection": collection }))
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{response:?}");
    let mut events = response.bytes_stream().eventsource();
    let mut text = String::new();
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        match event.event.as_str() {
            "sources" => sources.add(began.elapsed()),
            "token" => {
                if text.is_empty() {
                    first_token.add(began.elapsed());
                }
                let token: Value = serde_json::from_str(&event.data).unwrap();
                text.push_str(token["text"].as_str().unwrap());
            }
            "done" => {
                let done: Value = serde_json::from_str(&event.data).unwrap();
                return Answer {
                    text,
                    abstained: done["abstained"].as_bool().unwrap(),
                };
            }
            "failed" => panic!("{}", event.data),
            _ => {}
        }
    }
    panic!("the stream ended before the answer: {question}");
}
