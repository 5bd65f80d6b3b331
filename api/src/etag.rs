//! Tags of responses (`ETag`): whoever has a response already isn't sent it again.
//!
//! The tag is the SHA-256 of the body, so it can't be wrong: what the response is made of need not tell when it changes.
//! It saves bytes and reading, not the queries.

use axum::{
    body::{self, Body, HttpBody},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use lectern_shared::metrics;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::observe;

/// Responses that are longer are sent without a tag.
const BYTES_MAX: u64 = 4 << 20;

/// Tags JSON that was read, and leaves out what the client has.
pub(crate) async fn tag(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = known(request.headers());
    let route = observe::route(&request);
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE);
    let is_json = json.is_some_and(|json| json.as_bytes().starts_with(b"application/json"));
    let exact = response.body().size_hint().exact();
    if !reads
        || !is_json
        || response.status() != StatusCode::OK
        || exact.is_none_or(|bytes| bytes > BYTES_MAX)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // It is whole already: its size is known.
    let Ok(bytes) = body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let tag = quoted(&Sha256::digest(&bytes)[..16]);
    // Whose it is depends on the key; and whoever keeps it asks again each time.
    mark(&mut parts.headers, &tag);
    if matches(&known, &tag) {
        ::metrics::counter!(metrics::NOT_MODIFIED, "route" => route).increment(1);
        parts.status = StatusCode::NOT_MODIFIED;
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
            parts.headers.remove(name);
        }
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, bytes.into())
}

/// Says how a response may be kept.
pub(crate) fn mark(headers: &mut HeaderMap, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    let private = HeaderValue::from_static("private, no-cache");
    headers.entry(header::CACHE_CONTROL).or_insert(private);
    let vary = HeaderValue::from_static("authorization");
    headers.append(header::VARY, vary);
}

/// The tag of what has this hash.
pub(crate) fn quoted(hash: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut tag = String::with_capacity(2 * hash.len() + 2);
    tag.push('"');
    tag.extend(digits.map(|digit| char::from(DIGITS[usize::from(digit)])));
    tag.push('"');
    tag
}

/// Whether the client has it: any of its tags is this one, whether it calls it weak or not (RFC 9110, 13.1.2).
pub(crate) fn matches(known: &[HeaderValue], tag: &str) -> bool {
    known
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == tag || known == "*")
}

/// The tags of what a client has.
pub(crate) fn known(headers: &HeaderMap) -> Vec<HeaderValue> {
    let values = headers.get_all(header::IF_NONE_MATCH);
    values.iter().cloned().collect()
}

/// What a client changes only if it is as it was when it read it.
pub(crate) fn expected(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let values = headers.get_all(header::IF_MATCH);
    let tags: Vec<_> = values.iter().cloned().collect();
    (!tags.is_empty()).then_some(tags)
}

/// The tag under which something is shown.
pub(crate) fn of(view: &impl Serialize) -> String {
    quoted(&Sha256::digest(serde_json::to_vec(view).unwrap_or_default())[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_a_hash_in_hexadecimal_digits() {
        assert_eq!(quoted(&[0, 9, 0xa0, 0xff]), "\"0009a0ff\"");
    }

    #[test]
    fn a_tag_is_known_among_others_weak_or_not() {
        let known = |raw: &'static str| matches(&[HeaderValue::from_static(raw)], "\"ab\"");
        assert!(known("\"ab\"") && known("\"x\", W/\"ab\"") && known("*"));
        assert!(!known("\"x\"") && !known("ab") && !known(""));
    }
}
