//! The embedder on ONNX Runtime, the default.
//!
//! The library is loaded at run time, so that the build needs neither it nor a network.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{Session, SessionOutputs};
use ort::value::Tensor;

use lectern_shared::metrics::EMBEDDING_TOKENS;
use metrics::counter;

use super::tokens::TokenCounter;
use super::{
    EmbedError, Embedded, Embedder, ModelFolder, ModelIdentity, ModelSettings, Opened, TokenSigns,
    onnx,
};

pub(super) struct OnnxEmbedder {
    identity: ModelIdentity,
    tokens: TokenCounter,
    session: Session,
}

impl OnnxEmbedder {
    pub(super) fn load(opened: &Opened, settings: &ModelSettings) -> Result<Self, EmbedError> {
        let folder = &opened.folder;
        let environment = environment(&settings.onnx_runtime)?;
        let model = onnx::model(folder, settings.quantization)?;
        let mut builder = session_builder(&environment, folder).map_err(EmbedError::runtime)?;
        let session = builder
            .commit_from_memory(&model)
            .map_err(EmbedError::runtime)?;
        Ok(Self {
            identity: opened.identity.clone(),
            tokens: opened.tokens.clone(),
            session,
        })
    }
}

impl Embedder for OnnxEmbedder {
    fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    fn embed(&mut self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let ids = self.tokens.encode(text)?;
        counter!(EMBEDDING_TOKENS).increment(ids.len() as u64);
        let outputs = run(&mut self.session, ids).map_err(EmbedError::runtime)?;
        sentence_vector(&outputs).map_err(EmbedError::runtime)
    }

    fn embed_tokens(&mut self, text: &str) -> Result<Embedded, EmbedError> {
        let ids = self.tokens.encode(text)?;
        counter!(EMBEDDING_TOKENS).increment(ids.len() as u64);
        let outputs = run(&mut self.session, ids).map_err(EmbedError::runtime)?;
        let vector = sentence_vector(&outputs).map_err(EmbedError::runtime)?;
        let (_, states) = outputs[onnx::TOKEN_STATES]
            .try_extract_tensor::<f32>()
            .map_err(EmbedError::runtime)?;
        let tokens = TokenSigns::from_states(states, vector.len());
        Ok(Embedded {
            vector,
            tokens: Some(tokens),
        })
    }
}

/// Runs one text through the graph of [`onnx::model`].
fn run(session: &mut Session, ids: Vec<i64>) -> ort::Result<SessionOutputs<'_>> {
    let ids = Tensor::from_array(([1, ids.len()], ids))?;
    session.run(ort::inputs![onnx::TOKEN_IDS => ids])
}

fn sentence_vector(outputs: &SessionOutputs<'_>) -> ort::Result<Vec<f32>> {
    let (_, numbers) = outputs[onnx::SENTENCE_VECTORS].try_extract_tensor::<f32>()?;
    Ok(numbers.to_vec())
}

/// The process's one ONNX Runtime. `ort` allows a single environment, and a dropped one can't be
/// made again.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

pub(super) fn environment(library: &Path) -> Result<Environment, EmbedError> {
    let mut environment = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = environment.as_ref() {
        return Ok(environment.clone());
    }
    let builder = ort::init_from(library).map_err(|error| EmbedError::Library {
        path: library.to_owned(),
        source: Box::new(error),
    })?;
    let made = builder
        .with_name("lectern")
        .with_telemetry(false)
        .build()
        .map_err(EmbedError::runtime)?;
    // What goes wrong comes back as an error; the library's own lines on stderr would not be in our
    // format.
    made.set_log_level(LogLevel::Fatal);
    Ok(environment.insert(made).clone())
}

pub(super) fn session_builder(
    environment: &Environment,
    folder: &ModelFolder,
) -> ort::Result<SessionBuilder> {
    // Where the graph's external data is: a model that comes as bytes has no folder of its own.
    let beside = folder.weights.folder().to_string_lossy();
    Ok(Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        // The thread that calls: sessions beside each other do more than threads that share one.
        .with_intra_threads(1)?
        // Patterns are kept per shape of input, and ours differ from text to text.
        .with_memory_pattern(false)?
        .with_config_entry(
            "session.model_external_initializers_file_folder_path",
            beside,
        )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Here rather than among the integration tests: in their process another one may have loaded
    /// the library.
    #[test]
    fn a_library_that_is_not_there_is_named_with_what_to_do() {
        let error = environment(Path::new("/nowhere/libonnxruntime.so")).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("/nowhere/libonnxruntime.so")
                && message.contains("deploy/dev/models.sh"),
            "{message}"
        );
    }
}
