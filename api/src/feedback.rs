//! Thumbs up or down on answers, with a reason: what readers give, and the list for whoever looks after them.

use axum::{Json, extract::State};
use lectern_shared::{
    ids::{FeedbackId, QuestionId},
    metrics,
    store::{
        feedback::{self, Feedback, Filter, NewFeedback, Rating, Reason},
        questions,
    },
};
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::Caller,
    collections,
    error::{ApiError, Result},
    extract::{self, Path, Query},
    jobs,
    state::AppState,
};

#[derive(Deserialize, ToSchema)]
#[schema(as = NewFeedback)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    rating: Rating,
    reason: Option<Reason>,
    #[schema(max_length = 2000, pattern = r"^[^\x00]*$")]
    comment: Option<String>,
}

/// `POST` or `PUT /api/v1/questions/{id}/feedback`: rates its answer, or changes what was said of it.
#[utoipa::path(
    method(post, put), path = "/api/v1/questions/{id}/feedback", tag = "Questions", operation_id = "rateAnswer",
    summary = "Rate an answer, or change the rating",
    description = "`correct`, `complete` and `clear` are reasons for `up`; `wrong`, `incomplete`, `wrong_source`, `outdated`, `unclear` and `not_answered` for `down`; `other` for both.",
    params(("id" = QuestionId, Path, description = "The question")),
    request_body(content = Rate),
    responses(
        (status = 200, description = "The rating as it is kept", body = Feedback),
    ),
)]
pub(crate) async fn rate(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<QuestionId>,
    extract::Json(wanted): extract::Json<Rate>,
) -> Result<Json<Feedback>> {
    let reasons = wanted.rating.reasons();
    if wanted
        .reason
        .is_some_and(|reason| !reasons.contains(&reason))
    {
        let names: Vec<_> = reasons.iter().map(|reason| reason.as_str()).collect();
        return Err(ApiError::Invalid(format!(
            "A reason for `{}` is one of {}.",
            wanted.rating.as_str(),
            names.join(", ")
        )));
    }
    let comment = comment(
        wanted.comment.as_deref(),
        state.settings.feedback_comment_chars_max,
    )?;
    questions::find(&state.pool, &caller.reach, id)
        .await?
        .ok_or(NO_QUESTION)?;
    let new = NewFeedback {
        rating: wanted.rating,
        reason: wanted.reason,
        comment,
    };
    if !feedback::rate(&state.pool, &caller.reach, id, &new).await? {
        return Err(ApiError::Taken(
            "This question has no answer yet. Rate it when its state is `answered`.".into(),
        ));
    }
    ::metrics::counter!(metrics::FEEDBACK, "rating" => wanted.rating.as_str()).increment(1);
    info!(question.id = %id, rating = wanted.rating.as_str(), "answer rated");
    let kept = feedback::of(&state.pool, &caller.reach, id).await?;
    kept.map(Json).ok_or(NO_QUESTION)
}

const NO_QUESTION: ApiError = ApiError::NotFound("question");

/// A comment that isn't too long; an empty one is none.
fn comment(raw: Option<&str>, chars_max: usize) -> Result<Option<&str>> {
    let comment = raw.map(str::trim).filter(|comment| !comment.is_empty());
    let chars = comment.map_or(0, |comment| comment.chars().count());
    if chars > chars_max {
        return Err(ApiError::Invalid(format!(
            "The comment has {chars} characters, this server takes {chars_max}. Shorten it, or raise \
             LECTERN_FEEDBACK_COMMENT_CHARS_MAX."
        )));
    }
    if comment.is_some_and(|comment| comment.contains('\0')) {
        return Err(ApiError::Invalid(
            "The comment has a NUL character in it. Take it out.".into(),
        ));
    }
    Ok(comment)
}

/// `GET /api/v1/questions/{id}/feedback`
#[utoipa::path(
    get, path = "/api/v1/questions/{id}/feedback", tag = "Questions", operation_id = "getFeedback",
    summary = "Show the rating of an answer",
    description = "",
    params(("id" = QuestionId, Path, description = "The question")),
    responses(
        (status = 200, description = "What was said of it", body = Feedback),
    ),
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<QuestionId>,
) -> Result<Json<Feedback>> {
    let kept = feedback::of(&state.pool, &caller.reach, id).await?;
    kept.map(Json)
        .ok_or(ApiError::NotFound("feedback on this question"))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[param(pattern = r"^[\p{L}\p{N}._-]{1,64}$")]
    collection: Option<String>,
    rating: Option<Rating>,
    reason: Option<Reason>,
    /// The `next` of the page before.
    cursor: Option<FeedbackId>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FeedbackList)]
pub(crate) struct List {
    feedback: Vec<Feedback>,
    /// Pass as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<FeedbackId>,
}

/// `GET /api/v1/feedback`: newest first.
#[utoipa::path(
    get, path = "/api/v1/feedback", tag = "FAQs and feedback", operation_id = "listFeedback",
    summary = "List ratings",
    description = "",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of ratings, newest first", body = List),
    ),
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<List>> {
    let limit = jobs::limit(query.limit)?;
    let collection = match &query.collection {
        Some(name) => Some(collections::resolve(&state, &caller.reach, Some(name)).await?),
        None => None,
    };
    let filter = Filter {
        collection,
        rating: query.rating,
        reason: query.reason,
        question: None,
    };
    let mut found =
        feedback::list(&state.pool, &caller.reach, &filter, query.cursor, limit + 1).await?;
    let has_next = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().map(|kept| kept.id).filter(|_| has_next);
    Ok(Json(List {
        feedback: found,
        next,
    }))
}
