//! What web pages may do with a widget's key, which everybody can read in them.
//!
//! The key names the pages, and browsers say truly which page asks: that keeps other pages from using it, not programs.
//! What a visitor has asked is found by its id, which nobody guesses, and by the visitor's own secret if the page sends
//! one.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, header};
use lectern_shared::{keys::patterns, store::keys::Access};
use sha2::{Digest, Sha256};

use crate::{
    auth::Need,
    error::{ApiError, Result},
};

/// A widget's key is used by the pages that it names, for what widgets do.
pub(crate) fn check(access: &Access, need: Need, headers: &HeaderMap) -> Result<()> {
    if !need.is_for_widgets() {
        return Err(ApiError::Forbidden(
            "A widget's key may ask questions and follow its own, and nothing else. Use a secret key, and keep it out \
             of web pages."
                .into(),
        ));
    }
    let is_named = |patterns: &[String]| {
        patterns
            .iter()
            .any(|pattern| access.origins.contains(pattern))
    };
    let allowed = match text(headers, &header::ORIGIN) {
        Some(origin) => is_named(&patterns(origin)),
        None => same_origin(headers).is_some_and(|patterns| is_named(&patterns)),
    };
    if allowed {
        Ok(())
    } else {
        Err(ApiError::Forbidden(
            "This widget's key is for other web pages: the header `Origin` is none of its origins. Make a key that \
             names yours with POST /api/v1/keys."
                .into(),
        ))
    }
}

/// Browsers send no `Origin` when a page reads from its own host. They say that it does, which no script can make them.
fn same_origin(headers: &HeaderMap) -> Option<Vec<String>> {
    let says_so = text(headers, &HeaderName::from_static("sec-fetch-site")) == Some("same-origin");
    let host = text(headers, &header::HOST).filter(|_| says_so)?;
    let origins = ["https", "http"].map(|scheme| patterns(&format!("{scheme}://{host}")));
    Some(origins.concat())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What the visitor of a page calls itself, so that others can't read its questions although they know their ids.
pub(crate) static VISITOR: HeaderName = HeaderName::from_static("lectern-visitor");

/// 128 bits in base64 are 22 characters.
const VISITOR_CHARS: std::ops::RangeInclusive<usize> = 22..=128;

/// Only its SHA-256 goes on from here.
pub(crate) fn visitor(headers: &HeaderMap) -> Result<Option<Arc<[u8]>>> {
    let Some(value) = headers.get(&VISITOR) else {
        return Ok(None);
    };
    let is_one =
        VISITOR_CHARS.contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    if !is_one {
        return Err(ApiError::Invalid(
            "The header `Lectern-Visitor` has 22 to 128 characters without spaces. Send random ones that stay the same \
             for a visitor, or leave it out."
                .into(),
        ));
    }
    Ok(Some(Arc::from(Sha256::digest(value).to_vec())))
}
