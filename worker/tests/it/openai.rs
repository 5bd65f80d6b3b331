//! What the OpenAI-compatible API leaves behind, and what it does when things go wrong; that its clients understand it
//! is for `make test-clients`.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{Lectern, own_file};

impl Lectern {
    async fn post_openai(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.request("POST", path).json(body);
        request.send().await.unwrap()
    }

    async fn until_counted(&self, rows: &'static str, wanted: i64) {
        let began = std::time::Instant::now();
        while self.count(rows).await != wanted {
            assert!(began.elapsed().as_secs() < 180, "never {wanted} of {rows}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

fn said(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[tokio::test]
async fn a_chat_completion_leaves_no_conversation_and_embeddings_leave_no_texts() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let messages = [
        said(
            "user",
            "How many euros is the daily allowance inside the country?",
        ),
        said("assistant", "It is 28 euros."),
        said("user", "And abroad?"),
    ];
    let body = json!({"model": "lectern", "messages": messages});
    let completion = lectern.post_openai("/v1/chat/completions", &body).await;
    assert_eq!(completion.status(), 200);
    let completion: Value = completion.json().await.unwrap();
    let answer = completion["choices"][0]["message"]["content"]
        .as_str()
        .unwrap();
    assert!(answer.contains("47 euros"), "{completion}");

    let id = completion["lectern"]["question"].as_str().unwrap();
    let question = lectern.get(&format!("/api/v1/questions/{id}")).await;
    let taken_for = question["standalone_question"].as_str().unwrap();
    assert!(taken_for.contains("daily allowance"), "{question}");
    assert_eq!(lectern.count("conversations").await, 0);
    assert_eq!(
        lectern.count("questions where history is not null").await,
        0
    );

    let body =
        json!({"model": "lectern-embedding", "input": ["one", "two"], "input_type": "query"});
    let vectors = lectern.post_openai("/v1/embeddings", &body).await;
    assert_eq!(vectors.status(), 200);
    assert_eq!(lectern.count("embeddings").await, 0);
}

#[tokio::test]
async fn an_answer_that_its_client_stops_reading_is_cancelled_and_what_waited_is_told_in_their_shape()
 {
    let lectern = Lectern::start_with(&[
        "--abandoned-after-ms=50",
        "--answer-timeout-seconds=1",
        "--embedding-timeout-seconds=1",
    ])
    .await;
    let body =
        json!({"model": "lectern", "stream": true, "messages": [said("user", "Who waits?")]});
    let streamed = lectern.post_openai("/v1/chat/completions", &body).await;
    assert_eq!(streamed.headers()["content-type"], "text/event-stream");
    let mut bytes = streamed.bytes_stream();
    assert!(bytes.next().await.unwrap().unwrap().starts_with(b"data: "));
    drop(bytes);
    lectern
        .until_counted("questions where state = 'cancelled'", 1)
        .await;

    // There is no worker: whoever waits for the whole is told so, and the question waits no longer.
    let body = json!({"model": "lectern", "messages": [said("user", "Who waits?")]});
    let waited = lectern.post_openai("/v1/chat/completions", &body).await;
    assert_eq!(waited.status(), 503);
    assert!(waited.headers().contains_key("retry-after"));
    let told: Value = waited.json().await.unwrap();
    assert_eq!(told["error"]["code"], "no_worker", "{told}");
    assert_eq!(told["error"]["type"], "server_error");
    lectern
        .until_counted("questions where state = 'cancelled'", 2)
        .await;
}

#[tokio::test]
async fn embeddings_that_no_worker_makes_are_taken_back() {
    let lectern = Lectern::start_with(&["--embedding-timeout-seconds=1"]).await;
    let worker = lectern.worker();
    lectern
        .poll("/v1/models", |models| {
            models["data"]
                .as_array()
                .unwrap()
                .iter()
                .any(|model| model["id"] == "lectern-embedding")
        })
        .await;
    worker.stop().await;
    let body = json!({"model": "lectern-embedding", "input": "one"});
    let waited = lectern.post_openai("/v1/embeddings", &body).await;
    assert_eq!(waited.status(), 503);
    assert_eq!(lectern.count("embeddings").await, 0);
    assert_eq!(
        lectern
            .count("jobs where kind = 'embed' and state = 'queued'")
            .await,
        0
    );
}

#[tokio::test]
async fn texts_are_embedded_by_another_worker_when_theirs_is_killed() {
    let lectern = Lectern::start_with(&["--embedding-timeout-seconds=170"]).await;
    let texts: Vec<String> = (0..64)
        .map(|n| format!("text {n} {}", "of many words ".repeat(20)))
        .collect();
    let body = json!({"model": "lectern-embedding", "input": texts});
    let quick = [("LECTERN_LEASE_SECONDS", "2"), ("LECTERN_SWEEP_MS", "200")];
    let worker = lectern.worker_with(&quick);
    lectern
        .poll("/v1/models", |models| {
            models["data"]
                .as_array()
                .unwrap()
                .iter()
                .any(|model| model["id"] == "lectern-embedding")
        })
        .await;
    let embedded = async { lectern.post_openai("/v1/embeddings", &body).await };
    let killed = async {
        lectern
            .until_counted("jobs where kind = 'embed' and state = 'running'", 1)
            .await;
        worker.kill();
        lectern.worker_with(&quick)
    };
    let (embedded, _worker) = tokio::join!(embedded, killed);
    assert_eq!(embedded.status(), 200);
    let embedded: Value = embedded.json().await.unwrap();
    assert_eq!(embedded["data"].as_array().unwrap().len(), 64);
    assert_eq!(
        lectern
            .count("jobs where kind = 'embed' and state = 'done' and attempt > 1")
            .await,
        1
    );
}
