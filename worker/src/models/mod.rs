//! Turning text into vectors: which model, on which runtime, and the thread that it runs on.
//!
//! Callers hold an [`EmbedderHandle`] and a [`TokenCounter`]; nothing outside this folder knows
//! what an ONNX graph is. The layer knows nothing of jobs, documents or HTTP.

use std::fmt;
use std::path::PathBuf;

mod thread;
mod waiting;

mod calibration;
mod error;
mod folder;
mod prefixes;
mod token_vectors;
mod tokens;
mod unigram;
mod weights;

pub mod convert;
mod nano;

mod onnx_runtime;

mod cross_encoder;
mod onnx;
mod quantize;

mod graph;
mod onnx_fields;
mod protobuf;

#[cfg(feature = "rust-bert")]
mod rust_bert;

pub use lectern_shared::store::models::ModelIdentity;

pub use self::cross_encoder::CrossEncoder;
pub use self::error::EmbedError;
pub use self::folder::ModelFolder;
pub use self::prefixes::Prefixes;
pub use self::thread::EmbedderHandle;
pub use self::token_vectors::TokenSigns;
pub use self::tokens::TokenCounter;

/// Turns texts into vectors.
///
/// An embedder runs on one thread at a time and blocks it: async code goes through
/// [`EmbedderHandle`].
pub trait Embedder: Send {
    /// What the vectors are made with; constant over the embedder's life.
    fn identity(&self) -> &ModelIdentity;

    /// The text's vector: `identity().dimensions` numbers of L2 norm 1. The text has its prefix already.
    ///
    /// Text past the model's `max_tokens` has no influence on it.
    ///
    /// # Errors
    /// When the runtime fails; the text itself can't be at fault, so that a retry is worthwhile.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError>;

    /// The same vector, and those of the text's tokens if this runtime gives them, all of one run of the model.
    ///
    /// # Errors
    /// As `embed`.
    fn embed_tokens(&mut self, text: &str) -> Result<Embedded, EmbedError> {
        let vector = self.embed(text)?;
        Ok(Embedded {
            vector,
            tokens: None,
        })
    }
}

/// What a model makes of a text.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// As [`Embedder::embed`] gives it.
    pub vector: Vec<f32>,
    /// None if they weren't asked for, or from rust-bert.
    pub tokens: Option<TokenSigns>,
}

/// What runs the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Runtime {
    /// ONNX Runtime.
    Ort,
    /// rust-bert on libtorch; needs a build with the feature `rust-bert`.
    RustBert,
}

/// The numbers that the matrices are multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Quantization {
    Fp32,
    /// Weights and what is multiplied with them as 8-bit integers: smaller and faster, with slightly other vectors.
    Int8,
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
        })
    }
}

/// Which model to load and how to run it.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// A sentence-transformers folder, see [`ModelFolder`].
    pub dir: PathBuf,
    pub runtime: Runtime,
    pub quantization: Quantization,
    /// Texts that are embedded at a time, each by a thread and a session of its own.
    pub threads: usize,
    /// `libonnxruntime.so`, 1.24 or newer. One library serves the whole process: the first one
    /// loaded.
    pub onnx_runtime: PathBuf,
}

/// Loads the model; blocks for some tenths of a second.
///
/// # Errors
/// When the folder isn't one we support, or the runtime isn't there; the message says what to do.
pub fn load(settings: &ModelSettings) -> Result<Box<dyn Embedder>, EmbedError> {
    Opened::open(settings)?.embedder(settings)
}

/// What the threads of a process share: read once, since weights are hashed and vocabularies large.
#[derive(Debug)]
pub(crate) struct Opened {
    folder: ModelFolder,
    identity: ModelIdentity,
    tokens: TokenCounter,
}

impl Opened {
    fn open(settings: &ModelSettings) -> Result<Self, EmbedError> {
        let folder = ModelFolder::open(&settings.dir)?;
        Ok(Self {
            identity: folder.identity(settings.quantization)?,
            tokens: TokenCounter::load(&folder)?,
            folder,
        })
    }

    fn embedder(&self, settings: &ModelSettings) -> Result<Box<dyn Embedder>, EmbedError> {
        match settings.runtime {
            Runtime::Ort => Ok(Box::new(onnx_runtime::OnnxEmbedder::load(self, settings)?)),
            Runtime::RustBert => load_rust_bert(self, settings),
        }
    }
}

#[cfg(feature = "rust-bert")]
fn load_rust_bert(
    opened: &Opened,
    settings: &ModelSettings,
) -> Result<Box<dyn Embedder>, EmbedError> {
    Ok(Box::new(rust_bert::RustBertEmbedder::load(
        opened, settings,
    )?))
}

#[cfg(not(feature = "rust-bert"))]
fn load_rust_bert(_: &Opened, _: &ModelSettings) -> Result<Box<dyn Embedder>, EmbedError> {
    Err(EmbedError::RustBertNotBuilt)
}
