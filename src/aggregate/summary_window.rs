//! The time that the quantiles of a summary cover.

use crate::model::Timestamp;

const SLOTS: i64 = 5;

/// The last slots of a fifth of the window each, the current one included: quantiles are over four to five fifths of it. Slots
/// begin at multiples of their length since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SummaryWindow {
    /// Milliseconds, at least 1.
    slot: i64,
}

impl SummaryWindow {
    /// The number of slots that can hold values of one window.
    pub(super) const SLOTS: usize = 5;

    /// `window` is in milliseconds; at least 5.
    pub fn from_millis(window: i64) -> Self {
        Self { slot: (window / SLOTS).max(1) }
    }

    /// Returns the beginning of the slot of `time`.
    pub(super) fn slot(self, time: Timestamp) -> Timestamp {
        Timestamp(time.0.saturating_sub(time.0.rem_euclid(self.slot)))
    }

    /// Returns when the values that were counted at `time` leave the window.
    pub(super) fn end(self, time: Timestamp) -> Timestamp {
        Timestamp(self.slot(time).0.saturating_add(self.slot.saturating_mul(SLOTS)))
    }

    /// Returns the beginning of the oldest slot that a scrape at `time` takes.
    pub(super) fn oldest(self, time: Timestamp) -> Timestamp {
        Timestamp(self.slot(time).0.saturating_sub(self.slot.saturating_mul(SLOTS - 1)))
    }
}

/// Ten minutes in slots of two, as Prometheus' client libraries have it.
impl Default for SummaryWindow {
    fn default() -> Self {
        Self::from_millis(10 * 60 * 1_000)
    }
}
