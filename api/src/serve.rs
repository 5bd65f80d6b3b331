//! Connections: who may have one, how long it may be silent, and how they end.
//!
//! axum's own server has no time-outs, which a client that sends its request byte by byte, or never reads the answer,
//! would keep a place with for ever. So this is hyper's, with a loop of our own around it.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lectern_shared::metrics;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::{debug, info, warn};

use crate::{
    limits::{Peer, Seats},
    overload::Crowded,
    routes,
    state::AppState,
};

/// Connections beyond the most, which are told so rather than left waiting; among them may be whoever looks after the
/// process's health.
const CROWD: usize = 64;

/// Accepting fails when the process has no file descriptors left: some come free in a while.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Open files beside connections: of PostgreSQL, Redis, uploads and the page.
const OTHER_FILES: u64 = 512;

/// Each connection is an open file, and what a process may have of these is usually 1,024: takes as many as it can get.
pub fn raise_file_limit(connections_max: usize) {
    let wanted = connections_max as u64 + OTHER_FILES;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let may_have = wanted.min(hard);
        if soft < may_have {
            setrlimit(Resource::RLIMIT_NOFILE, may_have, hard)?;
        }
        Ok(soft.max(may_have))
    });
    match raised {
        Ok(limit) if limit < wanted => warn!(
            limit,
            wanted,
            "the process may open fewer files than LECTERN_CONNECTIONS_MAX needs: raise its limit (ulimit -Hn, LimitNOFILE \
             of systemd, ulimits of a container), or lower that setting"
        ),
        Ok(_) => {}
        Err(error) => warn!(%error, "the limit of open files stays as it is"),
    }
}

/// How long before the deadline of a shutdown answers that are still written are given up, so that their clients are told.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Serves until `stop` is cancelled, then lets open requests end within the configured time.
/// Event streams end at once: their readers resume elsewhere with `Last-Event-ID`.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(listener: TcpListener, state: AppState, stop: CancellationToken) -> Result<()> {
    let deadline = Duration::from_secs(state.settings.shutdown_seconds.into());
    info!(address = %listener.local_addr()?, "listening");
    let keys = tokio::spawn(Seats::watch(state.clone()));
    let upkeep = tokio::spawn(keep_metrics(state.clone()));
    let server = Server::new(state.clone(), stop.clone());
    let connections = TaskTracker::new();
    loop {
        let crowd = server.crowd.clone().acquire_owned();
        let (accepted, crowd) = tokio::select! {
            () = stop.cancelled() => break,
            // Beyond the crowd nobody is accepted: the rest waits in the kernel's queue.
            (accepted, crowd) = async { let crowd = crowd.await; (listener.accept().await, crowd) } => (accepted, crowd),
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.spawn(server.clone().hold(stream, peer, crowd.ok()));
            }
            Err(error) => {
                warn!(%error, "connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Whoever comes from now on is refused at once, and so goes elsewhere.
    drop(listener);
    connections.close();
    let last_moment = LAST_MOMENT.min(deadline / 4);
    let ended = |time| tokio::time::timeout(time, connections.wait());
    if ended(deadline - last_moment).await.is_err() {
        state.late.cancel();
        if ended(last_moment).await.is_err() {
            info!(
                connections = connections.len(),
                "requests still open at the deadline are cut off"
            );
            server.cut.cancel();
            connections.wait().await;
        }
    }
    state.end.cancel();
    keys.await?;
    upkeep.await?;
    Ok(())
}

/// Puts samples into their buckets all the while: else they would lie about until somebody asks for `/metrics`.
async fn keep_metrics(state: AppState) {
    if let Some(prometheus) = &state.prometheus {
        let end = state.end.cancelled();
        metrics::keep_up(prometheus, metrics::UPKEEP_EVERY, end).await;
    }
}

#[derive(Clone)]
struct Server {
    router: Router,
    http1: http1::Builder,
    write_pause_max: Duration,
    places: Arc<Semaphore>,
    crowd: Arc<Semaphore>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    fn new(state: AppState, stop: CancellationToken) -> Self {
        let settings = &state.settings.http;
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(settings.head_seconds_max.into()));
        let connections_max = settings.connections_max.min(Semaphore::MAX_PERMITS - CROWD);
        Self {
            http1,
            write_pause_max: Duration::from_secs(settings.response_pause_seconds_max.into()),
            places: Arc::new(Semaphore::new(connections_max)),
            crowd: Arc::new(Semaphore::new(connections_max + CROWD)),
            router: routes::router(state),
            stop,
            cut: CancellationToken::new(),
        }
    }

    /// Serves a connection to its end.
    async fn hold(
        mut self,
        stream: TcpStream,
        peer: SocketAddr,
        _crowd: Option<OwnedSemaphorePermit>,
    ) {
        let open = ::metrics::gauge!(metrics::CONNECTIONS_OPEN);
        open.increment(1);
        let place = self.places.clone().try_acquire_owned().ok();
        // Tokens of an answer are small, and somebody waits for each.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.write_pause_max));
        // Who has no place is told so, once.
        self.http1.keep_alive(place.is_some());
        let (router, crowded) = (self.router, place.is_none());
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            if crowded {
                request.extensions_mut().insert(Crowded);
            }
            router.clone().oneshot(request)
        });
        let io = TokioIo::new(Box::pin(stream));
        let mut connection = pin!(self.http1.serve_connection(io, service));
        let mut stopping = false;
        loop {
            tokio::select! {
                served = connection.as_mut() => {
                    if let Err(error) = served {
                        // Clients leave, and are slow: that is theirs.
                        debug!(%error, "connection ended early");
                    }
                    break;
                }
                // The answer under way is the last one, and says `Connection: close`.
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.cut.cancelled() => break,
            }
        }
        open.decrement(1);
    }
}
