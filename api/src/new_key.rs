//! What a new key may be: checked once, whether it is asked for over HTTP or by a command.

use chrono::{DateTime, Utc};
use lectern_shared::{
    ids::{CollectionId, TenantId},
    keys::{Key, Kind, OriginRule, Scope},
    store::{
        collections,
        keys::{self, ApiKey, NewKey, OwnLimits},
        reach::Reach,
    },
};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, Result},
    extract::{self, CollectionName},
};

/// What is wanted of a new key.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = NewKey)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[schema(
        max_length = 200,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"
    )]
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// A widget's is `ask`, named or not.
    #[serde(default)]
    pub(crate) scopes: Vec<Scope>,
    /// Names; null: all.
    #[serde(default)]
    pub(crate) collections: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) origins: Vec<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<DateTime<Utc>>,
    /// The caller's own, if none is named; another one's takes an operator.
    #[serde(default)]
    pub(crate) tenant: Option<TenantId>,
    /// Requests a minute, but for questions, searches and uploads; null: as the server's settings say, as of the others.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "extract::whole")]
    pub(crate) requests_per_minute: Option<u32>,
    /// Questions and searches a minute.
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "extract::whole")]
    pub(crate) asks_per_minute: Option<u32>,
    #[schema(minimum = 1, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "extract::whole")]
    pub(crate) uploads_per_minute: Option<u32>,
    /// Event streams that are open at one replica.
    #[schema(minimum = 0, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "extract::whole")]
    pub(crate) streams_max: Option<u32>,
}

const NAME_CHARS_MAX: usize = 200;
/// Collections and origins that a key names, at the most: all are read at every request.
const NAMED_MAX: usize = 100;
/// Of a key's own limits: finer than a microsecond apart, requests can't be told apart.
const LIMIT_MAX: u32 = 1_000_000;

/// Checks what is wanted and makes the key, whoever asks for it.
pub(crate) async fn make(
    pool: &PgPool,
    tenant: TenantId,
    wanted: &Wanted,
    keys_max: u32,
) -> Result<(ApiKey, Key)> {
    let name = name(&wanted.name)?;
    let scopes = scopes(wanted)?;
    let origins = origins(wanted)?;
    if wanted.expires_at.is_some_and(|at| at <= Utc::now()) {
        return invalid("The field `expires_at` is in the past. Name a time to come, or null.");
    }
    let collections = match &wanted.collections {
        Some(names) => Some(resolve(pool, tenant, names).await?),
        None if wanted.kind == Kind::Widget => {
            return invalid(
                "The field `collections` is empty. Name those that everybody may ask about through a widget.",
            );
        }
        None => None,
    };
    let new = NewKey {
        tenant,
        name,
        kind: wanted.kind,
        scopes: &scopes,
        collections: collections.as_deref(),
        origins: &origins,
        expires_at: wanted.expires_at,
        limits: limits(wanted)?,
    };
    let key = Key::fresh(wanted.kind);
    let made = keys::create(pool, &new, &key, keys_max).await?;
    let made = made.ok_or_else(|| {
        ApiError::Taken(format!(
            "There are {keys_max} keys, as many as this server takes of a tenant. Revoke one, or raise LECTERN_KEYS_MAX."
        ))
    })?;
    Ok((made, key))
}

fn invalid<T>(detail: impl Into<String>) -> Result<T> {
    Err(ApiError::Invalid(detail.into()))
}

/// A name that isn't empty, for a key or a tenant.
pub(crate) fn name(raw: &str) -> Result<&str> {
    let name = raw.trim();
    if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) || name.contains(char::is_control) {
        return invalid(format!(
            "The field `name` has 1 to {NAME_CHARS_MAX} characters, none of them a control character."
        ));
    }
    Ok(name)
}

fn scopes(wanted: &Wanted) -> Result<Vec<Scope>> {
    let mut scopes = wanted.scopes.clone();
    scopes.sort_unstable();
    scopes.dedup();
    let limited = wanted.collections.is_some();
    match (wanted.kind, scopes.as_slice()) {
        (Kind::Widget, [] | [Scope::Ask]) => Ok(vec![Scope::Ask]),
        (Kind::Widget, _) => invalid(
            "A widget's key stands in web pages for everybody to read, so its only scope is `ask`. Make a secret key \
             for the rest.",
        ),
        (Kind::Secret, []) => invalid(
            "The field `scopes` is empty. Name what the key may do: read, ask, write, admin, operator.",
        ),
        (Kind::Secret, named) if limited && named.iter().any(|scope| *scope >= Scope::Admin) => {
            invalid(
                "A key that is limited to collections can't have the scopes `admin` and `operator`, which reach all of \
                 them. Leave out either.",
            )
        }
        (Kind::Secret, _) => Ok(scopes),
    }
}

fn origins(wanted: &Wanted) -> Result<Vec<String>> {
    match (wanted.kind, wanted.origins.as_slice()) {
        (Kind::Widget, []) => {
            return invalid(
                "The field `origins` is empty. Name the web pages that may use the key, such as https://www.example.com.",
            );
        }
        (Kind::Secret, [_, ..]) => {
            return invalid(
                "The field `origins` is for widgets' keys: web pages must not have a secret one. Leave it out, or make \
                 a key of the kind `widget`.",
            );
        }
        _ => few(&wanted.origins, "origins")?,
    }
    let mut origins = Vec::new();
    for raw in &wanted.origins {
        let rule = OriginRule::new(raw)
            .map_err(|bad| ApiError::Invalid(format!("In the field `origins`, {raw:?}: {bad}.")))?;
        origins.push(rule.as_str().to_owned());
    }
    origins.sort_unstable();
    origins.dedup();
    Ok(origins)
}

fn limits(wanted: &Wanted) -> Result<OwnLimits> {
    let within = |name: &str, least: u32, limit: Option<u32>| match limit {
        Some(limit) if !(least..=LIMIT_MAX).contains(&limit) => invalid(format!(
            "The field `{name}` goes from {least} to {LIMIT_MAX}. Leave it out for what the server's settings say."
        )),
        limit => Ok(limit.map(u32::cast_signed)),
    };
    Ok(OwnLimits {
        requests_per_minute: within("requests_per_minute", 1, wanted.requests_per_minute)?,
        asks_per_minute: within("asks_per_minute", 1, wanted.asks_per_minute)?,
        uploads_per_minute: within("uploads_per_minute", 1, wanted.uploads_per_minute)?,
        streams_max: within("streams_max", 0, wanted.streams_max)?,
    })
}

fn few(named: &[String], field: &str) -> Result<()> {
    if named.len() > NAMED_MAX {
        return invalid(format!(
            "The field `{field}` names more than {NAMED_MAX}. Make several keys."
        ));
    }
    Ok(())
}

async fn resolve(pool: &PgPool, tenant: TenantId, names: &[String]) -> Result<Vec<CollectionId>> {
    if names.is_empty() {
        return invalid(
            "The field `collections` is empty. Name at least one; null stands for all, which a widget's key can't have.",
        );
    }
    few(names, "collections")?;
    let reach = Reach::all(tenant);
    let mut ids = Vec::new();
    for name in names {
        let name = CollectionName::new(name)?;
        let found = collections::by_name(pool, &reach, name.as_str()).await?;
        ids.push(found.ok_or_else(|| {
            ApiError::Invalid(format!(
                "There is no collection `{}`. Make it with POST /api/v1/collections.",
                name.as_str()
            ))
        })?);
    }
    Ok(ids)
}
