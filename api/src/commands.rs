//! Keys and tenants from the command line, for whoever runs the server: without a key, and above the limits.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use chrono::{SecondsFormat, Utc};
use lectern_shared::{
    ids::TenantId,
    keys::{Key, Kind},
    store::{
        self, keys, quotas,
        tenants::{self, Changed},
    },
    telemetry,
};
use sqlx::PgPool;
use tracing::{info, warn};

use crate::{
    config::{KeysCommand, StoreCommand, TenantQuota, TenantsCommand},
    error::ApiError,
    new_key::{self, Wanted},
};

/// What `lectern-api keys …` prints.
///
/// # Errors
/// When what is wanted can't be, or the database fails.
pub async fn keys(command: KeysCommand) -> Result<String> {
    match command {
        KeysCommand::Create(wanted) => {
            let (pool, tenant) = open(&wanted.of.store, &wanted.of.tenant).await?;
            let wanted = Wanted {
                name: wanted.name,
                kind: wanted.kind,
                scopes: wanted.scopes,
                collections: (!wanted.collections.is_empty()).then_some(wanted.collections),
                origins: wanted.origins,
                expires_at: wanted.expires_at,
                tenant: None,
                requests_per_minute: wanted.requests_per_minute,
                asks_per_minute: wanted.asks_per_minute,
                uploads_per_minute: wanted.uploads_per_minute,
                streams_max: wanted.streams_max,
            };
            let made = new_key::make(&pool, tenant, &wanted, u32::MAX).await;
            let (_, key) = made.map_err(|refusal| match refusal {
                ApiError::Invalid(detail) => anyhow::Error::msg(detail),
                other => other.into(),
            })?;
            Ok(format!("{}\n", key.reveal()))
        }
        KeysCommand::List(of) => {
            let (pool, tenant) = open(&of.store, &of.tenant).await?;
            let mut lines = String::new();
            for key in keys::list(&pool, tenant).await? {
                let (state, at) = match (key.revoked_at, key.expires_at, key.last_used_at) {
                    (Some(at), _, _) => ("revoked ", Some(at)),
                    (None, Some(at), _) if at <= Utc::now() => ("expired ", Some(at)),
                    (None, _, Some(at)) => ("used ", Some(at)),
                    (None, _, None) => ("never used", None),
                };
                let at = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
                let at = at.unwrap_or_default();
                let collections = key.collections.map(|names| names.join(","));
                let _ = writeln!(
                    lines,
                    "{} {}… {} {} [{}] {state}{at} {}",
                    key.id,
                    key.prefix,
                    key.kind,
                    key.scopes.join(","),
                    collections.as_deref().unwrap_or("all collections"),
                    key.name,
                );
            }
            Ok(lines)
        }
        KeysCommand::Revoke { id, of } => {
            let (pool, tenant) = open(&of.store, &of.tenant).await?;
            if !keys::revoke(&pool, tenant, id).await? {
                bail!("there is no such key that could still be used: see `lectern-api keys list`");
            }
            Ok(String::new())
        }
    }
}

/// What `lectern-api tenants …` prints.
///
/// # Errors
/// When the name is taken, or the database fails.
pub async fn tenants(command: TenantsCommand) -> Result<String> {
    match command {
        TenantsCommand::Create { name, store } => {
            let pool = migrated(&store).await?;
            let name = new_key::name(&name).ok();
            let name = name.context("a tenant's name has 1 to 200 characters")?;
            let made = tenants::create(&pool, name).await?;
            let tenant = made.context("there is a tenant of that name already")?;
            Ok(format!("{}\n", tenant.id))
        }
        TenantsCommand::List(store) => {
            let pool = migrated(&store).await?;
            let mut lines = String::new();
            for tenant in tenants::list(&pool, None, i32::MAX.unsigned_abs()).await? {
                let state = if tenant.suspended_at.is_some() {
                    "suspended"
                } else {
                    "active"
                };
                let _ = writeln!(lines, "{} {state} {}", tenant.id, tenant.name);
            }
            Ok(lines)
        }
        TenantsCommand::Suspend { name, store } => suspend(&name, &store, true).await,
        TenantsCommand::Resume { name, store } => suspend(&name, &store, false).await,
        TenantsCommand::Quota(wanted) => quota(&wanted).await,
    }
}

async fn suspend(name: &str, store: &StoreCommand, suspended: bool) -> Result<String> {
    let (pool, tenant) = open(store, name).await?;
    match tenants::change(&pool, tenant, None, Some(suspended)).await? {
        Changed::Done(_) => Ok(String::new()),
        Changed::Missing | Changed::Taken => bail!("the tenant has gone meanwhile"),
    }
}

async fn quota(wanted: &TenantQuota) -> Result<String> {
    let (pool, tenant) = open(&wanted.store, &wanted.name).await?;
    quotas::allow(&pool, tenant, wanted.quota, wanted.period, wanted.allowed).await?;
    let mut lines = String::new();
    for own in quotas::own(&pool, tenant).await? {
        let allowed = own.allowed.map(|allowed| allowed.to_string());
        let allowed = allowed.as_deref().unwrap_or("unlimited");
        let _ = writeln!(lines, "{} {} {allowed}", own.quota, own.period);
    }
    Ok(lines)
}

async fn open(store: &StoreCommand, tenant: &str) -> Result<(PgPool, TenantId)> {
    let pool = migrated(store).await?;
    let tenant = tenants::by_name(&pool, tenant).await?.with_context(|| {
        format!("there is no tenant {tenant:?}: see `lectern-api tenants list`")
    })?;
    Ok((pool, tenant.id))
}

async fn migrated(command: &StoreCommand) -> Result<PgPool> {
    telemetry::install(&command.log)?;
    let pool = store::connect(&command.store)?;
    store::migrate(&pool).await?;
    Ok(pool)
}

/// The first key of a production server, to be shown once: by one of the replicas that start, at the first start of all.
///
/// # Errors
/// When the database fails.
pub async fn first_key(pool: &PgPool) -> Result<Option<Key>> {
    let key = Key::fresh(Kind::Secret);
    if keys::create_first(pool, &key).await? {
        info!(key.prefix = key.prefix(), "first key made");
        return Ok(Some(key));
    }
    if !keys::has_production_key(pool).await? {
        warn!(
            "no key can administer this server: make one with `lectern-api keys create --name admin --scopes \
             read,ask,write,admin,operator`"
        );
    }
    Ok(None)
}
