//! How many event streams each key has open.
//!
//! Each replica counts its own. A stream takes memory and a place of the process that holds it, and that process's
//! limit is what one key must not use up alone; so a count that replicas share would protect nothing more, would cost
//! round trips and renewals, and would keep what a crashed replica had counted. What is counted here ends with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{extract::FromRequestParts, http::request::Parts};
use lectern_shared::{ids::ApiKeyId, keys::Kind};
use tokio::sync::OwnedSemaphorePermit;

use super::Visit;
use crate::{auth::Caller, error::ApiError, state::AppState};

type Open = Arc<Mutex<HashMap<ApiKeyId, usize>>>;

/// Open streams by key.
#[derive(Clone, Default)]
pub(crate) struct Seats(Open);

/// A place for one stream, given back when it is dropped.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    open: Open,
    key: ApiKeyId,
}

impl Seats {
    /// False: the key has as many open as it may have.
    fn take(&self, key: ApiKeyId, max: usize) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_default();
        let free = *count < max;
        *count += usize::from(free);
        if *count == 0 {
            open.remove(&key);
        }
        free
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

impl FromRequestParts<AppState> for Seat {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let permit = state.stream_permits.clone().try_acquire_owned();
        let permit = permit.map_err(|_| ApiError::TooManyStreams)?;
        let guest = parts.extensions.get::<Visit>();
        let guest = guest.and_then(|Visit(visit)| visit.guest.get());
        let own = guest.and_then(|guest| guest.own.streams_max);
        let limits = &state.settings.limits;
        let max = match (own.and_then(|own| usize::try_from(own).ok()), caller.kind) {
            (Some(own), _) => own,
            (None, Kind::Widget) => limits.streams_widget_max,
            (None, Kind::Secret) => limits.streams_key_max,
        };
        if !state.seats.take(caller.key, max) {
            return Err(ApiError::TooManyStreamsOfKey { max });
        }
        Ok(Self {
            _permit: permit,
            open: state.seats.0.clone(),
            key: caller.key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_takes_as_many_places_as_it_may_and_leaves_nothing_behind() {
        let (seats, ours, theirs) = (Seats::default(), ApiKeyId::fresh(), ApiKeyId::fresh());
        assert!(seats.take(ours, 2) && seats.take(ours, 2));
        assert!(!seats.take(ours, 2));
        assert!(seats.take(theirs, 1));
        assert!(!seats.take(ApiKeyId::fresh(), 0));
        assert_eq!(seats.0.lock().unwrap().len(), 2);
    }
}
