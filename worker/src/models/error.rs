//! What can go wrong between a text and its vector.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

/// A model that can't be loaded, or a text that it failed on.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },

    #[error("cannot write {path}")]
    Write { path: PathBuf, source: io::Error },

    #[error("{path} is damaged or not what its name says: {reason}")]
    Malformed { path: PathBuf, reason: String },

    /// A sound model of a kind that we don't run. `reason` ends with what to do.
    #[error("the model in {dir} is not supported: {reason}")]
    Unsupported { dir: PathBuf, reason: String },

    #[error(
        "this build has no rust-bert: build with `--features rust-bert` against the libtorch of deploy/dev/libtorch.sh, or choose the runtime `ort`"
    )]
    RustBertNotBuilt,

    #[error(
        "cannot load ONNX Runtime from {path}: fetch it with deploy/dev/models.sh, or name a libonnxruntime.so of 1.24 or newer"
    )]
    Library {
        path: PathBuf,
        source: Box<dyn Error + Send + Sync>,
    },

    #[error("the tokenizer failed")]
    Tokenizer(#[source] Box<dyn Error + Send + Sync>),

    #[error("the model runtime failed")]
    Runtime(#[source] Box<dyn Error + Send + Sync>),

    #[error("the model runtime panicked: {message}")]
    Panicked { message: String },

    #[error("the model's threads have ended")]
    ThreadEnded,
}

impl EmbedError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }

    pub(super) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn runtime(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Runtime(Box::new(source))
    }
}
