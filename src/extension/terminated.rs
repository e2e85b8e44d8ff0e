//! SIGTERM, which ends the extension as SHUTDOWN does.

use std::future::pending;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, which kills the process no more once this exists.
pub(super) struct Terminated(io::Result<Signal>);

impl Terminated {
    pub(super) fn new() -> Self {
        Self(signal(SignalKind::terminate()))
    }

    /// Waits for SIGTERM.
    pub(super) async fn received(&mut self) {
        match &mut self.0 {
            Ok(signal) => _ = signal.recv().await,
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be caught");
                pending::<()>().await;
            }
        }
    }
}
