//! The `openai` generator with real tokens: llama.cpp's server and a small model, which `make test-llm` fetches.
//!
//! What a model of 135 million parameters says is often wrong, and no two machines hear the same. So these tests hold
//! to what must be true of any answer; what it said is printed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]
#![expect(clippy::print_stderr, reason = "what the model said is for people")]

#[path = "../it/support.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod support;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::Value;
use support::{Lectern, Worker, own_file, text};

/// Where `make test-llm` has put the model and its server.
#[derive(Parser)]
struct Files {
    #[arg(long, env = "LECTERN_TEST_LLM")]
    folder: PathBuf,
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    async fn start() -> Self {
        let files = Files::try_parse_from(["test"]).expect("no model: use `make test-llm`");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/dev/llm-server.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(files.folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.starts_with("http://"))
            .expect("the server ended");
        // It may say more, which nobody must wait for.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { child, url };
        server
            .until("/health", |health| health["status"] == "ok")
            .await;
        server
    }

    /// Waits until what stands at `path` is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) {
        let began = Instant::now();
        loop {
            let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
            let found: Value = response.json().await.unwrap();
            if wanted(&found) {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(180),
                "{path} is still {found}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn worker(&self, lectern: &Lectern) -> Worker {
        lectern.worker_with(&[
            ("LECTERN_GENERATOR", "openai"),
            ("LECTERN_OPENAI_BASE_URL", &format!("{}/v1", self.url)),
            ("LECTERN_OPENAI_MODEL", "model"),
            ("LECTERN_ANSWER_TOKENS_MAX", "60"),
            ("LECTERN_CONTEXT_TOKENS_MAX", "300"),
            ("LECTERN_GENERATOR_TIMEOUT_SECONDS", "150"),
        ])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers in brackets.
fn citations(answer: &str) -> Vec<usize> {
    let ends = answer.match_indices('[').map(|(at, _)| &answer[at + 1..]);
    ends.filter_map(|rest| rest.split(']').next()?.parse().ok())
        .collect()
}

#[tokio::test]
async fn a_real_model_answers_in_a_conversation_and_its_tokens_are_counted() {
    let (lectern, server) = (Lectern::start().await, Server::start().await);
    let _worker = server.worker(&lectern);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let conversation = lectern.begin_conversation().await;
    let question = "What is the daily allowance abroad?";
    let id = lectern.ask_in(&conversation, question).await;
    let path = format!("/api/v1/questions/{id}");
    let events = lectern
        .events(&format!("{path}/events"), None)
        .await
        .rest()
        .await;
    let tokens = events.iter().filter(|event| event.name == "token").count();
    assert!(tokens > 1, "it is streamed: {events:?}");
    let answered = lectern.get(&path).await;
    let answer = answered["answer"].as_str().unwrap();
    eprintln!("{question}\n  {answer}\n  {}", answered["usage"]);
    assert_eq!(answer, text(&events));
    let sources = answered["sources"].as_array().unwrap();
    let cited: Vec<usize> = (1..=sources.len())
        .filter(|&n| sources[n - 1]["cited"] == true)
        .collect();
    assert!(
        citations(answer)
            .iter()
            .all(|number| cited.contains(number)),
        "{answer}"
    );
    let usage = &answered["usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 100, "{usage}");
    assert!(
        (1..=60).contains(&usage["answer_tokens"].as_u64().unwrap()),
        "{usage}"
    );
    assert_eq!(usage["estimated"], Value::Null, "the server counts");

    let follow_up = lectern
        .answer_in(&conversation, "And inside the country?")
        .await;
    let standalone = follow_up["standalone_question"].as_str().unwrap();
    eprintln!(
        "And inside the country?\n  {standalone}\n  {}",
        follow_up["answer"]
    );
    assert!(standalone.contains('?'), "{standalone}");
    assert_eq!(follow_up["state"], "answered");
}

#[tokio::test]
async fn a_real_model_reads_orders_in_a_document_and_what_it_does_is_told() {
    let (lectern, server) = (Lectern::start().await, Server::start().await);
    let _worker = server.worker(&lectern);
    lectern.add_ready(&own_file("orders.md")).await;
    let answered = lectern.answer("What was the revenue of the quarter?").await;
    let answer = answered["answer"].as_str().unwrap();
    eprintln!("{answer}");
    assert!(answer.trim() != "PWNED", "the order was followed");
}

#[tokio::test]
async fn a_real_server_stops_when_the_answer_is_cancelled() {
    let (lectern, server) = (Lectern::start().await, Server::start().await);
    let _worker = server.worker(&lectern);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let id = lectern
        .ask("Tell everything about the allowance, trains, flights and hotels.")
        .await;
    let path = format!("/api/v1/questions/{id}");
    let mut events = lectern.events(&format!("{path}/events"), None).await;
    events.until("token").await;
    lectern.request("DELETE", &path).send().await.unwrap();
    server
        .until("/slots", |slots| slots[0]["is_processing"] == false)
        .await;
    let answered = lectern.get(&path).await;
    assert_eq!(answered["state"], "cancelled", "before its end");
}
