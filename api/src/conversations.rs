//! Conversations: questions in order, of which the later may refer to the earlier. What is asked in one looks into the
//! collection that the conversation was begun with.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use lectern_shared::{
    failure::FailureReport,
    ids::{ConversationId, QuestionId},
    store::conversations::{self, Asked, Conversation},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    state::AppState,
};

pub(crate) const MISSING: ApiError =
    ApiError::NotFound("conversation (begin one with POST /api/v1/conversations)");

const LIST_MAX: u32 = 200;

/// A conversation as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversation)]
pub(crate) struct ConversationView {
    id: ConversationId,
    collection: String,
    /// How many questions were asked.
    turns: i32,
    /// The first of them.
    question: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Conversation> for ConversationView {
    fn from(conversation: Conversation) -> Self {
        Self {
            id: conversation.id,
            collection: conversation.collection,
            turns: conversation.turns,
            question: conversation.question,
            created_at: conversation.created_at,
            updated_at: conversation.updated_at,
        }
    }
}

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = NewConversation)]
#[serde(deny_unknown_fields)]
pub(crate) struct Create {
    #[schema(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
}

/// `POST /api/v1/conversations`
#[utoipa::path(
    post, path = "/api/v1/conversations", tag = "Questions", operation_id = "beginConversation",
    summary = "Begin a conversation",
    description = "What is asked in it may refer to what was asked before. The body may be left out.",
    request_body(content = Create),
    responses(
        (status = 201, description = "The conversation", body = ConversationView, headers(("location" = String, description = "Where it is"))),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    wanted: Option<extract::Json<Create>>,
) -> Result<Response> {
    let wanted = wanted
        .map(|extract::Json(wanted)| wanted)
        .unwrap_or_default();
    let collection =
        collections::resolve(&state, &caller.reach, wanted.collection.as_deref()).await?;
    let id = conversations::create(&state.pool, caller.tenant, collection, &caller.asker).await?;
    let conversation = conversations::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(MISSING)?;
    let location = [(header::LOCATION, format!("/api/v1/conversations/{id}"))];
    let view = Json(ConversationView::from(conversation));
    Ok((StatusCode::CREATED, location, view).into_response())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The `next` of the page before.
    #[param(pattern = r"^[A-Za-z0-9_-]{21}[AQgw]$")]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConversationList)]
pub(crate) struct List {
    conversations: Vec<ConversationView>,
    /// Pass as `cursor` to get the next page; absent on the last.
    next: Option<String>,
}

/// `GET /api/v1/conversations`, newest first.
#[utoipa::path(
    get, path = "/api/v1/conversations", tag = "Questions", operation_id = "listConversations",
    summary = "List conversations",
    description = "",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of conversations, newest first", body = List),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = query.limit.unwrap_or(50);
    if limit == 0 || limit > LIST_MAX {
        return Err(ApiError::Invalid(format!(
            "The parameter `limit` goes from 1 to {LIST_MAX}."
        )));
    }
    let after = query.cursor.as_deref().map(position).transpose()?;
    // One more than wanted tells whether there is a next page.
    let mut found = conversations::list(&state.pool, &caller.reach, after, limit + 1).await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| has_next);
    Ok(Json(List {
        next: next.map(|last| BASE64_URL_SAFE_NO_PAD.encode(last.id.0)),
        conversations: found.into_iter().map(ConversationView::from).collect(),
    }))
}

fn position(cursor: &str) -> Result<ConversationId> {
    BASE64_URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .map(ConversationId)
        .ok_or_else(|| {
            ApiError::Invalid(
                "The parameter `cursor` is not from this list. Pass the `next` of the page before, or begin without it."
                    .into(),
            )
        })
}

/// A question of a conversation; its sources are at `/api/v1/questions/{id}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Turn)]
pub(crate) struct TurnView {
    id: QuestionId,
    turn: i32,
    question: String,
    /// What it was taken for, if it was a follow-up.
    standalone_question: Option<String>,
    state: String,
    failure: Option<FailureReport>,
    answer: Option<String>,
    outdated: Option<bool>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl From<Asked> for TurnView {
    fn from(asked: Asked) -> Self {
        Self {
            id: asked.id,
            turn: asked.turn,
            question: asked.text,
            standalone_question: asked.standalone_question,
            state: asked.state,
            failure: asked.failure.as_deref().map(FailureReport::from_code),
            answer: asked.answer,
            outdated: asked.outdated,
            created_at: asked.created_at,
            finished_at: asked.finished_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ConversationWithQuestions)]
pub(crate) struct Whole {
    #[serde(flatten)]
    conversation: ConversationView,
    /// In the order in which they were asked: as many as `LECTERN_CONVERSATION_TURNS_MAX`, at the most.
    questions: Vec<TurnView>,
}

/// `GET /api/v1/conversations/{id}`
#[utoipa::path(
    get, path = "/api/v1/conversations/{id}", tag = "Questions", operation_id = "getConversation",
    summary = "Show a conversation",
    description = "",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses(
        (status = 200, description = "The conversation with its questions in order", body = Whole),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ConversationId>,
) -> Result<Json<Whole>> {
    let conversation = conversations::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(MISSING)?;
    let questions = conversations::questions(&state.pool, caller.tenant, id).await?;
    Ok(Json(Whole {
        conversation: conversation.into(),
        questions: questions.into_iter().map(TurnView::from).collect(),
    }))
}

/// `DELETE /api/v1/conversations/{id}`: with its questions and answers; those under way are cancelled.
#[utoipa::path(
    delete, path = "/api/v1/conversations/{id}", tag = "Questions", operation_id = "deleteConversation",
    summary = "Delete a conversation",
    description = "",
    params(("id" = ConversationId, Path, description = "The conversation")),
    responses(
        (status = 204, description = "It is gone, with its questions and answers"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<ConversationId>,
) -> Result<StatusCode> {
    let unfinished = conversations::delete(&state.pool, &caller.reach, id)
        .await?
        .ok_or(MISSING)?;
    for question in unfinished {
        state.cancel(caller.tenant, question.0).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nonsense_is_refused() {
        let id = ConversationId::fresh();
        assert_eq!(position(&BASE64_URL_SAFE_NO_PAD.encode(id.0)).unwrap(), id);
        assert!(position("nonsense").is_err());
        assert!(position("").is_err());
    }
}
