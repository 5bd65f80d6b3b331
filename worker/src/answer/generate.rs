//! Which generator writes the answer, and where its tokens go.

use std::{collections::BTreeSet, time::Instant};

use lectern_shared::{
    events::{
        name,
        payload::{Token, Usage},
    },
    store::questions::ForAnswer,
};

use super::{
    abstention::abstention, citations::Citations, extractive, openai::OpenAi, retrieve::Retrieved,
};
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
    /// # Errors
    /// When its settings can't be used.
    pub(crate) fn new(settings: &AnswerSettings) -> anyhow::Result<Self> {
        Ok(match settings.generator {
            GeneratorKind::Extractive => Self::Extractive,
            GeneratorKind::Openai => Self::OpenAi(Box::new(OpenAi::new(settings)?)),
        })
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
            output.push(abstention(found.language)).await;
            return Ok(Usage::default());
        }
        match self {
            Self::Extractive => extractive::generate(context, question, found, output).await,
            Self::OpenAi(openai) => openai.generate(context, question, found, output).await,
        }
    }
}

/// Where a generator's tokens go: to the readers as soon as their citations are checked, and into the text that is kept.
pub(crate) struct Output<'a> {
    report: &'a mut Report,
    citations: Citations,
    text: String,
    first_token_at: Option<Instant>,
}

/// What a generator has written.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) first_token_at: Option<Instant>,
    /// The numbers of the passages that it cites.
    pub(crate) cited: BTreeSet<usize>,
    /// Citations that were taken out of it.
    pub(crate) citations_removed: u32,
    /// By its own citations.
    pub(crate) says_none_answers: bool,
}

impl<'a> Output<'a> {
    /// For an answer from so many passages.
    pub(crate) fn new(report: &'a mut Report, passages: usize) -> Self {
        Self {
            report,
            citations: Citations::new(passages),
            text: String::new(),
            first_token_at: None,
        }
    }

    /// Only the first so many passages went to the generator: it can't have others to cite.
    pub(crate) fn give(&mut self, passages: usize) {
        self.citations.give(passages);
    }

    pub(crate) async fn push(&mut self, token: &str) {
        let text = self.citations.push(token);
        self.show(text).await;
    }

    async fn show(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        self.first_token_at.get_or_insert_with(Instant::now);
        self.text.push_str(&text);
        self.report.emit(name::TOKEN, &Token { text }).await;
    }

    pub(crate) async fn finish(mut self) -> Written {
        let rest = self.citations.finish();
        self.show(rest).await;
        Written {
            text: self.text,
            first_token_at: self.first_token_at,
            cited: self.citations.cited().clone(),
            citations_removed: self.citations.removed(),
            says_none_answers: self.citations.says_none_answers(),
        }
    }
}
