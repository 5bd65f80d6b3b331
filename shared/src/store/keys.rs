//! API keys: what is kept of them is their SHA-256, and what they allow.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Result, StoreError, transaction};
pub use crate::keys::DEVELOPMENT_KEY;
use crate::{
    ids::{ApiKeyId, CollectionId, DEFAULT_TENANT, TenantId},
    keys::{Key, Kind, Scope},
};

/// What a key allows, to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub key: ApiKeyId,
    pub tenant: TenantId,
    /// The well-known development key: never to be accepted in production.
    pub development: bool,
    pub kind: Kind,
    pub scopes: Vec<Scope>,
    /// The ids of the collections that it is limited to.
    pub collections: Option<Arc<[Uuid]>>,
    pub origins: Vec<String>,
    /// Its tenant is suspended: it exists, and may do nothing.
    pub suspended: bool,
    /// Its use was noted within the last minute.
    pub noted: bool,
    /// In place of the settings' limits.
    pub limits: OwnLimits,
}

/// What a key's row says of limits; `None`: what the settings say. Of the rates more than none, or the row is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    pub requests_per_minute: Option<i32>,
    pub asks_per_minute: Option<i32>,
    pub uploads_per_minute: Option<i32>,
    pub streams_max: Option<i32>,
}

/// What a key allows, unless it is unknown, revoked or expired.
///
/// Asked at every request, so that revoking works at once, everywhere; by the API through [`super::lookups`].
///
/// # Errors
/// When the database fails, or the row is from a newer release.
pub async fn find(pool: &PgPool, key: &Key) -> Result<Option<Access>> {
    let mut connection = pool.acquire().await?;
    let hash = key.hash();
    let mut found = find_all(&mut connection, std::slice::from_ref(&hash)).await?;
    let found = found.remove(&hash).transpose();
    found.map_err(StoreError::Unreadable)
}

/// What the keys of these hashes allow, by the hash, but for those that are unknown, revoked or expired. Of a row from a
/// newer release, why it can't be read.
pub(super) async fn find_all(
    connection: &mut PgConnection,
    hashes: &[Vec<u8>],
) -> sqlx::Result<HashMap<Vec<u8>, std::result::Result<Access, String>>> {
    let rows = sqlx::query!(
        r#"select hash, key.id as "id: ApiKeyId", tenant_id as "tenant: TenantId", development, kind, scopes, collections,
               origins, tenant.suspended_at is not null as "suspended!",
               coalesce(last_used_at > now() - interval '1 minute', false) as "noted!",
               requests_per_minute, asks_per_minute, uploads_per_minute, streams_max
           from api_keys key
           join tenants tenant on tenant.id = key.tenant_id
           where hash = any($1) and revoked_at is null and (expires_at is null or expires_at > now())"#,
        hashes
    )
    .fetch_all(connection)
    .await?;
    let found = rows.into_iter().map(|row| {
        let access = kind(&row.kind).map(|kind| Access {
            key: row.id,
            tenant: row.tenant,
            development: row.development,
            kind,
            scopes: scopes(&row.scopes),
            collections: row.collections.map(Arc::from),
            origins: row.origins,
            suspended: row.suspended,
            noted: row.noted,
            limits: OwnLimits {
                requests_per_minute: row.requests_per_minute,
                asks_per_minute: row.asks_per_minute,
                uploads_per_minute: row.uploads_per_minute,
                streams_max: row.streams_max,
            },
        });
        (row.hash, access)
    });
    Ok(found.collect())
}

fn kind(raw: &str) -> std::result::Result<Kind, String> {
    raw.parse().map_err(|()| format!("a key of the kind {raw}"))
}

/// Those of a newer release allow nothing here.
fn scopes(raw: &[String]) -> Vec<Scope> {
    raw.iter().filter_map(|scope| scope.parse().ok()).collect()
}

/// Notes that a key is in use, once a minute, however many processes say so.
///
/// # Errors
/// When the database fails.
pub async fn note_use(pool: &PgPool, id: ApiKeyId) -> Result<()> {
    sqlx::query!(
        "update api_keys set last_used_at = now()
         where id = $1 and (last_used_at is null or last_used_at <= now() - interval '1 minute')",
        id.0
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A key as the API shows it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub kind: String,
    /// What it begins with.
    pub prefix: String,
    pub scopes: Vec<String>,
    /// The names of the collections that it is limited to, as far as they are still there; null: all.
    pub collections: Option<Vec<String>>,
    pub origins: Vec<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// To the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// Requests a minute, but for questions, searches and uploads; null: as the server's settings say, as of the others.
    pub requests_per_minute: Option<i32>,
    /// Questions and searches a minute.
    pub asks_per_minute: Option<i32>,
    pub uploads_per_minute: Option<i32>,
    /// Event streams that are open at one replica.
    pub streams_max: Option<i32>,
}

/// What is wanted of a new key.
#[derive(Clone, Debug)]
pub struct NewKey<'a> {
    pub tenant: TenantId,
    pub name: &'a str,
    pub kind: Kind,
    pub scopes: &'a [Scope],
    pub collections: Option<&'a [CollectionId]>,
    pub origins: &'a [String],
    pub expires_at: Option<DateTime<Utc>>,
    pub limits: OwnLimits,
}

/// Stores a new key; the key itself is not kept. `None`: the tenant has as many as it may have, or isn't there.
///
/// # Errors
/// When the database fails.
pub async fn create(
    pool: &PgPool,
    new: &NewKey<'_>,
    key: &Key,
    keys_max: u32,
) -> Result<Option<ApiKey>> {
    let id = ApiKeyId::fresh();
    let scopes: Vec<String> = new.scopes.iter().map(ToString::to_string).collect();
    let collections: Option<Vec<Uuid>> = new
        .collections
        .map(|ids| ids.iter().map(|id| id.0).collect());
    let mut tx = transaction(pool).await?;
    // Two at once would otherwise both find room.
    sqlx::query!(
        "select id from tenants where id = $1 for update",
        new.tenant.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let made = sqlx::query!(
        "insert into api_keys (id, tenant_id, name, hash, kind, prefix, scopes, collections, origins, expires_at,
             requests_per_minute, asks_per_minute, uploads_per_minute, streams_max)
         select $1, tenant.id, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13, $14, $15
         from tenants tenant
         where tenant.id = $2
           and (select count(*) from api_keys where tenant_id = $2 and revoked_at is null) < $11",
        id.0,
        new.tenant.0,
        new.name,
        key.hash(),
        new.kind.as_str(),
        key.prefix(),
        &scopes,
        collections.as_deref(),
        new.origins,
        new.expires_at,
        i64::from(keys_max),
        new.limits.requests_per_minute,
        new.limits.asks_per_minute,
        new.limits.uploads_per_minute,
        new.limits.streams_max,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    if made.rows_affected() == 0 {
        return Ok(None);
    }
    show(pool, new.tenant, id).await
}

/// # Errors
/// When the database fails.
pub async fn show(pool: &PgPool, tenant: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>> {
    Ok(sqlx::query_as!(
        ApiKey,
        r#"select id as "id: ApiKeyId", name, kind, prefix, scopes,
               case when collections is not null then array(
                   select collection.name from collections collection
                   where collection.id = any(key.collections) and collection.tenant_id = key.tenant_id
                   order by collection.name
               ) end as collections,
               origins, expires_at, created_at, last_used_at, revoked_at, requests_per_minute, asks_per_minute,
               uploads_per_minute, streams_max
           from api_keys key
           where id = $1 and tenant_id = $2"#,
        id.0,
        tenant.0
    )
    .fetch_optional(pool)
    .await?)
}

/// A key with the name of its tenant, in one statement: what `GET /api/v1/me` asks for.
///
/// # Errors
/// When the database fails.
pub async fn show_with_tenant(
    pool: &PgPool,
    tenant: TenantId,
    id: ApiKeyId,
) -> Result<Option<(ApiKey, String)>> {
    let row = sqlx::query!(
        r#"select key.id as "id: ApiKeyId", key.name, kind, prefix, scopes,
               case when collections is not null then array(
                   select collection.name from collections collection
                   where collection.id = any(key.collections) and collection.tenant_id = key.tenant_id
                   order by collection.name
               ) end as collections,
               origins, expires_at, key.created_at, last_used_at, revoked_at, requests_per_minute, asks_per_minute,
               uploads_per_minute, streams_max, tenant.name as tenant_name
           from api_keys key
           join tenants tenant on tenant.id = key.tenant_id
           where key.id = $1 and key.tenant_id = $2"#,
        id.0,
        tenant.0
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let key = ApiKey {
            id: row.id,
            name: row.name,
            kind: row.kind,
            prefix: row.prefix,
            scopes: row.scopes,
            collections: row.collections,
            origins: row.origins,
            expires_at: row.expires_at,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            requests_per_minute: row.requests_per_minute,
            asks_per_minute: row.asks_per_minute,
            uploads_per_minute: row.uploads_per_minute,
            streams_max: row.streams_max,
        };
        (key, row.tenant_name)
    }))
}

/// The tenant's keys, newest first; those that were revoked for another ninety days.
///
/// # Errors
/// When the database fails.
pub async fn list(pool: &PgPool, tenant: TenantId) -> Result<Vec<ApiKey>> {
    Ok(sqlx::query_as!(
        ApiKey,
        r#"select id as "id: ApiKeyId", name, kind, prefix, scopes,
               case when collections is not null then array(
                   select collection.name from collections collection
                   where collection.id = any(key.collections) and collection.tenant_id = key.tenant_id
                   order by collection.name
               ) end as collections,
               origins, expires_at, created_at, last_used_at, revoked_at, requests_per_minute, asks_per_minute,
               uploads_per_minute, streams_max
           from api_keys key
           where tenant_id = $1 and (revoked_at is null or revoked_at > now() - interval '90 days')
           order by id desc"#,
        tenant.0
    )
    .fetch_all(pool)
    .await?)
}

/// Revokes a key, for good. False: there is no such key that could still be used.
///
/// # Errors
/// When the database fails.
pub async fn revoke(pool: &PgPool, tenant: TenantId, id: ApiKeyId) -> Result<bool> {
    let revoked = sqlx::query!(
        "update api_keys set revoked_at = now() where id = $1 and tenant_id = $2 and revoked_at is null",
        id.0,
        tenant.0
    )
    .execute(pool)
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Those of these keys that open nothing any more: revoked, expired, or of a tenant that is suspended.
///
/// # Errors
/// When the database fails.
pub async fn ended(pool: &PgPool, keys: &[ApiKeyId]) -> Result<Vec<ApiKeyId>> {
    let keys: Vec<Uuid> = keys.iter().map(|key| key.0).collect();
    Ok(sqlx::query_scalar!(
        r#"select asked.id as "id!: ApiKeyId"
           from unnest($1::uuid[]) as asked (id)
           where not exists (
               select from api_keys key
               join tenants tenant on tenant.id = key.tenant_id
               where key.id = asked.id and revoked_at is null and (expires_at is null or expires_at > now())
                 and tenant.suspended_at is null
           )"#,
        &keys
    )
    .fetch_all(pool)
    .await?)
}

/// Whether a widget's key that can be used names one of these origins.
///
/// # Errors
/// When the database fails.
pub async fn is_widget_origin(pool: &PgPool, patterns: &[String]) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from api_keys
               where kind = 'widget' and origins && $1 and revoked_at is null
                 and (expires_at is null or expires_at > now())
           ) as "exists!""#,
        patterns
    )
    .fetch_one(pool)
    .await?)
}

/// Makes sure that the development key exists.
///
/// # Errors
/// When the database fails.
pub async fn ensure_development_key(pool: &PgPool) -> Result<()> {
    let scopes = Scope::ALL.map(|scope| scope.to_string());
    let Some(key) = Key::parse(DEVELOPMENT_KEY) else {
        return Ok(());
    };
    sqlx::query!(
        "insert into api_keys (id, tenant_id, name, hash, prefix, scopes, development)
         values ($1, $2, 'development', $3, $4, $5, true)
         on conflict on constraint api_keys_hash_unique do update set scopes = excluded.scopes",
        ApiKeyId::fresh().0,
        DEFAULT_TENANT.0,
        key.hash(),
        DEVELOPMENT_KEY,
        &scopes,
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Stores the first key of all, which may do everything. False: there is one, or has been.
///
/// Of replicas that start at once one stores its own.
///
/// # Errors
/// When the database fails.
pub async fn create_first(pool: &PgPool, key: &Key) -> Result<bool> {
    let scopes = Scope::ALL.map(|scope| scope.to_string());
    let mut tx = transaction(pool).await?;
    // Whoever comes second waits here, and then sees the first one's key.
    sqlx::query!(
        "select id from tenants where id = $1 for update",
        DEFAULT_TENANT.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let made = sqlx::query!(
        "insert into api_keys (id, tenant_id, name, hash, prefix, scopes)
         select $1, $2, 'first', $3, $4, $5
         where not exists (select from api_keys where not development)",
        ApiKeyId::fresh().0,
        DEFAULT_TENANT.0,
        key.hash(),
        key.prefix(),
        &scopes,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(made.rows_affected() == 1)
}

/// Whether anybody could administer a production server.
///
/// # Errors
/// When the database fails.
pub async fn has_production_key(pool: &PgPool) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from api_keys
               where not development and 'admin' = any(scopes) and revoked_at is null
                 and (expires_at is null or expires_at > now())
           ) as "exists!""#
    )
    .fetch_one(pool)
    .await?)
}
