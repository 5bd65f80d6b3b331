//! From the passages that a search finds to those that are shown and answered from: put into their final order,
//! without repetition, joined where they touch.
//!
//! What a reranker can't say (a passage without token vectors, time that is over) is left to the search's score.

mod blend;
mod cross_encoder;
mod late_interaction;
mod mmr;
mod neighbours;

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lectern_shared::{
    metrics,
    store::{
        search::Passage,
        token_vectors::{self, Details},
    },
};

use self::{
    cross_encoder::CrossEncoder,
    late_interaction::LateInteraction,
    neighbours::{Joining, Part},
};
use crate::{
    config::{RerankSettings, RerankerKind},
    context::Context,
    error::JobError,
    models::{EmbedError, ModelSettings, TokenSigns},
};

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) tokens: Option<TokenSigns>,
}

/// A passage to be scored.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// With the titles that it stands under.
    text: String,
    tokens: Option<TokenSigns>,
}

/// Says how well passages answer a question.
trait Reranker: Send + Sync {
    /// As metrics call it.
    fn name(&self) -> &'static str;

    /// Whether it wants the vectors of tokens rather than texts.
    fn compares_tokens(&self) -> bool;

    /// A score for each candidate, greater for better ones, on a scale of its own. None: not reached before `deadline`,
    /// or it can't be said. Candidates come best first, and the first of them are scored first.
    ///
    /// # Errors
    /// When the model fails.
    fn scores(
        &self,
        question: &Question,
        candidates: &[Candidate],
        deadline: Instant,
    ) -> Result<Vec<Option<f32>>, EmbedError>;
}

/// How a worker reranks.
pub(crate) struct Reranking {
    /// None: the search's order stays.
    reranker: Option<Arc<dyn Reranker>>,
    settings: RerankSettings,
}

impl Reranking {
    /// Loads the cross-encoder if that is wanted: some tenths of a second, on the calling thread.
    ///
    /// # Errors
    /// When its folder isn't one that we support; the message says what to do.
    pub(crate) fn open(
        settings: &RerankSettings,
        embedding: ModelSettings,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(
            settings.reranker != RerankerKind::CrossEncoder
                || !settings.cross_encoder_dir.is_empty(),
            "LECTERN_CROSS_ENCODER_DIR must name the folder of a model, or LECTERN_RERANKER another reranker"
        );
        let reranker: Option<Arc<dyn Reranker>> = match settings.reranker {
            RerankerKind::None => None,
            RerankerKind::LateInteraction => Some(Arc::new(LateInteraction)),
            RerankerKind::CrossEncoder => Some(Arc::new(CrossEncoder::load(
                Path::new(&settings.cross_encoder_dir),
                embedding,
            )?)),
        };
        Ok(Self {
            reranker,
            settings: settings.clone(),
        })
    }

    /// Whether the vectors of the question's tokens are of use.
    pub(crate) fn compares_tokens(&self) -> bool {
        self.reranker
            .as_ref()
            .is_some_and(|reranker| reranker.compares_tokens())
    }

    /// How many passages to search for if so many are to be left.
    pub(crate) fn candidates(&self, passages_max: usize) -> usize {
        // Some of those that are shown are made of several.
        let joined = if self.settings.join_neighbours { 2 } else { 1 };
        let wanted = usize::from(self.settings.rerank_candidates).max(passages_max * joined);
        if self.reranker.is_none() && !self.settings.join_neighbours {
            passages_max
        } else {
            wanted
        }
    }
}

/// Passages in their final order.
#[derive(Clone, Debug)]
pub(crate) struct Reranked {
    /// Best first. `score` is the final one, from 0 to 1.
    pub(crate) passages: Vec<Passage>,
    /// Of each passage's text, at the most.
    pub(crate) tokens: Vec<usize>,
    /// Scores of late interaction, from -1 to 1, as far as there are any. A cross-encoder's mean something else with
    /// each model.
    pub(crate) nearness: Vec<f32>,
    pub(crate) rerank_ms: f64,
}

impl Reranked {
    /// As the search has found them.
    pub(crate) fn unchanged(passages: Vec<Passage>) -> Self {
        Self {
            tokens: passages
                .iter()
                .map(|passage| usize::try_from(passage.tokens).unwrap_or_default())
                .collect(),
            passages,
            nearness: Vec::new(),
            rerank_ms: 0.0,
        }
    }
}

/// Leaves the best passages that together have so many tokens at the most (`tokens` says how many each has); the best
/// always stays.
pub(crate) fn keep_within(passages: &mut Vec<Passage>, tokens: &[usize], tokens_max: usize) {
    passages.truncate(neighbours::within(tokens, tokens_max));
}

/// Puts a search's passages (best first) into their final order and leaves the `passages_max` best. Those behind the
/// first `rerank_candidates` stay behind them, as the search had them.
///
/// # Errors
/// When the database or the model fails.
pub(crate) async fn rerank(
    context: &Context,
    question: Question,
    found: Vec<Passage>,
    passages_max: usize,
) -> Result<Reranked, JobError> {
    let began = Instant::now();
    let reranking = &context.reranking;
    let settings = &reranking.settings;
    let chunks: Vec<i64> = found.iter().map(|passage| passage.chunk).collect();
    let compared = if reranking.compares_tokens() && question.tokens.is_some() {
        chunks.len().min(settings.rerank_candidates.into())
    } else {
        0
    };
    let details =
        token_vectors::details(&context.pool, context.model, &chunks, &chunks[..compared]).await?;

    let mut ranked = found;
    let mut rest = Vec::new();
    let mut scores = Vec::new();
    let mut name = "none";
    if let Some(reranker) = &reranking.reranker {
        name = reranker.name();
        rest = ranked.split_off(ranked.len().min(settings.rerank_candidates.into()));
        let deadline = began + Duration::from_millis(settings.rerank_budget_ms.into());
        let candidates = ranked
            .iter()
            .map(|passage| candidate(passage, &details))
            .collect();
        scores = score(Arc::clone(reranker), question, candidates, deadline).await?;
    }
    scores.resize(ranked.len(), None);
    let nearness = if reranking.compares_tokens() {
        scores.iter().copied().flatten().collect()
    } else {
        Vec::new()
    };
    let ranked = arrange(ranked, &scores, &details, settings);
    let rest = rest.into_iter().map(|passage| part(passage, &details));
    let passages = join(ranked.into_iter().chain(rest), settings, passages_max);
    let rerank_ms = began.elapsed().as_secs_f64() * 1000.0;
    ::metrics::histogram!(metrics::RERANK_DURATION, "reranker" => name).record(began.elapsed());
    Ok(Reranked {
        rerank_ms,
        nearness,
        ..passages
    })
}

fn candidate(passage: &Passage, details: &HashMap<i64, Details>) -> Candidate {
    let text = match &passage.heading {
        Some(heading) => format!("{heading}\n{}", passage.text),
        None => passage.text.clone(),
    };
    let stored = details
        .get(&passage.chunk)
        .and_then(|details| details.token_vectors.clone());
    Candidate {
        text,
        tokens: stored.and_then(TokenSigns::from_bytes),
    }
}

/// The reranker's scores. A model blocks, and so do some hundreds of thousands of look-ups.
async fn score(
    reranker: Arc<dyn Reranker>,
    question: Question,
    candidates: Vec<Candidate>,
    deadline: Instant,
) -> Result<Vec<Option<f32>>, JobError> {
    let name = reranker.name();
    let work = move || reranker.scores(&question, &candidates, deadline);
    let scores = tokio::task::spawn_blocking(work)
        .await
        .map_err(JobError::transient)??;
    if scores.contains(&None) && Instant::now() >= deadline {
        ::metrics::counter!(metrics::RERANK_BUDGET_EXHAUSTED, "reranker" => name).increment(1);
    }
    Ok(scores)
}

/// The passages by the reranker's scores and those of the search, without repetition at their head.
fn arrange(
    found: Vec<Passage>,
    scores: &[Option<f32>],
    details: &HashMap<i64, Details>,
    settings: &RerankSettings,
) -> Vec<Part> {
    let first: Vec<f64> = found.iter().map(|passage| passage.score).collect();
    let blended = blend::blend(&first, scores, settings.rerank_weight);
    let items: Vec<_> = found
        .iter()
        .zip(&blended)
        .map(|(passage, &score)| mmr::Item {
            score,
            vector: details
                .get(&passage.chunk)
                .map_or(&[], |details| &details.embedding),
        })
        .collect();
    let order = mmr::order(&items, settings.mmr_lambda);

    let mut found: Vec<_> = found.into_iter().map(Some).collect();
    let ranked = order.into_iter().filter_map(|place| {
        let mut passage = found[place].take()?;
        passage.score = blended[place].into();
        Some(part(passage, details))
    });
    ranked.collect()
}

/// Those that touch become one.
fn join(
    ranked: impl Iterator<Item = Part>,
    settings: &RerankSettings,
    passages_max: usize,
) -> Reranked {
    let tokens_max = if settings.join_neighbours {
        settings.joined_tokens_max
    } else {
        0
    };
    let parts = Joining { tokens_max }.join(ranked.collect(), passages_max);
    let (passages, tokens) = parts
        .into_iter()
        .map(|part| (part.passage, part.tokens))
        .unzip();
    Reranked {
        passages,
        tokens,
        nearness: Vec::new(),
        rerank_ms: 0.0,
    }
}

fn part(passage: Passage, details: &HashMap<i64, Details>) -> Part {
    let details = details.get(&passage.chunk);
    Part {
        ordinals: details.map(|details| (details.ordinal, details.ordinal)),
        tokens: details.map_or(0, |details| usize::try_from(details.tokens).unwrap_or(0)),
        passage,
    }
}
