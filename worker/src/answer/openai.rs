//! The generator that asks any server with OpenAI's chat completions, streaming.

use std::time::Duration;

use anyhow::anyhow;
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
use futures::StreamExt;
use lectern_shared::{events::payload::Usage, failure::Failure, store::questions::ForAnswer};

use super::{generate::Output, prompt, retrieve::Retrieved};
use crate::{config::AnswerSettings, context::Context, error::JobError};

pub(crate) struct OpenAi {
    client: Client<OpenAIConfig>,
    model: String,
    is_openai: bool,
    timeout: Duration,
    answer_tokens_max: u32,
    context_tokens_max: usize,
}

impl OpenAi {
    pub(crate) fn new(settings: &AnswerSettings) -> Self {
        let config = OpenAIConfig::new()
            .with_api_base(settings.openai_base_url.trim_end_matches('/'))
            .with_api_key(&settings.openai_api_key);
        Self {
            client: Client::with_config(config),
            model: settings.openai_model.clone(),
            is_openai: settings.openai_base_url.contains("//api.openai.com/"),
            timeout: Duration::from_secs(settings.generator_timeout_seconds.into()),
            answer_tokens_max: settings.answer_tokens_max,
            context_tokens_max: settings.context_tokens_max,
        }
    }

    pub(crate) async fn generate(
        &self,
        context: &Context,
        question: &ForAnswer,
        found: &Retrieved,
        output: &mut Output<'_>,
    ) -> Result<Usage, JobError> {
        let user = prompt::user(
            &question.text,
            &found.passages,
            &context.tokens,
            self.context_tokens_max,
        )?;
        let request = self.request(user).map_err(refused)?;
        let mut stream = self
            .within(self.client.chat().create_stream(request))
            .await?
            .map_err(failed)?;
        let mut usage = Usage::default();
        let mut pieces = 0;
        while let Some(part) = self.within(stream.next()).await? {
            let part = part.map_err(failed)?;
            if let Some(told) = part.usage {
                usage = Usage {
                    prompt_tokens: told.prompt_tokens,
                    answer_tokens: told.completion_tokens,
                };
            }
            if let Some(text) = part
                .choices
                .first()
                .and_then(|choice| choice.delta.content.as_deref())
            {
                pieces += 1;
                output.push(text).await;
            }
        }
        if pieces == 0 {
            return Err(unavailable(anyhow!("the generator ended without a word")));
        }
        if usage.answer_tokens == 0 {
            // Not every server counts; nearly every one sends a piece per token.
            usage.answer_tokens = pieces;
        }
        Ok(usage)
    }

    fn request(&self, user: String) -> Result<CreateChatCompletionRequest, OpenAIError> {
        let system = ChatCompletionRequestSystemMessage::from(prompt::SYSTEM);
        let user = ChatCompletionRequestUserMessage::from(user);
        let mut request = CreateChatCompletionRequestArgs::default();
        // OpenAI has renamed this setting and refuses the old name for new models; most others know only the old one.
        if self.is_openai {
            request.max_completion_tokens(self.answer_tokens_max);
        } else {
            request.max_tokens(self.answer_tokens_max);
        }
        request
            .model(&self.model)
            .messages([
                ChatCompletionRequestMessage::from(system),
                ChatCompletionRequestMessage::from(user),
            ])
            .temperature(0.1)
            .stream_options(ChatCompletionStreamOptions {
                include_usage: Some(true),
                include_obfuscation: None,
            })
            .build()
    }

    /// Waits no longer than the generator may be silent.
    async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, JobError> {
        tokio::time::timeout(self.timeout, future)
            .await
            .map_err(|_| unavailable(anyhow!("the generator was silent for {:?}", self.timeout)))
    }
}

fn unavailable(cause: anyhow::Error) -> JobError {
    JobError::Transient {
        failure: Failure::GeneratorUnavailable,
        cause,
    }
}

fn refused(error: OpenAIError) -> JobError {
    JobError::failed(Failure::GeneratorRefused, error)
}

/// What a wrong model or key brings is not worth another try; the rest is.
fn failed(error: OpenAIError) -> JobError {
    match &error {
        OpenAIError::ApiError(answer)
            if answer.status_code.is_client_error() && answer.status_code != 429 =>
        {
            refused(error)
        }
        OpenAIError::InvalidArgument(_) => refused(error),
        _ => unavailable(error.into()),
    }
}
