//! Answers that are given again to questions that mean the same.
//!
//! The vectors say which questions are near, the words decide: all that carry meaning must be in both. That costs
//! hits, and never gives the answer to another question. The copy is written before the first token is shown, so that
//! nothing is shown that has changed meanwhile.

use lectern_shared::{
    events::{
        name,
        payload::{AnswerDone, Source, Sources, Timings, Usage},
    },
    ids::QuestionId,
    metrics,
    store::{
        cache::{self, Copied, Copying, Key, NewEntry, Rules},
        jobs::Claimed,
        questions::{self, ForAnswer},
    },
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::info;

use super::{before, json, sameness, show};
use crate::{context::Context, error::JobError, report::Report};

/// What must be equal, besides the question, for an answer to be given again.
pub(crate) struct Conditions {
    digest: [u8; 32],
    changes: i64,
}

impl Conditions {
    /// `None`: this question is neither looked up nor kept.
    pub(super) fn of(
        context: &Context,
        question: &ForAnswer,
        settings: &Value,
        changes: i64,
    ) -> Option<Self> {
        if !context.settings.cache.cache {
            return None;
        }
        // All settings of answers, so that none is forgotten here when one is added; secrets don't print.
        let answer = &context.settings.answer;
        let mut digest = Sha256::new();
        for part in [
            settings.to_string(),
            format!("{answer:?}"),
            format!(
                "{:?} {:?}",
                context.settings.search, context.settings.rerank
            ),
            question
                .filter
                .as_ref()
                .map(Value::to_string)
                .unwrap_or_default(),
        ] {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        Some(Self {
            digest: digest.finalize().into(),
            changes,
        })
    }

    fn key(&self, context: &Context, question: &ForAnswer) -> Key<'_> {
        Key {
            tenant: question.tenant,
            collection: question.collection,
            model: context.model,
            conditions: &self.digest,
        }
    }

    /// The entry of an answer that is made now.
    pub(super) fn entry<'a>(
        &'a self,
        context: &Context,
        question: &ForAnswer,
        embedding: &'a [f32],
    ) -> NewEntry<'a> {
        NewEntry {
            key: self.key(context, question),
            embedding,
            changes: self.changes,
            entries_max: context.settings.cache.cache_entries_max,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Yes,
    No,
}

/// Gives a cached answer, if there is one.
pub(super) async fn give(
    context: &Context,
    job: &Claimed,
    question: &ForAnswer,
    conditions: &Conditions,
    embedding: &[f32],
    timings: impl Fn() -> Timings,
    report: &mut Report,
) -> Result<Given, JobError> {
    let looked_up = |outcome| {
        ::metrics::counter!(metrics::CACHE_LOOKUPS, "outcome" => outcome).increment(1);
    };
    let key = conditions.key(context, question);
    let rules = context.settings.cache.rules();
    let rules = Rules {
        similarity_min: context.embedder.cosine(rules.similarity_min),
        ..rules
    };
    let near = cache::similar(&context.pool, &key, embedding, &rules).await?;
    let is_none = near.is_empty();
    let Some(candidate) = near.into_iter().find(|candidate| {
        sameness::may_mean_the_same(&candidate.text, &question.text)
            && sameness::has_the_same_words(&candidate.text, &question.text)
    }) else {
        looked_up(if is_none { "miss" } else { "guarded" });
        return Ok(Given::No);
    };
    let timings = timings();
    let (usage, times) = (json(&Usage::default()), json(&timings));
    let copied = match cache::copy(&context.pool, job, candidate.question, &usage, &times).await? {
        Copying::Done(copied) => copied,
        Copying::Stale => {
            looked_up("stale");
            return Ok(Given::No);
        }
        Copying::LeaseLost => return Err(JobError::LeaseLost),
    };
    looked_up("hit");
    count(&copied, &timings);
    info!(cached.from = %candidate.question, "question answered from the cache");
    let sources = questions::sources(&context.pool, question.tenant, QuestionId(job.subject));
    let sources: Vec<Source> = sources.await?.into_iter().map(Source::from).collect();
    let cited = sources.iter().filter(|source| source.cited == Some(true));
    let cited = cited.map(|source| source.number).collect();
    show(Sources::from(sources), report).await;
    before::say(&copied.text, report).await;
    let done = AnswerDone {
        generator: copied.generator,
        usage,
        timings: times,
        confidence: copied.confidence,
        cached: true,
        language: copied.language,
        cited,
        ..AnswerDone::default()
    };
    report.emit(name::DONE, &done).await;
    Ok(Given::Yes)
}

/// What the copy has saved.
fn count(copied: &Copied, timings: &Timings) {
    ::metrics::counter!(metrics::ANSWERS, "origin" => "cache").increment(1);
    let before: Timings = serde_json::from_value(copied.timings.clone()).unwrap_or_default();
    ::metrics::histogram!(metrics::CACHE_SAVED)
        .record((before.total_ms - timings.total_ms).max(0.0) / 1000.0);
    let usage: Usage = serde_json::from_value(copied.usage.clone()).unwrap_or_default();
    for (direction, tokens) in [("in", usage.prompt_tokens), ("out", usage.answer_tokens)] {
        ::metrics::counter!(metrics::CACHE_SAVED_TOKENS, "direction" => direction)
            .increment(tokens.into());
    }
}
