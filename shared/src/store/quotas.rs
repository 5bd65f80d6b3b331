//! Quotas: how much of what a tenant may use in a day and in a month.
//!
//! All is counted, whether there is a quota or not, in the transaction that makes what is counted. Rows are of the
//! tenant, the quota and the period, and always taken in the same order, last in their transaction: so transactions
//! wait for each other shortly, and never in a circle.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use super::{Result, StoreError, transaction};
use crate::{
    config::{Allowed, Quotas},
    ids::TenantId,
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Quota {
    /// Files that are to be read: documents and versions of them.
    Documents,
    /// Of these files.
    Bytes,
    Questions,
    /// What the generator's server was told and said.
    Tokens,
}

impl Quota {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Bytes => "bytes",
            Self::Questions => "questions",
            Self::Tokens => "tokens",
        }
    }
}

impl FromStr for Quota {
    type Err = &'static str;

    fn from_str(raw: &str) -> std::result::Result<Self, Self::Err> {
        let all = [Self::Documents, Self::Bytes, Self::Questions, Self::Tokens];
        let found = all.into_iter().find(|quota| quota.as_str() == raw);
        found.ok_or("it is `documents`, `bytes`, `questions` or `tokens`")
    }
}

/// What a quota is of, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Period {
    Day,
    Month,
}

impl Period {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(raw: &str) -> std::result::Result<Self, Self::Err> {
        let mut all = [Self::Day, Self::Month].into_iter();
        let found = all.find(|period| period.as_str() == raw);
        found.ok_or("it is `day` or `month`")
    }
}

/// What the settings allow in a day and in a month.
fn allowed(quotas: &Quotas, quota: Quota) -> [Allowed; 2] {
    match quota {
        Quota::Documents => [
            quotas.quota_documents_per_day,
            quotas.quota_documents_per_month,
        ],
        Quota::Bytes => [quotas.quota_bytes_per_day, quotas.quota_bytes_per_month],
        Quota::Questions => [
            quotas.quota_questions_per_day,
            quotas.quota_questions_per_month,
        ],
        Quota::Tokens => [quotas.quota_tokens_per_day, quotas.quota_tokens_per_month],
    }
}

/// A quota that is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub quota: String,
    /// `day` or `month`.
    pub period: String,
    pub allowed: i64,
    pub resets_at: DateTime<Utc>,
}

/// The rows of a question about some quotas, as columns.
struct Columns {
    quotas: Vec<String>,
    periods: Vec<String>,
    amounts: Vec<i64>,
    allowed: Vec<Option<i64>>,
}

impl Columns {
    fn new(amounts: &[(Quota, i64)], quotas: &Quotas) -> Self {
        let mut columns = Self {
            quotas: Vec::new(),
            periods: Vec::new(),
            amounts: Vec::new(),
            allowed: Vec::new(),
        };
        for &(quota, amount) in amounts {
            for (period, Allowed(allowed)) in
                ["day", "month"].into_iter().zip(allowed(quotas, quota))
            {
                columns.quotas.push(quota.as_str().to_owned());
                columns.periods.push(period.to_owned());
                columns.amounts.push(amount);
                columns.allowed.push(allowed);
            }
        }
        columns
    }
}

/// Counts what the caller's transaction makes.
///
/// # Errors
/// [`StoreError::QuotaExceeded`] when it is more than is left: the transaction must not be committed then. Or when the
/// database fails.
pub(super) async fn take(
    tx: &mut PgConnection,
    tenant: TenantId,
    amounts: &[(Quota, i64)],
    quotas: &Quotas,
) -> Result<()> {
    let columns = Columns::new(amounts, quotas);
    let exceeded = sqlx::query_as!(
        Exceeded,
        r#"with wanted as materialized (
               select wanted.quota, wanted.period, amount,
                   case when own.tenant_id is null then wanted.allowed else own.allowed end as allowed,
                   date_trunc(wanted.period, now() at time zone 'utc') as starts
               from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[])
                   as wanted (quota, period, amount, allowed)
               left join quota_overrides own
                   on own.tenant_id = $1 and own.quota = wanted.quota and own.period = wanted.period
           ), counted as (
               insert into quota_usage as known (tenant_id, quota, period, starts, used)
               select $1, quota, period, starts::date, amount from wanted
               where amount <= coalesce(allowed, amount)
               order by quota, period
               on conflict (tenant_id, quota, period, starts) do update
               set used = known.used + excluded.used
               where known.used + excluded.used <= coalesce(
                   (select allowed from wanted where quota = excluded.quota and period = excluded.period),
                   known.used + excluded.used
               )
               returning known.quota, known.period
           )
           select quota as "quota!", period as "period!", allowed as "allowed!",
               (starts + ('1 ' || period)::interval) at time zone 'utc' as "resets_at!"
           from wanted
           where not exists (
               select from counted where counted.quota = wanted.quota and counted.period = wanted.period
           )
           -- Of several, the one that is waited for the longest.
           order by 4 desc
           limit 1"#,
        tenant.0,
        &columns.quotas,
        &columns.periods,
        &columns.amounts,
        &columns.allowed as _,
    )
    .fetch_optional(tx)
    .await?;
    exceeded.map_or(Ok(()), |exceeded| Err(StoreError::QuotaExceeded(exceeded)))
}

/// Counts what was used already, whatever is left.
pub(super) async fn note(
    tx: &mut PgConnection,
    tenant: TenantId,
    quota: Quota,
    amount: i64,
) -> Result<()> {
    sqlx::query!(
        "insert into quota_usage as known (tenant_id, quota, period, starts, used)
         select $1, $2, period, date_trunc(period, now() at time zone 'utc')::date, $3
         from unnest(array['day', 'month']) as period
         order by period
         on conflict (tenant_id, quota, period, starts) do update set used = known.used + excluded.used",
        tenant.0,
        quota.as_str(),
        amount,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Counts tokens that no answer came of.
///
/// # Errors
/// When the database fails.
pub async fn spend(pool: &PgPool, tenant: TenantId, tokens: i64) -> Result<()> {
    let mut connection = pool.acquire().await?;
    note(&mut connection, tenant, Quota::Tokens, tokens).await
}

/// How much of one quota was used in a period that runs.
#[derive(Clone, Debug)]
pub struct Used {
    pub quota: String,
    /// `day` or `month`.
    pub period: String,
    pub used: i64,
    /// `None`: as much as it likes.
    pub allowed: Option<i64>,
    pub resets_at: DateTime<Utc>,
}

/// What a tenant has used of these quotas, and what it may.
///
/// # Errors
/// When the database fails.
pub async fn usage(
    pool: &PgPool,
    tenant: TenantId,
    wanted: &[Quota],
    quotas: &Quotas,
) -> Result<Vec<Used>> {
    let amounts: Vec<_> = wanted.iter().map(|&quota| (quota, 0)).collect();
    let columns = Columns::new(&amounts, quotas);
    Ok(sqlx::query_as!(
        Used,
        r#"select wanted.quota as "quota!", wanted.period as "period!", coalesce(known.used, 0) as "used!",
               case when own.tenant_id is null then wanted.allowed else own.allowed end as allowed,
               (date_trunc(wanted.period, now() at time zone 'utc') + ('1 ' || wanted.period)::interval)
                   at time zone 'utc' as "resets_at!"
           from unnest($2::text[], $3::text[], $4::bigint[])
               with ordinality as wanted (quota, period, allowed, place)
           left join quota_overrides own
               on own.tenant_id = $1 and own.quota = wanted.quota and own.period = wanted.period
           left join quota_usage known
               on known.tenant_id = $1 and known.quota = wanted.quota and known.period = wanted.period
               and known.starts = date_trunc(wanted.period, now() at time zone 'utc')::date
           order by wanted.place"#,
        tenant.0,
        &columns.quotas,
        &columns.periods,
        &columns.allowed as _,
    )
    .fetch_all(pool)
    .await?)
}

/// One of these quotas that is used up already, as far as can be told before anything is counted.
///
/// # Errors
/// When the database fails.
pub async fn used_up(
    pool: &PgPool,
    tenant: TenantId,
    wanted: &[Quota],
    quotas: &Quotas,
) -> Result<Option<Exceeded>> {
    let used = usage(pool, tenant, wanted, quotas).await?;
    let exceeded = used.into_iter().filter_map(|used| {
        let allowed = used.allowed.filter(|allowed| used.used >= *allowed)?;
        Some(Exceeded {
            quota: used.quota,
            period: used.period,
            allowed,
            resets_at: used.resets_at,
        })
    });
    Ok(exceeded.max_by_key(|exceeded| exceeded.resets_at))
}

/// What a tenant may use, in place of the settings.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OwnQuota {
    /// `documents`, `bytes`, `questions` or `tokens`.
    pub quota: String,
    /// `day` or `month`, of UTC.
    pub period: String,
    /// `null`: as much as it likes.
    pub allowed: Option<i64>,
}

/// The quotas that are a tenant's own.
///
/// # Errors
/// When the database fails.
pub async fn own(pool: &PgPool, tenant: TenantId) -> Result<Vec<OwnQuota>> {
    Ok(sqlx::query_as!(
        OwnQuota,
        "select quota, period, allowed from quota_overrides where tenant_id = $1 order by quota, period",
        tenant.0
    )
    .fetch_all(pool)
    .await?)
}

/// Says what a tenant may use, in place of the settings: of each quota as the last for it says, of all others what the
/// settings say. False when there is no such tenant.
///
/// # Errors
/// When the database fails.
pub async fn replace(
    pool: &PgPool,
    tenant: TenantId,
    own: &[(Quota, Period, Option<i64>)],
) -> Result<bool> {
    let mut tx = transaction(pool).await?;
    // Two that replace them at once take turns.
    let there = sqlx::query_scalar!(
        r#"select true as "there!" from tenants where id = $1 for no key update"#,
        tenant.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if there.is_none() {
        return Ok(false);
    }
    sqlx::query!("delete from quota_overrides where tenant_id = $1", tenant.0)
        .execute(&mut *tx)
        .await?;
    for (quota, period, allowed) in own {
        set(&mut tx, tenant, *quota, *period, *allowed).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// Says what a tenant may use, in place of the settings; `None`: as these say.
///
/// # Errors
/// When the database fails.
pub async fn allow(
    pool: &PgPool,
    tenant: TenantId,
    quota: Quota,
    period: Period,
    allowed: Option<Allowed>,
) -> Result<()> {
    let Some(Allowed(most)) = allowed else {
        sqlx::query!(
            "delete from quota_overrides where tenant_id = $1 and quota = $2 and period = $3",
            tenant.0,
            quota.as_str(),
            period.as_str()
        )
        .execute(pool)
        .await?;
        return Ok(());
    };
    let mut connection = pool.acquire().await?;
    set(&mut connection, tenant, quota, period, most).await
}

async fn set(
    connection: &mut PgConnection,
    tenant: TenantId,
    quota: Quota,
    period: Period,
    most: Option<i64>,
) -> Result<()> {
    sqlx::query!(
        "insert into quota_overrides (tenant_id, quota, period, allowed) values ($1, $2, $3, $4)
         on conflict (tenant_id, quota, period) do update set allowed = excluded.allowed",
        tenant.0,
        quota.as_str(),
        period.as_str(),
        most
    )
    .execute(connection)
    .await?;
    Ok(())
}
