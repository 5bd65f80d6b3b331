//! Which pages of other origins may send requests and read the answers.
//!
//! A preflight comes without the key, so it is answered by origin alone, and the key decides about the request itself.
//! Cookies are never allowed: the key alone says who asks.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use lectern_shared::{keys::patterns, store::keys};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::warn;

use crate::{
    config::{HttpSettings, Origin},
    limits,
    state::AppState,
    widgets,
};

/// Browsers ask again after so long.
const PREFLIGHT_KEPT: Duration = Duration::from_secs(600);

/// For pages of the origins that the settings name; `None`: for those that the API serves itself.
pub(crate) fn named(state: &AppState, methods: Vec<Method>) -> Option<CorsLayer> {
    if state.settings.http.cors_origins.0.is_empty() {
        return None;
    }
    let state = state.clone();
    let is_named = AllowOrigin::predicate(move |origin, _| is_in(&state.settings.http, origin));
    Some(layer(methods).allow_origin(is_named))
}

/// For these, and for pages that some widget's key names.
pub(crate) fn named_or_of_widgets(state: &AppState, methods: Vec<Method>) -> CorsLayer {
    let state = state.clone();
    let is_known = AllowOrigin::async_predicate(move |origin, _| async move {
        if is_in(&state.settings.http, &origin) {
            return true;
        }
        let patterns = patterns(origin.to_str().unwrap_or_default());
        if patterns.is_empty() {
            return false;
        }
        let named = keys::is_widget_origin(&state.pool, &patterns).await;
        named.unwrap_or_else(|error| {
            warn!(%error, "origins of widgets can't be read");
            false
        })
    });
    layer(methods).allow_origin(is_known)
}

/// Whether a request comes from outside of a browser, or from a page that the settings name.
pub(crate) fn is_from_named_page(settings: &HttpSettings, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.all(|origin| is_in(settings, origin))
}

fn is_in(settings: &HttpSettings, origin: &HeaderValue) -> bool {
    let mut named = settings.cors_origins.0.iter();
    named.any(|Origin(named)| named == origin || named == "*")
}

fn layer(methods: Vec<Method>) -> CorsLayer {
    let told = [
        header::ETAG,
        header::LOCATION,
        header::RETRY_AFTER,
        HeaderName::from_static("x-request-id"),
        HeaderName::from_static("idempotency-replayed"),
    ];
    CorsLayer::new()
        .allow_methods(methods)
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            HeaderName::from_static("idempotency-key"),
            HeaderName::from_static("last-event-id"),
            HeaderName::from_static("mcp-method"),
            HeaderName::from_static("mcp-name"),
            HeaderName::from_static("mcp-protocol-version"),
            HeaderName::from_static("x-request-id"),
            widgets::VISITOR.clone(),
        ])
        .expose_headers(
            told.into_iter()
                .chain(limits::TOLD.clone())
                .collect::<Vec<_>>(),
        )
        .max_age(PREFLIGHT_KEPT)
}
