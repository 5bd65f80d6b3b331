//! The Model Context Protocol at `/mcp`: assistants search, ask and read documents as tools and resources.
//!
//! Stateless: each request brings its key and is answered by itself, so that any replica serves any of them. Tools go
//! through the handlers of the API, with the caller and the limits of the request that they came with.

mod resources;
mod shapes;
mod tools;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

use self::tools::Door;
use crate::{
    cors,
    error::{ApiError, Result},
    state::AppState,
};

/// `POST /mcp`
pub(crate) async fn serve(State(state): State<AppState>, request: Request) -> Result<Response> {
    // The protocol demands it: a page whose host's name has been pointed at this machine says so here.
    if !cors::is_from_named_page(&state.settings.http, request.headers()) {
        return Err(ApiError::ForeignPage);
    }
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(state.settings.body_bytes_max)
        // Names of hosts are a proxy's affair: browsers are told apart by their origin, and everybody by a key.
        .disable_allowed_hosts();
    let door = Door::new(state);
    let service = StreamableHttpService::new(
        move || Ok(door.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Ok(service.handle(request).await.map(Body::new))
}
