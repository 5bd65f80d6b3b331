//! What open event streams cost the API: memory, processor time while nothing happens, and how late events come.
//! Ends with an error when a reader misses an event or gets one twice.
//!
//! `make bench-streams`; README.md beside this file has figures.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and it ends at the first error"
)]

mod load;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use eventsource_stream::Eventsource;
use futures::{StreamExt, stream};
use lectern_shared::{events::Publisher, jobs, testing::Place};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

#[derive(Parser)]
struct Arguments {
    /// Streams that are open at a time
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// Readers of each question
    #[arg(long, default_value_t = 1)]
    readers: usize,
    /// Tokens of each answer
    #[arg(long, default_value_t = 6)]
    tokens: u32,
    /// Events a second, over all questions
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Seconds in which nothing happens
    #[arg(long, default_value_t = 30)]
    idle: u64,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    // Each connection is an open file of this process, too.
    lectern_api::raise_file_limit(arguments.streams);
    let place = Place::new().await.unwrap();
    let most = arguments.streams + 100;
    let api = load::Api::start(
        &place,
        None,
        &[
            "--rate-limits=false".to_owned(),
            format!("--streams-max={most}"),
            format!("--streams-key-max={most}"),
            format!("--connections-max={most}"),
        ],
    )
    .await;
    println!("before: {} MiB", api.memory("VmRSS"));
    let questions = questions(&place, arguments.streams / arguments.readers).await;
    let began = Instant::now();
    let events = arguments.tokens + 1;
    let readers = open(&api, &questions, arguments.readers, events, began).await;
    println!(
        "{} streams open after {:.1} s: {} MiB",
        readers.len(),
        began.elapsed().as_secs_f64(),
        api.memory("VmRSS")
    );
    let before = api.processor();
    tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
    let idle = (api.processor() - before).as_secs_f64() / arguments.idle as f64;
    println!(
        "idle: {:.0} % of a core, {} MiB",
        idle * 100.0,
        api.memory("VmRSS")
    );

    let before = api.processor();
    publish(&place, &questions, &arguments, began).await;
    let mut late = Vec::new();
    for reader in readers {
        late.extend(reader.await.unwrap());
    }
    let expected = arguments.streams * events as usize;
    assert_eq!(late.len(), expected, "events were lost");
    let each = (api.processor() - before).as_secs_f64() * 1e6 / expected as f64;
    println!(
        "{expected} events, each once and in order: {}; {each:.0} µs of the processor each; {} MiB, at the most {} MiB",
        load::percentiles(late),
        api.memory("VmRSS"),
        api.memory("VmHWM"),
    );
}

/// Questions that are being answered, by nobody.
async fn questions(place: &Place, count: usize) -> Vec<Uuid> {
    sqlx::query_scalar(
        "insert into questions (id, tenant_id, collection_id, mode, text, passages_max, background, state)
         select gen_random_uuid(), tenant_id, id, 'answer', 'Is anybody there?', 8, true, 'running'
         from collections, generate_series(1, $1)
         where name = 'default'
         returning id",
    )
    .bind(i32::try_from(count).unwrap())
    .fetch_all(&place.pool)
    .await
    .unwrap()
}

type Reader = tokio::task::JoinHandle<Vec<f64>>;

/// Opens all streams, a hundred at a time.
async fn open(
    api: &load::Api,
    questions: &[Uuid],
    readers: usize,
    events: u32,
    began: Instant,
) -> Vec<Reader> {
    let client = Client::builder().tcp_nodelay(true).build().unwrap();
    let places = Arc::new(Semaphore::new(100));
    let mut opened = Vec::new();
    for question in questions
        .iter()
        .flat_map(|id| std::iter::repeat_n(id, readers))
    {
        let place = places.clone().acquire_owned().await.unwrap();
        let url = format!("http://{}/api/v1/questions/{question}/events", api.address);
        let request = client.get(url).bearer_auth("lectern-dev");
        opened.push(tokio::spawn(async move {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 200);
            drop(place);
            let mut stream = response.bytes_stream().eventsource();
            let mut late = Vec::new();
            while let Some(event) = stream.next().await {
                let event = event.unwrap();
                late.push(lateness(&event.data, began));
                assert_eq!(
                    event.id,
                    format!("1-{}", late.len()),
                    "lost or out of order"
                );
            }
            assert_eq!(late.len(), events as usize, "the stream ended early");
            late
        }));
    }
    drop(places.acquire_many(100).await.unwrap());
    opened
}

/// How long ago it was sent, in milliseconds.
fn lateness(data: &str, began: Instant) -> f64 {
    let data: Value = serde_json::from_str(data).unwrap();
    let sent = Duration::from_micros(data["sent_us"].as_u64().unwrap());
    (began.elapsed() - sent).as_secs_f64() * 1000.0
}

/// Tells every question's events, one question after the other, as fast as wanted.
async fn publish(place: &Place, questions: &[Uuid], arguments: &Arguments, began: Instant) {
    let connection = jobs::connect(&place.settings.redis_url).await.unwrap();
    let of = |id: &Uuid| Publisher::new(connection.clone(), &place.settings, *id, 1);
    let mut publishers: Vec<_> = questions.iter().map(of).collect();
    let mut beat = tokio::time::interval(Duration::from_secs(1) / arguments.rate * 20);
    for round in 1..=arguments.tokens + 1 {
        let name = if round > arguments.tokens {
            "done"
        } else {
            "token"
        };
        for some in publishers.chunks_mut(20) {
            beat.tick().await;
            let told = stream::iter(some).for_each_concurrent(None, |publisher| async move {
                let sent_us = u64::try_from(began.elapsed().as_micros()).unwrap();
                let data = json!({"text": "a token of usual length ", "sent_us": sent_us});
                assert!(publisher.publish(name, &data).await);
            });
            told.await;
        }
    }
}
