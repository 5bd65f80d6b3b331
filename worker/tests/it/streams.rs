//! Streams: joined late, resumed, expired; nothing lost, nothing doubled.

use serde_json::json;

use crate::support::{Event, Lectern, names, own_file, text};

/// Events without those that are in no stream (they have no id).
fn numbered(events: Vec<Event>) -> Vec<Event> {
    events
        .into_iter()
        .filter(|event| !event.id.is_empty())
        .collect()
}

#[tokio::test]
async fn a_stream_can_be_joined_late_and_resumed_anywhere_without_loss_or_doubling() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let question = lectern.ask("What is the daily allowance abroad?").await;
    let path = format!("/api/v1/questions/{question}/events");

    // Joined while it is being made, cut off after each event in turn, and resumed from there.
    let live = numbered(lectern.events(&path, None).await.rest().await);
    assert_eq!(names(&live).last(), Some(&"done"));
    let ids: Vec<_> = live.iter().map(|event| event.id.clone()).collect();
    let expected: Vec<_> = (1..=live.len())
        .map(|sequence| format!("1-{sequence}"))
        .collect();
    assert_eq!(ids, expected);

    let late = numbered(lectern.events(&path, None).await.rest().await);
    assert_eq!(late, live);
    for cut in 0..live.len() - 1 {
        let resumed = numbered(
            lectern
                .events(&path, Some(&live[cut].id))
                .await
                .rest()
                .await,
        );
        assert_eq!(resumed, live[cut + 1..], "resumed after {}", live[cut].id);
    }
}

#[tokio::test]
async fn readers_that_come_and_go_while_tokens_flow_get_all_of_them() {
    let lectern = Lectern::start_with(&["--abandoned-after-ms=60000"]).await;
    let server = crate::generator::Server::start(40, std::time::Duration::from_millis(15)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let question = lectern.ask("What is the daily allowance abroad?").await;
    let path = format!("/api/v1/questions/{question}/events");
    let readers = (0..12).map(async |reader| {
        let mut got: Vec<Event> = Vec::new();
        // Each reader drops its connection after so many events, and comes back.
        while got.last().is_none_or(|event: &Event| event.name != "done") {
            let last = got.last().map(|event| event.id.clone());
            let mut events = lectern.events(&path, last.as_deref()).await;
            for _ in 0..3 + reader {
                let Some(event) = events.next().await else {
                    break;
                };
                if !event.id.is_empty() {
                    got.push(event);
                }
            }
        }
        got
    });
    for got in futures::future::join_all(readers).await {
        assert_eq!(text(&got), server.text());
        let ids: Vec<_> = got.iter().map(|event| event.id.clone()).collect();
        let expected: Vec<_> = (1..=got.len())
            .map(|sequence| format!("1-{sequence}"))
            .collect();
        assert_eq!(ids, expected);
    }
}

#[tokio::test]
async fn an_answer_whose_stream_has_expired_is_told_from_its_row() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await
        .rest()
        .await;
    let question = events[0].data["question"].as_str().unwrap();
    let path = format!("/api/v1/questions/{question}/events");
    lectern.flush_redis().await;

    let told = lectern.events(&path, None).await.rest().await;
    assert_eq!(names(&told), ["sources", "token", "done"]);
    assert_eq!(text(&told), text(&events));
    // Somebody who had the first half must forget it.
    let told = lectern.events(&path, Some("1-9")).await.rest().await;
    assert_eq!(names(&told), ["reset", "sources", "token", "done"]);
}

#[tokio::test]
async fn a_stream_that_redis_loses_in_the_middle_still_ends_with_the_whole_answer() {
    let lectern = Lectern::start().await;
    let server = crate::generator::Server::start(60, std::time::Duration::from_millis(20)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let mut events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await;
    let mut got = events.until("token").await;
    lectern.flush_redis().await;
    // Away for a moment, as when a phone changes its network: what was published meanwhile is gone.
    let question = got[0].data["question"].as_str().unwrap().to_owned();
    let last = got.last().unwrap().id.clone();
    drop(events);
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    lectern.flush_redis().await;
    let path = format!("/api/v1/questions/{question}/events");
    got.extend(lectern.events(&path, Some(&last)).await.rest().await);
    assert_eq!(
        names(&got).iter().filter(|&&name| name == "done").count(),
        1
    );
    assert_eq!(
        lectern.get(&format!("/api/v1/questions/{question}")).await["answer"],
        server.text()
    );
    assert_eq!(text(&got), server.text());
}

#[tokio::test]
async fn a_waiting_document_tells_its_place_in_the_queue() {
    let lectern = Lectern::start().await;
    lectern.add(&own_file("coffee.pdf")).await;
    let second = lectern.add(&own_file("handbook.pdf")).await;
    let mut events = lectern
        .events(&format!("/api/v1/documents/{second}/events"), None)
        .await;
    let event = events.next().await.unwrap();
    assert_eq!(
        (event.name.as_str(), event.data),
        ("status", json!({"stage": "queued", "ahead": 1}))
    );
    let _worker = lectern.worker();
    assert_eq!(names(&events.rest().await).last(), Some(&"done"));
}

#[tokio::test]
async fn the_answer_stops_upstream_when_its_last_reader_has_left() {
    let lectern = Lectern::start_with(&["--abandoned-after-ms=100"]).await;
    let server = crate::generator::Server::start(5000, std::time::Duration::from_millis(20)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let mut events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await;
    let got = events.until("token").await;
    drop(events);
    let path = format!(
        "/api/v1/questions/{}",
        got[0].data["question"].as_str().unwrap()
    );
    let question = lectern
        .poll(&path, |question| question["state"] != "running")
        .await;
    assert_eq!(
        (&question["state"], &question["failure"]["code"]),
        (&json!("cancelled"), &json!("cancelled"))
    );
    server.until_abandoned().await;
}

#[tokio::test]
async fn a_question_in_the_background_goes_on_without_readers() {
    let lectern = Lectern::start_with(&["--abandoned-after-ms=1"]).await;
    let server = crate::generator::Server::start(20, std::time::Duration::from_millis(20)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let body = json!({"question": "What is the daily allowance abroad?", "background": true});
    let response = lectern
        .request("POST", "/api/v1/questions")
        .json(&body)
        .send()
        .await
        .unwrap();
    let accepted: serde_json::Value = response.json().await.unwrap();
    let path = format!("/api/v1/questions/{}", accepted["id"].as_str().unwrap());
    let mut events = lectern.events(&format!("{path}/events"), None).await;
    events.until("token").await;
    drop(events);
    let question = lectern
        .poll(&path, |question| question["state"] != "running")
        .await;
    assert_eq!(question["answer"], server.text());
}

#[tokio::test]
async fn deleting_a_question_cancels_its_answer_and_tells_its_readers() {
    let lectern = Lectern::start().await;
    let server = crate::generator::Server::start(5000, std::time::Duration::from_millis(20)).await;
    let _worker = lectern.worker_with(&server.environment());
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let mut events = lectern
        .ask_streaming("What is the daily allowance abroad?")
        .await;
    let got = events.until("token").await;
    let path = format!(
        "/api/v1/questions/{}",
        got[0].data["question"].as_str().unwrap()
    );
    assert_eq!(
        lectern
            .request("DELETE", &path)
            .send()
            .await
            .unwrap()
            .status(),
        204
    );
    let end = events.rest().await;
    let end = end.last().unwrap();
    assert_eq!(
        (end.name.as_str(), &end.data["code"]),
        ("failed", &json!("cancelled"))
    );
    server.until_abandoned().await;
}
