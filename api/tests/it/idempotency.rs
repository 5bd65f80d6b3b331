//! Requests that are sent again: done once, answered alike.

use futures::future::join_all;
use lectern_api::testing;
use lectern_shared::{ids::DEFAULT_TENANT, keys::Scope};
use reqwest::{RequestBuilder, Response, multipart};
use serde_json::{Value, json};

use super::{Api, pdf, pdf_number, problem};

impl Api {
    fn ask(&self, word: &str, question: &str) -> RequestBuilder {
        let request = self.request("POST", "/api/v1/questions");
        let request = request.header("idempotency-key", word);
        request.json(&json!({"question": question}))
    }

    fn upload_as(&self, word: &str, name: &'static str, bytes: Vec<u8>) -> RequestBuilder {
        let part = multipart::Part::bytes(bytes).file_name(name);
        let request = self.request("POST", "/api/v1/documents");
        let request = request.header("idempotency-key", word);
        request.multipart(multipart::Form::new().part("file", part))
    }
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.unwrap()
}

fn is_replayed(response: &Response) -> bool {
    response.headers().contains_key("idempotency-replayed")
}

#[tokio::test]
async fn a_question_that_is_sent_again_is_asked_once_and_answered_alike() {
    let api = Api::start(&[]).await;
    let first = send(api.ask("one", "Why?")).await;
    assert_eq!((first.status().as_u16(), is_replayed(&first)), (202, false));
    let location = first.headers()["location"].clone();
    let first: Value = first.json().await.unwrap();
    let again = send(api.ask("one", "Why?")).await;
    assert_eq!((again.status().as_u16(), is_replayed(&again)), (202, true));
    assert_eq!(again.headers()["location"], location);
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    problem(
        send(api.ask("one", "Why not?")).await,
        422,
        "idempotency_mismatch",
    )
    .await;
    assert_eq!(send(api.ask("two", "Why?")).await.status(), 202);
    assert_eq!(api.count("questions").await, 2);
    // The word of one key is not that of another.
    let key = testing::key(api.pool(), DEFAULT_TENANT, &[Scope::Ask])
        .await
        .unwrap();
    let other = api.request_with(&key, "POST", "/api/v1/questions");
    let other = other
        .header("idempotency-key", "one")
        .json(&json!({"question": "Why?"}));
    assert!(!is_replayed(&send(other).await));
    // As a client asks that lost the stream: it gets the same question's, from its beginning.
    let stream = send(api.ask("one", "Why?").header("accept", "text/event-stream")).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(
        (stream.headers()["location"].clone(), is_replayed(&stream)),
        (location, true)
    );
}

#[tokio::test]
async fn a_question_whose_stream_was_lost_is_found_again_by_its_word() {
    let api = Api::start(&["--abandoned-after-ms=600000"]).await;
    let ask = || api.ask("one", "Why?").header("accept", "text/event-stream");
    let first = send(ask()).await;
    assert_eq!(first.status(), 200);
    let location = first.headers()["location"].clone();
    drop(first);
    // The first answer is written down when its head is sent.
    let again = send(ask()).await;
    assert_eq!(
        (again.headers()["location"].clone(), is_replayed(&again)),
        (location.clone(), true)
    );
    let plain = send(api.ask("one", "Why?")).await;
    assert_eq!(plain.status(), 202);
    let plain: Value = plain.json().await.unwrap();
    assert_eq!(
        plain["events"],
        format!("{}/events", location.to_str().unwrap())
    );
    assert_eq!(api.count("questions").await, 1);
}

#[tokio::test]
async fn an_upload_that_is_sent_again_in_a_form_cut_otherwise_makes_one_document() {
    let api = Api::start(&[]).await;
    let first = send(api.upload_as("one", "a.pdf", pdf())).await;
    assert_eq!(first.status(), 202);
    let first: Value = first.json().await.unwrap();
    // Each form has a boundary of its own. Without the word, this were 200, and a duplicate.
    let again = send(api.upload_as("one", "a.pdf", pdf())).await;
    assert_eq!((again.status().as_u16(), is_replayed(&again)), (202, true));
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    for (name, bytes) in [("b.pdf", pdf()), ("a.pdf", pdf_number(1))] {
        let other = send(api.upload_as("one", name, bytes)).await;
        problem(other, 422, "idempotency_mismatch").await;
    }
    assert_eq!(
        (api.count("documents").await, api.place.blob_count()),
        (1, 1)
    );
}

#[tokio::test]
async fn of_equal_requests_at_one_moment_one_is_done_and_the_others_wait_or_get_its_answer() {
    let api = Api::start(&[]).await;
    let answers = join_all((0..20).map(|_| api.ask("one", "Why?").send())).await;
    let mut ids = Vec::new();
    for answer in answers {
        let answer = answer.unwrap();
        if answer.status() == 202 {
            ids.push(answer.json::<Value>().await.unwrap()["id"].clone());
        } else {
            assert!(answer.headers().contains_key("retry-after"));
            problem(answer, 409, "idempotency_busy").await;
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(api.count("questions").await, 1);
}

#[tokio::test]
async fn a_word_is_busy_while_its_request_is_and_free_when_that_has_died() {
    let api = Api::start(&[]).await;
    assert_eq!(send(api.ask("one", "Why?")).await.status(), 202);
    let set = async |busy: &str| {
        let statement = format!(
            "update idempotent_requests set status = null, busy_until = now() + interval '{busy}'"
        );
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(api.pool())
            .await
            .unwrap();
    };
    set("1 minute").await;
    problem(send(api.ask("one", "Why?")).await, 409, "idempotency_busy").await;
    set("-1 minute").await;
    let taken_over = send(api.ask("one", "Why?")).await;
    assert_eq!(
        (taken_over.status().as_u16(), is_replayed(&taken_over)),
        (202, false)
    );
}

#[tokio::test]
async fn a_retry_that_is_sent_again_is_one_attempt_and_not_refused() {
    let api = Api::start(&[]).await;
    let made = send(api.upload_as("upload", "a.pdf", pdf())).await;
    let path = made.headers()["location"].to_str().unwrap().to_owned();
    let post = async |word: &str, path: &str, body: Value| {
        let request = api.request("POST", path).header("idempotency-key", word);
        send(request.json(&body)).await
    };
    let cancel = async || {
        let cancelled = api.request("POST", &format!("{path}/cancel"));
        assert_eq!(send(cancelled).await.status(), 200);
    };
    cancel().await;
    let retry = format!("{path}/retry");
    let first = post("one", &retry, json!({"password": "zanzibar"})).await;
    assert_eq!((first.status().as_u16(), is_replayed(&first)), (202, false));
    // Of the password nothing is kept, so it is the same with another one.
    let again = post("one", &retry, json!({"password": "pemba"})).await;
    assert_eq!((again.status().as_u16(), is_replayed(&again)), (202, true));
    problem(post("two", &retry, json!({})).await, 409, "conflict").await;

    cancel().await;
    let all = "/api/v1/documents/retry";
    let first: Value = post("three", all, json!({})).await.json().await.unwrap();
    let again = post("three", all, json!({})).await;
    assert!(is_replayed(&again));
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    assert_eq!(first["retried"], 1);
    let other = post("three", all, json!({"collection": "default"})).await;
    problem(other, 422, "idempotency_mismatch").await;

    sqlx::query("update documents set state = 'ready', version = 1")
        .execute(api.pool())
        .await
        .unwrap();
    let reingest = format!("{path}/reingest");
    for replayed in [false, true] {
        let answer = post("four", &reingest, json!({})).await;
        assert_eq!(
            (answer.status().as_u16(), is_replayed(&answer)),
            (202, replayed)
        );
        let document: Value = answer.json().await.unwrap();
        assert_eq!(document["wanted"], 2, "{document}");
    }
}

#[tokio::test]
async fn what_was_refused_keeps_no_word_and_what_is_old_is_forgotten() {
    let api = Api::start(&["--idempotency-seconds=3600"]).await;
    problem(send(api.ask("one", "")).await, 400, "invalid_request").await;
    assert_eq!(api.count("idempotent_requests").await, 0);
    assert_eq!(send(api.ask("one", "Why?")).await.status(), 202);
    let kept = "idempotent_requests where expires_at between now() + interval '59 minutes' and now() + interval '1 hour'";
    assert_eq!(api.count(kept).await, 1);
    let forget = || lectern_shared::store::idempotency::forget(api.pool());
    assert_eq!(forget().await.unwrap(), 0);
    sqlx::query("update idempotent_requests set expires_at = now() - interval '1 second'")
        .execute(api.pool())
        .await
        .unwrap();
    // Even before it is swept away.
    let another = send(api.ask("one", "Why not?")).await;
    assert_eq!(
        (another.status().as_u16(), is_replayed(&another)),
        (202, false)
    );
    sqlx::query("update idempotent_requests set expires_at = now() - interval '1 second'")
        .execute(api.pool())
        .await
        .unwrap();
    assert_eq!(forget().await.unwrap(), 1);
    for nonsense in ["", &"x".repeat(256)] {
        problem(
            send(api.ask(nonsense, "Why?")).await,
            400,
            "invalid_request",
        )
        .await;
    }
}
