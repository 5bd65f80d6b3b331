//! Collections: sets of documents that are searched together.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::Result;
use crate::ids::{CollectionId, TenantId};

#[derive(Clone, Debug, Serialize)]
pub struct Collection {
    pub id: CollectionId,
    pub name: String,
    pub created_at: DateTime<Utc>,
}

/// The tenant's collection of that name.
///
/// # Errors
/// When the database fails.
pub async fn by_name(pool: &PgPool, tenant: TenantId, name: &str) -> Result<Option<CollectionId>> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: CollectionId" from collections where tenant_id = $1 and name = $2"#,
        tenant.0,
        name
    )
    .fetch_optional(pool)
    .await?)
}

/// All of the tenant's collections, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(pool: &PgPool, tenant: TenantId) -> Result<Vec<Collection>> {
    Ok(sqlx::query_as!(
        Collection,
        r#"select id as "id: CollectionId", name, created_at
           from collections where tenant_id = $1 order by name"#,
        tenant.0
    )
    .fetch_all(pool)
    .await?)
}

/// Makes a collection; false when the name is taken.
///
/// # Errors
/// When the database fails.
pub async fn create(pool: &PgPool, tenant: TenantId, name: &str) -> Result<Option<CollectionId>> {
    let id = CollectionId::fresh();
    let created = sqlx::query!(
        "insert into collections (id, tenant_id, name) values ($1, $2, $3)
         on conflict on constraint collections_name_unique do nothing",
        id.0,
        tenant.0,
        name
    )
    .execute(pool)
    .await?;
    Ok((created.rows_affected() == 1).then_some(id))
}
