//! Bodies of uploads: how long they may pause, and how slowly they may come.
//!
//! A byte every half a minute would otherwise keep one of a few places for ever. Only the time that is spent waiting for
//! the client counts: a slow disk of ours is not its fault.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::state::AppState;

/// Why a body was given up.
#[derive(Debug, thiserror::Error)]
#[error("the body comes too slowly")]
pub(crate) struct TooSlow;

/// Gives a request's body the pace that the settings ask for.
pub(crate) async fn hold(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let pace = Pace {
        pause_max: state.settings.upload_pause_max(),
        bytes_per_second_min: state.settings.http.upload_bytes_per_second_min,
    };
    next.run(request.map(|body| Body::new(Paced::new(body, pace))))
        .await
}

#[derive(Clone, Copy)]
struct Pace {
    pause_max: Duration,
    /// 0: any.
    bytes_per_second_min: u32,
}

impl Pace {
    /// How long so many bytes may be waited for in all: one pause, and the time that they may take.
    fn patience(self, bytes: u64) -> Duration {
        match self.bytes_per_second_min {
            0 => Duration::MAX,
            least => {
                let millis = bytes.saturating_mul(1000) / u64::from(least);
                self.pause_max.saturating_add(Duration::from_millis(millis))
            }
        }
    }
}

struct Paced {
    body: Body,
    pace: Pace,
    bytes: u64,
    waited: Duration,
    waits_since: Option<Instant>,
    end: Pin<Box<Sleep>>,
}

impl Paced {
    fn new(body: Body, pace: Pace) -> Self {
        Self {
            body,
            pace,
            bytes: 0,
            waited: Duration::ZERO,
            waits_since: None,
            end: Box::pin(sleep(Duration::ZERO)),
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(since) = this.waits_since.take() {
                this.waited += since.elapsed();
            }
            if let Some(Ok(frame)) = &frame {
                this.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.waits_since.is_none() {
            let now = Instant::now();
            let left = this.pace.patience(this.bytes).saturating_sub(this.waited);
            this.waits_since = Some(now);
            this.end.as_mut().reset(now + left.min(this.pace.pause_max));
        }
        ready!(this.end.as_mut().poll(context));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_may_take_as_long_as_its_bytes_at_the_least_rate_and_a_pause() {
        let pace = Pace {
            pause_max: Duration::from_secs(30),
            bytes_per_second_min: 1000,
        };
        assert_eq!(pace.patience(0), Duration::from_secs(30));
        assert_eq!(pace.patience(5500), Duration::from_millis(35_500));
        let any = Pace {
            bytes_per_second_min: 0,
            ..pace
        };
        assert_eq!(any.patience(1), Duration::MAX);
    }
}
