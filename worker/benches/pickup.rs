//! How soon a worker picks up a job: from the API's transaction to the ledger saying `running`, on an idle machine.
//!
//! `make bench-pickup`. What is measured is the ledger's own clock, so that the benchmark's polling doesn't count.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark's output, and it ends at the first error"
)]

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use lectern_shared::{
    ids::{CollectionId, DEFAULT_TENANT, QuestionId},
    jobs::{self, Dispatcher, Names},
    store::questions::{self, Mode, NewQuestion},
    testing::Place,
};
use uuid::Uuid;

const JOBS: usize = 400;

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main]
async fn main() {
    let place = Place::new().await.unwrap();
    let _worker = Worker(
        Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("run")
            .envs(place.environment())
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_LOG", "warn")
            .spawn()
            .unwrap(),
    );
    let alive = async {
        while lectern_shared::store::workers::alive(&place.pool, Duration::from_secs(5))
            .await
            .unwrap()
            == 0
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), alive)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;

    let connection = jobs::connect(&place.settings.redis_url).await.unwrap();
    let dispatcher = Dispatcher::new(connection, Names::new(&place.settings.redis_prefix));
    let collection: Uuid = sqlx::query_scalar("select id from collections")
        .fetch_one(&place.pool)
        .await
        .unwrap();
    let limits = (&place.settings).into();
    let mut pick_ups = Vec::new();
    let mut to_ends = Vec::new();
    for number in 0..JOBS {
        let id = QuestionId::fresh();
        let question = NewQuestion {
            id,
            tenant: DEFAULT_TENANT,
            collection: CollectionId(collection),
            mode: Mode::Search,
            text: "Is anybody there?",
            passages_max: 1,
            background: true,
            filter: None,
            conversation: None,
            asker: None,
            history: None,
        };
        let began = Instant::now();
        let job = questions::create(&place.pool, &question, None, &limits)
            .await
            .unwrap();
        dispatcher.wake(job.queue, &[job.id]).await.unwrap();
        loop {
            let state: String = sqlx::query_scalar("select state from questions where id = $1")
                .bind(id.0)
                .fetch_one(&place.pool)
                .await
                .unwrap();
            if state == "answered" {
                break;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        to_ends.push(began.elapsed().as_secs_f64() * 1000.0);
        let waited: f64 = sqlx::query_scalar(
            "select extract(epoch from started_at - run_at)::float8 * 1000 from jobs where id = $1",
        )
        .bind(job.id.0)
        .fetch_one(&place.pool)
        .await
        .unwrap();
        pick_ups.push(waited);
        // Not in step with anything that happens every so many milliseconds.
        tokio::time::sleep(Duration::from_millis(20 + (number as u64 * 7919) % 37)).await;
    }
    report("from the row to a worker holding the job", pick_ups);
    report(
        "from asking to the end of a search in an empty collection",
        to_ends,
    );
}

fn report(what: &str, mut milliseconds: Vec<f64>) {
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| milliseconds[((milliseconds.len() - 1) as f64 * share).round() as usize];
    println!(
        "{what}: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms ({} jobs)",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0),
        milliseconds.len()
    );
}
