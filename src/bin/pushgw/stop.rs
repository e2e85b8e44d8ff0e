//! When the program is asked to stop.

use super::fault::Fault;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the program was asked to stop, by SIGINT or SIGTERM. Any number of parts may wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

// === impl Stop ===

impl Stop {
    /// From now on, the first of these signals does not end the program by itself.
    pub(crate) fn on_signals() -> Result<Self, Fault> {
        let listen =
            |kind| signal(kind).map_err(|error| Fault::Failed(format!("signals cannot be waited for: {error}")));
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let (asked, stop) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            asked.send_replace(true);
        });
        Ok(Self(stop))
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when it is asked.
    pub(crate) async fn asked(mut self) {
        // Where nobody can ask any more there is nobody to wait for.
        let _is_asked = self.0.wait_for(|is_asked| *is_asked).await.is_ok();
    }
}
