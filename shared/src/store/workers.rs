//! Which workers are alive.

use std::time::Duration;

use sqlx::{PgPool, postgres::types::PgInterval};

use super::Result;

/// Says that a worker is alive; also notes it when it is new.
///
/// # Errors
/// When the database fails.
pub async fn report(pool: &PgPool, name: &str, version: &str, model: &str) -> Result<()> {
    sqlx::query!(
        "insert into workers (name, version, model) values ($1, $2, $3)
         on conflict (name) do update set seen_at = now()",
        name,
        version,
        model
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes a worker that stops off the list, and with it those that died a day ago.
///
/// # Errors
/// When the database fails.
pub async fn leave(pool: &PgPool, name: &str) -> Result<()> {
    sqlx::query!(
        "delete from workers where name = $1 or seen_at < now() - interval '1 day'",
        name
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// How many workers have reported within `age`.
///
/// # Errors
/// When the database fails.
pub async fn alive(pool: &PgPool, age: Duration) -> Result<i64> {
    let age = PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(age.as_micros()).unwrap_or(i64::MAX),
    };
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "count!" from workers where seen_at > now() - $1::interval"#,
        age
    )
    .fetch_one(pool)
    .await?)
}
