//! Questions: ask, look at, cancel. What becomes of them is in [`crate::streams`].

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use lectern_shared::{
    events::{
        EventId,
        payload::{FaqUsed, Source, Status},
    },
    failure::FailureReport,
    ids::{CollectionId, ConversationId, QuestionId},
    keys::Kind,
    store::{
        conversations::{self, Turn},
        questions::{self, Mode, NewQuestion, NextTurn},
        reach::Reach,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;
use utoipa::ToSchema;

use crate::{
    auth::Caller,
    collections,
    conversations::MISSING,
    error::{ApiError, Result},
    extract::{self, Path, QuestionText},
    fields,
    idempotency::InPlace,
    limits::Seat,
    observe::RequestId,
    reference::shapes,
    state::AppState,
    streams::{self, Subject},
};

#[derive(Deserialize, ToSchema)]
#[schema(as = NewQuestion)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    #[schema(max_length = 2000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    pub(crate) question: String,
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    pub(crate) collection: Option<String>,
    /// How many passages the answer may be made from.
    #[schema(minimum = 1, maximum = 20, default = 8)]
    #[serde(default, deserialize_with = "extract::whole")]
    pub(crate) passages: Option<u16>,
    /// Go on although nobody reads.
    #[serde(default)]
    pub(crate) background: bool,
    /// Only documents whose metadata contain this object.
    #[schema(value_type = Option<Object>)]
    pub(crate) filter: Option<Value>,
    /// The conversation that it is the next question of.
    pub(crate) conversation_id: Option<ConversationId>,
    /// The turns before it, where the asker keeps the conversation.
    #[serde(skip)]
    pub(crate) history: Option<Vec<Turn>>,
}

/// Passages that an answer is made from, unless the question says otherwise.
const PASSAGES: u16 = 8;

/// Writes a question and wakes a worker for it.
pub(crate) async fn create(
    state: &AppState,
    caller: &Caller,
    request: &str,
    mode: Mode,
    ask: &Ask,
) -> Result<QuestionId> {
    let text = QuestionText::new(&ask.question, state.settings.question_chars_max)?;
    let passages_max = extract::passages(ask.passages, PASSAGES, state.settings.passages_max)?;
    let collection = collection(state, &caller.reach, ask).await?;
    if ask.filter.is_some() && caller.kind == Kind::Widget {
        return Err(ApiError::Forbidden(
            "A widget's key may not send a `filter`: its answers would tell what the metadata of documents are. Put what \
             visitors may ask about into a collection of its own, and name that in the key."
                .into(),
        ));
    }
    let filter = ask.filter.clone();
    let filter = filter
        .map(|filter| fields::metadata(filter, "filter"))
        .transpose()?;
    let id = QuestionId::unguessable();
    let question = NewQuestion {
        id,
        tenant: caller.tenant,
        collection,
        mode,
        text: text.as_str(),
        passages_max,
        background: ask.background,
        filter: filter.as_ref(),
        conversation: ask.conversation_id.map(|conversation| NextTurn {
            conversation,
            turns_max: state.settings.conversation_turns_max,
        }),
        asker: Some(&caller.asker),
        history: ask.history.as_deref().filter(|turns| !turns.is_empty()),
    };
    let job = questions::create(&state.pool, &question, Some(request), &state.limits).await?;
    state.wake(job).await;
    info!(question.id = %id, job.id = %job.id, "question accepted");
    Ok(id)
}

/// The one that is named; in a conversation that of the conversation, and no other.
async fn collection(state: &AppState, reach: &Reach, ask: &Ask) -> Result<CollectionId> {
    let named = ask.collection.as_deref();
    let Some(conversation) = ask.conversation_id else {
        return collections::resolve(state, reach, named).await;
    };
    let its = conversations::collection(&state.pool, reach, conversation)
        .await?
        .ok_or(MISSING)?;
    if named.is_some() && collections::resolve(state, reach, named).await? != its {
        return Err(ApiError::Taken(
            "This conversation is about another collection. Leave out the field `collection`, or begin another \
             conversation."
                .into(),
        ));
    }
    Ok(its)
}

#[derive(Serialize, ToSchema)]
#[schema(as = QuestionAccepted)]
pub(crate) struct Accepted {
    id: QuestionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<ConversationId>,
    state: &'static str,
    /// Where the answer arrives.
    events: String,
}

/// `POST /api/v1/questions`: 202 with the place of the event stream, or, with `Accept: text/event-stream`, the stream.
#[utoipa::path(
    post, path = "/api/v1/questions", tag = "Questions", operation_id = "ask",
    summary = "Ask a question",
    description = "With `Accept: text/event-stream` the response is the stream of the answer itself, with status 200.",
    request_body(content = Ask),
    responses(
        (status = 202, description = "It is taken: the answer comes at `events`", body = Accepted, headers(("location" = String, description = "Where it is"))),
        (status = 200, description = streams::ANSWER_EVENTS, body = shapes::AnswerEvent, content_type = "text/event-stream", headers(("location" = String, description = "Where it is"))),
    ),
)]
pub(crate) async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Listener(seat): Listener,
    extract::Json(ask): extract::Json<Ask>,
) -> Result<Response> {
    let id = create(&state, &caller, &request, Mode::Answer, &ask).await?;
    let location = format!("/api/v1/questions/{id}");
    let accepted = Accepted {
        id,
        conversation_id: ask.conversation_id,
        state: "queued",
        events: format!("{location}/events"),
    };
    let mut response = if let Some(seat) = seat {
        let subject = Subject::Question {
            id,
            background: ask.background,
        };
        let first = Status {
            question: Some(id),
            ..Status::stage("queued")
        };
        let mut stream = streams::follow(
            state,
            caller.reach,
            subject,
            EventId::default(),
            Some(first),
            seat,
        )
        .await?;
        let kept = serde_json::to_vec(&accepted).unwrap_or_default();
        stream.extensions_mut().insert(InPlace(kept));
        stream
    } else {
        (StatusCode::ACCEPTED, Json(accepted)).into_response()
    };
    if let Ok(location) = location.parse() {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// A place for the stream, taken before anything is written, if a stream is wanted.
pub(crate) struct Listener(Option<Seat>);

impl FromRequestParts<AppState> for Listener {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        if !wants_stream(&parts.headers) {
            return Ok(Self(None));
        }
        Ok(Self(Some(Seat::from_request_parts(parts, state).await?)))
    }
}

pub(crate) fn wants_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("text/event-stream"))
}

/// A question as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Question)]
pub(crate) struct QuestionView {
    id: QuestionId,
    collection: String,
    question: String,
    /// `queued`, `running`, `answered`, `failed` or `cancelled`.
    state: String,
    failure: Option<FailureReport>,
    answer: Option<String>,
    sources: Vec<Source>,
    generator: Option<String>,
    #[schema(value_type = Option<Object>)]
    usage: Option<Value>,
    #[schema(value_type = Option<Object>)]
    timings: Option<Value>,
    confidence: Option<f32>,
    /// Of the question, as ISO 639-1.
    language: Option<String>,
    cached: Option<bool>,
    /// The documents don't answer; the sources are the nearest passages.
    abstained: Option<bool>,
    /// The FAQ that is the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    faq: Option<FaqUsed>,
    /// `budget_exhausted`: the generator was not asked, since the tenant's tokens are used up. `uncited`: the answer
    /// cites none of its sources.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    /// A document that it was made from was deleted or replaced since.
    outdated: Option<bool>,
    /// `up` or `down`, if somebody has rated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<String>,
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    conversation_id: Option<ConversationId>,
    /// Its place in the conversation, from 1.
    turn: Option<i32>,
    /// What it was taken for, if it was a follow-up.
    standalone_question: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

#[utoipa::path(
    get, path = "/api/v1/questions/{id}", tag = "Questions", operation_id = "getQuestion",
    summary = "Show a question with its answer",
    description = "",
    params(("id" = QuestionId, Path, description = "The question")),
    responses(
        (status = 200, description = "The question, with its answer and sources as far as there are some", body = QuestionView),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<QuestionId>,
) -> Result<Json<QuestionView>> {
    let question = questions::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("question"))?;
    let sqlx::types::Json(sources) = question.sources;
    Ok(Json(QuestionView {
        id,
        collection: question.collection,
        question: question.text,
        state: question.state,
        failure: question.failure.as_deref().map(FailureReport::from_code),
        answer: question.answer,
        sources: sources.into_iter().map(Source::from).collect(),
        generator: question.generator,
        usage: question.usage,
        timings: question.timings,
        confidence: question.confidence,
        language: question.language,
        cached: question.cached,
        abstained: question.abstained,
        faq: question.faq.map(|faq| faq.0),
        notice: question.notice,
        outdated: question.outdated,
        rating: question.rating,
        filter: question.filter,
        conversation_id: question.conversation,
        turn: question.turn,
        standalone_question: question.standalone_question,
        created_at: question.created_at,
        finished_at: question.finished_at,
    }))
}

/// Cancels the answer. One that is complete stays as it is.
#[utoipa::path(
    delete, path = "/api/v1/questions/{id}", tag = "Questions", operation_id = "cancelQuestion",
    summary = "Stop an answer",
    description = "",
    params(("id" = QuestionId, Path, description = "The question")),
    responses(
        (status = 204, description = "It is stopped; an answer that is complete stays"),
    ),
)]
pub(crate) async fn cancel(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<QuestionId>,
) -> Result<StatusCode> {
    questions::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(ApiError::NotFound("question"))?;
    state.cancel(caller.tenant, id.0).await?;
    Ok(StatusCode::NO_CONTENT)
}
