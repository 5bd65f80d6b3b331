//! Files that take all they can get, and ordinary ones beside them.

use serde_json::Value;

use crate::support::{Lectern, own_file};

fn ended(document: &Value) -> (&str, &str) {
    let field = |name: &str| document[name].as_str().unwrap_or_default();
    (
        field("state"),
        document["failure"]["code"].as_str().unwrap_or_default(),
    )
}

#[tokio::test]
async fn ordinary_files_become_ready_while_a_slow_one_is_read_and_a_hungry_one_fails() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[
        ("LECTERN_PARSE_SECONDS_MAX", "600"),
        ("LECTERN_INGEST_CONCURRENCY", "2"),
    ]);
    let slow = lectern.add(&own_file("slow.pdf")).await;
    let slow = format!("/api/v1/documents/{slow}");
    lectern
        .poll(&slow, |document| document["state"] == "processing")
        .await;

    let hungry = lectern.add(&own_file("hungry.pdf")).await;
    for name in ["handbook.pdf", "coffee.pdf", "turned.pdf"] {
        lectern.add_ready(&own_file(name)).await;
    }
    let hungry = lectern.settled(&hungry).await;
    assert_eq!(ended(&hungry), ("failed", "parse_memory"));
    assert_eq!(
        lectern.get(&slow).await["state"],
        "processing",
        "all the while"
    );

    let answer = lectern.answer("What does ERR-4711 mean?").await;
    assert!(answer["answer"].as_str().unwrap().contains("water tank"));
    let cancelled = lectern
        .request("POST", &format!("{slow}/cancel"))
        .send()
        .await
        .unwrap();
    assert!(cancelled.status().is_success());
    lectern
        .poll(&slow, |document| document["state"] == "cancelled")
        .await;
}

#[tokio::test]
async fn a_file_that_takes_too_long_ends_at_its_limit_and_its_worker_reads_the_next() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker_with(&[
        ("LECTERN_PARSE_SECONDS_MAX", "2"),
        ("LECTERN_INGEST_CONCURRENCY", "1"),
    ]);
    let slow = lectern.add(&own_file("slow.pdf")).await;
    lectern.add_ready(&own_file("turned.pdf")).await;
    assert_eq!(
        ended(&lectern.settled(&slow).await),
        ("failed", "parse_timed_out")
    );
}
