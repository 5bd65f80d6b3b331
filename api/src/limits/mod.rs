//! Limits of requests: per key, per tenant and per client address.
//!
//! [`watch`] stands before every route: it knows where a request comes from and what it costs, and tells clients how
//! much is left. [`admit`] counts, as soon as it is known whose key it is, before anything else is done.
//! So every route that needs a key is limited, and what needs none isn't.
//!
//! Of the drafts of the IETF for headers we send the three of the sixth, `RateLimit-Limit`, `-Remaining` and `-Reset`:
//! these are what clients' libraries read; the structured ones of later drafts they don't know yet.

mod address;
mod bucket;
mod class;
pub(crate) mod config;
mod seats;
mod waits;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ipnet::IpNet;
use lectern_shared::{
    ids::{ApiKeyId, TenantId},
    keys::Kind,
    store::keys::{Access, OwnLimits},
};

pub(crate) use self::{
    address::Peer,
    bucket::Limiter,
    class::{Class, waits_for_worker},
    seats::{Seat, Seats},
    waits::{Wait, Waits},
};
use self::{
    bucket::{Rule, Told, Verdict, Whose},
    config::{Name, Quantity, Rate},
};
use crate::{
    error::{ApiError, Result},
    state::AppState,
};

/// Whose key a request came with, and how it is limited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guest {
    key: ApiKeyId,
    tenant: TenantId,
    kind: Kind,
    own: OwnLimits,
}

impl From<&Access> for Guest {
    fn from(access: &Access) -> Self {
        Self {
            key: access.key,
            tenant: access.tenant,
            kind: access.kind,
            own: access.limits,
        }
    }
}

/// What is known of a request, as an extension of it.
#[derive(Clone)]
struct Visit(Arc<Visited>);

struct Visited {
    class: Class,
    address: IpNet,
    guest: OnceLock<Guest>,
    told: OnceLock<Told>,
}

/// Counts a request with a valid key. A request that is authenticated twice is counted once.
///
/// # Errors
/// When one of its limits is used up.
pub(crate) async fn admit(extensions: &Extensions, state: &AppState, guest: Guest) -> Result<()> {
    let Some(Visit(visit)) = extensions.get::<Visit>() else {
        return Ok(());
    };
    if visit.guest.set(guest).is_err() {
        return Ok(());
    }
    let rules = rules(state, visit.class, visit.address, &guest);
    judge(state, &rules, visit).await
}

/// Counts that an admitted request, which was taken for an ordinary one, makes a model run.
///
/// # Errors
/// When one of the limits of that is used up.
pub(crate) async fn admit_ask(extensions: &Extensions, state: &AppState) -> Result<()> {
    let Some(Visit(visit)) = extensions.get::<Visit>() else {
        return Ok(());
    };
    let Some(guest) = visit.guest.get() else {
        return Ok(());
    };
    let rules = rules(state, Class::Ask, visit.address, guest);
    judge(state, &rules, visit).await
}

/// The limits of a request, with what the key's row says instead of the settings. A widget's key is in the hands of all
/// visitors of a page, so each of their addresses has one of its own, within that of the key.
fn rules(state: &AppState, class: Class, address: IpNet, guest: &Guest) -> Vec<Rule> {
    let limits = &state.settings.limits;
    let Guest { own, .. } = guest;
    let (key, widgets, visitor, tenant, of_address, own) = match class {
        _ if !limits.rate_limits => return Vec::new(),
        Class::Exempt => return Vec::new(),
        Class::Request => (
            (Name::KeyRequests, limits.limit_key_requests),
            (Name::WidgetRequests, limits.limit_widget_requests),
            (
                Name::WidgetAddressRequests,
                limits.limit_widget_address_requests,
            ),
            (Name::TenantRequests, limits.limit_tenant_requests),
            (Name::AddressRequests, limits.limit_address_requests),
            own.requests_per_minute,
        ),
        Class::Ask => (
            (Name::KeyAsks, limits.limit_key_asks),
            (Name::WidgetAsks, limits.limit_widget_asks),
            (Name::WidgetAddressAsks, limits.limit_widget_address_asks),
            (Name::TenantAsks, limits.limit_tenant_asks),
            (Name::AddressAsks, limits.limit_address_asks),
            own.asks_per_minute,
        ),
        Class::Upload => (
            (Name::KeyUploads, limits.limit_key_uploads),
            // Widgets upload nothing.
            (Name::KeyUploads, limits.limit_key_uploads),
            (Name::KeyUploads, Rate(None)),
            (Name::TenantUploads, limits.limit_tenant_uploads),
            (Name::AddressUploads, limits.limit_address_uploads),
            own.uploads_per_minute,
        ),
    };
    let ((name, Rate(quantity)), visitor) = match guest.kind {
        Kind::Widget => (widgets, Some(visitor)),
        Kind::Secret => (key, None),
    };
    let own = own.and_then(|count| u32::try_from(count).ok());
    let quantity = own.map(Quantity::per_minute).or(quantity);
    let ApiKeyId(key) = guest.key;
    let TenantId(tenant_id) = guest.tenant;
    [
        rule(name, Rate(quantity), Whose::One(key)),
        visitor.and_then(|(name, rate)| rule(name, rate, Whose::Visitor(key, address))),
        rule(tenant.0, tenant.1, Whose::One(tenant_id)),
        rule(of_address.0, of_address.1, Whose::Address(address)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn rule(name: Name, rate: Rate, whose: Whose) -> Option<Rule> {
    rate.0.map(|quantity| Rule {
        name,
        whose,
        quantity,
    })
}

async fn judge(state: &AppState, rules: &[Rule], visit: &Visited) -> Result<()> {
    match state.limiter.take(rules).await {
        Verdict::Allowed(told) => {
            let _ = visit.told.set(told);
            Ok(())
        }
        Verdict::Refused(limit, told) => {
            let _ = visit.told.set(told);
            Err(ApiError::RateLimited {
                limit,
                retry_after: told.retry_after,
            })
        }
        Verdict::Uncounted => Ok(()),
        Verdict::Closed(limit) => Err(ApiError::LimitUnavailable(limit)),
    }
}

/// Finds out where a request comes from, counts it if its key was none, and tells what is left.
pub(crate) async fn watch(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let limits = &state.settings.limits;
    let peer = request.extensions().get::<Peer>();
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(peer)| peer.ip());
    let visit = Arc::new(Visited {
        class: class_of(&request),
        address: address::client(peer, request.headers(), limits),
        guest: OnceLock::new(),
        told: OnceLock::new(),
    });
    request.extensions_mut().insert(Visit(visit.clone()));
    let mut response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED && limits.rate_limits {
        // Valid keys from there go on: many people may share an address, one of whom has an old key in some script.
        // Keys are 256 random bits, so there is nothing to be guessed either.
        let name = Name::AddressAuthFailures;
        let whose = Whose::Address(visit.address);
        let rule = rule(name, limits.limit_address_auth_failures, whose);
        if let Err(refusal) = judge(&state, &Vec::from_iter(rule), &visit).await {
            response = refusal.into_response();
        }
    }
    if let Some(told) = visit.told.get() {
        tell(told, response.headers_mut());
    }
    response
}

/// What a request costs.
pub(crate) fn class_of(request: &Request) -> Class {
    let route = request.extensions().get::<MatchedPath>();
    Class::of(request.method(), route.map(MatchedPath::as_str))
}

pub(crate) static TOLD: [HeaderName; 3] = [
    HeaderName::from_static("ratelimit-limit"),
    HeaderName::from_static("ratelimit-remaining"),
    HeaderName::from_static("ratelimit-reset"),
];

fn tell(told: &Told, headers: &mut HeaderMap) {
    let values = [
        told.limit.into(),
        told.remaining.into(),
        whole_seconds(told.reset),
    ];
    for (name, value) in TOLD.iter().zip(values) {
        headers.insert(name.clone(), HeaderValue::from(value));
    }
}

/// Rounded up: whoever comes back then isn't refused again.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
