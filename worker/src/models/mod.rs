//! Turning text into vectors: which model, on which runtime, and the thread that it runs on.
//!
//! Callers hold an [`EmbedderHandle`] and a [`TokenCounter`]; nothing outside this folder knows
//! what an ONNX graph is. The layer knows nothing of jobs, documents or HTTP.

use std::fmt;
use std::path::PathBuf;

mod thread;
mod waiting;

mod error;
mod folder;
mod tokens;
mod weights;

mod onnx_runtime;

mod onnx;
mod quantize;

mod graph;
mod onnx_fields;
mod protobuf;

#[cfg(feature = "rust-bert")]
mod rust_bert;

pub use lectern_shared::store::models::ModelIdentity;

pub use self::error::EmbedError;
pub use self::folder::ModelFolder;
pub use self::thread::EmbedderHandle;
pub use self::tokens::TokenCounter;

/// Turns texts into vectors.
///
/// An embedder runs on one thread at a time and blocks it: async code goes through
/// [`EmbedderHandle`].
pub trait Embedder: Send {
    /// What the vectors are made with; constant over the embedder's life.
    fn identity(&self) -> &ModelIdentity;

    /// The text's vector: `identity().dimensions` numbers of L2 norm 1.
    ///
    /// Text past the model's `max_tokens` has no influence on it.
    ///
    /// # Errors
    /// When the runtime fails; the text itself can't be at fault, so that a retry is worthwhile.
    fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError>;
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
    let folder = ModelFolder::open(&settings.dir)?;
    match settings.runtime {
        Runtime::Ort => Ok(Box::new(onnx_runtime::OnnxEmbedder::load(
            &folder, settings,
        )?)),
        Runtime::RustBert => load_rust_bert(&folder, settings),
    }
}

#[cfg(feature = "rust-bert")]
fn load_rust_bert(
    folder: &ModelFolder,
    settings: &ModelSettings,
) -> Result<Box<dyn Embedder>, EmbedError> {
    Ok(Box::new(rust_bert::RustBertEmbedder::load(
        folder, settings,
    )?))
}

#[cfg(not(feature = "rust-bert"))]
fn load_rust_bert(_: &ModelFolder, _: &ModelSettings) -> Result<Box<dyn Embedder>, EmbedError> {
    Err(EmbedError::RustBertNotBuilt)
}
