//! How many event streams each key has open, and their end when the key is revoked.
//!
//! Each replica counts its own. A stream takes memory and a place of the process that holds it, and that process's
//! limit is what one key must not use up alone; so a count that replicas share would protect nothing more, would cost
//! round trips and renewals, and would keep what a crashed replica had counted. What is counted here ends with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{extract::FromRequestParts, http::request::Parts};
use lectern_shared::{ids::ApiKeyId, keys::Kind, store::keys};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::{info, warn};

use super::Visit;
use crate::{auth::Caller, error::ApiError, state::AppState};

/// The open streams of a key.
#[derive(Default)]
struct Streams {
    count: usize,
    /// The key opens nothing any more.
    ended: CancellationToken,
}

/// Open streams by key.
#[derive(Clone, Default)]
pub(crate) struct Seats(Arc<Mutex<HashMap<ApiKeyId, Streams>>>);

/// A place for one stream, given back when it is dropped.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
    seats: Seats,
    key: ApiKeyId,
    ended: CancellationToken,
}

impl Seats {
    fn open(&self) -> MutexGuard<'_, HashMap<ApiKeyId, Streams>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tells that the key has ended; `None`: it has as many open as it may have.
    fn take(&self, key: ApiKeyId, max: usize) -> Option<CancellationToken> {
        if max == 0 {
            return None;
        }
        let mut open = self.open();
        let streams = open.entry(key).or_default();
        if streams.count >= max {
            return None;
        }
        streams.count += 1;
        if streams.ended.is_cancelled() {
            // Its tenant was suspended and goes on, and a slow stream of before is still here.
            streams.ended = CancellationToken::new();
        }
        Some(streams.ended.clone())
    }

    fn end(&self, keys: &[ApiKeyId]) {
        let open = self.open();
        for streams in keys.iter().filter_map(|key| open.get(key)) {
            streams.ended.cancel();
        }
    }

    /// Ends the streams of keys that open nothing any more, until the process has none: one query for all of them, as
    /// often as the settings say, and none while there are no streams.
    pub(crate) async fn watch(state: AppState) {
        let pause = Duration::from_secs(state.settings.limits.stream_keys_seconds.into());
        loop {
            tokio::select! {
                () = state.end.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let keys: Vec<ApiKeyId> = state.seats.open().keys().copied().collect();
            if keys.is_empty() {
                continue;
            }
            match keys::ended(&state.pool, &keys).await {
                Ok(ended) => {
                    for key in &ended {
                        info!(key.id = %key, "its streams end, since the key has");
                    }
                    state.seats.end(&ended);
                }
                Err(error) => warn!(%error, "keys of streams can't be read, will look again"),
            }
        }
    }
}

impl Seat {
    /// Ready when the key has been revoked, has expired, or its tenant is suspended.
    pub(crate) fn ended(&self) -> WaitForCancellationFuture<'_> {
        self.ended.cancelled()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.seats.open();
        if let Some(streams) = open.get_mut(&self.key) {
            streams.count -= 1;
            if streams.count == 0 {
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
        let ended = state.seats.take(caller.key, max);
        Ok(Self {
            _permit: permit,
            ended: ended.ok_or(ApiError::TooManyStreamsOfKey { max })?,
            seats: state.seats.clone(),
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
        assert!(seats.take(ours, 2).is_some());
        let second = seats.take(ours, 2).unwrap();
        assert!(seats.take(ours, 2).is_none());
        let other = seats.take(theirs, 1).unwrap();
        assert!(seats.take(ApiKeyId::fresh(), 0).is_none());
        assert_eq!(seats.open().len(), 2);
        seats.end(&[ours, ApiKeyId::fresh()]);
        assert!(second.is_cancelled() && !other.is_cancelled());
        assert!(!seats.take(ours, 3).unwrap().is_cancelled());
    }
}
