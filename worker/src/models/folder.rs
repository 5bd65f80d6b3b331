//! Reads a sentence-transformers folder and refuses, with the reason, what we can't run faithfully.
//!
//! ```text
//! config.json                 sizes, activation, kind of positions
//! model.safetensors           weights of 32 or 16 bits
//! tokenizer.json              the tokenizer, complete
//! modules.json                optional: what follows the encoder
//! 1_Pooling/config.json       optional: how token vectors become one
//! sentence_bert_config.json   optional: how many tokens the model was trained on
//! config_sentence_transformers.json   optional: what goes before questions and passages
//! ```
//!
//! A model that loads and answers slightly wrong is worse than one that doesn't load: each setting
//! that changes the vectors is checked, not assumed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::prefixes::Prefixes;
use super::weights::Weights;
use super::{EmbedError, ModelIdentity, Quantization};

/// A model folder whose files are there and whose settings we support.
#[derive(Debug)]
pub struct ModelFolder {
    dir: PathBuf,
    name: String,
    max_tokens: u16,
    prefixes: Prefixes,
    pub(super) bert: BertConfig,
    pub(super) weights: Weights,
}

/// The part of `config.json` that the encoder is built from.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BertConfig {
    #[serde(default)]
    architectures: Vec<String>,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    pub(super) hidden_size: u16,
    pub(super) intermediate_size: usize,
    pub(super) layer_norm_eps: f32,
    pub(super) max_position_embeddings: u16,
    pub(super) num_attention_heads: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) type_vocab_size: usize,
    pub(super) vocab_size: usize,
    pad_token_id: Option<u16>,
}

/// The architectures that we run, by their names in `config.json`: two families of one network.
const BERT: &str = "BertModel";
const XLM_R: &str = "XLMRobertaModel";

impl BertConfig {
    fn is(&self, architecture: &str) -> bool {
        self.architectures.iter().any(|name| name == architecture)
    }

    /// The row of the position table that a text's first token has.
    ///
    /// XLM-R leaves the rows up to that of the padding token unused. Source: `create_position_ids_from_input_ids` of
    /// the transformers library.
    pub(super) fn first_position(&self) -> u16 {
        if self.is(XLM_R) {
            self.pad_token_id.unwrap_or(1).saturating_add(1)
        } else {
            0
        }
    }

    /// The longest text that the position table reaches for.
    fn positions(&self) -> u16 {
        self.max_position_embeddings
            .saturating_sub(self.first_position())
    }
}

/// The default of configurations older than the setting.
fn absolute() -> String {
    "absolute".to_owned()
}

/// What `config.json` says of the layer on top of a cross-encoder.
#[derive(Deserialize)]
struct Classes {
    num_labels: Option<usize>,
    #[serde(default)]
    id2label: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Module {
    r#type: String,
}

#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: u16,
}

/// What sentence-transformers knows to put before a text, by names that each model chooses.
#[derive(Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: HashMap<String, String>,
    default_prompt_name: Option<String>,
}

impl Prompts {
    /// As `encode_query` and `encode_document` of sentence-transformers choose: the first of the names that is there,
    /// then the default, then nothing. Source: `SentenceTransformer.py` of its release 5.
    fn prefixes(self) -> Prefixes {
        let choose = |names: &[&str]| {
            let default = self.default_prompt_name.as_deref();
            let mut names = names.iter().copied().chain(default);
            names
                .find_map(|name| self.prompts.get(name))
                .cloned()
                .unwrap_or_default()
        };
        Prefixes {
            question: choose(&["query"]),
            passage: choose(&["document", "passage", "corpus"]),
        }
    }
}

impl ModelFolder {
    /// Reads the configuration and the index of the weights, not the weights themselves.
    ///
    /// # Errors
    /// [`EmbedError::Unsupported`] names the setting that we don't support and what to do instead.
    pub fn open(dir: &Path) -> Result<Self, EmbedError> {
        let bert: BertConfig = read_json(&dir.join("config.json"))?;
        let unsupported = |reason: String| EmbedError::Unsupported {
            dir: dir.to_owned(),
            reason,
        };
        check_encoder(&bert).map_err(unsupported)?;
        check_modules(dir)?.map_err(unsupported)?;
        check_pooling(dir)?.map_err(unsupported)?;

        let sentence: Option<SentenceConfig> =
            read_json_if_there(&dir.join("sentence_bert_config.json"))?;
        let positions = bert.positions();
        let max_tokens = sentence.map_or(positions, |config| config.max_seq_length);
        if max_tokens < 3 || max_tokens > positions {
            return Err(unsupported(format!(
                "max_seq_length is {max_tokens}, but the model has {positions} positions: correct sentence_bert_config.json"
            )));
        }
        let prefixes =
            read_json_if_there::<Prompts>(&dir.join("config_sentence_transformers.json"))?
                .map(Prompts::prefixes)
                .unwrap_or_default();
        let weights = Weights::open(&dir.join("model.safetensors"))?;
        // Not `_name_or_path` of the configuration: that is the model that this one was trained from.
        let name = folder_name(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            name,
            max_tokens,
            prefixes,
            bert,
            weights,
        })
    }

    /// The folder of a cross-encoder: a BERT model with a layer on top that turns a pair of texts into one number.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn open_cross_encoder(dir: &Path) -> Result<Self, EmbedError> {
        let path = dir.join("config.json");
        let (mut bert, head): (BertConfig, Classes) = (read_json(&path)?, read_json(&path)?);
        let unsupported = |reason: String| EmbedError::Unsupported {
            dir: dir.to_owned(),
            reason,
        };
        check_cross_encoder(&bert, &head).map_err(unsupported)?;
        bert.architectures = vec!["BertModel".to_owned()];
        check_encoder(&bert).map_err(unsupported)?;
        Ok(Self {
            dir: dir.to_owned(),
            name: folder_name(dir)?,
            max_tokens: bert.max_position_embeddings,
            prefixes: Prefixes::default(),
            weights: Weights::open(&dir.join("model.safetensors"))?,
            bert,
        })
    }

    /// Tokens that the model reads of a text, special tokens included.
    pub fn max_tokens(&self) -> u16 {
        self.max_tokens
    }

    /// What goes before each text.
    pub fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Reads all weights once, for the revision.
    pub(super) fn identity(&self, quantization: Quantization) -> Result<ModelIdentity, EmbedError> {
        Ok(ModelIdentity {
            name: self.name.clone(),
            revision: self.prefixes.revision(self.weights.sha256()?),
            dimensions: self.bert.hidden_size,
            pooling: "mean".to_owned(),
            quantization: quantization.to_string(),
            max_tokens: self.max_tokens,
        })
    }
}

fn check_encoder(config: &BertConfig) -> Result<(), String> {
    const INSTEAD: &str =
        "use a BERT or XLM-R sentence model such as all-MiniLM-L6-v2 or multilingual-e5-small";
    if !config.is(BERT) && !config.is(XLM_R) {
        return Err(format!(
            "its architecture is {:?}, not {BERT} or {XLM_R}: {INSTEAD}",
            config.architectures
        ));
    }
    if config.hidden_act != "gelu" {
        return Err(format!(
            "its activation is {}, not gelu: {INSTEAD}",
            config.hidden_act
        ));
    }
    if config.position_embedding_type != "absolute" {
        return Err(format!(
            "its positions are {}, not absolute: {INSTEAD}",
            config.position_embedding_type
        ));
    }
    if config.num_attention_heads == 0
        || usize::from(config.hidden_size) % config.num_attention_heads != 0
    {
        return Err(format!(
            "{} dimensions can't be shared among {} attention heads: correct config.json",
            config.hidden_size, config.num_attention_heads
        ));
    }
    Ok(())
}

fn check_cross_encoder(config: &BertConfig, head: &Classes) -> Result<(), String> {
    const WANTED: &str = "BertForSequenceClassification";
    const INSTEAD: &str = "use a BERT cross-encoder such as ms-marco-MiniLM-L-6-v2";
    if !config.architectures.iter().any(|name| name == WANTED) {
        return Err(format!(
            "its architecture is {:?}, not {WANTED}: {INSTEAD}",
            config.architectures
        ));
    }
    // transformers writes names of the classes rather than their number; without either there are two.
    let labels = head.num_labels.unwrap_or(match head.id2label.len() {
        0 => 2,
        named => named,
    });
    if labels != 1 {
        return Err(format!("it has {labels} classes, not one score: {INSTEAD}"));
    }
    Ok(())
}

/// A dense layer after the pooling, say, would change the vectors: only what the graph contains may
/// be listed.
fn check_modules(dir: &Path) -> Result<Result<(), String>, EmbedError> {
    const KNOWN: [&str; 3] = ["Transformer", "Pooling", "Normalize"];
    let modules: Vec<Module> = read_json_if_there(&dir.join("modules.json"))?.unwrap_or_default();
    let unknown = modules
        .into_iter()
        .map(|module| module.r#type)
        .find(|name| !KNOWN.contains(&name.rsplit('.').next().unwrap_or(name)));
    Ok(match unknown {
        Some(name) => Err(format!(
            "modules.json lists {name}, which we don't run: use a model without it"
        )),
        None => Ok(()),
    })
}

fn check_pooling(dir: &Path) -> Result<Result<(), String>, EmbedError> {
    let path = dir.join("1_Pooling/config.json");
    let Some(settings) = read_json_if_there::<serde_json::Map<String, serde_json::Value>>(&path)?
    else {
        return Ok(Ok(()));
    };
    // One flag per kind of pooling; several at once mean their concatenation.
    let chosen: Vec<&str> = settings
        .iter()
        .filter(|(key, value)| key.starts_with("pooling_mode_") && *value == true)
        .map(|(key, _)| key.as_str())
        .collect();
    if chosen == ["pooling_mode_mean_tokens"] {
        return Ok(Ok(()));
    }
    Ok(Err(format!(
        "its pooling is {chosen:?}, not the mean of the tokens: use a model with mean pooling"
    )))
}

fn folder_name(dir: &Path) -> Result<String, EmbedError> {
    let resolved = dir.canonicalize().map_err(EmbedError::read(dir))?;
    let name = resolved.file_name().unwrap_or(resolved.as_os_str());
    Ok(name.to_string_lossy().into_owned())
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, EmbedError> {
    let text = fs::read(path).map_err(EmbedError::read(path))?;
    serde_json::from_slice(&text).map_err(|error| EmbedError::malformed(path, error))
}

fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EmbedError> {
    if path.try_exists().map_err(EmbedError::read(path))? {
        read_json(path).map(Some)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn minilm() -> Value {
        json!({
            "_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "architectures": ["BertModel"], "hidden_act": "gelu",
            "hidden_size": 384, "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
            "num_attention_heads": 12, "num_hidden_layers": 6, "type_vocab_size": 2, "vocab_size": 30522,
        })
    }

    /// A folder with these files and weights without tensors.
    fn folder_with(files: &[(&str, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("model.safetensors"),
            b"\x02\0\0\0\0\0\0\0{}",
        )
        .unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.to_string()).unwrap();
        }
        folder
    }

    fn open(files: &[(&str, Value)]) -> Result<ModelFolder, EmbedError> {
        ModelFolder::open(folder_with(files).path())
    }

    fn refusal(files: &[(&str, Value)]) -> String {
        match open(files) {
            Err(error @ EmbedError::Unsupported { .. }) => error.to_string(),
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn a_bert_folder_without_optional_files_reads_as_many_tokens_as_it_has_positions() {
        let folder = folder_with(&[("config.json", minilm())]);
        let identity = ModelFolder::open(folder.path())
            .unwrap()
            .identity(Quantization::Fp32)
            .unwrap();
        assert_eq!((identity.dimensions, identity.max_tokens), (384, 512));
        assert_eq!(
            identity.name,
            folder.path().file_name().unwrap().to_string_lossy()
        );
        assert_eq!(
            identity.revision,
            hex::encode(<sha2::Sha256 as sha2::Digest>::digest(
                b"\x02\0\0\0\0\0\0\0{}"
            ))
        );
    }

    #[test]
    fn the_sentence_config_limits_the_tokens_to_what_the_model_was_trained_on() {
        let sentence = (
            "sentence_bert_config.json",
            json!({ "max_seq_length": 256 }),
        );
        assert_eq!(
            open(&[("config.json", minilm()), sentence])
                .unwrap()
                .max_tokens(),
            256
        );
        let sentence = (
            "sentence_bert_config.json",
            json!({ "max_seq_length": 1024 }),
        );
        assert!(refusal(&[("config.json", minilm()), sentence]).contains("has 512 positions"));
    }

    #[test]
    fn positions_of_xlm_r_begin_after_that_of_the_padding() {
        let mut config = minilm();
        config["architectures"] = json!(["XLMRobertaModel"]);
        config["max_position_embeddings"] = json!(514);
        config["pad_token_id"] = json!(1);
        let folder = open(&[("config.json", config.clone())]).unwrap();
        assert_eq!(
            (folder.bert.first_position(), folder.max_tokens()),
            (2, 512)
        );
        let sentence = (
            "sentence_bert_config.json",
            json!({ "max_seq_length": 514 }),
        );
        assert!(refusal(&[("config.json", config), sentence]).contains("has 512 positions"));
    }

    #[test]
    fn prompts_go_before_questions_and_passages_and_into_the_identity() {
        let with = |prompts: Value| {
            let prompts = ("config_sentence_transformers.json", prompts);
            let folder = folder_with(&[("config.json", minilm()), prompts]);
            let model = ModelFolder::open(folder.path()).unwrap();
            let revision = model.identity(Quantization::Fp32).unwrap().revision;
            (model.prefixes, revision)
        };
        let (prefixes, revision) = with(json!({
            "prompts": { "query": "query: ", "passage": "passage: " }, "default_prompt_name": null,
        }));
        assert_eq!(prefixes.question, "query: ");
        assert_eq!(prefixes.passage, "passage: ");

        let (plain, plain_revision) =
            with(json!({ "__version__": {}, "prompts": { "query": "", "document": "" } }));
        assert_eq!(plain, Prefixes::default());
        assert_ne!(revision, plain_revision);
        assert_eq!(with(json!({})), (plain, plain_revision));

        let (default, _) =
            with(json!({ "prompts": { "all": "Text: " }, "default_prompt_name": "all" }));
        assert_eq!(default.question, "Text: ");
        assert_eq!(default.passage, "Text: ");
    }

    #[test]
    fn settings_that_would_give_other_vectors_are_refused_with_their_name() {
        for (key, value, expected) in [
            ("architectures", json!(["T5EncoderModel"]), "T5EncoderModel"),
            ("hidden_act", json!("gelu_new"), "gelu_new"),
            (
                "position_embedding_type",
                json!("relative_key"),
                "relative_key",
            ),
            ("num_attention_heads", json!(7), "7 attention heads"),
        ] {
            let mut config = minilm();
            config[key] = value;
            let reason = refusal(&[("config.json", config)]);
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn pooling_other_than_the_mean_is_refused() {
        let cls = json!({ "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false });
        let reason = refusal(&[("config.json", minilm()), ("1_Pooling/config.json", cls)]);
        assert!(reason.contains("pooling_mode_cls_token"), "{reason}");
    }

    #[test]
    fn a_dense_layer_after_the_pooling_is_refused() {
        let modules = json!([
            { "type": "sentence_transformers.models.Transformer" },
            { "type": "sentence_transformers.models.Dense" },
        ]);
        let reason = refusal(&[("config.json", minilm()), ("modules.json", modules)]);
        assert!(reason.contains("models.Dense"), "{reason}");
    }

    #[test]
    fn a_folder_that_is_not_there_names_the_file_that_is_missing() {
        let error = ModelFolder::open(Path::new("/nowhere")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/config.json");
    }
}
