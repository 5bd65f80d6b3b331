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

use std::time::{Duration, Instant};

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
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
}

const KEY: &str = "lectern-dev";

#[tokio::main]
async fn main() {
    let arguments = Arguments::parse();
    let place = Place::new().await.unwrap();
    // They are counted, but not used up.
    let limits = ["key", "tenant", "address"];
    let limits = limits.map(|whose| format!("--limit-{whose}-requests=1000000/s"));
    let api = load::Api::start(&place, &limits).await;
    let client = Client::builder()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(arguments.connections)
        .build()
        .unwrap();
    let base = format!("http://{}", api.address);
    let question = ask(&client, &base).await;
    for path in [
        "/api/v1/me".to_owned(),
        "/api/v1/collections".to_owned(),
        format!("/api/v1/questions/{question}"),
    ] {
        // The first second opens connections and fills caches.
        run(&client, &format!("{base}{path}"), arguments.connections, 1).await;
        let before = (api.processor(), load::processor("self"), Instant::now());
        let times = run(
            &client,
            &format!("{base}{path}"),
            arguments.connections,
            arguments.seconds,
        )
        .await;
        let (count, seconds) = (times.len() as f64, before.2.elapsed().as_secs_f64());
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / count;
        println!(
            "{}: {:.0} requests/s; {}; {:.0} µs of the processor each, and {:.0} µs of the load's own",
            path.replace(&question, "{id}"),
            count / seconds,
            load::percentiles(times),
            each(api.processor() - before.0),
            each(load::processor("self") - before.1),
        );
    }
    println!("the API takes {} MiB", api.memory("VmRSS"));
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

/// How long each request took, in milliseconds.
async fn run(client: &Client, url: &str, connections: usize, seconds: u64) -> Vec<f64> {
    let end = Instant::now() + Duration::from_secs(seconds);
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
