//! The generator for OpenAI-compatible servers, against a server that does on request what a real one does rarely:
//! speak slowly, break off, refuse.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
    routing::post,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Lectern, own_file, text};

/// Speaks so many words, one at a time.
pub(crate) struct Server {
    url: String,
    words: usize,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Streams that were opened, and those that were closed, however that came.
    opened: AtomicUsize,
    closed: AtomicUsize,
    /// Requests to break off after a few words.
    failures: AtomicUsize,
    /// Requests to refuse.
    refusals: AtomicUsize,
    prompt: std::sync::Mutex<Value>,
}

struct CountClosed(Arc<State>);

impl Drop for CountClosed {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::SeqCst);
    }
}

fn word(number: usize) -> String {
    format!("word{number} ")
}

impl Server {
    pub(crate) async fn start(words: usize, pause: Duration) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let speak = move |Json(request): Json<Value>| {
            let state = Arc::clone(&shared);
            async move { speak(state, request, words, pause) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/chat/completions", post(speak));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, words, state }
    }

    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("LECTERN_GENERATOR", "openai"),
            ("LECTERN_OPENAI_BASE_URL", &self.url),
            ("LECTERN_OPENAI_MODEL", "test"),
        ]
    }

    /// All that it says to one question.
    pub(crate) fn text(&self) -> String {
        (0..self.words).map(word).collect()
    }

    /// Waits until every stream that was opened is closed.
    pub(crate) async fn until_abandoned(&self) {
        let closed = async {
            while self.state.closed.load(Ordering::SeqCst)
                < self.state.opened.load(Ordering::SeqCst)
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed)
            .await
            .expect("the stream upstream is still open");
    }
}

fn speak(
    state: Arc<State>,
    request: Value,
    words: usize,
    pause: Duration,
) -> axum::response::Response {
    *state.prompt.lock().unwrap() = request["messages"].clone();
    let take = |count: &AtomicUsize| {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
    };
    if take(&state.refusals).is_ok() {
        let error = json!({"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}});
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    }
    let breaks_off = take(&state.failures).is_ok();
    state.opened.fetch_add(1, Ordering::SeqCst);
    let open = CountClosed(state);
    let chunk = |content: Value, usage: Value| {
        json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "test", "usage": usage,
               "choices": [{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": null}]})
    };
    let pieces = stream::iter(0..words).then(move |number| async move {
        tokio::time::sleep(pause).await;
        chunk(json!(word(number)), Value::Null)
    });
    let usage = chunk(
        Value::Null,
        json!({"prompt_tokens": 11, "completion_tokens": words, "total_tokens": words + 11}),
    );
    let end = stream::iter([usage.to_string(), "[DONE]".to_owned()]);
    let all = pieces
        .map(|piece| piece.to_string())
        .chain(end)
        .map(move |data| {
            let _ = &open;
            Ok::<_, Infallible>(Event::default().data(data))
        });
    if breaks_off {
        let broken = all
            .take(3)
            .map(Ok::<_, std::io::Error>)
            .chain(stream::iter([Err(std::io::Error::other("broke off"))]));
        return Sse::new(broken.map(|item| item.map(|event| event.unwrap()))).into_response();
    }
    Sse::new(all).into_response()
}

#[tokio::test]
async fn an_openai_compatible_server_streams_the_answer_and_its_usage_is_kept() {
    let lectern = Lectern::start().await;
    let server = Server::start(30, Duration::from_millis(5)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await
        .rest()
        .await;
    assert_eq!(text(&events), server.text());
    let done = &events.last().unwrap().data;
    assert_eq!(
        (&done["generator"], &done["usage"]["answer_tokens"]),
        (&json!("openai"), &json!(30))
    );
    assert_eq!(done["usage"]["prompt_tokens"], 11);
    let prompt = server.state.prompt.lock().unwrap().clone();
    assert_eq!(prompt[0]["role"], "system");
    assert!(
        prompt[1]["content"]
            .as_str()
            .unwrap()
            .contains("47 euros abroad"),
        "{prompt}"
    );
}

#[tokio::test]
async fn a_server_that_breaks_off_is_asked_again_and_readers_start_over() {
    let lectern = Lectern::start().await;
    let server = Server::start(12, Duration::from_millis(5)).await;
    server.state.failures.store(1, Ordering::SeqCst);
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await
        .rest()
        .await;
    assert!(
        events.iter().any(|event| event.name == "reset"),
        "{events:?}"
    );
    assert_eq!(
        events.iter().filter(|event| event.name == "done").count(),
        1
    );
    assert_eq!(text(&events), server.text());
}

#[tokio::test]
async fn a_server_that_refuses_is_not_asked_again_and_the_reason_is_told() {
    let lectern = Lectern::start().await;
    let server = Server::start(12, Duration::from_millis(5)).await;
    server.state.refusals.store(5, Ordering::SeqCst);
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await
        .rest()
        .await;
    let end = events.last().unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["code"]),
        ("failed", &json!("generator_refused"))
    );
    assert_eq!(
        server.state.refusals.load(Ordering::SeqCst),
        4,
        "asked once"
    );
}
