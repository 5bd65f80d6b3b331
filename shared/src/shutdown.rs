//! One signal to stop, seen everywhere: Ctrl-C or SIGTERM cancels a token.

use tokio_util::sync::CancellationToken;
use tracing::info;

/// A token that is cancelled at the first SIGINT or SIGTERM.
/// A second signal ends the process at once, for people who don't want to wait.
///
/// # Errors
/// When the operating system refuses the signal handlers.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping");
        stop.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping at once");
        #[expect(clippy::exit, reason = "the second signal asks for exactly that")]
        std::process::exit(130);
    });
    Ok(token)
}
