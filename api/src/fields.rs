//! What people say of a document: fields of an upload's form, and of a change. Checked once, here.

use axum::extract::multipart::Field;
use lectern_shared::{names, store::versions::Facts};
use serde_json::Value;
use url::Url;

use crate::{
    error::{ApiError, Result},
    extract,
};

/// The fields that stand beside the file in a form.
#[derive(Default)]
pub(crate) struct Fields {
    pub(crate) collection: Option<String>,
    /// What the document is called, if not as the file is: it may have folders in it.
    pub(crate) name: Option<String>,
    /// A document of its own, whatever is there already.
    pub(crate) force: bool,
    pub(crate) facts: Facts,
}

/// Bytes of a field other than the metadata.
const FIELD_BYTES_MAX: usize = 4096;

const TITLE_CHARS_MAX: usize = 500;
const URL_CHARS_MAX: usize = 2048;

impl Fields {
    /// Takes a field of the form.
    pub(crate) async fn take(&mut self, field: Field<'_>, metadata_bytes_max: usize) -> Result<()> {
        match field.name().unwrap_or_default() {
            "collection" => self.collection = Some(text(field, FIELD_BYTES_MAX).await?),
            "name" => {
                let raw = text(field, FIELD_BYTES_MAX).await?;
                self.name = Some(names::path_name(&raw).ok_or_else(|| {
                    ApiError::Invalid(
                        "The field `name` is empty. Leave it out, or write a name.".into(),
                    )
                })?);
            }
            "title" => self.facts.title = Some(title(&text(field, FIELD_BYTES_MAX).await?)?),
            "source_url" => {
                self.facts.source_url = Some(source_url(&text(field, FIELD_BYTES_MAX).await?)?);
            }
            "metadata" => {
                let raw = text(field, metadata_bytes_max).await?;
                self.facts.metadata = Some(metadata_from(&raw, "metadata")?);
            }
            "password" => {
                let raw = text(field, FIELD_BYTES_MAX).await?;
                self.facts.password = extract::password(raw)?;
            }
            "force" => {
                self.force = match text(field, FIELD_BYTES_MAX).await?.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => {
                        return Err(ApiError::Invalid(
                            "The field `force` is `true` or `false`.".into(),
                        ));
                    }
                };
            }
            other => {
                let name = other.escape_debug();
                return Err(ApiError::Invalid(format!(
                    "The form has an unknown field `{name}`. Known are `collection`, `name`, `title`, `source_url`, \
                     `metadata`, `password`, `force` and `file`."
                )));
            }
        }
        Ok(())
    }
}

async fn text(mut field: Field<'_>, bytes_max: usize) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(part) = field.chunk().await? {
        bytes.extend_from_slice(&part);
        if bytes.len() > bytes_max {
            return Err(ApiError::Invalid(format!(
                "A form field is longer than {bytes_max} bytes. Shorten it."
            )));
        }
    }
    String::from_utf8(bytes).map_err(|_| ApiError::Invalid("A form field is not UTF-8.".into()))
}

pub(crate) fn title(raw: &str) -> Result<String> {
    let title = names::shown(raw, TITLE_CHARS_MAX + 1);
    let title = title.trim();
    if title.is_empty() || title.chars().count() > TITLE_CHARS_MAX {
        return Err(ApiError::Invalid(format!(
            "The field `title` has 1 to {TITLE_CHARS_MAX} characters."
        )));
    }
    Ok(title.to_owned())
}

/// A link that is shown to people: to a page, and nothing that a browser would run.
pub(crate) fn source_url(raw: &str) -> Result<String> {
    url(raw, "source_url")
}

/// An address that people can follow.
pub(crate) fn url(raw: &str, field: &str) -> Result<String> {
    let refused = || {
        ApiError::Invalid(format!(
            "The field `{field}` is an address that begins with http:// or https://, of up to {URL_CHARS_MAX} \
             characters."
        ))
    };
    let url = Url::parse(raw.trim()).map_err(|_| refused())?;
    if !matches!(url.scheme(), "http" | "https") || url.as_str().len() > URL_CHARS_MAX {
        return Err(refused());
    }
    Ok(url.into())
}

/// A JSON object as text, in a parameter or a form.
pub(crate) fn metadata_from(raw: &str, field: &str) -> Result<Value> {
    let value = serde_json::from_str(raw).map_err(|error| {
        ApiError::Invalid(format!(
            "`{field}` is not JSON ({error}). Send an object, such as {{\"team\": \"finance\"}}."
        ))
    })?;
    metadata(value, field)
}

/// A JSON object that PostgreSQL can keep: it knows no NUL characters.
pub(crate) fn metadata(value: Value, field: &str) -> Result<Value> {
    if !value.is_object() || has_nul(&value) {
        return Err(ApiError::Invalid(format!(
            "`{field}` is a JSON object without NUL characters, such as {{\"team\": \"finance\"}}."
        )));
    }
    Ok(value)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_source_is_a_web_address_and_nothing_that_a_browser_would_run() {
        assert_eq!(
            source_url(" https://wiki.example/a b ").unwrap(),
            "https://wiki.example/a%20b"
        );
        for refused in ["javascript:alert(1)", "/etc/passwd", "file:///etc", ""] {
            assert!(source_url(refused).is_err(), "{refused}");
        }
        assert!(source_url(&format!("https://a/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn metadata_are_an_object_that_the_database_can_keep() {
        assert!(metadata(json!({"team": "x", "years": [2025, 2026]}), "metadata").is_ok());
        for refused in [
            json!([1]),
            json!("x"),
            json!({"a": ["b\0"]}),
            json!({"\0": 1}),
        ] {
            assert!(metadata(refused, "metadata").is_err());
        }
    }
}
