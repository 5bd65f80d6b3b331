//! Who is asking: the API key in the `Authorization` header.

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use lectern_shared::{ids::TenantId, store::keys};
use rand::RngCore;

use crate::{config::Mode, error::ApiError, state::AppState};

/// A request with a valid key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let key = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, key)| key.trim())
            .ok_or(ApiError::Unauthorized)?;
        let access = keys::find(&state.pool, key)
            .await?
            .ok_or(ApiError::Unauthorized)?;
        if access.development && state.settings.mode == Mode::Production {
            return Err(ApiError::Unauthorized);
        }
        Ok(Self {
            tenant: access.tenant,
        })
    }
}

/// A new key: a readable prefix and 256 random bits.
#[must_use]
pub fn fresh_key() -> String {
    let mut bits = [0_u8; 32];
    rand::rng().fill_bytes(&mut bits);
    let hex: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("lectern_{hex}")
}
