//! A cross-encoder as a reranker: one run of a model for each candidate, as many as the time allows.

use std::{path::Path, time::Instant};

use super::{Candidate, Question, Reranker};
use crate::models::{self, EmbedError, ModelSettings};

pub(super) struct CrossEncoder {
    model: models::CrossEncoder,
}

impl CrossEncoder {
    /// Runs as the embedding model does, with the weights of `dir`.
    pub(super) fn load(dir: &Path, embedding: ModelSettings) -> Result<Self, EmbedError> {
        let settings = ModelSettings {
            dir: dir.to_owned(),
            quantization: models::Quantization::Fp32,
            ..embedding
        };
        Ok(Self {
            model: models::CrossEncoder::load(&settings)?,
        })
    }
}

impl Reranker for CrossEncoder {
    fn name(&self) -> &'static str {
        "cross_encoder"
    }

    fn compares_tokens(&self) -> bool {
        false
    }

    fn scores(
        &self,
        question: &Question,
        candidates: &[Candidate],
        deadline: Instant,
    ) -> Result<Vec<Option<f32>>, EmbedError> {
        let texts: Vec<&str> = candidates
            .iter()
            .map(|candidate| candidate.text.as_str())
            .collect();
        self.model.scores(&question.text, &texts, deadline)
    }
}
