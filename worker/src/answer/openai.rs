//! The generator that asks any server with OpenAI's chat completions, streaming.
//!
//! A request is tried again as long as nothing of its answer was shown: after that, an answer that breaks off starts
//! over as a whole, by the ledger. Whoever drops the future closes the connection to the server.

use std::time::Duration;

use anyhow::Context as _;
use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionRequestMessage, ChatCompletionRequestSystemMessage,
        ChatCompletionRequestUserMessage, ChatCompletionStreamOptions, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs,
    },
};
use lectern_shared::{events::payload::Usage, metrics, store::questions::ForAnswer};
use rand::Rng;
use reqwest::redirect;
use tokio::time::Instant;
use tracing::info;

use super::{
    generate::Output,
    prompt,
    retrieve::Retrieved,
    speech::{Speech, Trouble, send},
};
use crate::{config::AnswerSettings, context::Context, error::JobError};

/// The first pause before another try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(250);

/// A rewritten question is one line.
const REWRITE_TOKENS_MAX: u32 = 200;

pub(crate) struct OpenAi {
    client: Client<OpenAIConfig>,
    model: String,
    is_openai: bool,
    limits: Limits,
    answer_tokens_max: u32,
    context_tokens_max: usize,
}

/// How long it may take, and how often it is tried.
#[derive(Clone, Copy, Debug)]
struct Limits {
    silence: Duration,
    total: Duration,
    retries: u32,
    retry_after: Duration,
}

impl OpenAi {
    /// # Errors
    /// When there is no way to make connections.
    pub(crate) fn new(settings: &AnswerSettings) -> anyhow::Result<Self> {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let config = OpenAIConfig::new()
            .with_api_base(settings.openai_base_url.trim_end_matches('/'))
            .with_api_key(settings.openai_api_key.reveal());
        let http = reqwest::Client::builder()
            .connect_timeout(seconds(settings.generator_connect_seconds_max))
            // The prompt goes to the server that the settings name, and to no other.
            .redirect(redirect::Policy::none())
            .build()
            .context("no HTTP client for the generator")?;
        Ok(Self {
            // Its own retries would come on top of ours, and it would log the bodies of errors.
            client: Client::with_config(config).with_http_service(tower::service_fn(
                move |request| {
                    let http = http.clone();
                    async move { send(&http, request).await }
                },
            )),
            model: settings.openai_model.clone(),
            is_openai: settings.openai_base_url.contains("//api.openai.com/"),
            limits: Limits {
                silence: seconds(settings.generator_timeout_seconds),
                total: seconds(settings.generator_seconds_max),
                retries: settings.generator_retries_max,
                retry_after: seconds(settings.generator_retry_after_seconds_max),
            },
            answer_tokens_max: settings.answer_tokens_max,
            context_tokens_max: settings.context_tokens_max,
        })
    }

    pub(crate) async fn generate(
        &self,
        context: &Context,
        question: &ForAnswer,
        found: &Retrieved,
        output: &mut Output<'_>,
    ) -> Result<Usage, JobError> {
        let prompt = prompt::user(
            &question.text,
            &found.passages,
            &context.tokens,
            self.context_tokens_max,
        )?;
        output.give(prompt.given);
        let request = self
            .request(prompt::SYSTEM, &prompt.text, self.answer_tokens_max)
            .map_err(Trouble::from)?;
        let mut speech = self.begin(&request, self.limits.total).await?;
        let mut text = String::new();
        while let Some(piece) = speech.next().await.map_err(Trouble::after_the_first_word)? {
            text.push_str(&piece);
            output.push(&piece).await;
        }
        let mut usage = speech.usage();
        if usage.estimated {
            let count = |text: &str| context.tokens.count(text).map(saturating);
            usage.prompt_tokens = count(prompt::SYSTEM)?.saturating_add(count(&prompt.text)?);
            usage.answer_tokens = count(&text)?;
        }
        Ok(usage)
    }

    /// Says a follow-up question so that it stands alone.
    pub(super) async fn rewrite(&self, user: &str) -> Result<(String, Usage), Trouble> {
        let request = self.request(prompt::REWRITE, user, REWRITE_TOKENS_MAX)?;
        // Somebody waits for the answer: a server that can't say a line in a quarter of an answer's time is not waited for.
        let mut speech = self.begin(&request, self.limits.total / 4).await?;
        let mut text = String::new();
        while let Some(piece) = speech.next().await? {
            text.push_str(&piece);
        }
        Ok((text, speech.usage()))
    }

    /// An answer of which something is there to be shown.
    async fn begin(
        &self,
        request: &CreateChatCompletionRequest,
        total: Duration,
    ) -> Result<Speech, Trouble> {
        let deadline = Instant::now() + total;
        let mut tries = 0;
        loop {
            let trouble = match self.try_to_begin(request, deadline).await {
                Ok(speech) => return Ok(speech),
                Err(trouble) => trouble,
            };
            let pause = PAUSE * 2_u32.saturating_pow(tries.min(6));
            let pause = pause.mul_f64(rand::rng().random_range(0.5..=1.0));
            let pause = trouble.retry_after().map_or(pause, |told| told.max(pause));
            let too_late = pause > self.limits.retry_after || Instant::now() + pause >= deadline;
            if tries >= self.limits.retries || !trouble.may_pass() || too_late {
                return Err(trouble);
            }
            tries += 1;
            info!(
                cause = %trouble,
                pause_ms = pause.as_secs_f64() * 1000.0,
                "generator is asked again"
            );
            ::metrics::counter!(metrics::GENERATOR_RETRIES).increment(1);
            tokio::time::sleep(pause).await;
        }
    }

    async fn try_to_begin(
        &self,
        request: &CreateChatCompletionRequest,
        deadline: Instant,
    ) -> Result<Speech, Trouble> {
        let silence = self.limits.silence;
        let wait_until = deadline.min(Instant::now() + silence);
        let chat = self.client.chat();
        let stream = tokio::time::timeout_at(wait_until, chat.create_stream_byot(request))
            .await
            .map_err(|_| Trouble::out_of_time(deadline, silence))??;
        let tokens_max = request
            .max_completion_tokens
            .unwrap_or(self.answer_tokens_max);
        Speech::begin(stream, silence, deadline, tokens_max).await
    }

    fn request(
        &self,
        system: &str,
        user: &str,
        tokens_max: u32,
    ) -> Result<CreateChatCompletionRequest, OpenAIError> {
        let system = ChatCompletionRequestSystemMessage::from(system);
        let user = ChatCompletionRequestUserMessage::from(user);
        let mut request = CreateChatCompletionRequestArgs::default();
        // OpenAI has renamed this setting and refuses the old name for new models; most others know only the old one.
        if self.is_openai {
            request.max_completion_tokens(tokens_max);
        } else {
            request.max_tokens(tokens_max);
        }
        request
            .model(&self.model)
            .messages([
                ChatCompletionRequestMessage::from(system),
                ChatCompletionRequestMessage::from(user),
            ])
            .temperature(0.1)
            .stream(true)
            .stream_options(ChatCompletionStreamOptions {
                include_usage: Some(true),
                include_obfuscation: None,
            })
            .build()
    }
}

fn saturating(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
