//! API keys and whose they are.

use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::Result;
use crate::ids::{ApiKeyId, DEFAULT_TENANT, TenantId};

/// The key that development mode accepts from the first minute on.
pub const DEVELOPMENT_KEY: &str = "lectern-dev";

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub key: ApiKeyId,
    pub tenant: TenantId,
    /// The well-known development key: never to be accepted in production.
    pub development: bool,
}

fn hash(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}

/// Whose key it is, unless it is unknown or revoked.
///
/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, key: &str) -> Result<Option<Access>> {
    Ok(sqlx::query_as!(
        Access,
        r#"select id as "key: ApiKeyId", tenant_id as "tenant: TenantId", development
           from api_keys
           where hash = $1 and revoked_at is null"#,
        hash(key)
    )
    .fetch_optional(pool)
    .await?)
}

/// Stores a new key of the default tenant. The key itself is not kept.
///
/// # Errors
/// When the database fails.
pub async fn create(pool: &PgPool, name: &str, key: &str) -> Result<ApiKeyId> {
    let id = ApiKeyId::fresh();
    sqlx::query!(
        "insert into api_keys (id, tenant_id, name, hash) values ($1, $2, $3, $4)",
        id.0,
        DEFAULT_TENANT.0,
        name,
        hash(key)
    )
    .execute(pool)
    .await?;
    Ok(id)
}

/// Makes sure that the development key exists.
///
/// # Errors
/// When the database fails.
pub async fn ensure_development_key(pool: &PgPool) -> Result<()> {
    sqlx::query!(
        "insert into api_keys (id, tenant_id, name, hash, development)
         values ($1, $2, 'development', $3, true)
         on conflict on constraint api_keys_hash_unique do nothing",
        ApiKeyId::fresh().0,
        DEFAULT_TENANT.0,
        hash(DEVELOPMENT_KEY)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Whether anybody could sign in to a production server.
///
/// # Errors
/// When the database fails.
pub async fn has_production_key(pool: &PgPool) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"select exists (select from api_keys where revoked_at is null and not development) as "exists!""#
    )
    .fetch_one(pool)
    .await?)
}
