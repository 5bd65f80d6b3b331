//! A small page to try Lectern with: upload, watch, ask. No build step, no dependency.

use axum::{
    http::{HeaderName, header},
    response::Html,
};

/// The page loads nothing from elsewhere and runs no script but its own.
const POLICY: &str = "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) async fn index() -> ([(HeaderName, &'static str); 2], Html<&'static str>) {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(include_str!("page.html")))
}
