//! The embedder on rust-bert and libtorch.
//!
//! rust-bert runs the encoder; tokens come from the tokenizer that ONNX Runtime gets them from.
//! rust-bert's own reads `vocab.txt` and splits some texts differently, which would give the same
//! passage another vector on either runtime.

use rust_bert::Config;
use rust_bert::bert::{BertConfig, BertEmbeddings, BertModel};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use lectern_shared::metrics::EMBEDDING_TOKENS;
use metrics::counter;

use super::tokens::TokenCounter;
use super::{EmbedError, Embedder, ModelIdentity, ModelSettings, Opened, Quantization};

/// What rust-bert's embeddings have built in, whatever `config.json` says.
const LAYER_NORM_EPS: f32 = 1e-12;

pub(super) struct RustBertEmbedder {
    identity: ModelIdentity,
    tokens: TokenCounter,
    model: BertModel<BertEmbeddings>,
}

impl RustBertEmbedder {
    /// Must be called on the thread that embeds: libtorch's number of threads is a setting of the
    /// calling thread.
    pub(super) fn load(opened: &Opened, settings: &ModelSettings) -> Result<Self, EmbedError> {
        let folder = &opened.folder;
        let unsupported = |reason: &str| {
            Err(EmbedError::Unsupported {
                dir: settings.dir.clone(),
                reason: reason.to_owned(),
            })
        };
        if settings.quantization != Quantization::Fp32 {
            return unsupported(
                "rust-bert runs 32-bit weights only: choose fp32, or the runtime `ort`",
            );
        }
        if folder.bert.first_position() != 0 {
            return unsupported("rust-bert runs BERT alone, not XLM-R: choose the runtime `ort`");
        }
        if folder.bert.layer_norm_eps != LAYER_NORM_EPS {
            return unsupported(
                "rust-bert assumes a layer_norm_eps of 1e-12: choose the runtime `ort`",
            );
        }
        tch::set_num_threads(1);

        let config = BertConfig::from_file(folder.file("config.json"));
        let mut variables = VarStore::new(Device::Cpu);
        let model = BertModel::new(variables.root(), &config);
        // Read straight from the safetensors file, which it is told by its name: the link's, not
        // that of its target.
        variables
            .load(folder.file("model.safetensors"))
            .map_err(EmbedError::runtime)?;
        variables.freeze();
        Ok(Self {
            identity: opened.identity.clone(),
            tokens: opened.tokens.clone(),
            model,
        })
    }
}

impl Embedder for RustBertEmbedder {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let ids = self.tokens.encode(text)?;
        counter!(EMBEDDING_TOKENS).increment(ids.len() as u64);
        tch::no_grad(|| run(&self.model, &ids))
    }
}

/// Mean over the tokens, scaled to length 1: what the graph for ONNX Runtime does.
fn run(model: &BertModel<BertEmbeddings>, ids: &[i64]) -> Result<Vec<f32>, EmbedError> {
    let ids = Tensor::from_slice(ids).unsqueeze(0);
    let output = model
        .forward_t(Some(&ids), None, None, None, None, None, None, false)
        .map_err(EmbedError::runtime)?;
    let sum = output
        .hidden_state
        .sum_dim_intlist([0_i64, 1].as_slice(), false, Kind::Float);
    let norm = sum.norm();
    Vec::try_from(sum / norm).map_err(EmbedError::runtime)
}
