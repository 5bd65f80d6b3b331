//! Keeping the lease of a running job, on a task of its own so that nothing that the job does can hold it up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lectern_shared::store::jobs::{self, Claimed, Lease};
use sqlx::PgPool;
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
};
use tracing::warn;

/// Why a job must be put down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PutDown {
    CancelRequested,
    Lost,
}

/// Renews until it is dropped.
pub(crate) struct Keeper {
    task: AbortHandle,
    put_down: oneshot::Receiver<PutDown>,
}

impl Keeper {
    /// Renews every third of the lease, and whenever `look` is notified.
    pub(crate) fn start(pool: PgPool, job: &Claimed, lease: Duration, look: Arc<Notify>) -> Self {
        let (tell, put_down) = oneshot::channel();
        let (id, attempt) = (job.id, job.attempt);
        let task = tokio::spawn(async move {
            let mut held_until = Instant::now() + lease;
            loop {
                tokio::select! {
                    () = tokio::time::sleep(lease / 3) => {}
                    () = look.notified() => {}
                }
                let began = Instant::now();
                let why = match jobs::renew(&pool, id, attempt, lease).await {
                    Ok(Lease::Held) => {
                        held_until = began + lease;
                        continue;
                    }
                    // The holder is about to hear so, and then says so: nothing may interrupt it any more.
                    Ok(Lease::Done) => return std::future::pending().await,
                    Ok(Lease::CancelRequested) => PutDown::CancelRequested,
                    Ok(Lease::Lost) => PutDown::Lost,
                    Err(error) => {
                        warn!(%error, job.id = %id, "lease not renewed");
                        if Instant::now() < held_until {
                            continue;
                        }
                        PutDown::Lost
                    }
                };
                let _ = tell.send(why);
                return;
            }
        })
        .abort_handle();
        Self { task, put_down }
    }

    /// Waits until the job must be put down.
    pub(crate) async fn put_down(&mut self) -> PutDown {
        (&mut self.put_down).await.unwrap_or(PutDown::Lost)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}
