//! Serves the page and the widget: the files that `make web` has written to `LECTERN_WEB_DIR`.
//!
//! The build gives every file under `assets` a name with its hash, so these may be kept for ever. The others keep their
//! names and are asked for anew each time, by their hash in `ETag`. Both come compressed if the build has done so.

use std::path::Path;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use tower_http::services::{ServeDir, ServeFile};

use crate::{error::ApiError, state::AppState};

/// The page loads nothing from elsewhere, runs no script but its own, and hands no text to what would read it as markup.
/// WebAssembly decodes pictures in PDFs; blobs are the pictures of their pages.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; \
                      img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types lectern";

/// The same of the reference, which sanitizes what it shows by a library of its own and knows no trusted types.
const REFERENCE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                                connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const REFERENCE: &str = "/reference";

const HEADERS: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

pub(crate) fn router(folder: &Path) -> Router<AppState> {
    let file = |name: &str| {
        ServeFile::new(folder.join(name))
            .precompressed_br()
            .precompressed_gzip()
    };
    let assets = ServeDir::new(folder.join("assets"))
        .precompressed_br()
        .precompressed_gzip();
    let named = Router::new()
        .route_service("/", file("index.html"))
        .route_service("/widget.js", file("widget.js"))
        .route_service("/widget-demo", file("widget-demo.html"))
        .route_service(REFERENCE, file("reference.html"))
        .layer(middleware::from_fn(tag));
    Router::new()
        .nest_service("/assets", assets)
        .layer(middleware::from_fn(keep))
        .merge(named)
        .layer(middleware::from_fn(guard))
}

/// What all of them come with. A file that isn't there says so as everything else does.
async fn guard(request: Request, next: Next) -> Response {
    let is_reference = request.uri().path() == REFERENCE;
    let is_page = is_reference || request.uri().path() == "/";
    let mut response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        let error = if is_page {
            ApiError::PageNotBuilt
        } else {
            ApiError::NoSuchRoute
        };
        return error.into_response();
    }
    let policy = if is_reference {
        REFERENCE_POLICY
    } else {
        POLICY
    };
    let policy = (header::CONTENT_SECURITY_POLICY, policy);
    for (name, value) in HEADERS.into_iter().chain([policy]) {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn keep(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().is_success() {
        response.headers_mut().insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, max-age=31536000, immutable"),
        );
    }
    response
}

/// More than any file that keeps its name.
const NAMED_BYTES_MAX: usize = 1 << 20;

/// By content: images of containers give all files one date, so that would take a new page for the old one.
async fn tag(mut request: Request, next: Next) -> Response {
    let known = request.headers_mut().remove(header::IF_NONE_MATCH);
    request.headers_mut().remove(header::IF_MODIFIED_SINCE);
    let is_widget = request.uri().path() == "/widget.js";
    // Of a HEAD the hash would be that of nothing.
    let is_head = request.method() == Method::HEAD;
    if is_head {
        *request.method_mut() = Method::GET;
    }
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, NAMED_BYTES_MAX).await else {
        return ApiError::NoSuchRoute.into_response();
    };
    let hash: String = Sha256::digest(&bytes)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let etag = format!("\"{hash}\"");
    head.headers.remove(header::LAST_MODIFIED);
    head.headers
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(value) = HeaderValue::from_str(&etag) {
        head.headers.insert(header::ETAG, value);
    }
    if is_widget {
        share(&mut head.headers);
    }
    if known.is_some_and(|known| matches(&known, &etag)) {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(head, Body::empty());
    }
    let body = if is_head {
        Body::empty()
    } else {
        Body::from(bytes)
    };
    Response::from_parts(head, body)
}

/// Other sites embed the widget, perhaps with the hash that it must have.
fn share(headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("cross-origin"),
    );
}

fn matches(known: &HeaderValue, etag: &str) -> bool {
    known.to_str().is_ok_and(|known| {
        known
            .split(',')
            .any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == etag)
    })
}
