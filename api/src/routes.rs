//! Every route, on one screen.

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{delete, get, post, put},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    collections, conversations, documents,
    error::{self, ApiError, Result},
    faqs, feedback, health, imports, jobs, listing, observe, page, questions, search,
    state::AppState,
    streams, unanswered, upload, webhooks,
};

pub(crate) fn router(state: AppState) -> Router {
    let settings = state.settings.clone();
    let quick = Router::new()
        .route("/api/v1/documents", get(listing::list))
        .route(
            "/api/v1/documents/{id}",
            get(documents::show)
                .patch(documents::change)
                .delete(documents::delete),
        )
        .route("/api/v1/documents/{id}/cancel", post(documents::cancel))
        .route("/api/v1/documents/{id}/retry", post(documents::retry))
        .route("/api/v1/documents/{id}/reingest", post(documents::reingest))
        .route("/api/v1/documents/retry", post(jobs::retry_documents))
        .route("/api/v1/jobs/dead", get(jobs::dead))
        .route("/api/v1/jobs/{id}", delete(jobs::dismiss))
        .route("/api/v1/jobs/{id}/retry", post(jobs::retry))
        .route(
            "/api/v1/webhooks",
            get(webhooks::list).post(webhooks::create),
        )
        .route("/api/v1/webhooks/{id}", delete(webhooks::delete))
        .route(
            "/api/v1/webhooks/{id}/deliveries",
            get(webhooks::deliveries),
        )
        .route(
            "/api/v1/questions/{id}",
            get(questions::show).delete(questions::cancel),
        )
        .route(
            "/api/v1/questions/{id}/feedback",
            get(feedback::show).post(feedback::rate).put(feedback::rate),
        )
        .route("/api/v1/feedback", get(feedback::list))
        .route("/api/v1/unanswered", get(unanswered::list))
        .route("/api/v1/unanswered/{id}", delete(unanswered::dismiss))
        .route("/api/v1/unanswered/{id}/faq", post(unanswered::to_faq))
        .route("/api/v1/imports/{id}", get(imports::show))
        .route("/api/v1/imports/{id}/cancel", post(imports::cancel))
        .route("/api/v1/search", post(search::search))
        .route(
            "/api/v1/collections",
            get(collections::list).post(collections::create),
        )
        .route(
            "/api/v1/collections/{name}",
            get(collections::show).patch(collections::change),
        )
        .route(
            "/api/v1/conversations",
            get(conversations::list).post(conversations::create),
        )
        .route(
            "/api/v1/conversations/{id}",
            get(conversations::show).delete(conversations::delete),
        )
        .route(
            "/api/v1/collections/{name}/faqs",
            get(faqs::list).post(faqs::create),
        )
        .route(
            "/api/v1/collections/{name}/faqs/{id}",
            get(faqs::show).put(faqs::replace).delete(faqs::delete),
        )
        .route("/api/v1/health", get(health::report))
        .route("/api/v1/health/live", get(health::live))
        .route("/api/v1/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/", get(page::index))
        .layer(middleware::from_fn_with_state(state.clone(), limit_time))
        .layer(DefaultBodyLimit::max(settings.body_bytes_max));
    let streaming = Router::new()
        .route("/api/v1/documents/{id}/events", get(streams::document))
        .route("/api/v1/documents/{id}/file", get(documents::file))
        .route("/api/v1/questions", post(questions::ask))
        .route("/api/v1/questions/{id}/events", get(streams::question))
        .layer(DefaultBodyLimit::max(settings.body_bytes_max));
    // The upload counts its bytes itself while they go to the blob store.
    let uploads = Router::new()
        .route("/api/v1/documents", post(upload::upload))
        .route("/api/v1/documents/{id}/file", put(upload::replace))
        .route("/api/v1/imports", post(imports::create))
        .layer(DefaultBodyLimit::disable());
    quick
        .merge(streaming)
        .merge(uploads)
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn(observe::observe))
        .with_state(state)
}

async fn limit_time(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response> {
    tokio::time::timeout(state.settings.request_timeout(), next.run(request))
        .await
        .map_err(|_| ApiError::TookTooLong)
}
