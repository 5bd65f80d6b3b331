//! What happens when workers die, Redis forgets, and people change their minds.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use lectern_shared::{
    jobs::Queue,
    store::{
        chunks, documents,
        jobs::{self, Limits},
        models::ModelId,
    },
};
use lopdf::{
    Document, Object, Stream,
    content::{Content, Operation},
    dictionary,
};
use serde_json::json;

use crate::support::{Lectern, OwnRedis, names, own_file, text};

/// A manual of so many pages, about 250 tokens each, long enough to be interrupted in.
pub(crate) fn long_pdf(pages: usize) -> PathBuf {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let font = document.add_object(
        dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica"},
    );
    let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
    let mut kids = Vec::new();
    for page in 0..pages {
        let mut operations = vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 10.into()]),
            Operation::new("TL", vec![14.into()]),
            Operation::new("Td", vec![50.into(), 780.into()]),
        ];
        for line in 0..24 {
            let sentence = format!(
                "Valve {line} of unit {page} is opened after pump {} has run for {line} minutes.",
                page + line
            );
            operations.push(Operation::new("Tj", vec![Object::string_literal(sentence)]));
            operations.push(Operation::new("T*", vec![]));
        }
        operations.push(Operation::new("ET", vec![]));
        let content = Content { operations }.encode().unwrap();
        let content = document.add_object(Stream::new(dictionary! {}, content));
        kids.push(Object::from(document.add_object(dictionary! {
            "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
        })));
    }
    let count = i64::try_from(pages).unwrap();
    document.objects.insert(
        tree,
        dictionary! {"Type" => "Pages", "Kids" => kids, "Count" => count}.into(),
    );
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => tree});
    document.trailer.set("Root", catalog);
    let path = std::env::temp_dir().join(format!("long-{pages}-{}.pdf", std::process::id()));
    document.save(&path).unwrap();
    path
}

/// Waits until the document is being embedded.
pub(crate) async fn until_embedding(lectern: &Lectern, id: &str) {
    let mut events = lectern
        .events(&format!("/api/v1/documents/{id}/events"), None)
        .await;
    loop {
        let event = events
            .next()
            .await
            .expect("it was done before it could be interrupted");
        if event.name == "progress"
            && event.data["stage"] == "embedding"
            && event.data["done"].as_i64() > Some(0)
        {
            return;
        }
    }
}

#[tokio::test]
async fn an_ingest_whose_worker_is_killed_is_done_again_within_20_seconds_and_nothing_is_doubled() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    let id = lectern.add(&long_pdf(40)).await;
    until_embedding(&lectern, &id).await;
    worker.kill();
    let killed = Instant::now();
    assert!(lectern.count("chunks").await > 0, "killed in the middle");
    let body = json!({"question": "Which pump?"});
    let _other = lectern.worker();

    // Nobody sees half a document meanwhile.
    let response = lectern
        .request("POST", "/api/v1/search")
        .json(&body)
        .send()
        .await
        .unwrap();
    let found: serde_json::Value = response.json().await.unwrap();
    assert_eq!(found["passages"], json!([]));
    until_embedding(&lectern, &id).await;
    let recovery = killed.elapsed();
    assert!(
        recovery < Duration::from_secs(20),
        "taken up again after {recovery:?}"
    );
    let document = lectern.settled(&id).await;
    assert_eq!(
        (&document["state"], &document["pages"]),
        (&json!("ready"), &json!(40)),
        "{document}"
    );
    assert_eq!(
        lectern.count("chunks").await,
        document["chunks"].as_i64().unwrap()
    );
    assert_eq!(
        lectern
            .count("(select distinct ordinal from chunks) c")
            .await,
        document["chunks"].as_i64().unwrap()
    );
    assert_eq!(lectern.count("pages").await, 40);
    assert_eq!(
        lectern
            .count("jobs where kind = 'ingest' and state = 'done' and attempt = 2")
            .await,
        1
    );
}

#[tokio::test]
async fn an_answer_whose_worker_is_killed_starts_over_at_another_and_ends_once() {
    let lectern = Lectern::start().await;
    let server = crate::generator::Server::start(100, Duration::from_millis(50)).await;
    let worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let mut events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await;
    let mut got = events.until("token").await;
    worker.kill();
    let killed = Instant::now();
    let _other = lectern.worker_with(&server.environment());
    got.extend(events.until("reset").await);
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "taken up again after {:?}",
        killed.elapsed()
    );
    got.extend(events.rest().await);
    assert_eq!(text(&got), server.text());
    assert_eq!(got.iter().filter(|event| event.name == "done").count(), 1);
    assert_eq!(lectern.count("answers").await, 1);
}

/// The kinds that are over too soon to be caught in the middle: their worker dies right after it has taken them.
#[tokio::test]
async fn a_search_an_index_build_and_a_deletion_whose_worker_died_are_done_by_another() {
    let lectern = Lectern::start_with(&["--search-timeout-ms=60000"]).await;
    let pool = &lectern.place.pool;
    let worker = lectern.worker();
    let document = lectern.add_ready(&own_file("coffee.pdf")).await;
    worker.kill();

    let path = format!("/api/v1/documents/{}", document["id"].as_str().unwrap());
    let deleted = lectern.request("DELETE", &path).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let body = json!({"question": "Which pump?"});
    let search = tokio::spawn(lectern.request("POST", "/api/v1/search").json(&body).send());
    sqlx::query(
        "insert into jobs (id, tenant_id, kind, queue, subject, max_attempts)
         select gen_random_uuid(), id, 'index', 'maintenance', gen_random_uuid(), 4 from tenants",
    )
    .execute(pool)
    .await
    .unwrap();
    let mut waiting: Vec<uuid::Uuid> = Vec::new();
    while waiting.len() < 3 {
        waiting = sqlx::query_scalar("select id from jobs where state = 'queued'")
            .fetch_all(pool)
            .await
            .unwrap();
    }
    for id in waiting {
        let taken = jobs::claim(pool, lectern_shared::ids::JobId(id), "dead", Duration::ZERO).await;
        assert!(taken.unwrap().is_some());
    }

    let _other = lectern.worker();
    assert_eq!(search.await.unwrap().unwrap().status(), 200);
    let began = Instant::now();
    while lectern.count("jobs where state <> 'done'").await > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "a job is left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(lectern.place.blob_count(), 0);
    assert!(lectern_shared::store::index::is_valid(pool).await.unwrap());
    assert_eq!(
        lectern
            .count("jobs where kind <> 'ingest' and attempt > 1")
            .await,
        3
    );
}

#[tokio::test]
async fn documents_and_questions_that_wait_while_redis_forgets_everything_are_still_done() {
    let lectern = Lectern::start().await;
    let mut documents = Vec::new();
    for file in ["handbook.pdf", "coffee.pdf", "turned.pdf"] {
        documents.push(lectern.add(&own_file(file)).await);
    }
    let question = lectern.ask("What is the daily allowance abroad?").await;
    lectern.flush_redis().await;
    // Wake-ups of ingests count as lost after half a minute; so that the test need not wait that long:
    sqlx::query("update jobs set dispatched_at = dispatched_at - interval '1 minute'")
        .execute(&lectern.place.pool)
        .await
        .unwrap();
    let _worker = lectern.worker();
    for id in documents {
        assert_eq!(lectern.settled(&id).await["state"], "ready");
    }
    let path = format!("/api/v1/questions/{question}");
    lectern
        .poll(&path, |question| question["state"] == "answered")
        .await;
    assert_eq!(lectern.count("jobs where state <> 'done'").await, 0);
}

#[tokio::test]
async fn when_redis_dies_in_the_middle_the_work_goes_on_and_when_it_is_back_so_are_the_wake_ups() {
    let mut redis = OwnRedis::start();
    let lectern = Lectern::start_on(&redis).await;
    let _worker = lectern.worker();
    let id = lectern.add(&long_pdf(40)).await;
    until_embedding(&lectern, &id).await;
    redis.kill();

    // What is running needs no Redis, and what is asked for meanwhile is taken.
    let waiting = lectern.add(&own_file("handbook.pdf")).await;
    let question = lectern.ask("What is the daily allowance abroad?").await;
    assert_eq!(lectern.settled(&id).await["state"], "ready");
    assert_eq!(
        lectern
            .count("jobs where kind = 'ingest' and attempt > 1")
            .await,
        0
    );

    redis.start_again().await;
    assert_eq!(lectern.settled(&waiting).await["state"], "ready");
    let path = format!("/api/v1/questions/{question}");
    lectern
        .poll(&path, |question| question["state"] == "answered")
        .await;
    // Streams work again, too.
    let events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await
        .rest()
        .await;
    assert_eq!(names(&events).last(), Some(&"done"));
}

#[tokio::test]
async fn a_worker_that_is_stopped_hands_back_what_it_can_not_finish() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker_with(&[("LECTERN_WORKER_SHUTDOWN_SECONDS", "0")]);
    let id = lectern.add(&long_pdf(40)).await;
    until_embedding(&lectern, &id).await;
    assert!(worker.stop().await.success());
    assert_eq!(
        lectern
            .count("jobs where kind = 'ingest' and state = 'queued' and lease_until is null")
            .await,
        1
    );
    assert_eq!(lectern.count("workers").await, 0);
    let _other = lectern.worker();
    assert_eq!(lectern.settled(&id).await["state"], "ready");
}

#[tokio::test]
async fn a_worker_that_is_stopped_finishes_what_is_nearly_done() {
    let lectern = Lectern::start().await;
    let server = crate::generator::Server::start(30, Duration::from_millis(20)).await;
    let worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let mut events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await;
    let mut got = events.until("token").await;
    assert!(worker.stop().await.success());
    got.extend(events.rest().await);
    assert_eq!(text(&got), server.text());
    assert_eq!(
        lectern
            .count("jobs where kind = 'answer' and state = 'done' and attempt = 1")
            .await,
        1
    );
}

#[tokio::test]
async fn an_ingest_is_cancelled_within_a_moment_and_leaves_nothing_and_can_be_tried_again() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let id = lectern.add(&long_pdf(40)).await;
    until_embedding(&lectern, &id).await;
    let path = format!("/api/v1/documents/{id}");
    let asked = Instant::now();
    let response = lectern
        .request("POST", &format!("{path}/cancel"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let document = lectern.settled(&id).await;
    assert_eq!(
        (&document["state"], &document["failure"]["code"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "the next renewal would have been later"
    );
    assert_eq!(lectern.count("chunks").await, 0);
    assert_eq!(lectern.count("pages").await, 0);
    let events = lectern
        .events(&format!("{path}/events"), None)
        .await
        .rest()
        .await;
    assert_eq!(names(&events).last(), Some(&"failed"));

    assert_eq!(
        lectern
            .request("POST", &format!("{path}/retry"))
            .send()
            .await
            .unwrap()
            .status(),
        202
    );
    // Whoever watches from the start is not told the old end.
    let events = lectern
        .events(&format!("{path}/events"), None)
        .await
        .rest()
        .await;
    assert_eq!(names(&events).last(), Some(&"done"));
    assert_eq!(lectern.settled(&id).await["state"], "ready");
    assert_eq!(
        lectern
            .request("POST", &format!("{path}/retry"))
            .send()
            .await
            .unwrap()
            .status(),
        409
    );
}

#[tokio::test]
async fn a_job_that_fails_again_and_again_becomes_a_dead_letter_and_can_be_tried_again() {
    let lectern = Lectern::start_with(&["--job-attempts-max=2"]).await;
    let broken = lectern.worker_with(&[("LECTERN_PDFIUM", "/nonexistent/libpdfium.so")]);
    let id = lectern.add(&own_file("handbook.pdf")).await;
    let document = lectern.settled(&id).await;
    assert_eq!(
        (&document["state"], &document["failure"]["code"]),
        (&json!("failed"), &json!("internal")),
        "{document}"
    );
    assert_eq!(
        lectern
            .count("jobs where state = 'dead' and attempt = 2")
            .await,
        1
    );
    broken.kill();
    let _worker = lectern.worker();
    let path = format!("/api/v1/documents/{id}/retry");
    assert_eq!(
        lectern
            .request("POST", &path)
            .send()
            .await
            .unwrap()
            .status(),
        202
    );
    assert_eq!(lectern.settled(&id).await["state"], "ready");
    assert_eq!(lectern.count("jobs where state = 'dead'").await, 0);
}

#[tokio::test]
async fn a_document_deleted_while_it_is_ingested_leaves_nothing() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let id = lectern.add(&long_pdf(40)).await;
    until_embedding(&lectern, &id).await;
    let path = format!("/api/v1/documents/{id}");
    assert_eq!(
        lectern
            .request("DELETE", &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    lectern
        .poll("/api/v1/documents", |_| lectern.place.blob_count() == 0)
        .await;
    // The worker is free again: another document is done.
    lectern.add_ready(&own_file("coffee.pdf")).await;
    assert_eq!(
        lectern
            .count("(select distinct document_id from chunks) c")
            .await,
        1
    );
}

/// A worker that was thought dead comes back to life: it may write nothing.
#[tokio::test]
async fn a_worker_that_has_lost_its_lease_changes_nothing() {
    let lectern = Lectern::start().await;
    lectern.add(&own_file("handbook.pdf")).await;
    let pool = &lectern.place.pool;
    let limits = Limits::from(&lectern.place.settings);
    sqlx::query("update jobs set dispatched_at = null")
        .execute(pool)
        .await
        .unwrap();
    let [job] = jobs::due_for_dispatch(pool, Queue::Ingest, &limits)
        .await
        .unwrap()[..]
    else {
        panic!("one job is due")
    };
    let zombie = jobs::claim(pool, job, "zombie", Duration::ZERO)
        .await
        .unwrap()
        .unwrap();
    let document = documents::begin_ingest(pool, &zombie)
        .await
        .unwrap()
        .unwrap();
    let heir = jobs::claim(pool, job, "heir", Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((zombie.attempt, heir.attempt), (1, 2));

    assert!(
        documents::begin_ingest(pool, &zombie)
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        !chunks::insert(pool, &zombie, &document, ModelId(1), Vec::new())
            .await
            .unwrap()
    );
    let page = chunks::NewPage {
        number: 1,
        label: None,
        text: "text",
    };
    assert!(
        !chunks::insert_pages(pool, &zombie, &document, &[page])
            .await
            .unwrap()
    );
    assert!(
        !jobs::retry_later(pool, &zombie, Duration::ZERO, "late")
            .await
            .unwrap()
    );
    assert!(!jobs::hand_back(pool, &zombie).await.unwrap());
    assert!(
        !jobs::end(pool, &zombie, jobs::End::Cancelled, None)
            .await
            .unwrap()
    );
    let completion = documents::Completion {
        language: None,
        title: None,
        pages: 1,
        chunks: 0,
        notes: &[],
        request_index: false,
        model: ModelId(1),
    };
    let completed = documents::complete_ingest(pool, &zombie, &document, &completion, &limits)
        .await
        .unwrap();
    assert!(completed.is_none());
    assert_eq!(
        lectern
            .count("documents where state = 'processing' and version = 0")
            .await,
        1
    );
    assert_eq!(
        jobs::renew(pool, job, heir.attempt, Duration::from_secs(1))
            .await
            .unwrap(),
        jobs::Lease::Held
    );
}
