//! How many requests of a key wait for workers, so that one key doesn't take all the places that there are for them.
//!
//! Each replica counts its own, as it does streams: see [`super::seats`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{extract::FromRequestParts, http::request::Parts};
use lectern_shared::ids::ApiKeyId;

use crate::{
    auth::Caller,
    error::{ApiError, Result},
    state::AppState,
};

/// Requests that wait, by key.
#[derive(Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<HashMap<ApiKeyId, usize>>>);

impl Waits {
    fn open(&self) -> MutexGuard<'_, HashMap<ApiKeyId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: as many wait as may.
    fn take(&self, key: ApiKeyId, max: usize) -> Option<Wait> {
        let mut open = self.open();
        let waiting = open.get(&key).copied().unwrap_or_default();
        (waiting < max).then(|| {
            open.insert(key, waiting + 1);
            Wait {
                waits: self.clone(),
                key,
            }
        })
    }
}

/// A place for one of them, given back when it is dropped.
pub(crate) struct Wait {
    waits: Waits,
    key: ApiKeyId,
}

impl Wait {
    pub(crate) fn of(caller: &Caller, state: &AppState) -> Result<Self> {
        let max = state.settings.limits.waiting_key_max;
        let wait = state.waits.take(caller.key, max);
        wait.ok_or(ApiError::TooManyWaitingOfKey { max })
    }
}

impl FromRequestParts<AppState> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        Self::of(&caller, state)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut open = self.waits.open();
        if let Some(waiting) = open.get_mut(&self.key) {
            *waiting -= 1;
            if *waiting == 0 {
                open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_as_many_waiting_as_it_may_and_leaves_nothing_behind() {
        let (waits, ours, theirs) = (Waits::default(), ApiKeyId::fresh(), ApiKeyId::fresh());
        let first = waits.take(ours, 2).unwrap();
        let _second = waits.take(ours, 2).unwrap();
        assert!(waits.take(ours, 2).is_none());
        assert!(waits.take(theirs, 1).is_some());
        drop(first);
        assert!(waits.take(ours, 2).is_some());
        assert_eq!(waits.open().len(), 1);
    }
}
