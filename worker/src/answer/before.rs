//! What comes before retrieval: a FAQ with the same question or a similar one, then an answer that was given before.

use std::time::Instant;

use lectern_shared::{
    events::{
        name,
        payload::{Timings, Token},
    },
    store::{cache, collections, jobs::Claimed, questions::ForAnswer},
};
use serde_json::{Value, json};

use super::{
    cache::{Conditions, Given},
    faq,
    retrieve::{self, Asked},
};
use crate::{context::Context, error::JobError, report::Report};

pub(crate) enum Before {
    /// There was an answer, and it was given.
    Answered,
    Open(Box<Open>),
}

/// What is known of a question that is still to be answered.
pub(crate) struct Open {
    pub(crate) asked: Asked,
    /// For the cache; `None`: this answer is not to be given again.
    pub(crate) conditions: Option<Conditions>,
    /// What will have produced the answer.
    pub(crate) settings: Value,
}

/// Gives the answer if there is one already. `is_follow_up`: it was made to stand alone.
pub(crate) async fn look(
    context: &Context,
    job: &Claimed,
    question: &ForAnswer,
    is_follow_up: bool,
    began: Instant,
    report: &mut Report,
) -> Result<Before, JobError> {
    let settings = settings(context, question);
    let looked_at = Instant::now();
    if let Some(found) = faq::equal(context, question).await? {
        let timings = timings(job, began, 0.0, looked_at);
        faq::give(context, job, &found, &timings, &settings, report).await?;
        return Ok(Before::Answered);
    }
    let asked = retrieve::embed(context, &question.text).await?;
    let (embedding, embed_ms) = (&asked.embedding, asked.embed_ms);
    let looked_at = Instant::now();
    // Before anything is read that an answer may rest on: what changes from here on, the answer may not know.
    let (collection, changes) = tokio::try_join!(
        collections::settings(&context.pool, question.collection),
        cache::changes(&context.pool, question.collection),
    )?;
    if let Some(found) = faq::similar(context, question, &collection, embedding).await? {
        let timings = timings(job, began, embed_ms, looked_at);
        faq::give(context, job, &found, &timings, &settings, report).await?;
        return Ok(Before::Answered);
    }
    // Entries are known by the text that was asked, and that of a follow-up means something else in each conversation.
    let conditions = if is_follow_up {
        None
    } else {
        Conditions::of(context, question, &settings, changes)
    };
    if let Some(conditions) = &conditions {
        let timings = || timings(job, began, embed_ms, looked_at);
        let given = super::cache::give(
            context, job, question, conditions, embedding, timings, report,
        );
        if given.await? == Given::Yes {
            return Ok(Before::Answered);
        }
    }
    Ok(Before::Open(Box::new(Open {
        asked,
        conditions,
        settings,
    })))
}

/// What produces an answer here and now, as it is kept with it.
fn settings(context: &Context, question: &ForAnswer) -> Value {
    let answer = &context.settings.answer;
    json!({
        "release": env!("CARGO_PKG_VERSION"),
        "embedding_model": context.model_name,
        "generator": context.generator.name(),
        "generator_model": (context.generator.name() == "openai").then_some(&answer.openai_model),
        "passages_max": question.passages_max,
        "search": format!("{:?}", context.settings.search),
        "rerank": format!("{:?}", context.settings.rerank),
        "context_tokens_max": answer.context_tokens_max,
        "answer_tokens_max": answer.answer_tokens_max,
        "confidence_min": context.settings.confidence.confidence_min,
    })
}

fn timings(job: &Claimed, began: Instant, embed_ms: f64, looked_at: Instant) -> Timings {
    let total_ms = began.elapsed().as_secs_f64() * 1000.0;
    Timings {
        queued_ms: job.waited.as_secs_f64() * 1000.0,
        embed_ms,
        search_ms: looked_at.elapsed().as_secs_f64() * 1000.0,
        first_token_ms: total_ms,
        total_ms,
        ..Timings::default()
    }
}

/// Streams an answer that is known as a whole as any other, word by word, just as it is.
pub(super) async fn say(text: &str, report: &mut Report) {
    for word in text.split_inclusive(' ') {
        let text = word.to_owned();
        report.emit(name::TOKEN, &Token { text }).await;
    }
}
