//! What a server of chat completions says, piece by piece: the text that is to be shown, and how it ends.
//!
//! Of its JSON only what is needed is read, since servers differ in the rest. Thoughts are hidden, whether they come in
//! a field of their own (`reasoning_content`) or between tags.

use std::{pin::Pin, time::Duration};

use async_openai::{error::OpenAIError, middleware::HttpRequestFactory};
use futures::{Stream, StreamExt};
use lectern_shared::{events::payload::Usage, failure::Failure};
use reqwest::{Response, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::thoughts::Thoughts;
use crate::error::JobError;

/// Bytes of an error's body that are read for its code.
const ERROR_BYTES_MAX: usize = 16 << 10;

/// Tokens that a server may go beyond what it was told, before it is cut off.
const SLACK: u32 = 8;

/// Longer words than any language has tokens: a server that ignores the limit is cut off by this, too.
const CHARS_PER_TOKEN_MAX: usize = 16;

#[derive(Debug, Deserialize)]
pub(super) struct Piece {
    choices: Option<Vec<Choice>>,
    usage: Option<Counted>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delta {
    content: Option<String>,
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

type Pieces = Pin<Box<dyn Stream<Item = Result<Piece, OpenAIError>> + Send>>;

/// An answer under way.
pub(super) struct Speech {
    pieces: Pieces,
    silence: Duration,
    deadline: Instant,
    tokens_max: u32,
    /// Shown by the next call already.
    first: Option<String>,
    thoughts: Thoughts,
    thought: bool,
    counted: Option<Counted>,
    heard: u32,
    chars: usize,
    truncated: bool,
    ended: bool,
}

impl Speech {
    /// Reads until there is something to be shown.
    pub(super) async fn begin(
        pieces: Pieces,
        silence: Duration,
        deadline: Instant,
        tokens_max: u32,
    ) -> Result<Self, Trouble> {
        let mut speech = Self {
            pieces,
            silence,
            deadline,
            tokens_max,
            first: None,
            thoughts: Thoughts::default(),
            thought: false,
            counted: None,
            heard: 0,
            chars: 0,
            truncated: false,
            ended: false,
        };
        while let Some(text) = speech.next().await? {
            let text = text.trim_start();
            if !text.is_empty() {
                speech.first = Some(text.to_owned());
                return Ok(speech);
            }
        }
        let thought = speech.thought || speech.thoughts.any();
        Err(Trouble::Empty { thought })
    }

    /// The next text to be shown; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<String>, Trouble> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while !self.ended {
            let wait_until = self.deadline.min(Instant::now() + self.silence);
            let piece = tokio::time::timeout_at(wait_until, self.pieces.next())
                .await
                .map_err(|_| Trouble::out_of_time(self.deadline, self.silence))?;
            let text = match piece {
                Some(piece) => self.read(piece?)?,
                None => {
                    self.ended = true;
                    self.thoughts.finish()
                }
            };
            if !text.is_empty() {
                return Ok(Some(text));
            }
        }
        Ok(None)
    }

    fn read(&mut self, piece: Piece) -> Result<String, Trouble> {
        if let Some(error) = piece.error.filter(|error| !error.is_null()) {
            return Err(Trouble::BrokeOff(code_of(&error).unwrap_or_default()));
        }
        if piece.usage.is_some() {
            self.counted = piece.usage;
        }
        let Some(choice) = piece.choices.and_then(|choices| choices.into_iter().next()) else {
            return Ok(String::new());
        };
        self.truncated |= choice.finish_reason.as_deref() == Some("length");
        let Some(delta) = choice.delta else {
            return Ok(String::new());
        };
        let thought = delta.reasoning_content.unwrap_or_default();
        let said = delta.content.unwrap_or_default();
        self.thought |= !thought.is_empty();
        if !thought.is_empty() || !said.is_empty() {
            self.heard = self.heard.saturating_add(1);
            self.chars += said.len() + thought.len();
        }
        let mut text = self.thoughts.push(&said);
        let chars_max = (self.tokens_max as usize).saturating_mul(CHARS_PER_TOKEN_MAX);
        if self.heard > self.tokens_max.saturating_add(SLACK) || self.chars > chars_max {
            self.truncated = true;
            self.ended = true;
            text.push_str(&self.thoughts.finish());
        }
        Ok(text)
    }

    /// Without the server's own count it is `estimated`, and the numbers are left to the caller.
    pub(super) fn usage(&self) -> Usage {
        let counted = self.counted.filter(|counted| counted.completion_tokens > 0);
        Usage {
            prompt_tokens: counted.map_or(0, |counted| counted.prompt_tokens),
            answer_tokens: counted.map_or(self.heard, |counted| counted.completion_tokens),
            estimated: counted.is_none(),
            truncated: self.truncated,
        }
    }
}

/// Why there is no answer, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the generator answered {}", .0.status)]
    Status(#[from] Status),
    #[error("the generator was silent for {0:?}")]
    Silent(Duration),
    #[error("the generator took too long as a whole")]
    OutOfTime,
    #[error("the generator ended without a word")]
    Empty { thought: bool },
    #[error("the generator broke off {0}")]
    BrokeOff(String),
    #[error("the request can't be made")]
    Request,
}

/// An answer that isn't one, without its text, which may quote ours.
#[derive(Debug, thiserror::Error)]
#[error("status {status} {code}")]
pub(super) struct Status {
    pub(super) status: StatusCode,
    code: String,
    retry_after: Option<Duration>,
}

impl Trouble {
    pub(super) fn out_of_time(deadline: Instant, silence: Duration) -> Self {
        if Instant::now() >= deadline {
            Self::OutOfTime
        } else {
            Self::Silent(silence)
        }
    }

    /// Whether another try may end otherwise.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Status(answer) => match answer.status {
                // Whose quota is used up is answered like who is too quick.
                StatusCode::TOO_MANY_REQUESTS => answer.code != "insufficient_quota",
                StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => true,
                status => status.is_server_error(),
            },
            Self::BrokeOff(_) | Self::Empty { thought: false } => true,
            // Another try would be as slow, or as thoughtful.
            Self::Silent(_) | Self::OutOfTime | Self::Empty { thought: true } | Self::Request => {
                false
            }
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(answer) => answer.retry_after,
            _ => None,
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::Status(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                Failure::GeneratorBusy
            }
            Self::Status(answer) if answer.status.is_client_error() && !self.may_pass() => {
                Failure::GeneratorRefused
            }
            Self::Request => Failure::GeneratorRefused,
            Self::Silent(_) | Self::OutOfTime => Failure::GeneratorTimedOut,
            Self::Empty { .. } => Failure::GeneratorEmpty,
            Self::Status(_) | Self::BrokeOff(_) => Failure::GeneratorUnavailable,
        }
    }
}

impl From<OpenAIError> for Trouble {
    fn from(error: OpenAIError) -> Self {
        match error {
            OpenAIError::Boxed(cause) => match cause.downcast::<Status>() {
                Ok(answer) => Self::Status(*answer),
                Err(cause) => Self::BrokeOff(cause.to_string()),
            },
            OpenAIError::InvalidArgument(_) => Self::Request,
            // Its text has what the server said.
            OpenAIError::JSONDeserialize(..) => Self::BrokeOff("with no JSON".to_owned()),
            OpenAIError::Reqwest(error) => {
                Self::BrokeOff(format!("{:#}", anyhow::Error::new(error)))
            }
            other => Self::BrokeOff(other.to_string()),
        }
    }
}

impl From<Trouble> for JobError {
    /// What broke off before a word was shown was tried often enough when it gets here; what broke off after one is
    /// worth a new beginning.
    fn from(trouble: Trouble) -> Self {
        Self::failed(trouble.failure(), &trouble)
    }
}

impl Trouble {
    /// When part of the answer was shown.
    pub(super) fn after_the_first_word(self) -> JobError {
        match &self {
            Self::BrokeOff(_) => JobError::Transient {
                failure: self.failure(),
                cause: self.into(),
            },
            _ => self.into(),
        }
    }
}

/// Sends a request and tells an answer from a refusal.
pub(super) async fn send(
    http: &reqwest::Client,
    request: HttpRequestFactory,
) -> Result<Response, OpenAIError> {
    let response = http.execute(request.build().await?).await?;
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(seconds);
    let mut body = Vec::new();
    let mut bytes = response.bytes_stream();
    while let Some(Ok(part)) = bytes.next().await
        && body.len() < ERROR_BYTES_MAX
    {
        body.extend_from_slice(&part);
    }
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let code = answer.and_then(|answer| code_of(answer.get("error")?));
    Err(OpenAIError::Boxed(Box::new(Status {
        status,
        code: code.unwrap_or_default(),
        retry_after,
    })))
}

/// Of an error in OpenAI's form: `code`, else `type`.
fn code_of(error: &Value) -> Option<String> {
    let code = |name: &str| match error.get(name)? {
        Value::String(code) => Some(code.chars().take(64).collect()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    };
    code("code").or_else(|| code("type"))
}

/// `Retry-After`: seconds, or a date (RFC 9110, 10.2.3).
fn seconds(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = chrono::DateTime::parse_from_rfc2822(value).ok()?;
    (at.to_utc() - chrono::Utc::now()).to_std().ok()
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use serde_json::json;

    use super::*;

    async fn speak(pieces: Vec<Value>) -> Result<(String, Usage), Trouble> {
        let pieces = stream::iter(
            pieces
                .into_iter()
                .map(|piece| Ok(serde_json::from_value(piece).unwrap())),
        );
        let second = Duration::from_secs(1);
        let mut speech =
            Speech::begin(Box::pin(pieces), second, Instant::now() + second, 10).await?;
        let mut text = String::new();
        while let Some(piece) = speech.next().await? {
            text.push_str(&piece);
        }
        Ok((text, speech.usage()))
    }

    fn says(text: &str) -> Value {
        json!({"choices": [{"delta": {"content": text}}]})
    }

    #[tokio::test]
    async fn thoughts_are_hidden_in_a_field_and_between_tags() {
        let (text, usage) = speak(vec![
            json!({"choices": [{"delta": {"role": "assistant", "content": null}}]}),
            json!({"choices": [{"delta": {"reasoning_content": "Hm."}}]}),
            says("<think>Let me"),
            says(" see.</think>\n\n"),
            says("It is"),
            says(" so."),
            json!({"choices": null, "usage": {"prompt_tokens": 7, "completion_tokens": 9}}),
        ])
        .await
        .unwrap();
        assert_eq!(text, "It is so.");
        assert_eq!((usage.prompt_tokens, usage.answer_tokens), (7, 9));
        assert!(!usage.estimated && !usage.truncated);
    }

    #[tokio::test]
    async fn a_model_that_only_thinks_says_nothing() {
        let error = speak(vec![says("<think>On and on")]).await.err().unwrap();
        assert!(matches!(error, Trouble::Empty { thought: true }) && !error.may_pass());
        let error = speak(vec![]).await.err().unwrap();
        assert!(matches!(error, Trouble::Empty { thought: false }) && error.may_pass());
    }

    #[tokio::test]
    async fn a_server_that_does_not_count_and_does_not_stop_is_cut_off_and_its_count_is_estimated()
    {
        let (text, usage) = speak(vec![says("on "); 100]).await.unwrap();
        assert_eq!(text.split_whitespace().count(), 19);
        assert!(usage.estimated && usage.truncated);
    }

    #[tokio::test]
    async fn an_error_in_the_stream_is_one() {
        let error = speak(vec![
            says("It"),
            json!({"error": {"code": 500, "message": "secret"}}),
        ])
        .await
        .err()
        .unwrap();
        assert_eq!(error.to_string(), "the generator broke off 500");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(seconds("2"), Some(Duration::from_secs(2)));
        assert_eq!(seconds("0.5"), Some(Duration::from_millis(500)));
        assert!(seconds("Wed, 21 Oct 2099 07:28:00 GMT").is_some());
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(seconds("soon"), None);
    }
}
