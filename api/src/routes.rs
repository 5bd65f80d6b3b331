//! Every route, on one screen: its method and path, the scope that a key needs for it, and its handler.

use axum::{Router, middleware};
use lectern_shared::keys::Scope;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    auth::Need,
    collections, conversations, documents, error, etag, faqs, feedback, health, imports, jobs,
    keys, limits, listing, mcp, observe, openai, operations, overload, page, pages, questions,
    reference, search,
    state::AppState,
    streams,
    table::{self, Route, delete, get, patch, post, put},
    tenants, unanswered, upload, usage, webhooks,
};

const OPEN: Need = Need::Nothing;
const SIGNED_IN: Need = Need::Key;
const READ: Need = Need::Scope(&[Scope::Read]);
const SEARCH: Need = Need::Scope(&[Scope::Ask]);
const WRITE: Need = Need::Scope(&[Scope::Write]);
const ADMIN: Need = Need::Scope(&[Scope::Admin]);
const OPERATOR: Need = Need::Scope(&[Scope::Operator]);
const LOOK: Need = Need::Scope(&[Scope::Read, Scope::Ask]);
// What widgets do, too: ask, and follow what they have asked.
const ASK: Need = Need::Visit(&[Scope::Ask]);
const FOLLOW: Need = Need::Visit(&[Scope::Ask, Scope::Read]);

#[rustfmt::skip]
pub(crate) fn table() -> Vec<Route> {
    vec![
        get("/api/v1/documents", READ, listing::list),
        post("/api/v1/documents", WRITE, upload::upload).upload(),
        post("/api/v1/documents/retry", WRITE, jobs::retry_documents),
        get("/api/v1/documents/{id}", READ, documents::show),
        patch("/api/v1/documents/{id}", WRITE, documents::change),
        delete("/api/v1/documents/{id}", WRITE, documents::delete),
        get("/api/v1/documents/{id}/events", READ, streams::document).streaming(),
        get("/api/v1/documents/{id}/file", READ, documents::file).streaming(),
        put("/api/v1/documents/{id}/file", WRITE, upload::replace).upload(),
        get("/api/v1/documents/{id}/pages", READ, pages::show),
        post("/api/v1/documents/{id}/cancel", WRITE, documents::cancel),
        post("/api/v1/documents/{id}/retry", WRITE, documents::retry),
        post("/api/v1/documents/{id}/reingest", WRITE, documents::reingest),
        post("/api/v1/imports", WRITE, imports::create).upload(),
        get("/api/v1/imports/{id}", READ, imports::show),
        post("/api/v1/imports/{id}/cancel", WRITE, imports::cancel),

        post("/api/v1/questions", ASK, questions::ask).streaming(),
        get("/api/v1/questions/{id}", FOLLOW, questions::show),
        delete("/api/v1/questions/{id}", ASK, questions::cancel),
        get("/api/v1/questions/{id}/events", FOLLOW, streams::question).streaming(),
        get("/api/v1/questions/{id}/feedback", FOLLOW, feedback::show),
        post("/api/v1/questions/{id}/feedback", ASK, feedback::rate),
        put("/api/v1/questions/{id}/feedback", ASK, feedback::rate),
        get("/api/v1/conversations", LOOK, conversations::list),
        post("/api/v1/conversations", ASK, conversations::create),
        get("/api/v1/conversations/{id}", FOLLOW, conversations::show),
        delete("/api/v1/conversations/{id}", ASK, conversations::delete),
        post("/api/v1/search", SEARCH, search::search),

        get("/api/v1/feedback", READ, feedback::list),
        get("/api/v1/unanswered", READ, unanswered::list),
        delete("/api/v1/unanswered/{id}", WRITE, unanswered::dismiss),
        post("/api/v1/unanswered/{id}/faq", WRITE, unanswered::to_faq),

        get("/api/v1/collections", LOOK, collections::list),
        post("/api/v1/collections", ADMIN, collections::create),
        get("/api/v1/collections/{name}", LOOK, collections::show),
        patch("/api/v1/collections/{name}", ADMIN, collections::change),
        get("/api/v1/collections/{name}/faqs", READ, faqs::list),
        post("/api/v1/collections/{name}/faqs", WRITE, faqs::create),
        get("/api/v1/collections/{name}/faqs/{id}", READ, faqs::show),
        put("/api/v1/collections/{name}/faqs/{id}", WRITE, faqs::replace),
        delete("/api/v1/collections/{name}/faqs/{id}", WRITE, faqs::delete),

        get("/api/v1/jobs/dead", ADMIN, jobs::dead),
        delete("/api/v1/jobs/{id}", ADMIN, jobs::dismiss),
        post("/api/v1/jobs/{id}/retry", ADMIN, jobs::retry),
        get("/api/v1/webhooks", ADMIN, webhooks::list),
        post("/api/v1/webhooks", ADMIN, webhooks::create),
        delete("/api/v1/webhooks/{id}", ADMIN, webhooks::delete),
        get("/api/v1/webhooks/{id}/deliveries", ADMIN, webhooks::deliveries),

        get("/api/v1/me", SIGNED_IN, keys::me),
        get("/api/v1/usage", SIGNED_IN, usage::show),
        get("/api/v1/keys", ADMIN, keys::list),
        post("/api/v1/keys", ADMIN, keys::create),
        delete("/api/v1/keys/{id}", ADMIN, keys::revoke),
        get("/api/v1/tenants", OPERATOR, tenants::list),
        post("/api/v1/tenants", OPERATOR, tenants::create),
        patch("/api/v1/tenants/{id}", OPERATOR, tenants::change),
        get("/api/v1/tenants/{id}/quotas", OPERATOR, tenants::show_quotas),
        put("/api/v1/tenants/{id}/quotas", OPERATOR, tenants::replace_quotas),

        post("/v1/chat/completions", SEARCH, openai::complete).waiting().openai(),
        post("/v1/embeddings", SEARCH, openai::embed).waiting().openai(),
        get("/v1/models", LOOK, openai::models).openai(),
        get("/v1/models/{*id}", LOOK, openai::model).openai(),

        // Each tool needs the scope of the route that does the same.
        post("/mcp", LOOK, mcp::serve).waiting(),

        get("/api/v1/operations", ADMIN, operations::show),
        get("/api/v1/openapi.json", OPEN, reference::serve),
        get("/api/v1/health", OPEN, health::report),
        get("/api/v1/health/live", OPEN, health::live),
        get("/api/v1/health/ready", OPEN, health::ready),
        get("/metrics", OPEN, health::metrics),
    ]
}

pub(crate) fn router(state: AppState) -> Router {
    table::router(&state, table())
        .merge(openai::fallback())
        .merge(page::router(&state.settings.web_dir))
        .fallback(error::no_such_route)
        .layer(middleware::from_fn(etag::tag))
        .layer(middleware::from_fn_with_state(state.clone(), limits::watch))
        .layer(middleware::from_fn(overload::refuse_encoded))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            overload::shed,
        ))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::from_fn(observe::observe))
        .with_state(state)
}
