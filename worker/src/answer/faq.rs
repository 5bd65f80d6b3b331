//! Answers that people have written, and the job that makes them be found by similar questions.

use lectern_shared::{
    events::{
        name,
        payload::{AnswerDone, FaqUsed, Sources, Timings, Usage},
    },
    metrics,
    store::{
        collections::{CollectionSettings, FAQ_SIMILARITY_MIN},
        faqs::{self, Match},
        jobs::Claimed,
        questions::{self, ForAnswer, NewAnswer},
    },
};
use serde_json::Value;
use tracing::info;

use super::{before, json, sameness, show};
use crate::{context::Context, error::JobError, report::Report};

/// What the answer says of its origin.
const GENERATOR: &str = "faq";

/// The FAQ with the same question.
pub(super) async fn equal(
    context: &Context,
    question: &ForAnswer,
) -> Result<Option<Match>, JobError> {
    let found = faqs::equal(
        &context.pool,
        question.tenant,
        question.collection,
        &question.text,
    );
    let found = found.await?;
    if found.is_some() {
        ::metrics::counter!(metrics::FAQ_MATCHES, "match" => "equal").increment(1);
    }
    Ok(found)
}

/// The FAQ with the most similar question that doesn't ask for another number or the opposite.
pub(super) async fn similar(
    context: &Context,
    question: &ForAnswer,
    collection: &CollectionSettings,
    embedding: &[f32],
) -> Result<Option<Match>, JobError> {
    let similarity_min = collection.faq_similarity_min.unwrap_or(FAQ_SIMILARITY_MIN);
    let near = faqs::similar(
        &context.pool,
        question.tenant,
        question.collection,
        context.model,
        embedding,
        context.embedder.cosine(similarity_min),
    )
    .await?;
    let found = near
        .into_iter()
        .find(|faq| sameness::may_mean_the_same(&faq.question, &question.text))
        .map(|faq| Match {
            similarity: context.embedder.calibrated(faq.similarity as f32).into(),
            ..faq
        });
    if found.is_some() {
        ::metrics::counter!(metrics::FAQ_MATCHES, "match" => "similar").increment(1);
    }
    Ok(found)
}

/// Gives a FAQ's answer.
pub(super) async fn give(
    context: &Context,
    job: &Claimed,
    found: &Match,
    timings: &Timings,
    settings: &Value,
    report: &mut Report,
) -> Result<(), JobError> {
    show(Sources::from(Vec::new()), report).await;
    before::say(&found.answer, report).await;
    #[expect(clippy::cast_possible_truncation, reason = "a cosine")]
    let used = FaqUsed {
        id: found.id,
        question: found.question.clone(),
        link: found.link.clone(),
        similarity: found.similarity as f32,
    };
    let done = AnswerDone {
        generator: GENERATOR.to_owned(),
        usage: json(&Usage::default()),
        timings: json(timings),
        confidence: None,
        faq: Some(used),
        ..AnswerDone::default()
    };
    let answer = NewAnswer {
        text: &found.answer,
        generator: GENERATOR,
        usage: done.usage.clone(),
        timings: done.timings.clone(),
        confidence: None,
        language: None,
        abstained: false,
        faq: done.faq.as_ref(),
        signals: None,
        settings,
        notice: None,
        tokens: 0,
        cache: None,
        unanswered: None,
    };
    if !questions::complete(&context.pool, job, Some(&answer), &[]).await? {
        return Err(JobError::LeaseLost);
    }
    ::metrics::counter!(metrics::ANSWERS, "origin" => "faq").increment(1);
    info!(faq.id = %found.id, "question answered with a FAQ");
    report.emit(name::DONE, &done).await;
    Ok(())
}

/// The job that embeds a FAQ's question, as a question: that is what it will be compared with.
pub(crate) async fn embed(context: &Context, job: &Claimed) -> Result<(), JobError> {
    let Some(question) = faqs::question(&context.pool, job).await? else {
        return Ok(());
    };
    let embedding = context.embedder.embed_question(&question).await?;
    if !faqs::embedded(&context.pool, job, &question, context.model, &embedding).await? {
        return Err(JobError::LeaseLost);
    }
    Ok(())
}
