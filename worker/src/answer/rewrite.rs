//! Follow-up questions ("and for the second one?") are made to stand alone before anything is searched for.
//!
//! Most questions of a conversation do so as they are, and rewriting costs a call of a model: a cheap gate looks at the
//! words first (`gate.rs`).
//! The `openai` generator rewrites. Where there is none, or it fails, the question is joined with the one that it
//! follows, so that the search has the words of both.

use lectern_shared::{
    events::{name, payload::Status},
    metrics,
    store::{
        conversations::{self, Turn},
        jobs::Claimed,
        questions::ForAnswer,
        quotas,
    },
};
use tracing::warn;

use super::{budget, gate::is_follow_up, generate::Generator, prompt};
use crate::{context::Context, error::JobError, report::Report};

/// Earlier turns that are looked at; the budget of tokens cuts further.
const TURNS_MAX: u32 = 20;

/// A rewritten question that is longer is no question.
const CHARS_MAX: usize = 600;

/// Puts in the place of a follow-up's text what it means, writes that down and tells readers. Whether it was one.
pub(super) async fn stand_alone(
    context: &Context,
    generator: &Generator,
    job: &Claimed,
    question: &mut ForAnswer,
    report: &mut Report,
) -> Result<bool, JobError> {
    if !question.has_turns_before() || !is_follow_up(&question.text) {
        return Ok(false);
    }
    let history = match &question.history {
        Some(told) => understood(&told.0),
        None => conversations::history(&context.pool, question.id, TURNS_MAX).await?,
    };
    if history.is_empty() {
        return Ok(true);
    }
    report.stage("rewriting").await;
    let rewritten = rewrite(context, generator, question, &history).await?;
    let how = if rewritten.is_some() {
        "rewritten"
    } else {
        "joined"
    };
    let standalone = rewritten.unwrap_or_else(|| join(&question.text, &history));
    ::metrics::counter!(metrics::REWRITES, "outcome" => how).increment(1);
    if !conversations::note_standalone(&context.pool, job, &standalone).await? {
        return Err(JobError::LeaseLost);
    }
    let status = Status {
        standalone_question: Some(standalone.clone()),
        ..Status::stage("rewriting")
    };
    report.emit(name::STATUS, &status).await;
    question.text = standalone;
    Ok(true)
}

async fn rewrite(
    context: &Context,
    generator: &Generator,
    question: &ForAnswer,
    history: &[Turn],
) -> Result<Option<String>, JobError> {
    let Generator::OpenAi(openai) = generator else {
        return Ok(None);
    };
    let tokens_max = context.settings.answer.history_tokens_max;
    let prompt = prompt::rewrite(&question.text, history, &context.tokens, tokens_max)?;
    match openai.rewrite(&prompt).await {
        Ok((said, mut usage)) => {
            if usage.estimated {
                let count = |text: &str| context.tokens.count(text);
                let told = count(prompt::REWRITE)? + count(&prompt)?;
                usage.prompt_tokens = u32::try_from(told).unwrap_or(u32::MAX);
            }
            let tokens = budget::tokens(generator, &usage);
            quotas::spend(&context.pool, question.tenant, tokens).await?;
            Ok(accept(&said, &question.text))
        }
        Err(trouble) => {
            warn!(cause = %trouble, "follow-up question not rewritten");
            Ok(None)
        }
    }
}

/// The question in what a model has said; `None` if that is something else, such as an answer.
fn accept(said: &str, question: &str) -> Option<String> {
    let line = said.trim().lines().next()?;
    let line = match line.split_once(':') {
        Some((label, rest)) if label.len() < 40 && label.to_lowercase().contains("question") => {
            rest
        }
        _ => line,
    };
    let line = line.trim_matches(|c: char| c.is_whitespace() || "\"'`*“”«»".contains(c));
    // A model that explains itself may quote the question.
    let asks = |text: &str| text.trim_end().ends_with(['?', '？', '؟']);
    let good =
        !line.is_empty() && line.chars().count() <= CHARS_MAX && (asks(line) || !asks(question));
    good.then(|| line.to_owned())
}

/// Turns as a client tells them, who doesn't know what their follow-ups were taken for.
fn understood(told: &[Turn]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::with_capacity(told.len());
    for turn in told {
        let follows = !turns.is_empty() && is_follow_up(&turn.text);
        turns.push(Turn {
            standalone_question: follows.then(|| join(&turn.text, &turns)),
            ..turn.clone()
        });
    }
    turns
}

/// The last question that stood alone, then this one.
fn join(question: &str, history: &[Turn]) -> String {
    let before = history
        .iter()
        .rev()
        .find(|turn| turn.standalone_question.is_none())
        .or(history.last());
    match before {
        Some(turn) => format!("{} {question}", turn.text.trim_end()),
        None => question.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(text: &str, standalone: Option<&str>) -> Turn {
        Turn {
            text: text.to_owned(),
            standalone_question: standalone.map(str::to_owned),
            answer: None,
        }
    }

    #[test]
    fn without_a_rewriter_a_follow_up_is_joined_with_the_last_question_that_stood_alone() {
        let history = [
            turn("What is the hotel limit?", None),
            turn("And abroad?", Some("What is the hotel limit? And abroad?")),
        ];
        assert_eq!(join("Why?", &history), "What is the hotel limit? Why?");
    }

    #[test]
    fn follow_ups_among_the_turns_that_a_client_tells_are_understood_too() {
        let told = [
            turn("What is the hotel limit in Lisbon?", None),
            turn("And abroad?", None),
        ];
        let turns = understood(&told);
        assert_eq!(turns[0].standalone_question, None);
        assert_eq!(
            join("And in Spain?", &turns),
            "What is the hotel limit in Lisbon? And in Spain?"
        );
    }

    #[test]
    fn what_a_model_says_is_taken_if_it_is_a_question() {
        let asked = "And abroad?";
        let accepted = |said| accept(said, asked);
        assert_eq!(
            accepted("\"What is the limit abroad?\"\nIt is 5.").as_deref(),
            Some("What is the limit abroad?")
        );
        assert_eq!(
            accepted("Rewritten question: How much abroad?").as_deref(),
            Some("How much abroad?")
        );
        assert_eq!(accepted("It is 47 euros abroad."), None);
        assert_eq!(accepted("The answer to \"How much abroad?\" is 47."), None);
        assert_eq!(accepted(""), None);
        assert_eq!(accepted(&"long? ".repeat(500)), None);
    }
}
