//! What is known of each row, and what follows for its event.

use super::{Delivery, Refused};
use crate::event::Shape;
use crate::gateway::{Batch, Ledger, Trigger};
use crate::instrumentation::MetricLine;
use crate::model::{Outcome, Rejection};
use crate::series::Sample;
use std::collections::HashSet;

/// Two bytes for each sample.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct SampleState {
    settled: Settled,
    in_doubt: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Settled {
    #[default]
    Pending,
    Written,
    Refused,
}

// === impl SampleState ===

impl SampleState {
    pub(super) fn is_pending(self) -> bool {
        self.settled == Settled::Pending
    }

    pub(super) fn is_written(self) -> bool {
        self.settled == Settled::Written
    }

    pub(super) fn is_in_doubt(self) -> bool {
        self.in_doubt
    }

    pub(super) fn set_written(&mut self) {
        self.settled = Settled::Written;
    }

    pub(super) fn set_refused(&mut self) {
        self.settled = Settled::Refused;
    }

    /// It was in a request whose answer does not say whether it is stored.
    pub(super) fn set_in_doubt(&mut self) {
        self.in_doubt = true;
    }
}

// === impl Delivery ===

impl<T> Delivery<'_, '_, T> {
    /// Writes the outcome of each event that has rows, the worst of its rows: errored where one is not known to be
    /// stored, else rejected where one was refused, else delivered. Gives the first failure in words.
    pub(in crate::gateway) fn record(
        self,
        batch: &Batch<'_>,
        shapes: &[Shape],
        ledger: &mut Ledger,
        metrics: &mut MetricLine,
    ) -> Option<String> {
        let rows = self.merged.rows();
        let with = |settled| {
            rows.iter().zip(&self.rows).filter(move |(_, state)| state.settled == settled).map(|(row, _)| row)
        };
        for row in with(Settled::Written) {
            ledger.set(row.event, Outcome::Delivered);
        }
        // What was refused and then stored with an equal sample of another event is stored.
        let not_stored: HashSet<_> = if self.refused.is_empty() {
            HashSet::new()
        } else {
            rows.iter().zip(&self.rows).filter(|(_, state)| !state.is_written()).map(|(row, _)| row.event).collect()
        };
        // By refusal, whether the message of an event that shares it may have come before.
        let mut seen_before = vec![batch.trigger == Trigger::Direct; self.refusals.len()];
        for (event, refused) in &self.refused {
            let (message, _) = ledger.place_of(*event);
            seen_before[refused.refusal as usize] |= batch.messages[message].receive_count > 1;
        }
        for (event, Refused { refusal, like_stored, in_doubt }) in self.refused {
            if !not_stored.contains(&event) {
                continue;
            }
            let (message, place) = ledger.place_of(event);
            let Rejection { reason, detail } = &self.refusals[refusal as usize];
            let detail = match shapes[message] {
                Shape::Single => detail.clone(),
                Shape::Many => format!("[{place}]: {detail}").into(),
            };
            ledger.reject(event, Rejection::new(*reason, detail));
            if in_doubt || (like_stored && seen_before[refusal as usize]) {
                ledger.mark_maybe_stored(event);
            }
        }
        for row in with(Settled::Pending) {
            ledger.set(row.event, Outcome::Errored);
        }
        let mut last: Option<&Sample> = None;
        for row in with(Settled::Written) {
            metrics.samples += u64::from(last.is_none_or(|last| !last.is_same_sample(row)));
            metrics.series += u64::from(last.is_none_or(|last| last.series != row.series));
            metrics.inexact += u64::from(row.value().is_inexact() && ledger.outcome(row.event) == Outcome::Delivered);
            last = Some(row);
        }
        metrics.stages.encode = self.encoding;
        metrics.requests += self.requests;
        metrics.retries += self.retries;
        metrics.bytes += self.bytes;
        self.failure
    }
}
