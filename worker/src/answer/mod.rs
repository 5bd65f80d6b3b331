//! A question becomes an answer: retrieve passages, show them as sources, generate, keep the result.

mod abstention;
mod before;
mod budget;
mod cache;
mod citations;
pub mod confidence;
mod cues;
mod extractive;
pub(crate) mod faq;
mod gate;
mod generate;
mod openai;
mod prompt;
mod retrieve;
mod rewrite;
mod sameness;
mod speech;
mod thoughts;
mod units;
mod wording;
mod words;

use std::time::Instant;

use lectern_shared::{
    events::{
        name,
        payload::{AnswerDone, Source, Sources, Timings, Usage},
    },
    metrics,
    store::{
        jobs::Claimed,
        questions::{self, ForAnswer, NewAnswer, NewSource},
        search::Passage,
        unanswered::{self, NewUnanswered},
    },
};
use serde_json::Value;
use tracing::info;

use self::{
    abstention::abstention,
    before::{Before, Open},
    confidence::Signals,
    generate::{Output, Written},
};
pub(crate) use self::{
    generate::Generator,
    retrieve::{Ask, Parts, Retrieved, retrieve},
};
use crate::{context::Context, error::JobError, lexical::Language, report::Report, rerank};

/// The code that clients see of an answer that cites none of the passages, so that nobody can check it by them.
const UNCITED: &str = "uncited";

pub(crate) async fn answer(
    context: &Context,
    job: &Claimed,
    report: &mut Report,
) -> Result<(), JobError> {
    let began = Instant::now();
    let Some(mut question) = begin(context, job, report).await? else {
        return Ok(());
    };
    let spent = budget::spent(context, question.tenant).await?;
    let generator = match spent {
        Some(_) => &Generator::Extractive,
        None => &context.generator,
    };
    let is_follow_up = rewrite::stand_alone(context, generator, job, &mut question, report).await?;

    let mut open = match before::look(context, job, &question, is_follow_up, began, report).await? {
        Before::Answered => return Ok(()),
        Before::Open(open) => *open,
    };
    if spent.is_some() {
        open.settings["generator"] = generator.name().into();
    }

    report.stage("retrieving").await;
    let mut found = retrieve(context, &(&question).into(), Some(&open.asked)).await?;
    let signals = Signals::of(&question.text, &found.passages, &found.nearness);
    let confidence = confidence::confidence(&signals, context.embedder.identity());
    let tokens_max = context.settings.answer.context_tokens_max;
    rerank::keep_within(&mut found.passages, &found.tokens, tokens_max);
    show(sources_shown(&found), report).await;

    report.stage("generating").await;
    let mut output = Output::new(report, found.passages.len());
    let language = found.language.map(Language::code);
    let unsure = confidence < context.settings.confidence.confidence_min;
    let usage = if unsure {
        output.push(abstention(found.language)).await;
        Usage::default()
    } else {
        if let Some(spent) = spent.as_ref().filter(|_| !found.passages.is_empty()) {
            output.push(&budget::notice(spent, language)).await;
        }
        generator
            .generate(context, &question, &found, &mut output)
            .await?
    };
    let written = output.finish().await;
    // Generators say so themselves when they find nothing in what was found.
    let abstained =
        unsure || written.says_none_answers || written.text == abstention(found.language);

    let notice = if abstained {
        None
    } else if spent.is_some() {
        Some(budget::NOTICE)
    } else {
        written.cited.is_empty().then_some(UNCITED)
    };

    let since_begin = |at: Instant| at.duration_since(began).as_secs_f64() * 1000.0;
    let timings = Timings {
        queued_ms: job.waited.as_secs_f64() * 1000.0,
        embed_ms: found.embed_ms,
        words_ms: found.words_ms,
        search_ms: found.search_ms,
        rerank_ms: found.rerank_ms,
        first_token_ms: since_begin(written.first_token_at.unwrap_or_else(Instant::now)),
        total_ms: since_begin(Instant::now()),
    };
    let tokens = budget::tokens(generator, &usage);
    let generator = generator.name();
    ::metrics::histogram!(metrics::FIRST_TOKEN, "generator" => generator)
        .record((timings.queued_ms + timings.first_token_ms) / 1000.0);
    ::metrics::counter!(metrics::ANSWER_TOKENS, "generator" => generator, "direction" => "in")
        .increment(usage.prompt_tokens.into());
    ::metrics::counter!(metrics::ANSWER_TOKENS, "generator" => generator, "direction" => "out")
        .increment(usage.answer_tokens.into());

    count_citations(generator, &found, &written);

    let done = AnswerDone {
        generator: generator.to_owned(),
        usage: json(&usage),
        timings: json(&timings),
        confidence: Some(confidence),
        cached: false,
        language: language.map(ToOwned::to_owned),
        cited: written
            .cited
            .iter()
            .filter_map(|&number| i16::try_from(number).ok())
            .collect(),
        abstained,
        faq: None,
        notice: notice.map(ToOwned::to_owned),
    };
    // What is quoted for want of tokens is not given again when there are some, nor what rests on nothing that it says.
    let conditions = open
        .conditions
        .as_ref()
        .filter(|_| !abstained && spent.is_none() && !written.cited.is_empty());
    let answer = NewAnswer {
        text: &written.text,
        generator,
        usage: done.usage.clone(),
        timings: done.timings.clone(),
        confidence: done.confidence,
        language: done.language.as_deref(),
        abstained,
        faq: None,
        signals: Some(json(&signals)),
        settings: &open.settings,
        notice,
        tokens,
        cache: conditions
            .map(|conditions| conditions.entry(context, &question, &open.asked.embedding)),
        unanswered: if abstained {
            Some(unanswered(context, &question, &open).await?)
        } else {
            None
        },
    };
    if !questions::complete(
        &context.pool,
        job,
        Some(&answer),
        &sources(&found, &written),
    )
    .await?
    {
        return Err(JobError::LeaseLost);
    }
    let origin = if abstained { "abstained" } else { "generated" };
    ::metrics::counter!(metrics::ANSWERS, "origin" => origin).increment(1);
    info!(
        abstained,
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
    let found = retrieve(context, &(&question).into(), None).await?;
    let signals = Signals::of(&question.text, &found.passages, &found.nearness);
    let confidence = confidence::confidence(&signals, context.embedder.identity());
    let shown = Sources {
        confidence: Some(confidence),
        signals: Some(json(&signals)),
        ..sources_shown(&found)
    };
    show(shown, report).await;
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

async fn show(sources: Sources, report: &mut Report) {
    report.emit(name::SOURCES, &sources).await;
}

fn sources_shown(found: &Retrieved) -> Sources {
    let sources: Vec<Source> = (1..)
        .zip(&found.passages)
        .map(|(number, passage)| Source::from_passage(number, passage))
        .collect();
    sources.into()
}

/// How the question is filed: with others that ask the same.
async fn unanswered<'a>(
    context: &Context,
    question: &'a ForAnswer,
    open: &'a Open,
) -> Result<NewUnanswered<'a>, JobError> {
    let near = unanswered::similar(
        &context.pool,
        question.tenant,
        question.collection,
        context.model,
        &open.asked.embedding,
        context.embedder.cosine(unanswered::SIMILARITY_MIN),
    )
    .await?;
    let group = near
        .into_iter()
        .find(|group| sameness::may_mean_the_same(&group.question, &question.text));
    Ok(NewUnanswered {
        tenant: question.tenant,
        collection: question.collection,
        question: &question.text,
        model: context.model,
        embedding: &open.asked.embedding,
        group: group.map(|group| group.id),
        groups_max: context.settings.confidence.unanswered_max,
    })
}

fn count_citations(generator: &'static str, found: &Retrieved, written: &Written) {
    let count = |outcome: &'static str, number: u64| {
        ::metrics::counter!(metrics::CITATIONS, "generator" => generator, "outcome" => outcome)
            .increment(number);
    };
    count("kept", written.cited.len() as u64);
    count("removed", written.citations_removed.into());
    if written.cited.is_empty() && !found.passages.is_empty() {
        ::metrics::counter!(metrics::ANSWERS_UNCITED, "generator" => generator).increment(1);
    }
}

fn sources(found: &Retrieved, written: &Written) -> Vec<NewSource> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a score needs no more digits than an f32 has"
    )]
    let source = |(number, passage): (usize, &Passage)| NewSource {
        document: passage.document,
        version: passage.version,
        page_first: passage.page_first,
        page_last: passage.page_last,
        spans: passage.spans.0.clone(),
        heading: passage.heading.clone(),
        place: passage.place.clone(),
        text: passage.text.clone(),
        score: passage.score as f32,
        cited: written.cited.contains(&number),
    };
    (1..).zip(&found.passages).map(source).collect()
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
