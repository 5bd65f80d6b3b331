//! Askers who each wait for their answer before they ask again: how long until the sources are there, and the first
//! token, as a reader has it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use eventsource_stream::Eventsource;
use futures::StreamExt;
use reqwest::{Client, header};
use serde_json::{Value, json};

use crate::{corpus::COLLECTION, percentiles::Percentiles};

/// As `done` names them.
const STAGES: [&str; 7] = [
    "queued_ms",
    "embed_ms",
    "words_ms",
    "search_ms",
    "rerank_ms",
    "first_token_ms",
    "total_ms",
];

#[derive(Default)]
struct Measured {
    sources: Percentiles,
    first_token: Percentiles,
    done: Percentiles,
    /// What the reader's first token is later than the worker's, the time in the queue apart.
    way: Percentiles,
    stages: [Percentiles; STAGES.len()],
}

pub(crate) fn head() {
    println!(
        "| askers | questions/s | sources p50 | p95 | p99 | first token p50 | p95 | p99 | done p50 | p95 |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
}

/// What the first ones pay for isn't counted: the start of the worker, and what nothing has read yet.
pub(crate) async fn warm_up(url: &str, questions: &[String]) {
    let (client, url) = (Client::new(), format!("{url}/api/v1/questions"));
    let unused = Mutex::new(Measured::default());
    for question in questions {
        one(&client, &url, question, &unused).await;
    }
}

/// Asks all questions once, `askers` at a time. The line of the stages is returned for a table of its own.
pub(crate) async fn ask(url: &str, askers: usize, questions: &[String]) -> String {
    let next = Arc::new(AtomicUsize::new(0));
    let measured = Arc::new(Mutex::new(Measured::default()));
    let began = Instant::now();
    let tasks: Vec<_> = (0..askers)
        .map(|_| {
            let (next, measured) = (Arc::clone(&next), Arc::clone(&measured));
            let (url, questions) = (format!("{url}/api/v1/questions"), questions.to_vec());
            tokio::spawn(async move {
                let client = Client::new();
                while let Some(question) = questions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    one(&client, &url, question, &measured).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let measured = measured.lock().unwrap();
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let rate = measured.done.count() as f64 / seconds;
    let (sources, token, done) = (&measured.sources, &measured.first_token, &measured.done);
    println!(
        "| {askers} | {rate:.1} | {:.1} ms | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
        sources.at(0.5),
        sources.at(0.95),
        sources.at(0.99),
        token.at(0.5),
        token.at(0.95),
        token.at(0.99),
        done.at(0.5),
        done.at(0.95),
    );
    let stages: Vec<String> = measured
        .stages
        .iter()
        .chain([&measured.way])
        .map(|times| format!("{:.1} / {:.1}", times.at(0.5), times.at(0.95)))
        .collect();
    format!("| {askers} | {} |", stages.join(" | "))
}

/// Titles for the lines that [`ask`] returns.
pub(crate) fn stages_head() -> String {
    let names: Vec<&str> = STAGES
        .iter()
        .map(|name| name.trim_end_matches("_ms"))
        .collect();
    format!(
        "| askers | {} | way to the reader |\n|---:{}|",
        names.join(" | "),
        "|---:".repeat(STAGES.len() + 1)
    )
}

async fn one(client: &Client, url: &str, question: &str, measured: &Mutex<Measured>) {
    let began = Instant::now();
    let response = client
        .post(url)
        .bearer_auth("lectern-dev")
        .header(header::ACCEPT, "text/event-stream")
        .json(&json!({ "question": question, "collection": COLLECTION }))
        .send()
        .await
        .unwrap();
    assert!(response.status().is_success(), "{response:?}");
    let mut events = response.bytes_stream().eventsource();
    let (mut sources, mut first_token) = (None, None);
    while let Some(event) = events.next().await {
        let event = event.unwrap();
        match event.event.as_str() {
            "sources" => sources = Some(began.elapsed()),
            "token" => first_token = first_token.or_else(|| Some(began.elapsed())),
            "done" => {
                let done: Value = serde_json::from_str(&event.data).unwrap();
                let mut measured = measured.lock().unwrap();
                measured.done.add(began.elapsed());
                measured.sources.add(sources.unwrap());
                let token = first_token.unwrap();
                measured.first_token.add(token);
                let stage = |name: &str| done["timings"][name].as_f64().unwrap_or(f64::NAN);
                for (times, name) in measured.stages.iter_mut().zip(STAGES) {
                    times.add_ms(stage(name));
                }
                let at_worker = stage("queued_ms") + stage("first_token_ms");
                measured
                    .way
                    .add_ms(token.as_secs_f64() * 1000.0 - at_worker);
                return;
            }
            "failed" => panic!("{}", event.data),
            _ => {}
        }
    }
    panic!("the stream ended before the answer: {question}");
}
