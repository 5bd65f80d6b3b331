//! Asks everything, through the API and a worker of its own.

use std::{
    io::{Cursor, Write},
    process::{Child, Command},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use lectern_api::testing;
use lectern_shared::testing::Place;
use lectern_worker::answer::confidence::Signals;
use reqwest::{Client, RequestBuilder, multipart};
use serde_json::{Value, json};
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::{
    Row,
    sets::{Set, hash, overlap},
};

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Api {
    client: Client,
    url: String,
}

impl Api {
    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client
            .request(
                method.parse().unwrap(),
                format!("{}/api/v1/{path}", self.url),
            )
            .bearer_auth("lectern-dev")
    }

    async fn send(request: RequestBuilder) -> Value {
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        response.json().await.unwrap()
    }
}

/// The signals of all questions of a set over its documents, and of up to `others` of each set over those of the rest.
pub(crate) async fn rows(sets: &[Set], others: usize) -> Vec<Row> {
    let mut place = Place::new().await.unwrap();
    place.settings.dispatch_tenant_max = 1000;
    let settings =
        testing::settings(&["--search-timeout-ms=60000", "--request-timeout-seconds=90"]);
    let running = testing::start(settings, &place).await.unwrap();
    let _worker = Worker(
        Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("run")
            .envs(place.environment())
            .env("LECTERN_WORKER_METRICS_LISTEN", "127.0.0.1:0")
            .env("LECTERN_LOG", "warn")
            .spawn()
            .unwrap(),
    );
    let api = Api {
        client: Client::new(),
        url: format!("http://{}", running.address),
    };
    let began = Instant::now();
    for set in sets {
        let made = api
            .request("POST", "collections")
            .json(&json!({"name": set.name}));
        Api::send(made).await;
        let form = multipart::Form::new()
            .text("collection", set.name.clone())
            .part("file", multipart::Part::bytes(packed(set)));
        Api::send(api.request("POST", "imports").multipart(form)).await;
    }
    let documents: usize = sets.iter().map(|set| set.documents.len()).sum();
    until_ready(&place, documents).await;
    println!(
        "{documents} documents ready in {:.0} s",
        began.elapsed().as_secs_f64()
    );

    let mut asked = Vec::new();
    for documents in sets {
        for questions in sets {
            let answers = documents.name == questions.name;
            if !answers && overlap(&documents.name, &questions.name) {
                continue;
            }
            let limit = if answers { usize::MAX } else { others };
            for question in questions.questions.iter().take(limit) {
                asked.push((
                    documents.name.as_str(),
                    questions.name.as_str(),
                    question,
                    answers,
                ));
            }
        }
    }
    let api = &api;
    stream::iter(asked)
        .map(|(collection, questions, question, answers)| async move {
            let body = json!({"question": question.text, "collection": collection});
            let found = Api::send(api.request("POST", "search").json(&body)).await;
            let signals: Signals = serde_json::from_value(found["signals"].clone()).unwrap();
            Row {
                collection: collection.to_owned(),
                questions: questions.to_owned(),
                answers,
                fitted: hash(&question.id).is_multiple_of(2),
                confidence: found["confidence"].as_f64().unwrap(),
                signals,
            }
        })
        .buffer_unordered(4)
        .collect()
        .await
}

fn packed(set: &Set) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (number, (title, text)) in set.documents.iter().enumerate() {
        zip.start_file(format!("{number}.txt"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(
            format!("{}\n\n{}\n", title.trim(), text.trim())
                .trim_start()
                .as_bytes(),
        )
        .unwrap();
    }
    zip.finish().unwrap().into_inner()
}

async fn until_ready(place: &Place, documents: usize) {
    let began = Instant::now();
    loop {
        let (ready, failed): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where state = 'ready'), count(*) filter (where state = 'failed') from documents",
        )
        .fetch_one(&place.pool)
        .await
        .unwrap();
        assert_eq!(failed, 0, "documents that can't be read");
        // Equal texts are one document.
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from jobs where state in ('queued', 'running')")
                .fetch_one(&place.pool)
                .await
                .unwrap();
        if ready > 0 && waiting == 0 && usize::try_from(ready).unwrap() * 10 >= documents * 9 {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(7200),
            "{ready} of {documents} are ready"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
