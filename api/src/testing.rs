//! The API in the caller's own process, on a port of its own, for tests and benchmarks.

use std::{net::SocketAddr, sync::OnceLock};

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches};
use lectern_shared::{
    config::StoreSettings,
    ids::TenantId,
    keys::{Key, Kind, Scope},
    metrics,
    store::{
        keys::{self, NewKey, OwnLimits},
        tenants,
    },
    testing::Place,
};
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    auth::Need,
    config::{Cli, Command, ServeSettings},
    routes,
    state::AppState,
    table::Route,
};

/// The settings of `serve` with these arguments. Where the data are is said by a [`Place`] instead.
///
/// # Panics
/// When the arguments are none of `serve`'s.
#[must_use]
pub fn settings(arguments: &[&str]) -> ServeSettings {
    let fixed = [
        "lectern-api",
        "serve",
        "--database-url=unused",
        "--redis-url=unused",
        "--blobs=unused",
        // Tests and benchmarks ask as often as they can.
        "--rate-limits=false",
    ];
    let command = Cli::command().args_override_self(true);
    let cli = command
        .try_get_matches_from(fixed.iter().chain(arguments))
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match cli.expect("arguments of `serve`").command {
        Command::Serve(settings) => *settings,
        _ => unreachable!("it is `serve`"),
    }
}

/// An API that serves until `stop` is cancelled.
pub struct Running {
    pub address: SocketAddr,
    pub stop: CancellationToken,
}

/// A row of the table of routes.
#[derive(Clone, Debug)]
pub struct RouteRow {
    pub method: String,
    pub path: &'static str,
    /// Any of them opens it; none: any key does.
    pub scopes: &'static [Scope],
    /// It takes no key.
    pub open: bool,
    pub for_widgets: bool,
}

/// The table that the router is made of.
#[must_use]
pub fn routes() -> Vec<RouteRow> {
    let row = |route: Route| RouteRow {
        method: route.method.to_string(),
        path: route.path,
        scopes: route.need.scopes(),
        open: route.need == Need::Nothing,
        for_widgets: route.need.is_for_widgets(),
    };
    routes::table().into_iter().map(row).collect()
}

/// A new secret key of a tenant, with these scopes.
///
/// # Errors
/// When the database fails.
pub async fn key(pool: &PgPool, tenant: TenantId, scopes: &[Scope]) -> Result<String> {
    let new = NewKey {
        tenant,
        name: "test",
        kind: Kind::Secret,
        scopes,
        collections: None,
        origins: &[],
        expires_at: None,
        limits: OwnLimits::default(),
    };
    let key = Key::fresh(Kind::Secret);
    keys::create(pool, &new, &key, u32::MAX)
        .await?
        .context("there is no such tenant")?;
    Ok(key.reveal().to_owned())
}

/// Another tenant, with a key of it that has all scopes but the operator's.
///
/// # Errors
/// When the name is taken, or the database fails.
pub async fn other_tenant(pool: &PgPool, name: &str) -> Result<(TenantId, String)> {
    let tenant = tenants::create(pool, name)
        .await?
        .context("the name is taken")?;
    let scopes = [Scope::Read, Scope::Ask, Scope::Write, Scope::Admin];
    Ok((tenant.id, key(pool, tenant.id, &scopes).await?))
}

/// Serves a place, where the development key opens everything.
///
/// # Errors
/// When the place's servers can't be reached.
pub async fn start(settings: ServeSettings, place: &Place) -> Result<Running> {
    start_at(settings, &place.settings, &place.pool).await
}

/// As [`start`], where `store` says.
///
/// # Errors
/// As [`start`].
pub async fn start_at(
    settings: ServeSettings,
    store: &StoreSettings,
    pool: &PgPool,
) -> Result<Running> {
    // One for all of the process: a second recorder can't be installed.
    static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    keys::ensure_development_key(pool).await?;
    let stop = CancellationToken::new();
    let prometheus = METRICS.get_or_init(|| metrics::install().ok()).clone();
    let state = AppState::connect(settings.api, store, prometheus, stop.clone()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(crate::serve(listener, state, stop.clone()));
    Ok(Running { address, stop })
}
