//! How many cheap reads a second the API answers: each with a key that is looked up, limits that are counted in Redis,
//! and a row or two of PostgreSQL. The load comes from this process, on the same machine.
//!
//! `make bench-api`; README.md beside this file has figures.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and it ends at the first error"
)]

mod load;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use lectern_shared::testing::Place;
use reqwest::Client;
use serde_json::{Value, json};

#[derive(Parser)]
struct Arguments {
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds for each kind of request
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Another build of lectern-api, which is measured in turns with this one
    #[arg(long)]
    beside: Option<PathBuf>,
    /// Turns of each
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

const KEY: &str = "lectern-dev";

/// A build that is measured, and what was.
struct Measured {
    name: &'static str,
    place: Place,
    api: load::Api,
    times: Vec<f64>,
    wall: Duration,
    processor: Duration,
    own: Duration,
}

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    // They are counted, but not used up.
    let limits = ["key", "tenant", "address"];
    let limits = limits.map(|whose| format!("--limit-{whose}-requests=1000000/s"));
    let mut builds = Vec::new();
    let other = arguments
        .beside
        .as_deref()
        .map(|path| ("beside", Some(path)));
    for (name, program) in other.into_iter().chain([("this", None)]) {
        let place = Place::new().await.unwrap();
        builds.push(Measured {
            name,
            api: load::Api::start(&place, program, &limits).await,
            place,
            times: Vec::new(),
            wall: Duration::ZERO,
            processor: Duration::ZERO,
            own: Duration::ZERO,
        });
    }
    let client = Client::builder()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(arguments.connections)
        .build()
        .unwrap();
    let mut questions = Vec::new();
    for build in &builds {
        let base = format!("http://{}", build.api.address);
        questions.push([ask(&client, &base).await, ask(&client, &base).await]);
        let [_, answered] = questions.last().unwrap();
        answer(&build.place, answered).await;
    }
    for kind in [
        "/api/v1/me",
        "/api/v1/collections",
        "/api/v1/questions/{id}",
        "/api/v1/questions/{id of an answer with 8 sources}",
    ] {
        for round in 0..=arguments.rounds {
            for (build, [waiting, answered]) in builds.iter_mut().zip(&questions) {
                let path = kind.replace("{id}", waiting);
                let path = path.replace("{id of an answer with 8 sources}", answered);
                let url = format!("http://{}{path}", build.api.address);
                // The first second opens connections and fills caches.
                let millis = match round {
                    0 => 1000,
                    _ => 1000 * arguments.seconds / arguments.rounds,
                };
                let before = (build.api.processor(), load::processor("self"));
                let began = Instant::now();
                let time = Duration::from_millis(millis);
                let times = run(&client, &url, arguments.connections, time).await;
                if round > 0 {
                    build.times.extend(times);
                    build.wall += began.elapsed();
                    build.processor += build.api.processor() - before.0;
                    build.own += load::processor("self") - before.1;
                }
            }
        }
        for build in &mut builds {
            let times = std::mem::take(&mut build.times);
            let (wall, spent, own) = (
                std::mem::take(&mut build.wall),
                std::mem::take(&mut build.processor),
                std::mem::take(&mut build.own),
            );
            let count = times.len() as f64;
            let each = |spent: Duration| spent.as_secs_f64() * 1e6 / count;
            println!(
                "{} {kind}: {:.0} requests/s; {}; {:.0} µs of the processor each, and {:.0} µs of the load's own",
                build.name,
                count / wall.as_secs_f64(),
                load::percentiles(times),
                each(spent),
                each(own),
            );
        }
    }
    for build in &builds {
        println!("{} takes {} MiB", build.name, build.api.memory("VmRSS"));
    }
}

async fn ask(client: &Client, base: &str) -> String {
    let asked = client
        .post(format!("{base}/api/v1/questions"))
        .bearer_auth(KEY)
        .json(&json!({"question": "Is anybody there?", "background": true}))
        .send()
        .await
        .unwrap();
    let asked: Value = asked.json().await.unwrap();
    asked["id"].as_str().unwrap().to_owned()
}

/// As a worker leaves an answer: 8 sources of 100 words.
async fn answer(place: &Place, question: &str) {
    for statement in [
        "update questions set state = 'answered', finished_at = now() where id = $1::uuid",
        "insert into answers (question_id, tenant_id, text, generator, usage, timings)
         select id, tenant_id, repeat('word ', 60), 'extractive', '{}', '{}' from questions where id = $1::uuid",
        "insert into documents (id, tenant_id, collection_id, name, state, version)
         select id, tenant_id, collection_id, 'a.pdf', 'ready', 1 from questions where id = $1::uuid",
        "insert into sources (question_id, ordinal, tenant_id, document_id, version, page_first, page_last, spans, text,
             score)
         select id, ordinal, tenant_id, id, 1, 1, 1, '[{\"page\": 1, \"start\": 0, \"end\": 500}]', repeat('word ', 100), 0.5
         from questions, generate_series(1, 8) as ordinal where id = $1::uuid",
    ] {
        sqlx::query(statement)
            .bind(question)
            .execute(&place.pool)
            .await
            .unwrap();
    }
}

/// How long each request took, in milliseconds.
async fn run(client: &Client, url: &str, connections: usize, time: Duration) -> Vec<f64> {
    let end = Instant::now() + time;
    let connection = || {
        let (client, url) = (client.clone(), url.to_owned());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < end {
                let began = Instant::now();
                let response = client.get(&url).bearer_auth(KEY).send().await.unwrap();
                assert_eq!(response.status(), 200);
                response.bytes().await.unwrap();
                times.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            times
        })
    };
    let running: Vec<_> = (0..connections).map(|_| connection()).collect();
    let mut times = Vec::new();
    for one in running {
        times.extend(one.await.unwrap());
    }
    times
}
