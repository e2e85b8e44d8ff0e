//! The numbers of one invocation. The metric line and the answer to a direct caller are made of them.

use super::{Ledger, MessageAction, TickSummary};
use crate::model::{ItemId, Outcome, Reason, Rejection};
use crate::remote_write::{ItemOutcome, Outcomes, Sent};
use std::time::Duration;

/// The numbers add up: `received` = `delivered` + `errored` + `rejected` + `dropped`, and
/// `messages` = `acknowledged` + `dead_lettered` + `returned`.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Summary {
    /// Events in the payload.
    pub received: u64,
    pub delivered: u64,
    pub errored: u64,
    pub rejected: u64,
    /// Events that came too late, with `LATE_SAMPLES=drop`.
    pub dropped: u64,
    /// Rejected events that may be stored.
    pub maybe_stored: u64,
    /// Typed events that are in the journal.
    pub typed: u64,
    /// Distinct samples that the receiver acknowledged.
    pub samples: u64,
    /// Distinct series of these samples.
    pub series: u64,
    /// Integers of delivered events that no double holds exactly.
    pub inexact: u64,
    /// Metrics that were null in valid events, and left out.
    pub null_values: u64,
    pub sent: Sent,
    /// Messages in the payload.
    pub messages: u64,
    pub acknowledged: u64,
    pub dead_lettered: u64,
    /// Messages to be delivered again. A direct invocation that ends in a function error is one.
    pub returned: u64,
    pub rejected_by: [u64; Reason::ALL.len()],
    pub dropped_by: [u64; Reason::ALL.len()],
    pub stages: Stages,
    /// The numbers of a tick, which has no events.
    pub tick: Option<Box<TickSummary>>,
}

/// The time that each stage of an invocation took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stages {
    /// Payload to events.
    pub read: Duration,
    /// Samples into their order.
    pub merge: Duration,
    /// Samples to requests.
    pub encode: Duration,
    /// Requests to answers, bisection included.
    pub send: Duration,
    /// Rejected messages to the dead-letter queue.
    pub dead_letter: Duration,
    pub total: Duration,
}

impl Summary {
    pub(super) fn of(ledger: &Ledger, outcomes: &Outcomes, sent: Sent, stages: Stages) -> Self {
        let mut summary = Self {
            received: ledger.len() as u64,
            maybe_stored: ledger.maybe_stored_count() as u64,
            typed: ledger.journalled_count() as u64,
            samples: outcomes.samples,
            series: outcomes.series,
            inexact: outcomes.inexact,
            null_values: ledger.null_values,
            sent,
            stages,
            ..Self::default()
        };
        for outcome in ledger.outcomes() {
            match *outcome {
                Outcome::Delivered => summary.delivered += 1,
                Outcome::Errored => summary.errored += 1,
                Outcome::Rejected(reason) if ledger.drops(reason) => {
                    summary.dropped += 1;
                    summary.dropped_by[reason as usize] += 1;
                }
                Outcome::Rejected(reason) => {
                    summary.rejected += 1;
                    summary.rejected_by[reason as usize] += 1;
                }
            }
        }
        summary.messages = ledger.actions().len() as u64;
        for action in ledger.actions() {
            match action {
                MessageAction::Acknowledge => summary.acknowledged += 1,
                MessageAction::DeadLetter { .. } => summary.dead_lettered += 1,
                MessageAction::Return { .. } => summary.returned += 1,
            }
        }
        summary
    }

    /// Adds the samples of a delivery, and what was sent for it. Its outcomes are counted apart.
    pub(super) fn add_delivery(&mut self, outcomes: &Outcomes, sent: Sent) {
        self.samples += outcomes.samples;
        self.series += outcomes.series;
        self.inexact += outcomes.inexact;
        self.sent += sent;
    }

    /// Counts the outcomes of items that are no events. If `is_superseded` is true for a rejected item, it counts as
    /// delivered, and `delivered` is called with it. Returns the first item that is rejected, and why.
    pub(super) fn count<'o>(
        &mut self,
        outcomes: &'o Outcomes,
        is_superseded: impl Fn(ItemId, Reason) -> bool,
        mut delivered: impl FnMut(ItemId),
    ) -> Option<(ItemId, &'o Rejection)> {
        let mut first = None;
        for (item, outcome) in outcomes.iter() {
            match outcome {
                ItemOutcome::Errored => self.errored += 1,
                ItemOutcome::Rejected { rejection, maybe_stored } if !is_superseded(item, rejection.reason) => {
                    self.rejected += 1;
                    self.maybe_stored += u64::from(maybe_stored);
                    self.rejected_by[rejection.reason as usize] += 1;
                    first = first.or(Some((item, rejection)));
                }
                ItemOutcome::Delivered | ItemOutcome::Rejected { .. } => {
                    self.delivered += 1;
                    delivered(item);
                }
            }
        }
        first
    }

    /// Counts as delivered what the receiver has written of items that count as rejected for `reason`.
    pub(super) fn accept(&mut self, reason: Reason, written: u64) {
        let rejected = &mut self.rejected_by[reason as usize];
        let written = written.min(*rejected);
        *rejected -= written;
        self.rejected -= written;
        self.delivered += written;
        self.samples += written;
    }

    /// The numbers of an invocation that failed by a defect: every message is returned. The number of events is not
    /// known, so each message counts as one.
    pub fn all_returned(messages: u64) -> Self {
        Self { received: messages, errored: messages, messages, returned: messages, ..Self::default() }
    }

    /// A direct message is its invocation: a function error returns it, any other answer acknowledges it.
    pub fn answer_directly(&mut self, is_error: bool) {
        self.dead_lettered = 0;
        (self.acknowledged, self.returned) = if is_error { (0, self.messages) } else { (self.messages, 0) };
    }

    /// A request is one message: an answer of 5xx returns it, any other acknowledges it.
    pub fn answer_http(&mut self, status: u16) {
        self.dead_lettered = 0;
        (self.acknowledged, self.returned) = if status >= 500 { (0, self.messages) } else { (self.messages, 0) };
    }
}
