//! `lectern-worker evaluate`: from ratings to a set, and from a set to a table.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{Lectern, own_file};

impl Lectern {
    fn evaluate(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
            .arg("evaluate")
            .args(arguments)
            .envs(self.place.environment())
            .env("LECTERN_MODEL_THREADS", "1")
            .env("LECTERN_LOG", "warn")
            .output()
            .unwrap()
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_question_whose_answer_was_liked_becomes_one_that_the_search_is_measured_with() {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let question = lectern
        .answer("How many euros is the daily allowance abroad?")
        .await;
    assert_eq!(question["state"], "answered", "{question}");
    let none = lectern.evaluate(&[]);
    assert!(!none.status.success(), "nobody has rated anything yet");

    let path = format!(
        "/api/v1/questions/{}/feedback",
        question["id"].as_str().unwrap()
    );
    let up = json!({"rating": "up"});
    let rated = lectern
        .request("POST", &path)
        .json(&up)
        .send()
        .await
        .unwrap();
    assert!(rated.status().is_success(), "{}", rated.status());
    worker.kill();

    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("golden.jsonl");
    let exported = lectern.evaluate(&["--export", set.to_str().unwrap()]);
    assert!(exported.status.success(), "{exported:?}");
    let line: Value = serde_json::from_str(text(&set).lines().next().unwrap()).unwrap();
    assert_eq!(line["relevant"][0]["document"], "handbook.pdf");

    let json = folder.path().join("table.json");
    let set = set.to_str().unwrap();
    let measured = lectern.evaluate(&["--set", set, "--json", json.to_str().unwrap()]);
    assert!(measured.status.success(), "{measured:?}");
    let table = String::from_utf8(measured.stdout).unwrap();
    for search in ["words", "vectors", "fused", "reranked"] {
        assert!(table.contains(&format!("| {search} | 1 |")), "{table}");
    }
    let rows: Vec<Value> = serde_json::from_str(&text(&json)).unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[3]["recall_5"], 1.0, "{table}");
}
