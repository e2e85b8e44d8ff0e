//! SIGINT and SIGTERM.

use super::exit::CommandError;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Knows when SIGINT or SIGTERM asks the program to stop. Any number of parts may wait for it.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// From now on, the first signal does not end the program.
    pub(crate) fn on_signals() -> Result<Self, CommandError> {
        let listen =
            |kind| signal(kind).map_err(|error| CommandError::failed(format!("signals cannot be waited for: {error}")));
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

    pub(crate) async fn asked(mut self) {
        // If the sender is gone, nobody will ask.
        let _is_asked = self.0.wait_for(|is_asked| *is_asked).await.is_ok();
    }
}
