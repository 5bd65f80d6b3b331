//! Webhooks, against a receiver that really listens: signed, tried again, given up, and never twice under another id.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::IntoResponse,
};
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use crate::support::{Lectern, Worker, own_file};

/// Notes what it is told, and answers with the statuses that it was given, then with 204.
struct Receiver {
    url: String,
    state: Arc<Received>,
}

#[derive(Default)]
struct Received {
    requests: Mutex<Vec<Request>>,
    answers: Mutex<Vec<StatusCode>>,
}

#[derive(Clone)]
struct Request {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Receiver {
    async fn start(answers: &[u16]) -> Self {
        let state = Arc::new(Received::default());
        *state.answers.lock().unwrap() = answers
            .iter()
            .rev()
            .map(|status| StatusCode::from_u16(*status).unwrap())
            .collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    async fn until(&self, count: usize) -> Vec<Request> {
        until("requests", async || self.requests().len() >= count).await;
        self.requests()
    }
}

async fn receive(
    State(state): State<Arc<Received>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    state.requests.lock().unwrap().push(Request {
        path: uri.path().to_owned(),
        headers,
        body,
    });
    let status = state.answers.lock().unwrap().pop();
    (
        status.unwrap_or(StatusCode::NO_CONTENT),
        [(header::LOCATION, "/elsewhere")],
    )
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < Duration::from_secs(60), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Request {
    /// The body, if the signature is right as others' code checks it.
    fn verified(&self, secret: &str) -> Value {
        let verifier = Webhook::new(secret).unwrap();
        verifier.verify(&self.body, &self.headers).unwrap();
        let forged = [&self.body[..], b" "].concat();
        assert!(verifier.verify(&forged, &self.headers).is_err());
        serde_json::from_slice(&self.body).unwrap()
    }

    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }
}

fn worker(lectern: &Lectern) -> Worker {
    lectern.worker_with(&[("LECTERN_SWEEP_MS", "100")])
}

async fn subscribe(lectern: &Lectern, body: &Value) -> Value {
    let response = lectern
        .request("POST", "/api/v1/webhooks")
        .json(body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 201);
    response.json().await.unwrap()
}

async fn deliveries(lectern: &Lectern, webhook: &Value) -> Vec<Value> {
    let path = format!(
        "/api/v1/webhooks/{}/deliveries",
        webhook["id"].as_str().unwrap()
    );
    let page = lectern.get(&path).await;
    page["deliveries"].as_array().unwrap().clone()
}

/// Makes what is to be tried later due now, so that no test waits for minutes.
async fn hurry(lectern: &Lectern) {
    sqlx::query("update jobs set run_at = now() where kind = 'webhook' and state = 'queued' and run_at > now()")
        .execute(&lectern.place.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_webhook_is_told_signed_of_documents_that_are_ready_and_that_have_failed() {
    let lectern = Lectern::start_with_webhooks().await;
    let receiver = Receiver::start(&[]).await;
    let webhook = subscribe(&lectern, &json!({"url": receiver.url})).await;
    let only_failures = Receiver::start(&[]).await;
    let wanted = json!({"url": only_failures.url, "events": ["document.failed"]});
    let other = subscribe(&lectern, &wanted).await;
    let _worker = worker(&lectern);
    let ready = lectern.add_ready(&own_file("coffee.pdf")).await;
    let failed = lectern.add(&own_file("locked.pdf")).await;
    lectern.settled(&failed).await;

    let secret = webhook["secret"].as_str().unwrap();
    let mut told: Vec<Value> = receiver
        .until(2)
        .await
        .iter()
        .map(|request| request.verified(secret))
        .collect();
    told.sort_by_key(|body| body["type"].as_str().unwrap().to_owned());
    assert_eq!(told[0]["type"], "document.failed");
    assert_eq!(told[0]["data"]["id"], failed.as_str());
    assert_eq!(told[0]["data"]["failure"]["code"], "password_required");
    assert_eq!(told[1]["type"], "document.ready");
    let data = &told[1]["data"];
    assert_eq!(
        (
            &data["id"],
            &data["name"],
            &data["state"],
            &data["version"],
            &data["collection"]
        ),
        (
            &ready["id"],
            &json!("coffee.pdf"),
            &json!("ready"),
            &json!(1),
            &json!("default")
        ),
    );

    let requests = only_failures.until(1).await;
    requests[0].verified(other["secret"].as_str().unwrap());
    until("both notes", async || {
        let mut all = deliveries(&lectern, &webhook).await;
        all.extend(deliveries(&lectern, &other).await);
        all.iter().all(|delivery| delivery["state"] == "delivered")
    })
    .await;
    assert_eq!(
        (receiver.requests().len(), only_failures.requests().len()),
        (2, 1)
    );
    // The secret is told once.
    let list = lectern.get("/api/v1/webhooks").await;
    assert!(list["webhooks"][0].get("secret").is_none(), "{list}");
    // What is deleted takes what it was told along.
    let path = format!("/api/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    let deleted = lectern.request("DELETE", &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(lectern.count("webhook_deliveries").await, 1);
}

#[tokio::test]
async fn a_delivery_that_is_refused_is_tried_again_under_the_same_id_until_it_is_taken() {
    let lectern = Lectern::start_with_webhooks().await;
    let receiver = Receiver::start(&[500]).await;
    let webhook = subscribe(&lectern, &json!({"url": receiver.url})).await;
    let _worker = worker(&lectern);
    lectern.add_ready(&own_file("coffee.pdf")).await;
    receiver.until(1).await;
    until("a later attempt", async || {
        lectern
            .count("jobs where kind = 'webhook' and state = 'queued' and run_at > now()")
            .await
            == 1
    })
    .await;
    let waiting = &deliveries(&lectern, &webhook).await[0];
    assert_eq!(
        (&waiting["state"], &waiting["status"], &waiting["attempts"]),
        (&json!("waiting"), &json!(500), &json!(1))
    );
    hurry(&lectern).await;
    let requests = receiver.until(2).await;
    assert_eq!(requests[0].id(), requests[1].id());
    assert_eq!(requests[0].body, requests[1].body);
    let secret = webhook["secret"].as_str().unwrap();
    requests[1].verified(secret);
    until("the end", async || {
        deliveries(&lectern, &webhook).await[0]["state"] == "delivered"
    })
    .await;
    let told = &deliveries(&lectern, &webhook).await[0];
    assert_eq!(
        (&told["status"], &told["attempts"]),
        (&json!(204), &json!(2))
    );
}

#[tokio::test]
async fn a_receiver_that_never_takes_a_delivery_makes_it_a_dead_letter_and_redirects_lead_nowhere()
{
    let lectern = Lectern::start_with_webhooks().await;
    let receiver = Receiver::start(&[302; 8]).await;
    let webhook = subscribe(&lectern, &json!({"url": receiver.url})).await;
    let _worker = worker(&lectern);
    let document = lectern.add_ready(&own_file("coffee.pdf")).await;
    until("a dead letter", async || {
        hurry(&lectern).await;
        lectern.count("jobs where state = 'dead'").await == 1
    })
    .await;
    assert_eq!(receiver.requests().len(), 8);
    assert!(
        receiver
            .requests()
            .iter()
            .all(|request| request.path == "/hook")
    );
    let dead = &lectern.get("/api/v1/jobs/dead").await["jobs"][0];
    assert_eq!(
        (
            &dead["kind"],
            &dead["attempts"],
            &dead["document"],
            &dead["document_name"]
        ),
        (
            &json!("webhook"),
            &json!(8),
            &document["id"],
            &document["name"]
        )
    );
    assert_eq!(dead["failure"]["code"], "webhook_refused", "{dead}");
    let failed = &deliveries(&lectern, &webhook).await[0];
    assert_eq!(
        (&failed["state"], &failed["status"]),
        (&json!("failed"), &json!(302))
    );

    let path = format!("/api/v1/jobs/{}/retry", dead["id"].as_str().unwrap());
    let retried = lectern.request("POST", &path).send().await.unwrap();
    assert_eq!(retried.status(), 202);
    let requests = receiver.until(9).await;
    assert_eq!(requests[8].id(), requests[0].id());
    until("the end", async || {
        deliveries(&lectern, &webhook).await[0]["state"] == "delivered"
    })
    .await;
    assert_eq!(lectern.get("/api/v1/jobs/dead").await["jobs"], json!([]));
}

#[tokio::test]
async fn nobody_is_told_who_has_not_asked_and_a_deleted_document_is_told_no_more() {
    let lectern = Lectern::start_with_webhooks().await;
    let worker = worker(&lectern);
    lectern.add_ready(&own_file("coffee.pdf")).await;
    assert_eq!(lectern.count("jobs where kind = 'webhook'").await, 0);
    // Nobody listens at this port any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let webhook = subscribe(&lectern, &json!({"url": url})).await;
    let document = lectern.add_ready(&own_file("handbook.pdf")).await;
    until("a later attempt", async || {
        lectern
            .count("jobs where kind = 'webhook' and state = 'queued' and run_at > now()")
            .await
            == 1
    })
    .await;
    assert_eq!(
        deliveries(&lectern, &webhook).await[0]["status"],
        Value::Null
    );
    let path = format!("/api/v1/documents/{}", document["id"].as_str().unwrap());
    let deleted = lectern.request("DELETE", &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert!(deliveries(&lectern, &webhook).await.is_empty());
    // Its job finds nothing to do, which is success.
    hurry(&lectern).await;
    until("the job's end", async || {
        lectern
            .count("jobs where kind = 'webhook' and state = 'done'")
            .await
            == 1
    })
    .await;
    drop(worker);
}
