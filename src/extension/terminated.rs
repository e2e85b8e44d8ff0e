//! SIGTERM, which ends the extension as SHUTDOWN does.

use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// SIGTERM. While this exists, the signal does not kill the process.
///
/// The signal has a task of its own, because the loop of the extension looks here with each event, and that must cost nothing.
pub(super) struct Terminated(Arc<Notify>);

impl Terminated {
    pub(super) fn new() -> Self {
        let received = Arc::new(Notify::new());
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                let notified = Arc::clone(&received);
                tokio::spawn(async move {
                    while signal.recv().await.is_some() {
                        notified.notify_one();
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "SIGTERM cannot be caught"),
        }
        Self(received)
    }

    /// Waits for SIGTERM.
    pub(super) async fn received(&self) {
        self.0.notified().await;
    }
}
