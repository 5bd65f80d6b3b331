//! FAQs of a collection: questions that people have answered, given before anything is searched.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use lectern_shared::{
    ids::FaqId,
    store::faqs::{self, Faq, NewFaq, Written},
};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::{self, Path, Query, QuestionText},
    fields, jobs,
    observe::RequestId,
    state::AppState,
};

/// A FAQ as clients see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Faq)]
pub(crate) struct FaqView {
    id: FaqId,
    question: String,
    answer: String,
    link: Option<String>,
    /// Whether similar questions find it, too, which a worker sees to; equal ones do at once.
    embedded: bool,
    /// Questions that it has answered.
    hits: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Faq> for FaqView {
    fn from(faq: Faq) -> Self {
        Self {
            id: faq.id,
            question: faq.question,
            answer: faq.answer,
            link: faq.link,
            embedded: faq.embedded,
            hits: faq.hits,
            created_at: faq.created_at,
            updated_at: faq.updated_at,
        }
    }
}

const NO_FAQ: ApiError = ApiError::NotFound("FAQ");

#[derive(Deserialize, ToSchema)]
#[schema(as = NewFaq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    #[schema(max_length = 2000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    question: String,
    #[schema(max_length = 8000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    answer: String,
    /// Where readers find more.
    #[schema(format = "uri", pattern = r"^https?://[A-Za-z0-9]", max_length = 2048)]
    link: Option<String>,
}

#[utoipa::path(
    post, path = "/api/v1/collections/{name}/faqs", tag = "FAQs and feedback", operation_id = "createFaq",
    summary = "Make a FAQ",
    description = "Questions that mean the same get its answer, before anything is searched.",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$")),
    request_body(content = Write),
    responses(
        (status = 201, description = "The FAQ", body = FaqView),
    ),
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path(collection): Path<String>,
    extract::Json(wanted): extract::Json<Write>,
) -> Result<(StatusCode, Json<FaqView>)> {
    let collection = collections::resolve(&state, &caller.reach, Some(&collection)).await?;
    let question = QuestionText::new(&wanted.question, state.settings.question_chars_max)?;
    let answer = answer(&wanted.answer, state.settings.faq_answer_chars_max)?;
    let link = link(wanted.link.as_deref())?;
    let faq = NewFaq {
        question: question.as_str(),
        answer,
        link: link.as_deref(),
    };
    let written = faqs::create(
        &state.pool,
        caller.tenant,
        collection,
        &faq,
        state.settings.faqs_max,
        Some(&request),
        &state.limits,
    );
    let view = written_view(&state, written.await?).await?;
    info!(faq.id = %view.id, "FAQ made");
    Ok((StatusCode::CREATED, Json(view)))
}

/// What a FAQ has become, once a worker is woken for its vector.
pub(crate) async fn written_view(state: &AppState, written: Written) -> Result<FaqView> {
    match written {
        Written::Done(faq, job) => {
            state.wake(job).await;
            Ok(faq.into())
        }
        Written::Missing => Err(NO_FAQ),
        Written::Taken => Err(ApiError::Taken(
            "There is a FAQ with this question already. Change that one, or word the question differently.".into(),
        )),
        Written::Full => Err(ApiError::Taken(format!(
            "The collection has {} FAQs, as many as this server takes. Delete one, or raise LECTERN_FAQS_MAX.",
            state.settings.faqs_max
        ))),
    }
}

/// An answer that is neither empty nor too long.
pub(crate) fn answer(raw: &str, chars_max: usize) -> Result<&str> {
    let answer = raw.trim();
    let chars = answer.chars().count();
    if answer.is_empty() || answer.contains('\0') {
        return Err(ApiError::Invalid(
            "The field `answer` is empty or has a NUL character in it. Write an answer into it."
                .into(),
        ));
    }
    if chars > chars_max {
        return Err(ApiError::Invalid(format!(
            "The answer has {chars} characters, this server takes {chars_max}. Shorten it, or raise \
             LECTERN_FAQ_ANSWER_CHARS_MAX."
        )));
    }
    Ok(answer)
}

/// A link, checked as that of a document.
pub(crate) fn link(raw: Option<&str>) -> Result<Option<String>> {
    raw.map(|raw| fields::url(raw, "link")).transpose()
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The `next` of the page before.
    cursor: Option<FaqId>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FaqList)]
pub(crate) struct List {
    faqs: Vec<FaqView>,
    /// Pass as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<FaqId>,
}

/// Newest first.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/faqs", tag = "FAQs and feedback", operation_id = "listFaqs",
    summary = "List the FAQs of a collection",
    description = "",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$"), ListQuery),
    responses(
        (status = 200, description = "A page of FAQs, newest first", body = List),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(collection): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = jobs::limit(query.limit)?;
    let collection = collections::resolve(&state, &caller.reach, Some(&collection)).await?;
    let mut found = faqs::list(
        &state.pool,
        caller.tenant,
        collection,
        query.cursor,
        limit + 1,
    )
    .await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(|faq| faq.id).filter(|_| has_next);
    Ok(Json(List {
        faqs: found.into_iter().map(Into::into).collect(),
        next,
    }))
}

#[utoipa::path(
    get, path = "/api/v1/collections/{name}/faqs/{id}", tag = "FAQs and feedback", operation_id = "getFaq",
    summary = "Show a FAQ",
    description = "",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$"), ("id" = FaqId, Path, description = "The FAQ")),
    responses(
        (status = 200, description = "The FAQ", body = FaqView),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path((collection, id)): Path<(String, FaqId)>,
) -> Result<Json<FaqView>> {
    let collection = collections::resolve(&state, &caller.reach, Some(&collection)).await?;
    let faq = faqs::find(&state.pool, caller.tenant, collection, id).await?;
    faq.map(|faq| Json(faq.into())).ok_or(NO_FAQ)
}

#[utoipa::path(
    put, path = "/api/v1/collections/{name}/faqs/{id}", tag = "FAQs and feedback", operation_id = "replaceFaq",
    summary = "Change a FAQ",
    description = "",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$"), ("id" = FaqId, Path, description = "The FAQ")),
    request_body(content = Write),
    responses(
        (status = 200, description = "The FAQ as it is now", body = FaqView),
    ),
)]
pub(crate) async fn replace(
    State(state): State<AppState>,
    caller: Caller,
    RequestId(request): RequestId,
    Path((collection, id)): Path<(String, FaqId)>,
    extract::Json(wanted): extract::Json<Write>,
) -> Result<Json<FaqView>> {
    let collection = collections::resolve(&state, &caller.reach, Some(&collection)).await?;
    let question = QuestionText::new(&wanted.question, state.settings.question_chars_max)?;
    let answer = answer(&wanted.answer, state.settings.faq_answer_chars_max)?;
    let link = link(wanted.link.as_deref())?;
    let faq = NewFaq {
        question: question.as_str(),
        answer,
        link: link.as_deref(),
    };
    let written = faqs::replace(
        &state.pool,
        caller.tenant,
        collection,
        id,
        &faq,
        Some(&request),
        &state.limits,
    );
    Ok(Json(written_view(&state, written.await?).await?))
}

#[utoipa::path(
    delete, path = "/api/v1/collections/{name}/faqs/{id}", tag = "FAQs and feedback", operation_id = "deleteFaq",
    summary = "Delete a FAQ",
    description = "",
    params(("name" = String, Path, description = "The name of the collection", pattern = r"^[\p{L}\p{N}._-]{1,64}$"), ("id" = FaqId, Path, description = "The FAQ")),
    responses(
        (status = 204, description = "It is gone"),
    ),
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path((collection, id)): Path<(String, FaqId)>,
) -> Result<StatusCode> {
    let collection = collections::resolve(&state, &caller.reach, Some(&collection)).await?;
    if !faqs::delete(&state.pool, caller.tenant, collection, id).await? {
        return Err(NO_FAQ);
    }
    info!(faq.id = %id, "FAQ deleted");
    Ok(StatusCode::NO_CONTENT)
}
