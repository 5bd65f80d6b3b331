//! `POST /v1/chat/completions`: a question with the conversation before it, answered whole or as it is written.

use std::{convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::Utc;
use lectern_shared::{events::payload::AnswerDone, ids::QuestionId, store::questions::Mode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    citations,
    messages::{self, Message},
    models, refusals,
};
use crate::{
    answers::{Answer, Answering, Step},
    auth::Caller,
    error::{ApiError, Result},
    extract::{self, Object},
    limits::{Seat, Wait},
    observe::RequestId,
    questions::{self, Ask},
    reference::shapes,
    state::AppState,
};

/// What is understood of a request. What only tunes a model (`temperature`, `max_tokens` …) is passed over; what would
/// change the kind of answer is refused, see [`refuse_what_can_not_be`].
#[derive(Deserialize, ToSchema)]
#[schema(as = ChatCompletionRequest)]
pub(crate) struct Wanted {
    model: String,
    #[schema(value_type = Vec<Message>)]
    messages: Vec<Object<Message>>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<StreamOptions>)]
    stream_options: Option<Object<StreamOptions>>,
    /// Ours: passages that the answer may be made from, and which documents.
    #[serde(default, deserialize_with = "extract::whole")]
    #[schema(minimum = 1, maximum = 20, default = 8)]
    passages: Option<u16>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    #[serde(default, deserialize_with = "extract::whole")]
    n: Option<u32>,
    #[serde(default)]
    logprobs: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    response_format: Value,
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    tool_choice: Value,
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    function_call: Value,
    #[serde(default)]
    modalities: Option<Vec<String>>,
}

#[derive(Deserialize, ToSchema)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// Refuses what an answer would have to be another one for.
fn refuse_what_can_not_be(wanted: &Wanted) -> Result<()> {
    let refused = |name: &'static str, detail: &str| {
        Err(ApiError::Parameter {
            name,
            detail: detail.to_owned(),
        })
    };
    if wanted.n.is_some_and(|n| n != 1) {
        return refused(
            "n",
            "There is one answer to a question. Leave out `n`, or set it to 1.",
        );
    }
    if wanted.logprobs == Some(true) {
        return refused(
            "logprobs",
            "Probabilities are not known. Leave out `logprobs`.",
        );
    }
    let format = &wanted.response_format["type"];
    if !format.is_null() && format != "text" {
        return refused(
            "response_format",
            "Answers are text with citations. Leave out `response_format`, or set its type to `text`.",
        );
    }
    let forced = |choice: &Value| choice.is_object() || choice == "required";
    if forced(&wanted.tool_choice) || forced(&wanted.function_call) {
        return refused(
            "tool_choice",
            "No tools are called. Leave out `tool_choice`, or set it to `none`.",
        );
    }
    if wanted
        .modalities
        .iter()
        .flatten()
        .any(|kind| kind != "text")
    {
        return refused("modalities", "Answers are text. Leave out `modalities`.");
    }
    Ok(())
}

#[utoipa::path(
    post, path = "/v1/chat/completions", tag = "OpenAI", operation_id = "createChatCompletion",
    summary = "Answer the last question of a conversation",
    description = "Fields of OpenAI that only tune a model are passed over. With `stream: true` the response is a stream of chunks, which ends with `[DONE]`.",
    request_body(content = Wanted),
    responses(
        (status = 200, description = "The answer, whole or as it is written", content((shapes::ChatCompletion = "application/json"), (shapes::ChatEvent = "text/event-stream"))),
    ),
)]
pub(crate) async fn complete(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    headers: HeaderMap,
    // Of a stream until its head is there: then it has a seat.
    _wait: Wait,
    seat: Seat,
    extract::Json(wanted): extract::Json<Wanted>,
) -> Result<Response> {
    refuse_what_can_not_be(&wanted)?;
    let conversation = messages::read(&wanted.messages, &state.settings)?;
    let ask = Ask {
        question: conversation.question,
        collection: models::collection(&wanted.model)?,
        passages: wanted.passages,
        background: false,
        filter: wanted.filter.filter(|filter| !filter.is_null()),
        conversation_id: None,
        history: Some(conversation.turns),
    };
    let asked = questions::create(&state, &caller, &request, Mode::Answer, &ask).await;
    let question = asked.map_err(|error| match error {
        // The only thing that is looked up is the collection.
        ApiError::NotFound(_) => ApiError::NoSuchModel,
        other => other,
    })?;
    let completion = Completion {
        base: citations::base(&state, &headers),
        answering: Answering::attach(&state, caller.reach.clone(), question, seat).await?,
        question,
        model: wanted.model,
        created: Utc::now().timestamp(),
        caller,
        state,
    };
    if wanted.stream == Some(true) {
        let options = wanted.stream_options;
        let with_usage = options.is_some_and(|Object(options)| options.include_usage);
        Ok(completion.streamed(with_usage))
    } else {
        completion.whole().await.map(IntoResponse::into_response)
    }
}

/// A completion that is on its way.
struct Completion {
    state: AppState,
    caller: Caller,
    answering: Answering,
    question: QuestionId,
    model: String,
    created: i64,
    base: String,
}

impl Completion {
    async fn whole(self) -> Result<Json<Value>> {
        let answer = Answer::of(self.answering).await?;
        let annotations = citations::annotations(
            &self.state,
            &self.caller.reach,
            &self.base,
            &answer.text,
            &answer.sources,
        );
        let annotations = annotations.await?;
        Ok(Json(json!({
            "id": format!("chatcmpl-{}", self.question),
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant", "content": answer.text, "refusal": null, "annotations": annotations,
                },
                "logprobs": null,
                "finish_reason": finish_reason(&answer.done),
            }],
            "usage": usage(&answer.done),
            "lectern": ours(self.question, &answer),
        })))
    }

    fn streamed(self, with_usage: bool) -> Response {
        let Self {
            state,
            caller,
            mut answering,
            question,
            model,
            created,
            base,
        } = self;
        let chunk = move |delta: Value, finish: Option<&str>| {
            let mut chunk = json!({
                "id": format!("chatcmpl-{question}"), "object": "chat.completion.chunk", "created": created,
                "model": model,
                "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
            });
            if with_usage {
                chunk["usage"] = Value::Null;
            }
            chunk
        };
        let events = stream! {
            yield told(&chunk(json!({"role": "assistant", "content": ""}), None));
            let mut answer = Answer::default();
            // What the client has: it can take nothing back.
            let mut sent = String::new();
            loop {
                match answering.next().await {
                    Ok(Step::Sources(sources)) => answer.sources = sources,
                    Ok(Step::Reset) => answer = Answer::default(),
                    Ok(Step::Text(text)) => {
                        answer.text.push_str(&text);
                        match beyond(&answer.text, &sent) {
                            Ok("") => {}
                            Ok(new) => {
                                let delta = chunk(json!({"content": new}), None);
                                sent.push_str(new);
                                yield told(&delta);
                            }
                            Err(error) => {
                                yield told(&refusals::body(&error.refusal(), 500));
                                break;
                            }
                        }
                    }
                    Ok(Step::Done(done)) => {
                        answer.done = *done;
                        let annotations = citations::annotations(
                            &state, &caller.reach, &base, &answer.text, &answer.sources,
                        );
                        match annotations.await {
                            Ok(found) if found.is_empty() => {}
                            Ok(found) => yield told(&chunk(json!({"annotations": found}), None)),
                            Err(error) => tracing::warn!(%error, "citations are left out"),
                        }
                        let mut last = chunk(json!({}), Some(finish_reason(&answer.done)));
                        last["lectern"] = ours(question, &answer);
                        yield told(&last);
                        if with_usage {
                            let mut counted = chunk(json!({}), None);
                            counted["choices"] = json!([]);
                            counted["usage"] = usage(&answer.done);
                            yield told(&counted);
                        }
                        yield Ok(Event::default().data("[DONE]"));
                        break;
                    }
                    Err(error) => {
                        yield told(&refusals::body(&error.refusal(), 500));
                        break;
                    }
                }
            }
        };
        let mut response = Sse::new(events)
            .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
            .into_response();
        // nginx would otherwise collect the tokens into blocks.
        response
            .headers_mut()
            .insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

/// What the client doesn't have yet. An answer that starts over may say the same again; one that says something else
/// can't be told in this stream any more.
fn beyond<'a>(text: &'a str, sent: &str) -> Result<&'a str> {
    if let Some(new) = text.strip_prefix(sent) {
        return Ok(new);
    }
    if sent.starts_with(text) {
        return Ok("");
    }
    Err(ApiError::StartedOver)
}

fn told(value: &Value) -> std::result::Result<Event, Infallible> {
    Ok(Event::default().data(value.to_string()))
}

fn finish_reason(done: &AnswerDone) -> &'static str {
    if done.usage["truncated"] == true {
        "length"
    } else {
        "stop"
    }
}

fn usage(done: &AnswerDone) -> Value {
    let count = |name: &str| done.usage[name].as_u64().unwrap_or_default();
    let (prompt, answer) = (count("prompt_tokens"), count("answer_tokens"));
    json!({"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer})
}

/// What OpenAI's clients have no field for.
fn ours(question: QuestionId, answer: &Answer) -> Value {
    json!({
        "question": question, "confidence": answer.done.confidence, "cached": answer.done.cached,
        "abstained": answer.done.abstained, "cited": answer.done.cited, "sources": answer.sources,
        "notice": answer.done.notice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_starts_over_goes_on_as_long_as_it_says_the_same() {
        assert_eq!(beyond("It is 47.", "It is").unwrap(), " 47.");
        assert_eq!(beyond("It", "It is").unwrap(), "");
        assert!(beyond("No.", "It is").is_err());
    }
}
