//! Switching the model while people search, upload and delete. The same weights in 32 and in 8 bits are two models of as
//! many dimensions: nothing but the identity tells their vectors apart.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::Lectern;

const PATIENCE: Duration = Duration::from_secs(180);

/// Long enough for a build to be killed in its middle, cut into many chunks.
const SENTENCES: usize = 500;
const SMALL_CHUNKS: (&str, &str) = ("LECTERN_CHUNK_TOKENS", "24");
const INT8: (&str, &str) = ("LECTERN_MODEL_QUANTIZATION", "int8");

fn reindex(lectern: &Lectern, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lectern-worker"))
        .arg("reindex")
        .args(arguments)
        .envs(lectern.place.environment())
        .env("LECTERN_MODEL_THREADS", "1")
        .env("LECTERN_LOG", "info")
        .envs([INT8])
        .spawn()
        .unwrap()
}

/// Ends, or the test does.
async fn ended(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The report, also while there is no worker.
async fn report(lectern: &Lectern) -> Value {
    let response = lectern.request("GET", "/api/v1/health").send().await;
    response.unwrap().json().await.unwrap()
}

/// The texts of the passages; `None` when nobody searched in time.
async fn found(lectern: &Lectern, question: &str) -> Option<Vec<String>> {
    let response = lectern
        .request("POST", "/api/v1/search")
        .json(&json!({ "question": question, "passages": 5 }))
        .send()
        .await
        .unwrap();
    if !response.status().is_success() {
        return None;
    }
    let body: Value = response.json().await.unwrap();
    let passages = body["passages"].as_array().unwrap();
    let text = |passage: &Value| passage["text"].as_str().unwrap().to_owned();
    Some(passages.iter().map(text).collect())
}

async fn finds(lectern: &Lectern, question: &str, words: &str) -> bool {
    let texts = found(lectern, question).await.expect("somebody searches");
    texts.iter().any(|text| text.contains(words))
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[tokio::test]
async fn the_model_is_switched_while_searches_go_on_and_documents_come_change_and_go() {
    let lectern = Lectern::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut old_worker = lectern.worker_with(&[SMALL_CHUNKS]);
    let long: Vec<String> = (0..SENTENCES)
        .map(|n| {
            format!(
                "Valve {n} of the cooling plant opens at {} bar and closes again at {} bar.",
                n + 3,
                n + 1
            )
        })
        .collect();
    lectern
        .add_ready(&write(folder.path(), "plant.txt", &long.join("\n\n")))
        .await;
    lectern
        .add_ready(&write(
            folder.path(),
            "pump.txt",
            "The pump may run dry for thirty seconds.",
        ))
        .await;
    let gone = lectern
        .add_ready(&write(
            folder.path(),
            "gone.txt",
            "The parrot is called Conrad.",
        ))
        .await;
    let chunks = lectern.count("chunks").await;
    assert!(chunks > 300, "{chunks}");
    assert!(report(&lectern).await["reindex"].is_null());

    // Killed in its middle.
    let mut builder = reindex(&lectern, &[]);
    let health = lectern
        .poll("/api/v1/health", |health| {
            health["reindex"]["passages_done"].as_i64() > Some(0)
        })
        .await;
    builder.kill().unwrap();
    builder.wait().unwrap();
    assert_eq!(health["reindex"]["passages_total"], chunks);
    let half = report(&lectern).await;
    let done = half["reindex"]["passages_done"].as_i64().unwrap();
    assert!(done > 0 && done < chunks, "{half}");
    assert!(finds(&lectern, "How long may the pump run dry?", "thirty seconds").await);

    // Meanwhile a document comes, one is replaced, one goes.
    lectern
        .add_ready(&write(
            folder.path(),
            "mast.txt",
            "The mast is painted every seven years.",
        ))
        .await;
    lectern
        .add_ready(&write(
            folder.path(),
            "pump.txt",
            "The pump may run dry for ninety seconds.",
        ))
        .await;
    let path = format!("/api/v1/documents/{}", gone["id"].as_str().unwrap());
    assert!(
        lectern
            .request("DELETE", &path)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    assert!(finds(&lectern, "How long may the pump run dry?", "ninety seconds").await);

    // Two go on, and people search as long as the old worker answers.
    let (mut one, mut other) = (
        reindex(&lectern, &["--keep-old"]),
        reindex(&lectern, &["--keep-old"]),
    );
    let mut searches = 0;
    while report(&lectern).await["reindex"].is_object() {
        let Some(texts) = found(&lectern, "How long may the pump run dry?").await else {
            break;
        };
        assert!(
            texts.iter().any(|text| text.contains("ninety seconds")),
            "{texts:?}"
        );
        searches += 1;
    }
    assert!(searches > 0);
    assert!(
        report(&lectern).await["reindex"].is_null(),
        "nobody searched although the switch had not come"
    );
    assert!(ended(&mut one).await.success());
    assert!(ended(&mut other).await.success());
    let model = report(&lectern).await["model"].to_string();
    assert!(model.contains("int8"), "{model}");

    // The old model's worker ends by itself, and another one doesn't start.
    assert!(!old_worker.ended().await.success());
    assert!(!lectern.worker().ended().await.success());
    assert_eq!(
        lectern
            .count("chunks where model_id <> (select id from embedding_models where active)")
            .await,
        0
    );
    let forgotten = ended(&mut reindex(&lectern, &["--forget"])).await;
    assert!(forgotten.success());
    assert_eq!(
        lectern
            .count("chunks where embedding_next is not null or model_id_next is not null")
            .await,
        0
    );
    // What late interaction compares is there of the new model, and of no other.
    let tokens = "chunks chunk full join chunk_token_vectors token
        on token.chunk_id = chunk.id and token.model_id = chunk.model_id
        where chunk.id is null or token.chunk_id is null";
    assert_eq!(lectern.count(tokens).await, 0);

    let _new_worker = lectern.worker_with(&[SMALL_CHUNKS, INT8]);
    assert!(finds(&lectern, "How long may the pump run dry?", "ninety seconds").await);
    assert!(finds(&lectern, "How often is the mast painted?", "seven years").await);
    assert!(!finds(&lectern, "What is the parrot called?", "Conrad").await);
    lectern
        .add_ready(&write(
            folder.path(),
            "new.txt",
            "The ladder has twelve rungs.",
        ))
        .await;
    assert!(finds(&lectern, "How many rungs has the ladder?", "twelve rungs").await);
}
