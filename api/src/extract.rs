//! axum's extractors with our errors, and values that are checked once, at the edge.

use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use lectern_shared::store::documents::Password;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Result};

#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(crate) struct Json<T>(pub(crate) T);

/// A body that may be left out, with its `Content-Type`.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>> {
        let body = <axum::Json<T> as OptionalFromRequest<S>>::from_request(request, state).await?;
        Ok(body.map(|axum::Json(value)| Self(value)))
    }
}

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

/// A question that is neither empty nor too long.
pub(crate) struct QuestionText(String);

impl QuestionText {
    pub(crate) fn new(raw: &str, chars_max: usize) -> Result<Self> {
        let text = raw.trim();
        if text.is_empty() {
            return Err(ApiError::Invalid(
                "The question is empty. Write one into the field `question`.".into(),
            ));
        }
        if text.contains('\0') {
            return Err(ApiError::Invalid(
                "The question has a NUL character in it. Take it out.".into(),
            ));
        }
        let chars = text.chars().count();
        if chars > chars_max {
            return Err(ApiError::Invalid(format!(
                "The question has {chars} characters, this server takes {chars_max}. Shorten it, or raise \
                 LECTERN_QUESTION_CHARS_MAX."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a collection: 1 to 64 letters, digits, `.`, `_` or `-`.
pub(crate) struct CollectionName(String);

impl CollectionName {
    pub(crate) fn new(raw: &str) -> Result<Self> {
        let known = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        if raw.is_empty() || raw.chars().count() > 64 || !raw.chars().all(known) {
            return Err(ApiError::Invalid(
                "The name of a collection is 1 to 64 letters, digits, dots, dashes or underscores."
                    .into(),
            ));
        }
        Ok(Self(raw.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A password as it came; an empty one is none.
pub(crate) fn password(raw: String) -> Result<Option<Password>> {
    if raw.is_empty() {
        return Ok(None);
    }
    let password = Password::new(raw).ok_or_else(|| {
        ApiError::Invalid(format!(
            "The password is longer than {} bytes or has a NUL character in it.",
            Password::BYTES_MAX
        ))
    })?;
    Ok(Some(password))
}

/// How many passages are wanted, from 1 to the configured most.
pub(crate) fn passages(wanted: Option<u16>, default: u16, max: u16) -> Result<i16> {
    let wanted = wanted.unwrap_or(default.min(max));
    if wanted == 0 || wanted > max {
        return Err(ApiError::Invalid(format!(
            "The field `passages` goes from 1 to {max}."
        )));
    }
    i16::try_from(wanted)
        .map_err(|_| ApiError::Invalid("The field `passages` is too large.".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_trimmed_and_bounded() {
        assert_eq!(QuestionText::new("  who? ", 10).unwrap().as_str(), "who?");
        assert!(QuestionText::new(" \n", 10).is_err());
        assert!(QuestionText::new("¿cómo está?", 10).is_err());
        assert!(QuestionText::new("¿cómo está", 10).is_ok());
    }

    #[test]
    fn a_collection_name_can_not_be_a_path() {
        assert!(CollectionName::new("handbooks-2026").is_ok());
        assert!(CollectionName::new("../etc").is_err());
        assert!(CollectionName::new("").is_err());
    }

    #[test]
    fn an_empty_password_is_none_and_one_that_can_not_be_is_refused() {
        assert!(password(String::new()).unwrap().is_none());
        assert!(password("open sesame".to_owned()).unwrap().is_some());
        assert!(password("a\0b".to_owned()).is_err());
        assert!(password("x".repeat(1025)).is_err());
    }

    #[test]
    fn passages_stay_within_the_limit() {
        assert_eq!(passages(None, 8, 20).unwrap(), 8);
        assert_eq!(passages(Some(20), 8, 20).unwrap(), 20);
        assert!(passages(Some(21), 8, 20).is_err());
        assert!(passages(Some(0), 8, 20).is_err());
    }
}
