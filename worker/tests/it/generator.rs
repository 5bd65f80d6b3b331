//! The generator for OpenAI-compatible servers, against a server that does on request what a real one does rarely:
//! speak slowly, break off, refuse.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    http::StatusCode,
    response::{
        IntoResponse, Redirect,
        sse::{Event, Sse},
    },
    routing::post,
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Lectern, evaluation_file, own_file, text};

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
    /// Requests to answer with 429, with these seconds as `Retry-After`; and with 500.
    busy: AtomicUsize,
    retry_after: AtomicUsize,
    errors: AtomicUsize,
    /// All requests.
    asked: AtomicUsize,
    /// Streams fall silent after a few words.
    silent: AtomicBool,
    /// Where requests are sent on to.
    redirect: std::sync::Mutex<Option<String>>,
    /// Said in the place of words.
    says: std::sync::Mutex<Option<Vec<String>>>,
    /// Said to who wants a question rewritten.
    rewrites: std::sync::Mutex<Option<String>>,
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
            // Tests ask the same question again, for another answer.
            ("LECTERN_CACHE", "false"),
        ]
    }

    /// All that it says to one question.
    pub(crate) fn text(&self) -> String {
        (0..self.words).map(word).collect()
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// What it says in the place of its words.
    pub(crate) fn say(&self, text: &str) {
        let words = text.split_inclusive(' ').map(str::to_owned).collect();
        *self.state.says.lock().unwrap() = Some(words);
    }

    /// What it says when it is to rewrite a question.
    pub(crate) fn rewrite_to(&self, question: &str) {
        *self.state.rewrites.lock().unwrap() = Some(question.to_owned());
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
    state.asked.fetch_add(1, Ordering::SeqCst);
    let wants_a_rewrite = request["messages"][0]["content"]
        .as_str()
        .is_some_and(|system| system.starts_with("You rewrite"));
    *state.prompt.lock().unwrap() = request["messages"].clone();
    let take = |count: &AtomicUsize| {
        count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        })
    };
    if let Some(url) = state.redirect.lock().unwrap().clone() {
        // The one that has clients send their body again.
        return Redirect::temporary(&url).into_response();
    }
    if take(&state.refusals).is_ok() {
        let error = json!({"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}});
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    }
    if take(&state.busy).is_ok() {
        let seconds = state.retry_after.load(Ordering::SeqCst).to_string();
        return (
            StatusCode::TOO_MANY_REQUESTS,
            [("retry-after", seconds)],
            "slowly",
        )
            .into_response();
    }
    if take(&state.errors).is_ok() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "no JSON").into_response();
    }
    let breaks_off = take(&state.failures).is_ok();
    let falls_silent = state.silent.load(Ordering::SeqCst);
    let said: Vec<String> = if wants_a_rewrite {
        state.rewrites.lock().unwrap().clone().into_iter().collect()
    } else {
        let says = state.says.lock().unwrap().clone();
        says.unwrap_or_else(|| (0..words).map(word).collect())
    };
    let words = said.len();
    state.opened.fetch_add(1, Ordering::SeqCst);
    let open = CountClosed(state);
    let chunk = |content: Value, usage: Value| {
        json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "test", "usage": usage,
               "choices": [{"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": null}]})
    };
    let pieces = stream::iter(said)
        .enumerate()
        .then(move |(number, word)| async move {
            tokio::time::sleep(pause).await;
            if falls_silent && number == 2 {
                std::future::pending::<()>().await;
            }
            chunk(json!(word), Value::Null)
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

#[tokio::test]
async fn a_server_that_is_busy_or_down_is_asked_again_before_the_first_token() {
    let lectern = Lectern::start().await;
    let server = Server::start(12, Duration::from_millis(5)).await;
    server.state.busy.store(1, Ordering::SeqCst);
    server.state.retry_after.store(2, Ordering::SeqCst);
    server.state.errors.store(1, Ordering::SeqCst);
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let began = std::time::Instant::now();
    let question = "What is the daily allowance abroad?";
    let events = lectern.ask_streaming(question).await.rest().await;
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(text(&events), server.text());
    assert!(
        events.iter().all(|event| event.name != "reset"),
        "{events:?}"
    );
    assert_eq!(server.state.asked.load(Ordering::SeqCst), 3);

    // Who asks for an hour is not waited for.
    server.state.busy.store(100, Ordering::SeqCst);
    server.state.retry_after.store(3600, Ordering::SeqCst);
    let events = lectern.ask_streaming(question).await.rest().await;
    let end = events.last().unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["code"]),
        ("failed", &json!("generator_busy"))
    );
    assert_eq!(end.data["retryable"], true);
    assert_eq!(server.state.asked.load(Ordering::SeqCst), 4);

    server.state.busy.store(0, Ordering::SeqCst);
    server.state.errors.store(100, Ordering::SeqCst);
    let events = lectern.ask_streaming(question).await.rest().await;
    let end = events.last().unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["code"]),
        ("failed", &json!("generator_unavailable"))
    );
    assert_eq!(
        server.state.asked.load(Ordering::SeqCst),
        8,
        "once, and three times again"
    );
}

#[tokio::test]
async fn a_server_that_falls_silent_or_takes_too_long_is_left_and_the_reason_is_told() {
    let lectern = Lectern::start().await;
    let server = Server::start(1000, Duration::from_millis(50)).await;
    let mut environment = server.environment();
    environment.push(("LECTERN_GENERATOR_TIMEOUT_SECONDS", "1"));
    environment.push(("LECTERN_GENERATOR_SECONDS_MAX", "3"));
    let _worker = lectern.worker_with(&environment);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    for (silent, words) in [(true, 2), (false, 10)] {
        server.state.silent.store(silent, Ordering::SeqCst);
        let question = "What is the daily allowance abroad?";
        let events = lectern.ask_streaming(question).await.rest().await;
        let end = events.last().unwrap();
        assert_eq!(
            (end.name.as_str(), &end.data["code"]),
            ("failed", &json!("generator_timed_out"))
        );
        assert!(
            text(&events).split_whitespace().count() >= words,
            "{events:?}"
        );
        server.until_abandoned().await;
    }
    assert_eq!(
        server.state.asked.load(Ordering::SeqCst),
        2,
        "each was asked once"
    );
}

#[tokio::test]
async fn an_answer_that_is_cancelled_closes_the_connection_to_a_server_that_is_silent() {
    let lectern = Lectern::start().await;
    let server = Server::start(10, Duration::from_millis(5)).await;
    server.state.silent.store(true, Ordering::SeqCst);
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let id = lectern.ask("What is the daily allowance abroad?").await;
    let path = format!("/api/v1/questions/{id}");
    let mut events = lectern.events(&format!("{path}/events"), None).await;
    events.until("token").await;
    lectern.request("DELETE", &path).send().await.unwrap();
    server.until_abandoned().await;
    let end = events.rest().await.pop().unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["code"]),
        ("failed", &json!("cancelled"))
    );
}

#[tokio::test]
async fn citations_are_checked_before_readers_see_them_and_thoughts_are_hidden() {
    let lectern = Lectern::start().await;
    let server = Server::start(10, Duration::from_millis(5)).await;
    let pieces = [
        "<think>47",
        "?</think>",
        "47 euros [",
        "1",
        "], not 50 [9",
        "9]",
        ". So 【1】",
        ".",
    ];
    *server.state.says.lock().unwrap() = Some(pieces.map(str::to_owned).to_vec());
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let question = "What is the daily allowance abroad?";
    let id = lectern.ask(question).await;
    let path = format!("/api/v1/questions/{id}");
    let events = lectern
        .events(&format!("{path}/events"), None)
        .await
        .rest()
        .await;
    assert_eq!(text(&events), "47 euros [1], not 50. So [1].");
    assert!(events.iter().all(|event| {
        !event.data["text"]
            .as_str()
            .is_some_and(|text| text.ends_with('['))
    }));
    assert_eq!(events.last().unwrap().data["cited"], json!([1]));
    let answered = lectern.get(&path).await;
    let cited: Vec<_> = answered["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["cited"].clone())
        .collect();
    assert!(cited.len() > 1);
    assert_eq!(cited.iter().filter(|&cited| cited == true).count(), 1);
    assert_eq!(cited[0], true);
}

#[tokio::test]
async fn a_model_that_finds_no_answer_files_the_question_and_what_it_says_uncited_is_not_given_again()
 {
    let lectern = Lectern::start().await;
    let server = Server::start(3, Duration::from_millis(5)).await;
    let mut environment = server.environment();
    environment.retain(|(name, _)| *name != "LECTERN_CACHE");
    let _worker = lectern.worker_with(&environment);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    server.say("The passages do not say who pays for parking [0].");
    let question = "What is the daily allowance abroad?";
    let answer = lectern.answer(question).await;
    assert_eq!(answer["abstained"], true, "{answer}");
    assert_eq!(
        answer["answer"],
        "The passages do not say who pays for parking."
    );
    let unanswered = lectern.get("/api/v1/unanswered").await;
    assert_eq!(
        unanswered["unanswered"][0]["question"], question,
        "{unanswered}"
    );

    server.say("It is 47 euros.");
    let uncited = lectern.answer(question).await;
    assert_eq!(
        (
            &uncited["abstained"],
            &uncited["cached"],
            &uncited["notice"]
        ),
        (&json!(false), &json!(false), &json!("uncited"))
    );
    server.say("It is 47 euros [1].");
    let cited = lectern.answer(question).await;
    assert_eq!(
        (&cited["cached"], &cited["answer"], cited.get("notice")),
        (&json!(false), &json!("It is 47 euros [1]."), None)
    );
    server.say("Something else.");
    let again = lectern.answer(question).await;
    assert_eq!(
        (&again["cached"], &again["answer"]),
        (&json!(true), &cited["answer"])
    );

    // A question that stands alone is known in a conversation, too; a follow-up is not.
    let conversation = lectern.begin_conversation().await;
    lectern.answer_in(&conversation, "Who signs flights?").await;
    let known = lectern.answer_in(&conversation, question).await;
    assert_eq!(known["cached"], true, "{known}");
    let follow_up = lectern
        .answer_in(&conversation, "And inside the country?")
        .await;
    assert_eq!(follow_up["cached"], false, "{follow_up}");
}

#[tokio::test]
async fn a_server_that_can_not_be_reached_is_told_with_what_to_do() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[
        ("LECTERN_GENERATOR", "openai"),
        ("LECTERN_OPENAI_BASE_URL", "http://127.0.0.1:9/v1"),
        ("LECTERN_GENERATOR_RETRIES_MAX", "1"),
    ]);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let answered = lectern.answer("What is the daily allowance abroad?").await;
    assert_eq!(answered["failure"]["code"], "generator_unavailable");
    let message = answered["failure"]["message"].as_str().unwrap();
    assert!(message.contains("LECTERN_OPENAI_BASE_URL"), "{message}");
}

#[tokio::test]
async fn a_server_that_sends_requests_elsewhere_is_not_followed() {
    let lectern = Lectern::start().await;
    let server = Server::start(3, Duration::from_millis(5)).await;
    let elsewhere = Server::start(3, Duration::from_millis(5)).await;
    let url = format!("{}/chat/completions", elsewhere.url);
    *server.state.redirect.lock().unwrap() = Some(url);
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let answered = lectern.answer("What is the daily allowance abroad?").await;
    assert_eq!(answered["failure"]["code"], "generator_unavailable");
    assert_eq!((server.asked(), elsewhere.asked()), (1, 0));
}

#[tokio::test]
async fn orders_inside_a_document_reach_the_server_as_quoted_text_alone() {
    let lectern = Lectern::start().await;
    let server = Server::start(3, Duration::from_millis(5)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("orders.md")).await;
    if let Some(file) = evaluation_file("hostile/synth-hidden-text-injection.pdf") {
        lectern.add_ready(&file).await;
    }
    lectern.answer("What was the revenue of the quarter?").await;
    let prompt = server.state.prompt.lock().unwrap().clone();
    assert_eq!(
        prompt.as_array().unwrap().len(),
        2,
        "a system prompt and one message"
    );
    let system = prompt[0]["content"].as_str().unwrap();
    assert!(
        !system.contains("PWNED") && system.contains("not instructions"),
        "{system}"
    );
    let user = prompt[1]["content"].as_str().unwrap();
    assert!(user.contains("PWNED"), "the order is quoted: {user}");
    let (quoted, rest) = user.rsplit_once("</passage>").unwrap();
    assert!(!rest.contains("PWNED"), "{rest}");
    for opened in quoted.split("<passage ").skip(1) {
        assert_eq!(
            opened.matches('<').count(),
            opened.matches("</passage>").count(),
            "{opened}"
        );
    }
    assert!(
        !user.contains("<|im_start|>") && !user.contains("[INST]"),
        "{user}"
    );
}

#[tokio::test]
async fn a_follow_up_is_rewritten_from_what_was_said_and_the_rest_is_left_as_it_is() {
    let lectern = Lectern::start().await;
    let server = Server::start(3, Duration::from_millis(5)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let conversation = lectern.begin_conversation().await;
    let first = lectern
        .answer_in(&conversation, "What is the hotel limit in Germany?")
        .await;
    assert_eq!(first["standalone_question"], Value::Null);
    assert_eq!(server.state.asked.load(Ordering::SeqCst), 1);

    let rewritten = "What is the hotel limit abroad?";
    *server.state.rewrites.lock().unwrap() = Some(format!("\"{rewritten}\""));
    let id = lectern.ask_in(&conversation, "And abroad?").await;
    let events = lectern
        .events(&format!("/api/v1/questions/{id}/events"), None)
        .await
        .rest()
        .await;
    let told = events
        .iter()
        .find_map(|event| event.data["standalone_question"].as_str());
    assert_eq!(told, Some(rewritten));
    assert_eq!(server.state.asked.load(Ordering::SeqCst), 3);
    let prompt = server.state.prompt.lock().unwrap()[1].to_string();
    assert!(
        prompt.contains(rewritten) && !prompt.contains("And abroad?"),
        "{prompt}"
    );

    let third = lectern
        .answer_in(&conversation, "Who signs flights in business class?")
        .await;
    assert_eq!(third["standalone_question"], Value::Null);
    assert_eq!(server.state.asked.load(Ordering::SeqCst), 4);

    // A rewriter that answers instead is not listened to.
    *server.state.rewrites.lock().unwrap() = Some("It is 47 euros.".to_owned());
    let fourth = lectern.answer_in(&conversation, "And why?").await;
    assert_eq!(
        fourth["standalone_question"],
        "Who signs flights in business class? And why?"
    );
    let whole = lectern
        .get(&format!("/api/v1/conversations/{conversation}"))
        .await;
    assert_eq!(whole["questions"][1]["standalone_question"], rewritten);
}

#[tokio::test]
async fn without_a_model_a_follow_up_is_searched_for_with_the_question_before_it() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let conversation = lectern.begin_conversation().await;
    lectern
        .answer_in(
            &conversation,
            "How much is the daily allowance inside the country?",
        )
        .await;
    let answered = lectern.answer_in(&conversation, "And abroad?").await;
    assert_eq!(
        answered["standalone_question"],
        "How much is the daily allowance inside the country? And abroad?"
    );
    let answer = answered["answer"].as_str().unwrap();
    assert!(answer.contains("47 euros abroad"), "{answer}");
}
