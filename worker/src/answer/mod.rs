//! A question becomes an answer: retrieve passages, show them as sources, generate, keep the result.

mod extractive;
mod generate;
mod openai;
mod prompt;
mod retrieve;

use std::time::Instant;

use lectern_shared::{
    events::{
        name,
        payload::{AnswerDone, Source, Sources, Timings},
    },
    metrics,
    store::{
        jobs::Claimed,
        questions::{self, ForAnswer, NewAnswer, NewSource},
        search::Passage,
    },
};
use serde_json::Value;
use tracing::info;

use self::generate::Output;
pub(crate) use self::{
    generate::Generator,
    retrieve::{Ask, Parts, Retrieved, retrieve},
};
use crate::{context::Context, error::JobError, report::Report};

pub(crate) async fn answer(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    let began = Instant::now();
    let Some(question) = begin(context, job, report).await? else {
        return Ok(());
    };

    report.stage("retrieving").await;
    let found = retrieve(context, &(&question).into()).await?;
    show(&found.passages, report).await;

    report.stage("generating").await;
    let mut output = Output::new(report);
    let usage = context
        .generator
        .generate(context, &question, &found, &mut output)
        .await?;
    let (text, first_token_at) = output.finish();

    let since_begin = |at: Instant| at.duration_since(began).as_secs_f64() * 1000.0;
    let timings = Timings {
        queued_ms: job.waited.as_secs_f64() * 1000.0,
        embed_ms: found.embed_ms,
        words_ms: found.words_ms,
        search_ms: found.search_ms,
        first_token_ms: since_begin(first_token_at.unwrap_or_else(Instant::now)),
        total_ms: since_begin(Instant::now()),
    };
    let generator = context.generator.name();
    ::metrics::histogram!(metrics::FIRST_TOKEN, "generator" => generator)
        .record((timings.queued_ms + timings.first_token_ms) / 1000.0);
    ::metrics::counter!(metrics::ANSWER_TOKENS, "generator" => generator, "direction" => "in")
        .increment(usage.prompt_tokens.into());
    ::metrics::counter!(metrics::ANSWER_TOKENS, "generator" => generator, "direction" => "out")
        .increment(usage.answer_tokens.into());

    let done = AnswerDone {
        generator: generator.to_owned(),
        usage: json(&usage),
        timings: json(&timings),
        // Not before it is calibrated: a number that means nothing misleads.
        confidence: None,
        cached: false,
        language: found.language.map(|language| language.code().to_owned()),
    };
    let answer = NewAnswer {
        text: &text,
        generator,
        usage: done.usage.clone(),
        timings: done.timings.clone(),
        confidence: done.confidence,
        language: done.language.as_deref(),
    };
    if !questions::complete(&context.pool, job, Some(&answer), &sources(&found)).await? {
        return Err(JobError::LeaseLost);
    }
    info!(
        passages = found.passages.len(),
        answer_tokens = usage.answer_tokens,
        "question answered"
    );
    report.emit(name::DONE, &done).await;
    Ok(())
}

/// Retrieval alone: for `POST /api/v1/search`.
pub(crate) async fn search(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    let Some(question) = begin(context, job, report).await? else {
        return Ok(());
    };
    let found = retrieve(context, &(&question).into()).await?;
    show(&found.passages, report).await;
    if !questions::complete(&context.pool, job, None, &[]).await? {
        return Err(JobError::LeaseLost);
    }
    report.emit(name::DONE, &serde_json::Map::new()).await;
    Ok(())
}

/// The question; `None` when it is gone or over. A second attempt tells readers to start over.
async fn begin(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<Option<ForAnswer>, JobError> {
    let question = questions::begin(&context.pool, job).await?;
    if question.is_some() && job.attempt > 1 {
        report.emit(name::RESET, &serde_json::Map::new()).await;
    }
    Ok(question)
}

async fn show(passages: &[Passage], report: &mut Report) {
    let sources = (1..)
        .zip(passages)
        .map(|(number, passage)| Source::from_passage(number, passage))
        .collect();
    report.emit(name::SOURCES, &Sources { sources }).await;
}

fn sources(found: &Retrieved) -> Vec<NewSource> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a score needs no more digits than an f32 has"
    )]
    let source = |passage: &Passage| NewSource {
        document: passage.document,
        version: passage.version,
        page_first: passage.page_first,
        page_last: passage.page_last,
        spans: passage.spans.0.clone(),
        heading: passage.heading.clone(),
        place: passage.place.clone(),
        text: passage.text.clone(),
        score: passage.score as f32,
    };
    found.passages.iter().map(source).collect()
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
