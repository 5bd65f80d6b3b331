//! Questions that the documents didn't answer: for whoever looks after a collection.

use axum::{Json, extract::State, http::StatusCode};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use lectern_shared::{
    ids::{DocumentId, QuestionId, UnansweredId},
    store::unanswered::{self, Nearest, ToFaq},
};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::{self, Path, Query, QuestionText},
    faqs::{self, FaqView},
    jobs,
    observe::RequestId,
    state::AppState,
};

/// Equal and similar questions as clients see them.
#[derive(Serialize, ToSchema)]
#[schema(as = Unanswered)]
pub(crate) struct UnansweredView {
    id: UnansweredId,
    collection: String,
    /// As it was asked first.
    question: String,
    count: i64,
    first_asked_at: DateTime<Utc>,
    last_asked_at: DateTime<Utc>,
    /// The latest of them.
    latest: Option<QuestionId>,
    /// What was nearest then, as far as it is still there.
    nearest: Vec<NearestView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NearestPages)]
pub(crate) struct NearestView {
    document: DocumentId,
    document_name: String,
    page_first: i32,
    page_last: i32,
    score: f32,
}

impl From<&Nearest> for NearestView {
    fn from(nearest: &Nearest) -> Self {
        Self {
            document: nearest.document,
            document_name: nearest.document_name.clone(),
            page_first: nearest.page_first,
            page_last: nearest.page_last,
            score: nearest.score,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[param(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
    /// The `next` of the page before.
    #[param(pattern = r"^[A-Za-z0-9_-]{32}$")]
    cursor: Option<String>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = UnansweredList)]
pub(crate) struct List {
    unanswered: Vec<UnansweredView>,
    /// Pass as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /api/v1/unanswered`: what is asked most comes first.
#[utoipa::path(
    get, path = "/api/v1/unanswered", tag = "FAQs and feedback", operation_id = "listUnanswered",
    summary = "List questions that were not answered",
    description = "",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them, what is asked most first", body = List),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = jobs::limit(query.limit)?;
    let after = query.cursor.as_deref().map(position).transpose()?;
    let collection = match &query.collection {
        Some(name) => Some(collections::resolve(&state, &caller.reach, Some(name)).await?),
        None => None,
    };
    let mut found =
        unanswered::list(&state.pool, &caller.reach, collection, after, limit + 1).await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found
        .last()
        .filter(|_| has_next)
        .map(|last| cursor((last.count, last.id)));
    let latest: Vec<_> = found.iter().filter_map(|asked| asked.latest).collect();
    let nearest = unanswered::nearest(&state.pool, caller.tenant, &latest).await?;
    let view = |asked: unanswered::Unanswered| UnansweredView {
        nearest: nearest
            .iter()
            .filter(|nearest| asked.latest == Some(nearest.question))
            .map(Into::into)
            .collect(),
        id: asked.id,
        collection: asked.collection,
        question: asked.question,
        count: asked.count,
        first_asked_at: asked.first_asked_at,
        last_asked_at: asked.last_asked_at,
        latest: asked.latest,
    };
    Ok(Json(List {
        unanswered: found.into_iter().map(view).collect(),
        next,
    }))
}

type Position = (i64, UnansweredId);

fn cursor((count, id): Position) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&count.to_be_bytes()[..], id.0.as_bytes()].concat())
}

fn position(cursor: &str) -> Result<Position> {
    let read = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (count, id) = bytes.split_first_chunk()?;
        let id = Uuid::from_slice(id).ok()?;
        Some((i64::from_be_bytes(*count), UnansweredId(id)))
    };
    read().ok_or_else(|| {
        ApiError::Invalid(
            "The parameter `cursor` is not from this list. Pass the `next` of the page before, or begin without it."
                .into(),
        )
    })
}

const NO_SUCH: ApiError = ApiError::NotFound("unanswered question");

#[derive(Deserialize, ToSchema)]
#[schema(as = UnansweredAnswer)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// As it was asked first, unless it is worded better here.
    #[schema(max_length = 2000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    question: Option<String>,
    #[schema(max_length = 8000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    answer: String,
    /// Where readers find more.
    #[schema(format = "uri", pattern = r"^https?://[A-Za-z0-9]", max_length = 2048)]
    link: Option<String>,
}

/// `POST /api/v1/unanswered/{id}/faq`: answers it for all that ask it from now on.
#[utoipa::path(
    post, path = "/api/v1/unanswered/{id}/faq", tag = "FAQs and feedback", operation_id = "answerUnanswered",
    summary = "Answer such a question for all",
    description = "",
    params(("id" = UnansweredId, Path, description = "The question, as the list has it")),
    request_body(content = Answer),
    responses(
        (status = 201, description = "The FAQ", body = FaqView),
    ),
)]
pub(crate) async fn to_faq(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(id): Path<UnansweredId>,
    extract::Json(wanted): extract::Json<Answer>,
) -> Result<(StatusCode, Json<FaqView>)> {
    let chars_max = state.settings.question_chars_max;
    let question = wanted
        .question
        .as_deref()
        .map(|question| QuestionText::new(question, chars_max))
        .transpose()?;
    let answer = faqs::answer(&wanted.answer, state.settings.faq_answer_chars_max)?;
    let link = faqs::link(wanted.link.as_deref())?;
    let faq = ToFaq {
        question: question.as_ref().map(QuestionText::as_str),
        answer,
        link: link.as_deref(),
        faqs_max: state.settings.faqs_max,
    };
    let written = unanswered::to_faq(
        &state.pool,
        &caller.reach,
        id,
        &faq,
        Some(&request),
        &state.limits,
    )
    .await?;
    if matches!(written, lectern_shared::store::faqs::Written::Missing) {
        return Err(NO_SUCH);
    }
    let view = faqs::written_view(&state, written).await?;
    info!(unanswered.id = %id, "unanswered question made a FAQ");
    Ok((StatusCode::CREATED, Json(view)))
}

/// Takes it off the list, until it is asked again.
#[utoipa::path(
    delete, path = "/api/v1/unanswered/{id}", tag = "FAQs and feedback", operation_id = "dismissUnanswered",
    summary = "Take a question off that list",
    description = "",
    params(("id" = UnansweredId, Path, description = "The question, as the list has it")),
    responses(
        (status = 204, description = "It is off the list, until it is asked again"),
    ),
)]
pub(crate) async fn dismiss(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<UnansweredId>,
) -> Result<StatusCode> {
    if !unanswered::dismiss(&state.pool, &caller.reach, id).await? {
        return Err(NO_SUCH);
    }
    info!(unanswered.id = %id, "unanswered question dismissed");
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nonsense_is_refused() {
        let there = (7, UnansweredId::fresh());
        assert_eq!(position(&cursor(there)).unwrap(), there);
        assert!(position("nonsense").is_err());
    }
}
