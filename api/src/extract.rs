//! axum's extractors with our errors, and values that are checked once, at the edge.

use std::{fmt, marker::PhantomData};

use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use lectern_shared::store::documents::Password;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

use serde_json::Number;

use crate::error::{ApiError, Result};

/// A body that is a JSON object.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let body = <axum::Json<Object<T>> as FromRequest<S>>::from_request(request, state).await?;
        Ok(Self(body.0.0))
    }
}

/// A body that may be left out, with its `Content-Type`.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>> {
        let body =
            <axum::Json<Object<T>> as OptionalFromRequest<S>>::from_request(request, state).await?;
        Ok(body.map(|axum::Json(Object(value))| Self(value)))
    }
}

/// What is read from a JSON object, and from nothing else: serde would take a list for its fields in their order, too.
#[derive(Clone, Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A whole number, which JSON may write with a fraction of zero, too: to JSON Schema `5.0` is an integer.
pub(crate) fn whole<'de, D, T>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let written = number.to_string();
    let digits = written.strip_suffix(".0").unwrap_or(&written);
    let whole = digits
        .parse::<u64>()
        .ok()
        .and_then(|whole| T::try_from(whole).ok());
    whole
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("`{number}` is not a whole number in range")))
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
    fn a_list_is_not_taken_for_an_object() {
        #[derive(Debug, Deserialize)]
        struct Named {
            name: Option<String>,
        }
        let read = |raw: &str| serde_json::from_str::<Object<Named>>(raw);
        assert_eq!(read(r#"{"name": "a"}"#).unwrap().0.name.unwrap(), "a");
        for refused in [r#"["a"]"#, "[null]", "null", "\"a\""] {
            let error = read(refused).unwrap_err().to_string();
            assert!(error.contains("expected a JSON object"), "{error}");
        }
    }

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        #[derive(Debug, Deserialize)]
        struct Wanted {
            #[serde(default, deserialize_with = "whole")]
            passages: Option<u16>,
        }
        let read = |raw: &str| serde_json::from_str::<Wanted>(raw).map(|wanted| wanted.passages);
        assert_eq!(read(r#"{"passages": 5}"#).unwrap(), Some(5));
        assert_eq!(read(r#"{"passages": 5.0}"#).unwrap(), Some(5));
        assert_eq!(read(r#"{"passages": null}"#).unwrap(), None);
        assert_eq!(read("{}").unwrap(), None);
        for refused in ["5.5", "-1", "70000", "\"5\""] {
            assert!(
                read(&format!("{{\"passages\": {refused}}}")).is_err(),
                "{refused}"
            );
        }
    }

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
