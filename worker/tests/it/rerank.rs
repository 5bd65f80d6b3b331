//! The final order of passages: by what is stored of their tokens, by a model that people bring, or as searched.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lectern_worker::models::{CrossEncoder, EmbedderHandle, ModelSettings};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Lectern, model_settings, own_file};

/// The tiny model of random weights.
fn cross_encoder_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cross-encoder")
}

fn cross_encoder(threads: usize) -> CrossEncoder {
    let settings = ModelSettings {
        dir: cross_encoder_dir(),
        threads,
        ..model_settings()
    };
    CrossEncoder::load(&settings).unwrap()
}

fn in_a_minute() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

#[derive(Deserialize)]
struct Case {
    name: String,
    question: String,
    passage: String,
    score: f32,
}

#[test]
fn a_cross_encoder_gives_the_scores_that_transformers_gives() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../golden/cross-encoder/scores.json")).unwrap();
    let model = cross_encoder(1);
    for case in cases {
        let scores = model.scores(&case.question, &[&case.passage], in_a_minute());
        let score = scores.unwrap()[0].unwrap();
        let difference = (score - case.score).abs();
        assert!(
            difference < 1e-4,
            "{}: {score} not {}",
            case.name,
            case.score
        );
    }
}

#[test]
fn several_threads_give_each_passage_its_own_score_and_none_is_begun_after_the_deadline() {
    let passages = [
        "the pump",
        "coffee",
        "thirty seconds",
        "",
        "a shade of coffee",
        "pump",
    ];
    let scores = |threads, deadline| {
        cross_encoder(threads)
            .scores("how long may the pump run", &passages, deadline)
            .unwrap()
    };
    let alone = scores(1, in_a_minute());
    assert!(alone.iter().all(Option::is_some));
    assert_eq!(scores(3, in_a_minute()), alone);
    assert_eq!(scores(2, Instant::now()), [None; 6]);
}

#[test]
fn a_folder_that_is_no_cross_encoder_is_refused_with_the_reason() {
    let error = CrossEncoder::load(&model_settings()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("BertForSequenceClassification"),
        "{message}"
    );
}

#[tokio::test]
async fn the_tokens_of_a_question_are_nearer_to_the_passage_with_the_right_words() {
    let embedder = EmbedderHandle::spawn(model_settings(), 8).await.unwrap();
    let passages = [
        "The head of marketing signs contracts with agencies.",
        "Invoices above 5,000 euros are signed by the head of finance.",
        "Visitors sign the book at the reception on the second floor.",
    ];
    let texts = passages.map(str::to_owned).to_vec();
    let passages = embedder.embed_passages_tokens(texts.clone()).await.unwrap();
    let plain = embedder.embed_passages(texts).await.unwrap();
    let question = "Who signs large invoices?";
    let question = embedder.embed_question_tokens(question).await.unwrap();
    let question = question.tokens.unwrap();
    let mut nearest = Vec::new();
    for (passage, plain) in passages.into_iter().zip(plain) {
        assert_eq!(passage.vector, plain, "one run gives the same vector");
        nearest.push(question.nearest_in(&passage.tokens.unwrap()));
    }
    assert!(
        nearest[1] > nearest[0] && nearest[1] > nearest[2],
        "{nearest:?}"
    );
}

async fn search(lectern: &Lectern, question: &str, passages: u16) -> Vec<Value> {
    let response = lectern
        .request("POST", "/api/v1/search")
        .json(&json!({"question": question, "passages": passages}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let found: Value = response.json().await.unwrap();
    found["passages"].as_array().unwrap().clone()
}

/// What a cross-encoder reads of a passage.
fn text(passage: &Value) -> String {
    let text = passage["text"].as_str().unwrap();
    match passage["heading"].as_str() {
        Some(heading) => format!("{heading}\n{text}"),
        None => text.to_owned(),
    }
}

/// Of all passages' token vectors.
async fn fingerprint(lectern: &Lectern) -> Option<String> {
    let query = "select md5(string_agg(vectors, ''::bytea order by document_id, ordinal))
                 from chunk_token_vectors join chunks on chunks.id = chunk_id";
    sqlx::query_scalar(query)
        .fetch_one(&lectern.place.pool)
        .await
        .unwrap()
}

async fn read_anew(lectern: &Lectern, document: &str) {
    let path = format!("/api/v1/documents/{document}/reingest");
    let response = lectern.request("POST", &path).send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(lectern.settled(document).await["state"], "ready");
}

#[tokio::test]
async fn token_vectors_survive_reading_a_document_anew_and_vanish_with_it() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    let document = lectern.add_ready(&own_file("handbook.pdf")).await;
    let document = document["id"].as_str().unwrap();
    let chunks = lectern.count("chunks").await;
    assert!(chunks > 0);
    assert_eq!(lectern.count("chunk_token_vectors").await, chunks);
    let first = fingerprint(&lectern).await;

    read_anew(&lectern, document).await;
    assert_eq!(lectern.count("chunk_token_vectors").await, chunks);
    assert_eq!(fingerprint(&lectern).await, first);

    // As if the passages were older than the table.
    sqlx::query("delete from chunk_token_vectors")
        .execute(&lectern.place.pool)
        .await
        .unwrap();
    let found = search(&lectern, "Who is the head of finance?", 3).await;
    assert!(!found.is_empty(), "passages without them are found");
    read_anew(&lectern, document).await;
    assert_eq!(fingerprint(&lectern).await, first);

    let path = format!("/api/v1/documents/{document}");
    let deleted = lectern.request("DELETE", &path).send().await.unwrap();
    assert!(deleted.status().is_success());
    assert_eq!(lectern.count("chunk_token_vectors").await, 0);
}

#[tokio::test]
async fn an_answer_tells_how_long_reranking_took() {
    let lectern = Lectern::start().await;
    let _worker = lectern.worker();
    lectern.add_ready(&own_file("handbook.pdf")).await;
    let answer = lectern.answer("Who is the head of finance?").await;
    assert!(
        answer["timings"]["rerank_ms"].as_f64() > Some(0.0),
        "{answer}"
    );
}

#[tokio::test]
async fn a_cross_encoder_orders_what_it_reaches_in_time_and_leaves_the_rest_as_searched() {
    const QUESTION: &str = "How long may the coffee stand in the shade?";
    let plain = [
        ("LECTERN_MMR_LAMBDA", "1"),
        ("LECTERN_JOIN_NEIGHBOURS", "false"),
    ];
    let dir = cross_encoder_dir();
    let with_budget = |budget| {
        let dir = dir.to_str().unwrap();
        let own = [
            ("LECTERN_RERANKER", "cross-encoder"),
            ("LECTERN_CROSS_ENCODER_DIR", dir),
            ("LECTERN_RERANK_WEIGHT", "1"),
            ("LECTERN_RERANK_BUDGET_MS", budget),
        ];
        [&plain[..], &own[..]].concat()
    };
    let lectern = Lectern::start().await;
    let worker = lectern.worker_with(&[&plain[..], &[("LECTERN_RERANKER", "none")]].concat());
    for file in ["coffee.pdf", "handbook.pdf", "guide.md"] {
        lectern.add_ready(&own_file(file)).await;
    }
    assert_eq!(lectern.count("chunk_token_vectors").await, 0, "not wanted");
    let searched = search(&lectern, QUESTION, 20).await;
    let searched: Vec<String> = searched.iter().map(text).collect();
    assert!(searched.len() > 5);
    worker.stop().await;

    let worker = lectern.worker_with(&with_budget("0"));
    let in_no_time = search(&lectern, QUESTION, 20).await;
    let in_no_time: Vec<String> = in_no_time.iter().map(text).collect();
    assert_eq!(in_no_time, searched);
    worker.stop().await;

    let _worker = lectern.worker_with(&with_budget("60000"));
    let reranked = search(&lectern, QUESTION, 20).await;
    let reranked: Vec<String> = reranked.iter().map(text).collect();
    let texts: Vec<&str> = searched.iter().map(String::as_str).collect();
    let scores = cross_encoder(1).scores(QUESTION, &texts, in_a_minute());
    let mut wanted: Vec<_> = scores.unwrap().into_iter().zip(texts).collect();
    wanted.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap());
    let wanted: Vec<&str> = wanted.into_iter().map(|(_, text)| text).collect();
    assert_eq!(reranked, wanted);
    assert_ne!(reranked, searched);
}
