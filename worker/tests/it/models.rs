//! The model layer on the real model: vectors against those of sentence-transformers, and the
//! thread under load.

use std::time::Duration;

use lectern_worker::models::{
    EmbedError, Embedder, EmbedderHandle, ModelSettings, Quantization, Runtime, TokenCounter, load,
};
use serde::Deserialize;
use tokio::time::timeout;

use crate::support::model_settings;

#[derive(Deserialize)]
struct Golden {
    revision: String,
    max_tokens: u16,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    vector: Vec<f32>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/all-MiniLM-L6-v2.json")).expect("golden vectors")
}

fn embedder(quantization: Quantization) -> Box<dyn Embedder> {
    load(&ModelSettings {
        quantization,
        ..model_settings()
    })
    .expect("the model loads")
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

/// The cosines of all golden texts.
fn cosines(embedder: &mut dyn Embedder) -> Vec<(String, f32)> {
    let cases = golden().cases.into_iter();
    let cosines = cases.map(|case| {
        let vector = embedder.embed(&case.text).expect("the model runs");
        (case.name, cosine(&case.vector, &vector))
    });
    cosines.collect()
}

fn assert_equal_to_golden(embedder: &mut dyn Embedder) {
    for (name, cosine) in cosines(embedder) {
        assert!(cosine >= 0.9999, "{name}: {cosine}");
    }
}

#[test]
fn vectors_of_32_bits_equal_those_of_sentence_transformers() {
    assert_equal_to_golden(embedder(Quantization::Fp32).as_mut());
}

/// What rounding costs: 0.993 on prose when this was written. The other texts, an empty one for
/// instance, lose more.
#[test]
fn vectors_of_8_bits_agree_with_them_to_a_mean_cosine_of_99_percent_on_prose() {
    const PROSE: [&str; 5] = [
        "a question",
        "one word",
        "a sentence",
        "a paragraph",
        "longer than the model reads",
    ];
    let cosines = cosines(embedder(Quantization::Int8).as_mut());
    let prose: Vec<f32> = cosines
        .iter()
        .filter(|(name, _)| PROSE.contains(&name.as_str()))
        .map(|pair| pair.1)
        .collect();
    assert_eq!(prose.len(), PROSE.len());
    let mean = prose.iter().sum::<f32>() / prose.len() as f32;
    assert!(mean >= 0.99, "{mean}: {cosines:?}");
    for (name, cosine) in cosines {
        assert!(cosine >= 0.95, "{name}: {cosine}");
    }
}

#[test]
fn vectors_have_length_one() {
    for quantization in [Quantization::Fp32, Quantization::Int8] {
        let mut embedder = embedder(quantization);
        for text in ["How long may the pump run dry?", ""] {
            let vector = embedder.embed(text).unwrap();
            let norm = vector
                .iter()
                .map(|number| number * number)
                .sum::<f32>()
                .sqrt();
            assert!((norm - 1.0).abs() < 1e-5, "{quantization}: {norm}");
        }
    }
}

#[test]
fn a_text_has_the_same_vector_whatever_was_embedded_before() {
    for quantization in [Quantization::Fp32, Quantization::Int8] {
        let mut embedder = embedder(quantization);
        let texts: Vec<String> = golden().cases.into_iter().map(|case| case.text).collect();
        let first: Vec<_> = texts
            .iter()
            .map(|text| embedder.embed(text).unwrap())
            .collect();
        for (text, vector) in texts.iter().zip(first).rev() {
            assert_eq!(
                embedder.embed(text).unwrap(),
                vector,
                "{quantization}: {text}"
            );
        }
    }
}

#[test]
fn the_identity_names_the_weights_and_what_was_done_with_them() {
    let golden = golden();
    let identity = embedder(Quantization::Int8).identity().clone();
    assert_eq!(identity.revision, golden.revision);
    assert_eq!(identity.max_tokens, golden.max_tokens);
    assert_eq!(
        (
            identity.dimensions,
            identity.pooling.as_str(),
            identity.quantization.as_str()
        ),
        (384, "mean", "int8")
    );
    assert_ne!(&identity, embedder(Quantization::Fp32).identity());
}

#[test]
fn tokens_are_counted_past_the_models_limit_and_their_offsets_cut_the_text() {
    let tokens = TokenCounter::open(&model_settings().dir).unwrap();
    assert_eq!(tokens.text_tokens_max(), 254);
    assert_eq!(tokens.count("").unwrap(), 0);
    assert_eq!(tokens.count("hello world").unwrap(), 2);
    assert_eq!(tokens.count(&"hello ".repeat(1000)).unwrap(), 1000);

    let text = "Kündigungsfrist: drei Monate. 保証期間";
    let offsets = tokens.offsets(text).unwrap();
    assert_eq!(offsets.len(), tokens.count(text).unwrap());
    let pieces: Vec<&str> = offsets.iter().map(|range| &text[range.clone()]).collect();
    assert_eq!(pieces.concat(), text.replace(' ', ""));
    assert_eq!(pieces.last(), Some(&"間"));
}

#[test]
fn the_model_reads_up_to_its_limit_and_not_past_it() {
    let hello = |count: usize| "hello ".repeat(count);
    let full = hello(254);
    let texts = [
        full.clone(),
        format!("{full} pump"),
        hello(253) + "pump",
        hello(253) + "pump valve",
    ];
    let mut embedder = embedder(Quantization::Fp32);
    let vectors = texts.map(|text| embedder.embed(&text).unwrap());
    assert_eq!(vectors[0], vectors[1]);
    assert_eq!(vectors[2], vectors[3]);
    assert_ne!(vectors[0], vectors[2]);
}

/// About 200 tokens each, of different lengths.
fn passages(count: usize) -> Vec<String> {
    let sentence = "The pump is driven by a three-phase motor and must not run dry for long. ";
    (0..count)
        .map(|n| format!("Section {n}. {}", sentence.repeat(9 + n % 3)))
        .collect()
}

async fn handle(inbox_sequences_max: usize) -> EmbedderHandle {
    EmbedderHandle::spawn(model_settings(), inbox_sequences_max)
        .await
        .expect("the model loads")
}

#[tokio::test]
async fn a_question_overtakes_passages() {
    let embedder = handle(256).await;
    let bulk = tokio::spawn({
        let embedder = embedder.clone();
        async move { embedder.embed_passages(passages(64)).await }
    });
    // The first passage of another caller comes back after some of these; the question then finds the others waiting.
    embedder.embed_passages(passages(1)).await.unwrap();
    let question = embedder
        .embed_question("How long may the pump run dry?")
        .await
        .unwrap();
    assert!(!bulk.is_finished());
    assert!(cosine(&question, &golden().cases[0].vector) >= 0.9999);
    assert_eq!(bulk.await.unwrap().unwrap().len(), 64);
}

#[tokio::test]
async fn passages_of_concurrent_callers_come_back_to_whom_they_belong() {
    let embedder = handle(16).await;
    let mut alone = Vec::new();
    for passage in passages(12) {
        alone.extend(embedder.embed_passages(vec![passage]).await.unwrap());
    }
    let callers: Vec<_> = (0..12)
        .map(|n| {
            let embedder = embedder.clone();
            tokio::spawn(async move { embedder.embed_passages(vec![passages(12).remove(n)]).await })
        })
        .collect();
    for (caller, expected) in callers.into_iter().zip(alone) {
        assert!(cosine(&caller.await.unwrap().unwrap()[0], &expected) >= 0.999_999);
    }
}

#[tokio::test]
async fn a_caller_who_leaves_takes_the_texts_along() {
    let embedder = handle(10_000).await;
    // Minutes of work, dropped when half a second of it is done.
    let leaver = embedder.embed_passages(passages(10_000));
    assert!(timeout(Duration::from_millis(500), leaver).await.is_err());
    let texts = vec!["How long?".to_owned(); 8];
    let stayer = timeout(Duration::from_secs(30), embedder.embed_passages(texts));
    assert_eq!(stayer.await.unwrap().unwrap().len(), 8);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_an_error_of_spawn() {
    let settings = ModelSettings {
        dir: "/nowhere".into(),
        ..model_settings()
    };
    let error = EmbedderHandle::spawn(settings, 8).await.unwrap_err();
    assert!(matches!(error, EmbedError::Read { .. }), "{error}");
}

#[cfg(not(feature = "rust-bert"))]
#[test]
fn asking_for_rust_bert_in_a_build_without_it_says_how_to_build_it() {
    let settings = ModelSettings {
        runtime: Runtime::RustBert,
        ..model_settings()
    };
    let message = load(&settings).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("--features rust-bert"), "{message}");
}

#[cfg(feature = "rust-bert")]
#[test]
fn rust_bert_gives_the_same_vectors_under_the_same_identity() {
    let mut rust_bert = load(&ModelSettings {
        runtime: Runtime::RustBert,
        ..model_settings()
    })
    .unwrap();
    assert_equal_to_golden(rust_bert.as_mut());
    assert_eq!(
        rust_bert.identity(),
        embedder(Quantization::Fp32).identity()
    );
}
