//! Collections: sets of documents that are searched together, and are read in the same way.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};

use super::{Result, StoreError, reach::Reach, transaction};
use crate::ids::{CollectionId, TenantId};

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Collection {
    pub id: CollectionId,
    pub name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = CollectionSettings))]
    pub settings: Json<CollectionSettings>,
    pub created_at: DateTime<Utc>,
}

/// How a collection's documents are read, where that differs from the workers' own settings.
///
/// They hold for what is ingested from then on: documents that are ready stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CollectionSettings {
    /// Tokens of a chunk, at the most; the model may read fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 16, maximum = 8192))]
    pub chunk_tokens: Option<u32>,
    /// Of these, tokens that a chunk repeats of the one before, at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 4096))]
    pub chunk_overlap_tokens: Option<u32>,
    /// Put the titles that a chunk stands under before the text that is embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embed_headings: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocr: Option<Ocr>,
    /// Languages that pictures of text are in, as Tesseract names them: `eng`, `deu`, `chi_sim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<OcrLanguage>>, min_items = 1, max_items = 8))]
    pub ocr_languages: Option<Vec<String>>,
    /// How similar a question must be to that of a FAQ to be answered with it; see [`FAQ_SIMILARITY_MIN`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 0.5, maximum = 1))]
    pub faq_similarity_min: Option<f64>,
}

/// As Tesseract names it: `eng`, `chi_sim`.
#[cfg(feature = "openapi")]
#[derive(utoipa::ToSchema)]
#[schema(pattern = "^[a-z_]{3,32}$")]
#[expect(dead_code, reason = "it says how a text looks, and is never made")]
struct OcrLanguage(String);

/// How similar a question must be to that of a FAQ to be answered with it, unless its collection says otherwise: 0 of
/// questions that have nothing to do with each other, 1 of equal ones.
pub const FAQ_SIMILARITY_MIN: f64 = 0.85;

/// Below the least, questions about other things are answered; at 1 only equal ones are.
const FAQ_SIMILARITIES: std::ops::RangeInclusive<f64> = 0.5..=1.0;

/// Which pages are read by optical character recognition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Ocr {
    Off,
    /// Those without text.
    Auto,
    /// All.
    Force,
}

/// Settings that can't be; the message names the field and says what it takes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct InvalidSettings(String);

/// Tokens of a chunk that make sense: fewer hold hardly a sentence, and no embedding model reads more.
const CHUNK_TOKENS: std::ops::RangeInclusive<u32> = 16..=8192;

/// More languages make recognition slow and worse.
const OCR_LANGUAGES_MAX: usize = 8;

impl CollectionSettings {
    /// These settings with a change (JSON merge patch, RFC 7396): what it names is replaced, and null goes back to
    /// what the workers are set to.
    ///
    /// # Errors
    /// When the change isn't an object of known fields, or the result makes no sense.
    pub fn changed(
        &self,
        change: &serde_json::Value,
    ) -> std::result::Result<Self, InvalidSettings> {
        let Some(change) = change.as_object() else {
            return Err(InvalidSettings("`settings` is no JSON object".into()));
        };
        let mut fields = match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        for (name, value) in change {
            // A null stays for now: an unknown field is to be refused even then.
            fields.insert(name.clone(), value.clone());
        }
        let settings: Self = serde_json::from_value(fields.into())
            .map_err(|error| InvalidSettings(format!("in `settings`: {error}")))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> std::result::Result<(), InvalidSettings> {
        let invalid = |message: String| Err(InvalidSettings(message));
        let (least, most) = CHUNK_TOKENS.into_inner();
        if self
            .chunk_tokens
            .is_some_and(|tokens| !CHUNK_TOKENS.contains(&tokens))
        {
            return invalid(format!("`chunk_tokens` goes from {least} to {most}"));
        }
        let room = self.chunk_tokens.unwrap_or(most) / 2;
        if self
            .chunk_overlap_tokens
            .is_some_and(|overlap| overlap > room)
        {
            return invalid(format!(
                "`chunk_overlap_tokens` goes from 0 to half of `chunk_tokens`, here {room}"
            ));
        }
        let is_language = |name: &String| {
            (3..=32).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        };
        if self.ocr_languages.as_ref().is_some_and(|names| {
            names.is_empty() || names.len() > OCR_LANGUAGES_MAX || !names.iter().all(is_language)
        }) {
            return invalid(format!(
                "`ocr_languages` lists 1 to {OCR_LANGUAGES_MAX} languages as Tesseract names them, such as \"eng\" or \
                 \"chi_sim\""
            ));
        }
        if self
            .faq_similarity_min
            .is_some_and(|similarity| !FAQ_SIMILARITIES.contains(&similarity))
        {
            let (least, most) = FAQ_SIMILARITIES.into_inner();
            return invalid(format!("`faq_similarity_min` goes from {least} to {most}"));
        }
        Ok(())
    }
}

/// The collection of that name within reach.
///
/// # Errors
/// When the database fails.
pub async fn by_name(pool: &PgPool, reach: &Reach, name: &str) -> Result<Option<CollectionId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: CollectionId" from collections
           where tenant_id = $1 and name = $2 and ($3::uuid[] is null or id = any($3))"#,
        reach.tenant.0,
        name,
        reach.collections()
    )
    .fetch_optional(pool)
    .await?)
}

/// The collection of that name within reach, with what belongs to it.
///
/// # Errors
/// When the database fails, or the settings are of a newer release.
pub async fn find(pool: &PgPool, reach: &Reach, name: &str) -> Result<Option<Collection>> {
    Ok(sqlx::query_as!(
        Collection,
        r#"select id as "id: CollectionId", name, settings as "settings: Json<CollectionSettings>", created_at
           from collections where tenant_id = $1 and name = $2 and ($3::uuid[] is null or id = any($3))"#,
        reach.tenant.0,
        name,
        reach.collections()
    )
    .fetch_optional(pool)
    .await?)
}

/// All collections within reach, by name.
///
/// # Errors
/// When the database fails, or the settings are of a newer release.
pub async fn list(pool: &PgPool, reach: &Reach) -> Result<Vec<Collection>> {
    Ok(sqlx::query_as!(
        Collection,
        r#"select id as "id: CollectionId", name, settings as "settings: Json<CollectionSettings>", created_at
           from collections where tenant_id = $1 and ($2::uuid[] is null or id = any($2)) order by name"#,
        reach.tenant.0,
        reach.collections()
    )
    .fetch_all(pool)
    .await?)
}

/// How documents of a collection are to be read; the workers' own way if it is gone.
///
/// # Errors
/// When the database fails, or the settings are of a newer release.
pub async fn settings(pool: &PgPool, id: CollectionId) -> Result<CollectionSettings> {
    let found = sqlx::query_scalar!(
        r#"select settings as "settings: Json<CollectionSettings>" from collections where id = $1"#,
        id.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(found.map(|Json(settings)| settings).unwrap_or_default())
}

/// Makes a collection; `None` when the name is taken.
///
/// # Errors
/// When the database fails.
pub async fn create(
    pool: &PgPool,
    tenant: TenantId,
    name: &str,
    settings: &CollectionSettings,
) -> Result<Option<Collection>> {
    Ok(sqlx::query_as!(
        Collection,
        r#"insert into collections (id, tenant_id, name, settings) values ($1, $2, $3, $4)
           on conflict on constraint collections_name_unique do nothing
           returning id as "id: CollectionId", name, settings as "settings: Json<CollectionSettings>", created_at"#,
        CollectionId::fresh().0,
        tenant.0,
        name,
        Json(settings) as _
    )
    .fetch_optional(pool)
    .await?)
}

/// What becomes of a change of a collection.
#[derive(Debug)]
pub enum Changed {
    Done(Collection),
    Missing,
    Refused(InvalidSettings),
}

/// Changes the settings of the tenant's collection of that name, as [`CollectionSettings::changed`] does.
///
/// # Errors
/// When the database fails, or the settings are of a newer release.
pub async fn change_settings(
    pool: &PgPool,
    tenant: TenantId,
    name: &str,
    change: &serde_json::Value,
) -> Result<Changed> {
    let mut tx = transaction(pool).await?;
    let found = sqlx::query!(
        r#"select id, settings as "settings: Json<CollectionSettings>"
           from collections where tenant_id = $1 and name = $2 for update"#,
        tenant.0,
        name
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(found) = found else {
        return Ok(Changed::Missing);
    };
    let settings = match found.settings.changed(change) {
        Ok(settings) => settings,
        Err(invalid) => return Ok(Changed::Refused(invalid)),
    };
    let collection = sqlx::query_as!(
        Collection,
        r#"update collections set settings = $2 where id = $1
           returning id as "id: CollectionId", name, settings as "settings: Json<CollectionSettings>", created_at"#,
        found.id,
        Json(&settings) as _
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await.map_err(StoreError::from)?;
    Ok(Changed::Done(collection))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changed(change: &serde_json::Value) -> std::result::Result<CollectionSettings, String> {
        let before = CollectionSettings {
            chunk_tokens: Some(300),
            ocr: Some(Ocr::Off),
            ..CollectionSettings::default()
        };
        before.changed(change).map_err(|error| error.to_string())
    }

    #[test]
    fn a_change_replaces_what_it_names_and_null_takes_away() {
        let settings = changed(&json!({"ocr": null, "embed_headings": false})).unwrap();
        let expected = CollectionSettings {
            chunk_tokens: Some(300),
            embed_headings: Some(false),
            ..CollectionSettings::default()
        };
        assert_eq!(settings, expected);
        assert_eq!(
            serde_json::to_value(settings).unwrap(),
            json!({"chunk_tokens": 300, "embed_headings": false})
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        for (change, told) in [
            (json!({"chunk_tokens": 3}), "`chunk_tokens` goes from 16"),
            (json!({"chunk_overlap_tokens": 151}), "here 150"),
            (
                json!({"chunk_tokens": 20, "chunk_overlap_tokens": 11}),
                "here 10",
            ),
            (json!({"chunks": null}), "unknown field `chunks`"),
            (
                json!({"ocr": "sometimes"}),
                "expected one of `off`, `auto`, `force`",
            ),
            (json!({"ocr_languages": []}), "`ocr_languages` lists 1 to 8"),
            (
                json!({"ocr_languages": ["../eng"]}),
                "as Tesseract names them",
            ),
            (
                json!({"faq_similarity_min": 0.2}),
                "`faq_similarity_min` goes from 0.5 to 1",
            ),
            (json!([]), "no JSON object"),
        ] {
            let refused = changed(&change).unwrap_err();
            assert!(refused.contains(told), "{change}: {refused}");
        }
    }
}
