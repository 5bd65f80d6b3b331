//! What operators rely on: a status that is true, cancelling at every stage, trying again, several workers at once.

use std::time::{Duration, Instant};

use lectern_shared::ids::TenantId;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::multipart;
use serde_json::{Value, json};

use crate::{
    recovery::long_pdf,
    support::{Lectern, Worker, names, own_file},
};

/// The parsers that a worker has started and not buried.
fn parsers(worker: &Worker) -> Vec<Pid> {
    let parent = worker.pid().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // pid (name) state ppid …, and the name may have anything in it.
            let (_, after) = stat.rsplit_once(") ")?;
            let is_child = after.split(' ').nth(1)? == parent;
            let command = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
            let id = entry.file_name().to_str()?.parse().ok()?;
            (is_child && command.contains("parse-child")).then_some(Pid::from_raw(id))
        })
        .collect()
}

async fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A file whose reading takes for ever: its parser is stopped in the middle.
#[tokio::test]
async fn a_document_is_cancelled_while_it_is_read_and_its_parser_is_gone() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker_with(&[("LECTERN_PARSE_SECONDS_MAX", "3600")]);
    let id = lectern.add(&long_pdf(500)).await;
    let parser = eventually("a parser", || parsers(&worker).first().copied()).await;
    kill(parser, Signal::SIGSTOP).unwrap();
    let path = format!("/api/v1/documents/{id}");
    lectern
        .poll(&path, |document| document["work"]["stage"] == "parsing")
        .await;
    assert_eq!(parsers(&worker), [parser]);

    let asked = lectern.request("POST", &format!("{path}/cancel"));
    assert_eq!(asked.send().await.unwrap().status(), 200);
    let document = lectern.settled(&id).await;
    assert_eq!(document["state"], "cancelled");
    assert!(document.get("work").is_none(), "{document}");
    eventually("no parser", || parsers(&worker).is_empty().then_some(())).await;
    let events = lectern.events(&format!("{path}/events"), None).await;
    let events = events.rest().await;
    assert_eq!(names(&events).last(), Some(&"failed"));
    assert!(
        events.iter().all(|event| event.data["stage"] != "chunking"),
        "it was read to its end: {events:?}"
    );
    lectern.add_ready(&own_file("coffee.pdf")).await;
}

#[tokio::test]
async fn the_status_of_a_document_tells_stage_rate_and_end_and_embedding_is_cancelled_in_the_middle()
 {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let id = lectern.add(&long_pdf(60)).await;
    let path = format!("/api/v1/documents/{id}");
    let mut stream = lectern.events(&format!("{path}/events"), None).await;
    let mut events = Vec::new();
    while !events.last().is_some_and(|event: &crate::support::Event| {
        event.data["stage"] == "embedding" && event.data["rate"].is_number()
    }) {
        events.push(stream.next().await.expect("it was done too soon"));
    }
    let read = |event: &&crate::support::Event| {
        event.name == "progress" && event.data["stage"] == "parsing"
    };
    let pages: Vec<_> = events.iter().filter(read).collect();
    assert!(pages.iter().any(|event| event.data["total"] == 60));
    assert!(events.last().unwrap().data["estimated_end"].is_string());

    let document = lectern
        .poll(&path, |document| document["work"]["rate"].is_number())
        .await;
    let work = &document["work"];
    assert_eq!(work["stage"], "embedding");
    assert!(work["done"].as_i64() < work["total"].as_i64(), "{work}");
    assert!(work["estimated_end"].is_string(), "{work}");
    assert_eq!(
        (&work["attempt"], &work["attempts_max"]),
        (&json!(1), &json!(4))
    );
    let list = lectern.get("/api/v1/documents").await;
    assert_eq!(list["documents"][0]["work"]["stage"], "embedding");

    let asked = lectern.request("POST", &format!("{path}/cancel"));
    assert_eq!(asked.send().await.unwrap().status(), 200);
    assert_eq!(lectern.settled(&id).await["state"], "cancelled");
    assert_eq!(lectern.count("chunks").await, 0);
    // The model works for others again.
    lectern.add_ready(&own_file("coffee.pdf")).await;
}

#[tokio::test]
async fn dead_letters_are_listed_in_words_and_tried_again_or_dismissed() {
    let lectern = Lectern::start_with(&["--job-attempts-max=1"]).await;
    let broken = lectern.worker_with(&[("LECTERN_PDFIUM", "/nonexistent/libpdfium.so")]);
    let mut ids = Vec::new();
    for file in ["handbook.pdf", "coffee.pdf", "turned.pdf"] {
        let id = lectern.add(&own_file(file)).await;
        lectern.settled(&id).await;
        ids.push(id);
    }
    broken.kill();
    let page = lectern.get("/api/v1/jobs/dead?limit=2").await;
    let rest = lectern
        .get(&format!(
            "/api/v1/jobs/dead?limit=2&before={}",
            page["next"].as_str().unwrap()
        ))
        .await;
    assert_eq!(rest["next"], Value::Null);
    let listed = [&page, &rest].map(|page| page["jobs"].as_array().unwrap().clone());
    let listed = listed.concat();
    let names: Vec<_> = listed.iter().map(|job| &job["document_name"]).collect();
    assert_eq!(names, ["turned.pdf", "coffee.pdf", "handbook.pdf"]);
    assert_eq!(
        (
            &listed[0]["kind"],
            &listed[0]["attempts"],
            &listed[0]["failure"]["code"]
        ),
        (&json!("ingest"), &json!(1), &json!("internal"))
    );
    // Causes are for the log alone.
    assert!(!page.to_string().contains("libpdfium"), "{page}");

    let path = |job: &Value| format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    let dismissed = lectern.request("DELETE", &path(&listed[0]));
    assert_eq!(dismissed.send().await.unwrap().status(), 204);
    let retry = format!("{}/retry", path(&listed[1]));
    let retried = lectern.request("POST", &retry).send().await.unwrap();
    assert_eq!(retried.status(), 202);
    let again = lectern.request("POST", &retry).send().await.unwrap();
    assert_eq!(again.status(), 404, "it is no dead letter any more");
    let _worker = lectern.worker();
    assert_eq!(lectern.settled(&ids[1]).await["state"], "ready");
    let events = lectern
        .events(&format!("/api/v1/documents/{}/events", ids[1]), None)
        .await;
    assert_eq!(
        crate::support::names(&events.rest().await).last(),
        Some(&"done")
    );

    // All that is left at once, dismissed or not.
    let retry = lectern.request("POST", "/api/v1/documents/retry");
    let retried = retry.send().await.unwrap();
    assert_eq!(retried.status(), 202);
    let retried: Value = retried.json().await.unwrap();
    assert_eq!(retried, json!({"retried": 2, "more": false}));
    for id in &ids {
        assert_eq!(lectern.settled(id).await["state"], "ready");
    }
    assert_eq!(lectern.get("/api/v1/jobs/dead").await["jobs"], json!([]));
}

/// A copy of one of our files with other bytes, so that it is another document.
fn copies(file: &str, count: usize) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(own_file(file)).unwrap();
    let copy = |number: usize| {
        let comment = format!("\n% copy {number} of process {}\n", std::process::id());
        (
            format!("{number}-{file}"),
            [&bytes[..], comment.as_bytes()].concat(),
        )
    };
    (0..count).map(copy).collect()
}

async fn other_tenant(lectern: &Lectern) -> (TenantId, String) {
    let made = lectern_api::testing::other_tenant(&lectern.place.pool, "other");
    made.await.unwrap()
}

async fn upload(lectern: &Lectern, key: &str, (name, bytes): (String, Vec<u8>)) {
    let part = multipart::Part::bytes(bytes).file_name(name);
    let form = multipart::Form::new().part("file", part);
    let response = lectern
        .client
        .post(lectern.url("/api/v1/documents"))
        .bearer_auth(key)
        .multipart(form)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
}

#[tokio::test]
async fn three_workers_on_one_queue_do_each_document_once_and_serve_both_tenants() {
    let lectern = Lectern::start().await;
    let (quiet, key) = other_tenant(&lectern).await;
    for copy in [copies("handbook.pdf", 8), copies("coffee.pdf", 8)].concat() {
        upload(&lectern, "lectern-dev", copy).await;
    }
    for copy in copies("handbook.pdf", 8) {
        upload(&lectern, &key, copy).await;
    }
    let one_place = [("LECTERN_INGEST_CONCURRENCY", "1")];
    let _workers = [(); 3].map(|()| lectern.worker_with(&one_place));
    let began = Instant::now();
    while lectern
        .count("jobs where kind = 'ingest' and state = 'done'")
        .await
        < 24
    {
        assert!(began.elapsed() < Duration::from_secs(300), "some are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Once, and nothing lost or doubled.
    assert_eq!(
        lectern
            .count("jobs where kind = 'ingest' and state = 'done' and attempt = 1")
            .await,
        24
    );
    assert_eq!(
        lectern
            .count("documents where state = 'ready' and version = 1")
            .await,
        24
    );
    let kinds = lectern.count(
        "(select distinct substring(name from '-(.*)'), pages, chunks from documents) kinds",
    );
    assert_eq!(
        kinds.await,
        2,
        "copies have as many pages and passages as each other"
    );
    let differing = lectern.count(
        "documents document where chunks <> (select count(*) from chunks where document_id = document.id)
            or chunks <> (select count(distinct ordinal) from chunks where document_id = document.id)
            or pages <> (select count(*) from pages where document_id = document.id)",
    );
    assert_eq!(differing.await, 0);
    // At once.
    let overlapping = lectern.count(
        "jobs one join jobs other on one.id <> other.id
            and one.started_at < other.started_at and other.started_at < one.finished_at",
    );
    assert!(overlapping.await > 0);
    // The sixteen that came before don't stand before the eight: with turns, the last of these begins as one of the
    // first sixteen or so, and without as the last of all.
    let order: Vec<uuid::Uuid> =
        sqlx::query_scalar("select tenant_id from jobs order by started_at")
            .fetch_all(&lectern.place.pool)
            .await
            .unwrap();
    let turns: Vec<bool> = order.iter().map(|tenant| *tenant == quiet.0).collect();
    let first = turns.iter().position(|turn| *turn).unwrap();
    let last = turns.iter().rposition(|turn| *turn).unwrap();
    assert!(first < 6 && last < 20, "{turns:?}");
}

#[tokio::test]
async fn no_answer_and_no_search_has_anything_of_another_tenant() {
    let lectern = Lectern::start().await;
    let (_, key) = other_tenant(&lectern).await;
    let worker = lectern.worker_with(&[("LECTERN_CACHE", "true")]);
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let question = "How much is the daily allowance abroad?";
    assert_eq!(lectern.answer(question).await["state"], "answered");
    let theirs = (
        "report.md".to_owned(),
        std::fs::read(own_file("orders.md")).unwrap(),
    );
    upload(&lectern, &key, theirs).await;
    let their = async |method: &str, path: &str, body: Value| -> Value {
        let request = lectern
            .client
            .request(method.parse().unwrap(), lectern.url(path));
        let request = request.bearer_auth(&key).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let began = Instant::now();
    while lectern.count("documents where state = 'ready'").await < 2 {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The very words of what the first tenant has, which has been answered there and is kept.
    let found = their("POST", "/api/v1/search", json!({"question": question})).await;
    let asked = json!({"question": question, "background": true});
    let asked = their("POST", "/api/v1/questions", asked).await;
    let path = format!("/api/v1/questions/{}", asked["id"].as_str().unwrap());
    let answered = loop {
        let answered = their("GET", &path, Value::Null).await;
        if !matches!(answered["state"].as_str(), Some("queued" | "running")) {
            break answered;
        }
        assert!(began.elapsed() < Duration::from_secs(120), "{answered}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for (what, passages) in [
        ("search", &found["passages"]),
        ("answer", &answered["sources"]),
    ] {
        let passages = passages.as_array().unwrap();
        assert!(!passages.is_empty(), "{what}: {found} {answered}");
        for passage in passages {
            assert_eq!(passage["document_name"], "report.md", "{what}");
        }
    }
    assert!(!answered.to_string().contains("47 euros"), "{answered}");
    worker.stop().await;
}
