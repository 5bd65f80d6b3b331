//! Who is asking, and whether the route lets them: the API key in the `Authorization` header.
//!
//! Every route says in `routes.rs` what it needs, and nothing of a request is read before that is looked at here.

use std::{collections::HashSet, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{header, request::Parts},
    middleware::Next,
    response::Response,
};
use lectern_shared::{
    ids::{ApiKeyId, TenantId},
    keys::{Key, Kind, Scope},
    store::{
        keys::{self, Access},
        reach::{Asker, Reach},
    },
};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tracing::{Span, field::display, warn};

use crate::{
    config::Mode,
    error::{ApiError, Result},
    limits::{self, Guest},
    state::AppState,
    widgets,
};

/// What a route needs of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// No key.
    Nothing,
    /// Any key but a widget's.
    Key,
    /// A key with one of these scopes, but no widget's.
    Scope(&'static [Scope]),
    /// The same, or a widget's that has it.
    Visit(&'static [Scope]),
}

impl Need {
    pub(crate) fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Nothing | Self::Key => &[],
            Self::Scope(scopes) | Self::Visit(scopes) => scopes,
        }
    }

    /// Web pages of other origins come here.
    pub(crate) fn is_for_widgets(self) -> bool {
        matches!(self, Self::Visit(_))
    }
}

/// A request with a key that may do what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    pub(crate) key: ApiKeyId,
    pub(crate) kind: Kind,
    access: Arc<Access>,
    /// What the store may show and change for it.
    pub(crate) reach: Reach,
    /// Whose the questions are that it asks.
    pub(crate) asker: Asker,
}

impl Caller {
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.access.scopes.contains(&scope)
    }

    /// Refuses what needs a further scope than the route does.
    pub(crate) fn must(&self, scope: Scope) -> Result<()> {
        if self.may(scope) {
            Ok(())
        } else {
            Err(lacks(&[scope]))
        }
    }
}

/// [`admit`] has looked at the key already. A route that needs none has no caller.
impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self> {
        let caller = parts.extensions.get::<Self>();
        caller.cloned().ok_or(ApiError::Unauthorized)
    }
}

/// Lets a request in whose key may do what the route needs.
pub(crate) async fn admit(
    State((state, need)): State<(AppState, Need)>,
    request: Request,
    next: Next,
) -> Result<Response> {
    // A body can't be lent to another task, so it stays apart meanwhile.
    let (mut parts, body) = request.into_parts();
    if need != Need::Nothing {
        let caller = caller(&state, need, &parts).await?;
        Span::current()
            .record("tenant.id", display(caller.tenant))
            .record("key.id", display(caller.key))
            .record("key.kind", caller.kind.as_str());
        parts.extensions.insert(caller);
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

async fn caller(state: &AppState, need: Need, parts: &Parts) -> Result<Caller> {
    let headers = &parts.headers;
    let key = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .and_then(|(_, key)| Key::parse(key.trim()))
        .ok_or(ApiError::Unauthorized)?;
    let access = state.keys.find(&key).await?;
    let access = access.ok_or(ApiError::Unauthorized)?;
    if access.development && state.settings.mode == Mode::Production {
        return Err(ApiError::Unauthorized);
    }
    if access.suspended {
        return Err(ApiError::Suspended);
    }
    // Before anything else is done for it, and also when it is refused below.
    limits::admit(&parts.extensions, state, Guest::from(&*access)).await?;
    let visitor = match access.kind {
        Kind::Secret => None,
        Kind::Widget => {
            widgets::check(&access, need, headers)?;
            widgets::visitor(headers)?
        }
    };
    let needed = need.scopes();
    if !needed.is_empty() && !needed.iter().any(|scope| access.scopes.contains(scope)) {
        return Err(lacks(needed));
    }
    if !access.noted {
        state.uses.note(&state.pool, access.key).await;
    }
    Ok(Caller::new(access, visitor))
}

impl Caller {
    fn new(access: Arc<Access>, visitor: Option<Arc<[u8]>>) -> Self {
        let asker = Asker {
            key: access.key,
            visitor,
        };
        // Who may ask and not read sees what it has asked itself.
        let sees_all = access.scopes.contains(&Scope::Read);
        Self {
            tenant: access.tenant,
            key: access.key,
            kind: access.kind,
            reach: Reach {
                tenant: access.tenant,
                collections: access.collections.clone(),
                asker: (!sees_all).then(|| asker.clone()),
            },
            asker,
            access,
        }
    }
}

fn lacks(needed: &[Scope]) -> ApiError {
    let names: Vec<_> = needed.iter().map(|scope| format!("`{scope}`")).collect();
    ApiError::Forbidden(format!(
        "This needs a key with the scope {}. GET /api/v1/me says what yours may do; a key with the scope `admin` makes \
         others with POST /api/v1/keys.",
        names.join(" or ")
    ))
}

/// Notes when keys were used, behind the requests.
#[derive(Clone, Default)]
pub(crate) struct Uses {
    /// Keys whose use is being written down: one statement for each at a time, however many requests it has.
    under_way: Arc<Mutex<HashSet<ApiKeyId>>>,
}

impl Uses {
    async fn note(&self, pool: &PgPool, key: ApiKeyId) {
        if !self.under_way.lock().await.insert(key) {
            return;
        }
        let (pool, under_way) = (pool.clone(), self.under_way.clone());
        // Lost when the process ends first: the next request notes it.
        tokio::spawn(async move {
            if let Err(error) = keys::note_use(&pool, key).await {
                warn!(%error, key.id = %key, "use of a key not noted");
            }
            under_way.lock().await.remove(&key);
        });
    }
}
