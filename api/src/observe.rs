//! A request id, a span, a log line and the metrics of every request.

use std::time::Instant;

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use lectern_shared::metrics;
use tracing::{Instrument, field::Empty, info, info_span};
use uuid::Uuid;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request, to be carried into the jobs that it asks for.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self(Uuid::now_v7().to_string())))
    }
}

/// Takes over a caller's id when it is one that can't do harm in a log.
fn request_id(request: &Request) -> String {
    request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=64).contains(&id.len()))
        .filter(|id| {
            id.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        })
        .map_or_else(|| Uuid::now_v7().to_string(), ToOwned::to_owned)
}

/// Methods come from strangers, labels from a closed set.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The route of a request, as `routes.rs` writes it.
pub(crate) fn route(request: &Request) -> String {
    let route = request.extensions().get::<MatchedPath>();
    route.map_or("none", MatchedPath::as_str).to_owned()
}

pub(crate) async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let method = request.method().clone();
    let route = route(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    // Whatever prints the headers from here on prints no key.
    if let Some(key) = request.headers_mut().get_mut(header::AUTHORIZATION) {
        key.set_sensitive(true);
    }
    let span = info_span!(
        "request", request.id = id, method = %method, route, tenant.id = Empty, key.id = Empty, key.kind = Empty
    );
    let mut response = async {
        let response = next.run(request).await;
        let duration_ms = started.elapsed().as_secs_f64() * 1000.0;
        // Probes and scrapes come every few seconds and say nothing.
        if route != "/metrics" && !route.starts_with("/api/v1/health") {
            info!(status = response.status().as_u16(), duration_ms, "request");
        }
        response
    }
    .instrument(span)
    .await;
    let status = response.status().as_u16().to_string();
    ::metrics::counter!(metrics::HTTP_REQUESTS, "method" => known(&method), "route" => route.clone(), "status" => status)
        .increment(1);
    ::metrics::histogram!(metrics::HTTP_DURATION, "route" => route).record(started.elapsed());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response.headers_mut().insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    response
}
