//! Tenants: whose data it is. Each begins with a collection named `default`, where everything goes that names none.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;

use super::{Result, transaction};
use crate::ids::{CollectionId, TenantId};

/// A tenant as operators see it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    pub created_at: DateTime<Utc>,
    /// Since then its keys are refused.
    pub suspended_at: Option<DateTime<Utc>>,
}

/// Makes a tenant. `None`: the name is taken.
///
/// # Errors
/// When the database fails.
pub async fn create(pool: &PgPool, name: &str) -> Result<Option<Tenant>> {
    let mut tx = transaction(pool).await?;
    let made = sqlx::query_as!(
        Tenant,
        r#"insert into tenants (id, name) values ($1, $2)
           on conflict on constraint tenants_name_unique do nothing
           returning id as "id: TenantId", name, created_at, suspended_at"#,
        TenantId::fresh().0,
        name
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(tenant) = &made {
        sqlx::query!(
            "insert into collections (id, tenant_id, name) values ($1, $2, 'default')",
            CollectionId::fresh().0,
            tenant.id.0
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(made)
}

/// # Errors
/// When the database fails.
pub async fn find(pool: &PgPool, id: TenantId) -> Result<Option<Tenant>> {
    Ok(sqlx::query_as!(
        Tenant,
        r#"select id as "id: TenantId", name, created_at, suspended_at from tenants where id = $1"#,
        id.0
    )
    .fetch_optional(pool)
    .await?)
}

/// # Errors
/// When the database fails.
pub async fn by_name(pool: &PgPool, name: &str) -> Result<Option<Tenant>> {
    Ok(sqlx::query_as!(
        Tenant,
        r#"select id as "id: TenantId", name, created_at, suspended_at from tenants where name = $1"#,
        name
    )
    .fetch_optional(pool)
    .await?)
}

/// Tenants after `after`, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(pool: &PgPool, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>> {
    Ok(sqlx::query_as!(
        Tenant,
        r#"select id as "id: TenantId", name, created_at, suspended_at from tenants
           where $1::uuid is null or id > $1
           order by id
           limit $2"#,
        after.map(|id| id.0),
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?)
}

/// What becomes of a change of a tenant.
#[derive(Clone, Debug)]
pub enum Changed {
    Done(Tenant),
    Missing,
    /// Another one has that name.
    Taken,
}

/// Renames, suspends or resumes a tenant; `None` leaves it.
///
/// # Errors
/// When the database fails.
pub async fn change(
    pool: &PgPool,
    id: TenantId,
    name: Option<&str>,
    suspended: Option<bool>,
) -> Result<Changed> {
    let changed = sqlx::query_as!(
        Tenant,
        r#"update tenants
           set name = coalesce($2, name),
               suspended_at = case
                   when $3 then coalesce(suspended_at, now())
                   when not $3 then null
                   else suspended_at
               end
           where id = $1
           returning id as "id: TenantId", name, created_at, suspended_at"#,
        id.0,
        name,
        suspended
    )
    .fetch_optional(pool)
    .await;
    match changed {
        Ok(Some(tenant)) => Ok(Changed::Done(tenant)),
        Ok(None) => Ok(Changed::Missing),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("tenants_name_unique") => {
            Ok(Changed::Taken)
        }
        Err(error) => Err(error.into()),
    }
}
