//! Which generator writes the answer, and where its tokens go.

use std::time::Instant;

use lectern_shared::{
    events::{
        name,
        payload::{Token, Usage},
    },
    store::questions::ForAnswer,
};

use super::{extractive, openai::OpenAi, retrieve::Retrieved};
use crate::{
    config::{AnswerSettings, GeneratorKind},
    context::Context,
    error::JobError,
    report::Report,
};

/// What writes answers.
pub(crate) enum Generator {
    Extractive,
    OpenAi(Box<OpenAi>),
}

impl Generator {
    #[must_use]
    pub(crate) fn new(settings: &AnswerSettings) -> Self {
        match settings.generator {
            GeneratorKind::Extractive => Self::Extractive,
            GeneratorKind::Openai => Self::OpenAi(Box::new(OpenAi::new(settings))),
        }
    }

    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Extractive => "extractive",
            Self::OpenAi(_) => "openai",
        }
    }

    /// Writes the answer to `output`, piece by piece. Dropping the future stops the generator, upstream too.
    pub(crate) async fn generate(
        &self,
        context: &Context,
        question: &ForAnswer,
        found: &Retrieved,
        output: &mut Output<'_>,
    ) -> Result<Usage, JobError> {
        if found.passages.is_empty() {
            output.push(NOTHING_FOUND).await;
            return Ok(Usage::default());
        }
        match self {
            Self::Extractive => extractive::generate(context, question, found, output).await,
            Self::OpenAi(openai) => openai.generate(context, question, found, output).await,
        }
    }
}

/// The answer when there is nothing to answer from.
pub(crate) const NOTHING_FOUND: &str =
    "The documents in this collection don't answer this question.";

/// Where a generator's tokens go: to the readers at once, and into the text that is kept.
pub(crate) struct Output<'a> {
    report: &'a mut Report,
    text: String,
    first_token_at: Option<Instant>,
}

impl<'a> Output<'a> {
    pub(crate) fn new(report: &'a mut Report) -> Self {
        Self {
            report,
            text: String::new(),
            first_token_at: None,
        }
    }

    pub(crate) async fn push(&mut self, token: &str) {
        if token.is_empty() {
            return;
        }
        self.first_token_at.get_or_insert_with(Instant::now);
        self.text.push_str(token);
        self.report
            .emit(
                name::TOKEN,
                &Token {
                    text: token.to_owned(),
                },
            )
            .await;
    }

    /// The whole text, and when it began.
    pub(crate) fn finish(self) -> (String, Option<Instant>) {
        (self.text, self.first_token_at)
    }
}
