//! A stopwatch for the stages of a use case.

use std::time::Duration;
use tokio::time::Instant;

/// Measures the time of stages.
pub(super) struct Watch {
    start: Instant,
    last: Instant,
}

impl Watch {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { start: now, last: now }
    }

    pub(super) fn lap(&mut self) -> Duration {
        let now = Instant::now();
        now - std::mem::replace(&mut self.last, now)
    }

    pub(super) fn total(&self) -> Duration {
        self.start.elapsed()
    }
}
