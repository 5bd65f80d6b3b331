//! `lectern ask`, `search` and `eval`.

use serde_json::json;

use crate::support::{Lectern, interrupt};

async fn with_handbook() -> (Lectern, crate::support::Worker) {
    let lectern = Lectern::start().await;
    let worker = lectern.worker();
    lectern.copy("handbook.pdf", "handbook.pdf");
    let added = lectern.run(&["add", "handbook.pdf"]).await;
    assert_eq!(added.code, 0, "{added:?}");
    (lectern, worker)
}

#[tokio::test]
async fn an_answer_comes_with_its_sources_and_a_follow_up_with_what_it_was_taken_for() {
    let (lectern, _worker) = with_handbook().await;
    let question = "How many euros is the daily allowance inside the country?";
    let answer = lectern
        .run(&["ask", question, "--conversation", "new"])
        .await;
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.contains("28 euros"), "{answer:?}");
    assert!(
        answer.out.contains("\nSources:\n[1] handbook.pdf, page 2"),
        "{answer:?}"
    );
    let conversation = answer.err.rsplit(' ').next().unwrap().trim();

    let follow_up = lectern
        .json(&["ask", "And abroad?", "--conversation", conversation])
        .await;
    let taken_for = follow_up["standalone_question"].as_str().unwrap();
    assert!(taken_for.contains("daily allowance"), "{follow_up}");
    assert!(
        follow_up["answer"].as_str().unwrap().contains("47 euros"),
        "{follow_up}"
    );
    assert_eq!(follow_up["sources"][0]["document_name"], "handbook.pdf");
}

#[tokio::test]
async fn a_question_that_is_interrupted_is_cancelled() {
    // The server would notice by itself, but not before the test is given up.
    let lectern = Lectern::start_with(&["--abandoned-after-ms=4000000"]).await;
    let begun = lectern.post("/api/v1/conversations").await;
    let conversation = begun["id"].as_str().unwrap();
    // There is no worker, so it waits.
    let ask = ["ask", "Who waits?", "--conversation", conversation];
    let mut child = lectern.command(&ask).spawn().unwrap();
    let path = format!("/api/v1/conversations/{conversation}");
    lectern
        .poll(&path, |found| found["questions"][0]["state"] == "queued")
        .await;
    interrupt(&child);
    let ended = child.wait().await.unwrap();
    assert_eq!(ended.code(), Some(130));
    lectern
        .poll(&path, |found| found["questions"][0]["state"] == "cancelled")
        .await;
}

#[tokio::test]
async fn passages_are_found_and_a_set_of_questions_is_measured() {
    let (lectern, _worker) = with_handbook().await;
    let found = lectern
        .run(&["search", "lost laptop", "--passages", "1"])
        .await;
    assert!(
        found.out.starts_with("[1] handbook.pdf, page 3: "),
        "{found:?}"
    );

    let line = |question: &str, pages: [u32; 2]| {
        json!({"question": question, "relevant": [{"document": "handbook.pdf", "pages": pages}]})
            .to_string()
    };
    let set = [
        line("What if a laptop is lost?", [3, 3]),
        line("How much is the daily allowance?", [2, 2]),
    ];
    lectern.write("set.jsonl", set.join("\n"));
    let measured = lectern.json(&["eval", "set.jsonl"]).await;
    assert_eq!(measured["questions"], 2);
    assert_eq!(measured["recall_20"], 1.0, "{measured}");
    assert_eq!(measured["ndcg_10"], 1.0, "{measured}");

    lectern.write("wrong.jsonl", line("What if a laptop is lost?", [1, 1]));
    let wrong = lectern.json(&["eval", "wrong.jsonl"]).await;
    assert!(wrong["ndcg_10"].as_f64().unwrap() < 1.0, "{wrong}");
    lectern.write("broken.jsonl", "{}");
    let broken = lectern.run(&["eval", "broken.jsonl"]).await;
    assert_eq!(broken.code, 2);
    assert!(broken.err.contains("line 1 is no question"), "{broken:?}");
}
