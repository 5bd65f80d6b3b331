//! The API's doors: keys, uploads, bad requests, health. What needs a worker is tested with the workers.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod access;
mod answers;
mod commands;
mod conversations;
mod http;
mod idempotency;
mod keys;
mod lifecycle;
mod limits;
mod mcp;
mod operations;
mod outages;
mod page;
mod quotas;
mod reference;
mod streams;
mod threats;
mod widgets;

use std::net::SocketAddr;

use lectern_api::testing;
use lectern_shared::{
    ids::DEFAULT_TENANT,
    keys::{DEVELOPMENT_KEY, Scope},
    testing::Place,
};
use reqwest::{Client, RequestBuilder, Response, multipart};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

struct Api {
    place: Place,
    client: Client,
    address: SocketAddr,
    stop: CancellationToken,
}

impl Api {
    async fn start(arguments: &[&str]) -> Self {
        Self::start_in(Place::new().await.unwrap(), arguments).await
    }

    async fn start_in(place: Place, arguments: &[&str]) -> Self {
        let api = testing::start(testing::settings(arguments), &place)
            .await
            .unwrap();
        Self {
            place,
            client: Client::new(),
            address: api.address,
            stop: api.stop,
        }
    }

    fn request_with(&self, key: &str, method: &str, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client
            .request(method.parse().unwrap(), url)
            .bearer_auth(key)
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.request_with(DEVELOPMENT_KEY, method, path)
    }

    async fn upload(&self, name: &str, bytes: Vec<u8>) -> Response {
        let form = multipart::Form::new().part(
            "file",
            multipart::Part::bytes(bytes).file_name(name.to_owned()),
        );
        self.request("POST", "/api/v1/documents")
            .multipart(form)
            .send()
            .await
            .unwrap()
    }

    fn pool(&self) -> &PgPool {
        &self.place.pool
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The problem that a refused request carries.
async fn problem(response: Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.ends_with(['.', ':', 'f'])),
        "{problem}"
    );
    problem
}

/// One of many that differ.
fn pdf_number(number: usize) -> Vec<u8> {
    [pdf(), number.to_string().into_bytes()].concat()
}

fn pdf() -> Vec<u8> {
    b"%PDF-1.4\nnot much of one".to_vec()
}

#[tokio::test]
async fn an_upload_is_stored_with_its_hash_before_anybody_is_woken() {
    let api = Api::start(&[]).await;
    let response = api.upload("Reise/../Hand\u{202e}buch.pdf", pdf()).await;
    assert_eq!(response.status(), 202);
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let accepted: Value = response.json().await.unwrap();
    assert_eq!(accepted["events"], format!("{location}/events"));

    let document: Value = api
        .request("GET", &location)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&document["name"], &document["state"]),
        (&json!("Handbuch.pdf"), &json!("queued"))
    );
    // As `sha256sum` says.
    assert_eq!(
        document["sha256"],
        "e5569eaa4fcaff065b6bf77b5fdb77d61082a518935d446dad94a4cf0f0f1bd4"
    );
    assert_eq!(api.place.blob_count(), 1);
    let jobs: i64 =
        sqlx::query_scalar("select count(*) from jobs where kind = 'ingest' and state = 'queued'")
            .fetch_one(api.pool())
            .await
            .unwrap();
    assert_eq!(jobs, 1);
}

#[tokio::test]
async fn an_upload_that_is_too_large_empty_or_unreadable_is_refused_and_leaves_nothing() {
    let api = Api::start(&["--upload-bytes-max=100000"]).await;
    let large = [pdf(), vec![b' '; 200_000]].concat();
    problem(api.upload("large.pdf", large).await, 413, "too_large").await;
    problem(api.upload("empty.pdf", Vec::new()).await, 400, "empty_file").await;
    problem(
        api.upload("page.pdf", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec())
            .await,
        415,
        "unsupported_type",
    )
    .await;
    let refused = api.upload("notes.txt", b"\0\x01\x02".to_vec()).await;
    let refused = problem(refused, 415, "unsupported_type").await;
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("PDF, Word (DOCX), "), "{detail}");
    let form = multipart::Form::new().text("attachment", "x");
    let response = api
        .request("POST", "/api/v1/documents")
        .multipart(form)
        .send()
        .await
        .unwrap();
    problem(response, 400, "invalid_request").await;
    let response = api
        .request("POST", "/api/v1/documents")
        .body("x")
        .send()
        .await
        .unwrap();
    problem(response, 400, "invalid_request").await;
    assert_eq!(api.place.blob_count(), 0);
    let documents: i64 = sqlx::query_scalar("select count(*) from documents")
        .fetch_one(api.pool())
        .await
        .unwrap();
    assert_eq!(documents, 0);
}

#[tokio::test]
async fn an_upload_is_what_its_content_says_and_has_a_name_that_fits() {
    let api = Api::start(&[]).await;
    for (sent, content, name, media_type) in [
        ("page.pdf", "<!doctype html><p>x", "page.pdf", "text/html"),
        ("notes.md", "# x", "notes.md", "text/markdown"),
        ("\u{202e}", "just words", "untitled.txt", "text/plain"),
        ("/", "%PDF-1.4\n", "untitled.pdf", "application/pdf"),
    ] {
        let response = api.upload(sent, content.into()).await;
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let shown = api.request("GET", &location).send().await.unwrap();
        let shown: Value = shown.json().await.unwrap();
        assert_eq!(
            (&shown["name"], &shown["media_type"]),
            (&json!(name), &json!(media_type))
        );
    }
}

#[tokio::test]
async fn an_upload_of_exactly_the_limit_is_taken() {
    let api = Api::start(&["--upload-bytes-max=100000"]).await;
    let mut bytes = pdf();
    bytes.resize(100_000, b' ');
    assert_eq!(api.upload("limit.pdf", bytes).await.status(), 202);
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_told() {
    let api = Api::start(&[]).await;
    let url = |path: &str| format!("http://{}{path}", api.address);
    for path in [
        "/api/v1/documents",
        "/api/v1/collections",
        "/api/v1/questions/00000000-0000-7000-8000-000000000001",
    ] {
        problem(
            api.client.get(url(path)).send().await.unwrap(),
            401,
            "unauthorized",
        )
        .await;
        problem(
            api.request_with("lectern-guess", "GET", path)
                .send()
                .await
                .unwrap(),
            401,
            "unauthorized",
        )
        .await;
    }
    let response = api
        .client
        .get(url("/api/v1/documents"))
        .basic_auth("a", Some("b"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    problem(response, 401, "unauthorized").await;
}

#[tokio::test]
async fn production_refuses_the_development_key() {
    let api = Api::start(&["--mode=production"]).await;
    problem(
        api.request("GET", "/api/v1/documents")
            .send()
            .await
            .unwrap(),
        401,
        "unauthorized",
    )
    .await;
    let key = testing::key(api.pool(), DEFAULT_TENANT, &[Scope::Read]).await;
    let key = key.unwrap();
    let response = api
        .request_with(&key, "GET", "/api/v1/documents")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn all_failed_and_cancelled_documents_are_tried_again_as_far_as_the_queue_has_room() {
    let mut place = Place::new().await.unwrap();
    place.settings.queue_tenant_max = 2;
    let api = Api::start_in(place, &[]).await;
    let mut paths = Vec::new();
    for number in 0..3 {
        let bytes = [pdf(), vec![b' '; number]].concat();
        let accepted = api.upload(&format!("{number}.pdf"), bytes).await;
        assert_eq!(accepted.status(), 202);
        let accepted: Value = accepted.json().await.unwrap();
        let path = format!("/api/v1/documents/{}", accepted["id"].as_str().unwrap());
        let cancelled = api.request("POST", &format!("{path}/cancel"));
        assert_eq!(cancelled.send().await.unwrap().status(), 200);
        paths.push(path);
    }
    let retry = |body: Value| {
        api.request("POST", "/api/v1/documents/retry")
            .json(&body)
            .send()
    };
    let none = retry(json!({"failure": "internal"})).await.unwrap();
    assert_eq!(none.status(), 200);
    let none: Value = none.json().await.unwrap();
    assert_eq!(none, json!({"retried": 0, "more": false}));
    for (body, status, code) in [
        (json!({"failure": "bad_luck"}), 400, "invalid_request"),
        (json!({"collection": "nowhere"}), 404, "not_found"),
        (json!({"colection": "default"}), 400, "invalid_request"),
    ] {
        problem(retry(body).await.unwrap(), status, code).await;
    }

    let retried = retry(json!({"collection": "default", "failure": "cancelled"})).await;
    let retried = retried.unwrap();
    assert_eq!(retried.status(), 202);
    let retried: Value = retried.json().await.unwrap();
    assert_eq!(retried, json!({"retried": 2, "more": true}));
    problem(retry(json!({})).await.unwrap(), 429, "queue_full").await;
    let mut states = Vec::new();
    for path in paths {
        let document = api.request("GET", &path).send().await.unwrap();
        let document: Value = document.json().await.unwrap();
        states.push((document["state"].clone(), document["work"]["ahead"].clone()));
    }
    assert_eq!(
        states,
        [
            (json!("queued"), json!(0)),
            (json!("queued"), json!(1)),
            (json!("cancelled"), Value::Null)
        ]
    );
    let jobs: i64 = sqlx::query_scalar(
        "select count(*) from jobs where state = 'queued' and attempt = attempts_before",
    )
    .fetch_one(api.pool())
    .await
    .unwrap();
    assert_eq!(jobs, 2);
}

#[tokio::test]
async fn a_webhook_is_refused_with_a_reason_where_it_may_not_lead() {
    let api = Api::start(&["--webhooks-max=2"]).await;
    let make = |body: Value| api.request("POST", "/api/v1/webhooks").json(&body).send();
    for url in [
        "http://example.org/hook",
        "https://localhost/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://user:secret@example.org/hook",
        "hook",
    ] {
        let refused = make(json!({"url": url})).await.unwrap();
        problem(refused, 400, "invalid_request").await;
    }
    for body in [
        json!({"url": "https://example.org", "events": []}),
        json!({"url": "https://example.org", "events": ["document.read"]}),
    ] {
        problem(make(body).await.unwrap(), 400, "invalid_request").await;
    }
    for _ in 0..2 {
        let made = make(json!({"url": "https://example.org", "events": ["document.ready"]}));
        let made = made.await.unwrap();
        assert_eq!(made.status(), 201);
        let made: Value = made.json().await.unwrap();
        assert_eq!(made["events"], json!(["document.ready"]));
        assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    }
    let refused = make(json!({"url": "https://example.org"})).await.unwrap();
    problem(refused, 409, "conflict").await;
}

#[tokio::test]
async fn bad_requests_say_what_to_do() {
    let api = Api::start(&["--question-chars-max=20"]).await;
    let ask = |body: Value| api.request("POST", "/api/v1/questions").json(&body);
    problem(
        ask(json!({"question": "  "})).send().await.unwrap(),
        400,
        "invalid_request",
    )
    .await;
    problem(
        ask(json!({"question": "x".repeat(21)}))
            .send()
            .await
            .unwrap(),
        400,
        "invalid_request",
    )
    .await;
    problem(
        ask(json!({"question": "who?", "passages": 99}))
            .send()
            .await
            .unwrap(),
        400,
        "invalid_request",
    )
    .await;
    problem(
        ask(json!({"question": "who?", "colection": "x"}))
            .send()
            .await
            .unwrap(),
        400,
        "invalid_request",
    )
    .await;
    problem(
        ask(json!({"question": "who?", "collection": "nowhere"}))
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
    let broken = api
        .request("POST", "/api/v1/questions")
        .header("content-type", "application/json")
        .body("{");
    problem(broken.send().await.unwrap(), 400, "invalid_request").await;
    problem(
        api.request("GET", "/api/v1/documents/7")
            .send()
            .await
            .unwrap(),
        404,
        "not_found",
    )
    .await;
    problem(
        api.request("GET", "/api/v1/documents?limit=0")
            .send()
            .await
            .unwrap(),
        400,
        "invalid_request",
    )
    .await;
    problem(
        api.request("GET", "/api/v2").send().await.unwrap(),
        404,
        "no_such_route",
    )
    .await;
    let response = api
        .request("PUT", "/api/v1/documents")
        .send()
        .await
        .unwrap();
    assert!(response.headers().contains_key("allow"));
    problem(response, 405, "method_not_allowed").await;
    let body = json!({"question": "x".repeat(100_000)});
    problem(ask(body).send().await.unwrap(), 413, "too_large").await;
}

#[tokio::test]
async fn a_collection_keeps_settings_that_make_sense() {
    let api = Api::start(&[]).await;
    let send = async |method: &str, path: &str, body: Value| {
        let request = api.request(method, &format!("/api/v1/collections{path}"));
        request.json(&body).send().await.unwrap()
    };
    let wanted = json!({"name": "tables", "settings": {"chunk_tokens": 300, "ocr": "off"}});
    let made = send("POST", "", wanted).await;
    assert_eq!(made.status(), 201);
    let change = json!({"settings": {"ocr": null, "ocr_languages": ["eng", "deu"]}});
    let changed: Value = send("PATCH", "/tables", change).await.json().await.unwrap();
    let expected = json!({"chunk_tokens": 300, "ocr_languages": ["eng", "deu"]});
    assert_eq!(changed["settings"], expected);
    let shown = api.request("GET", "/api/v1/collections/tables");
    let shown: Value = shown.send().await.unwrap().json().await.unwrap();
    assert_eq!(shown, changed);

    let nonsense = json!({"settings": {"chunk_overlap_tokens": 200}});
    let refused = problem(
        send("PATCH", "/tables", nonsense).await,
        400,
        "invalid_request",
    )
    .await;
    assert!(
        refused["detail"].as_str().unwrap().contains("here 150"),
        "{refused}"
    );
    let unknown = json!({"name": "more", "settings": {"chunk_size": 1}});
    problem(send("POST", "", unknown).await, 400, "invalid_request").await;
    let missing = send("PATCH", "/nowhere", json!({"settings": {}})).await;
    problem(missing, 404, "not_found").await;
}

#[tokio::test]
async fn documents_are_listed_newest_first_in_pages() {
    let api = Api::start(&[]).await;
    let collection = json!({"name": "manuals"});
    let made = api
        .request("POST", "/api/v1/collections")
        .json(&collection)
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    problem(
        api.request("POST", "/api/v1/collections")
            .json(&collection)
            .send()
            .await
            .unwrap(),
        409,
        "conflict",
    )
    .await;
    for number in 0..5 {
        assert_eq!(
            api.upload(&format!("{number}.pdf"), pdf_number(number))
                .await
                .status(),
            202
        );
    }
    let form = multipart::Form::new().text("collection", "manuals").part(
        "file",
        multipart::Part::bytes(pdf()).file_name("manual.pdf"),
    );
    assert_eq!(
        api.request("POST", "/api/v1/documents")
            .multipart(form)
            .send()
            .await
            .unwrap()
            .status(),
        202
    );

    let mut seen = Vec::new();
    let mut path = "/api/v1/documents?limit=2&collection=default".to_owned();
    loop {
        let page: Value = api
            .request("GET", &path)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        seen.extend(
            page["documents"]
                .as_array()
                .unwrap()
                .iter()
                .map(|document| document["name"].clone()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/documents?limit=2&collection=default&cursor={next}");
    }
    assert_eq!(seen, ["4.pdf", "3.pdf", "2.pdf", "1.pdf", "0.pdf"]);
    let page: Value = api
        .request("GET", "/api/v1/documents?collection=manuals")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(page["documents"][0]["name"], "manual.pdf");
    assert_eq!(page["next"], Value::Null);
}

#[tokio::test]
async fn a_document_and_a_question_that_wait_are_cancelled_at_once() {
    let api = Api::start(&[]).await;
    let accepted: Value = api.upload("ours.pdf", pdf()).await.json().await.unwrap();
    let path = format!("/api/v1/documents/{}", accepted["id"].as_str().unwrap());
    assert_eq!(
        api.request("POST", &format!("{path}/cancel"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let document: Value = api
        .request("GET", &path)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(document["failure"]["code"], "cancelled");
    problem(
        api.request("POST", &format!("{path}/cancel"))
            .send()
            .await
            .unwrap(),
        409,
        "conflict",
    )
    .await;

    let asked = json!({"question": "Who are we?"});
    let response = api
        .request("POST", "/api/v1/questions")
        .json(&asked)
        .send()
        .await
        .unwrap();
    let accepted: Value = response.json().await.unwrap();
    let path = format!("/api/v1/questions/{}", accepted["id"].as_str().unwrap());
    assert_eq!(
        api.request("DELETE", &path).send().await.unwrap().status(),
        204
    );
    let question: Value = api
        .request("GET", &path)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(question["state"], "cancelled");
}

#[tokio::test]
async fn a_search_without_workers_ends_with_a_reason_and_leaves_no_job() {
    let api = Api::start(&["--search-timeout-ms=200"]).await;
    let asked = json!({"question": "Who are we?"});
    let response = api
        .request("POST", "/api/v1/search")
        .json(&asked)
        .send()
        .await
        .unwrap();
    assert!(response.headers().contains_key("retry-after"));
    problem(response, 503, "no_worker").await;
    let waiting: i64 = sqlx::query_scalar("select count(*) from jobs where state = 'queued'")
        .fetch_one(api.pool())
        .await
        .unwrap();
    assert_eq!(waiting, 0);
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused_and_places_come_free_again() {
    let api = Api::start(&["--streams-max=1"]).await;
    let accepted: Value = api.upload("ours.pdf", pdf()).await.json().await.unwrap();
    let path = accepted["events"].as_str().unwrap();
    let first = api.request("GET", path).send().await.unwrap();
    assert_eq!(first.status(), 200);
    assert_eq!(first.headers()["x-accel-buffering"], "no");
    problem(
        api.request("GET", path).send().await.unwrap(),
        503,
        "too_many_streams",
    )
    .await;
    drop(first);
    let began = std::time::Instant::now();
    while api.request("GET", path).send().await.unwrap().status() != 200 {
        assert!(
            began.elapsed().as_secs() < 20,
            "the place did not come free"
        );
    }
}

#[tokio::test]
async fn health_tells_each_part_with_its_version() {
    let api = Api::start(&[]).await;
    let live = api
        .request("GET", "/api/v1/health/live")
        .send()
        .await
        .unwrap();
    assert_eq!(live.status(), 200);
    assert_eq!(
        api.request("GET", "/api/v1/health/ready")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    let response = api.request("GET", "/api/v1/health").send().await.unwrap();
    assert_eq!(response.status(), 503, "no worker is alive");
    let report: Value = response.json().await.unwrap();
    assert_eq!(
        (&report["postgres"]["ok"], &report["redis"]["ok"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(report["workers"], json!({"ok": false, "alive": 0}));
    assert!(report["postgres"]["pgvector"].is_string() && report["redis"]["version"].is_string());
}

#[tokio::test]
async fn a_request_keeps_its_id_unless_that_could_do_harm() {
    let api = Api::start(&[]).await;
    let request = |id: &str| {
        api.request("GET", "/api/v1/health/live")
            .header("x-request-id", id)
            .send()
    };
    assert_eq!(
        request("trace-7.a").await.unwrap().headers()["x-request-id"],
        "trace-7.a"
    );
    assert_ne!(
        request("a b\tc").await.unwrap().headers()["x-request-id"],
        "a b\tc"
    );
}

#[tokio::test]
async fn a_full_queue_is_told_with_when_to_come_back_and_keeps_no_file() {
    let mut place = Place::new().await.unwrap();
    place.settings.queue_tenant_max = 1;
    let api = Api::start_in(place, &[]).await;
    assert_eq!(api.upload("first.pdf", pdf()).await.status(), 202);
    let refused = api.upload("second.pdf", pdf_number(2)).await;
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, 429, "queue_full").await;
    assert_eq!(api.place.blob_count(), 1);
}

#[tokio::test]
async fn a_retry_of_a_document_that_waits_is_refused_and_its_events_stay() {
    let api = Api::start(&[]).await;
    let accepted: Value = api.upload("ours.pdf", pdf()).await.json().await.unwrap();
    let path = format!(
        "/api/v1/documents/{}/retry",
        accepted["id"].as_str().unwrap()
    );
    problem(
        api.request("POST", &path).send().await.unwrap(),
        409,
        "conflict",
    )
    .await;
}
