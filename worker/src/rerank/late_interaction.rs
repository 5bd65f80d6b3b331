//! Late interaction: each token of the question looks for its nearest token in the passage.
//!
//! `ColBERT` (Khattab and Zaharia, SIGIR 2020) with the token states of a model that was trained for whole sentences:
//! the passages' were made while they were ingested, in the run that made their vectors, so that a question costs no
//! run of a model besides its own.

use std::time::Instant;

use super::{Candidate, Question, Reranker};
use crate::models::EmbedError;

pub(super) struct LateInteraction;

impl Reranker for LateInteraction {
    fn name(&self) -> &'static str {
        "late_interaction"
    }

    fn compares_tokens(&self) -> bool {
        true
    }

    /// Microseconds for twenty passages: never long enough for the budget to matter.
    fn scores(
        &self,
        question: &Question,
        candidates: &[Candidate],
        _: Instant,
    ) -> Result<Vec<Option<f32>>, EmbedError> {
        let score = |candidate: &Candidate| {
            let (question, passage) = (question.tokens.as_ref()?, candidate.tokens.as_ref()?);
            Some(question.nearest_in(passage))
        };
        Ok(candidates.iter().map(score).collect())
    }
}
