//! Who got which outcome: one entry for each event of a batch, in order. Pure.

use crate::config::LateSamples;
use crate::instrumentation::MetricLine;
use crate::model::{ItemId, Outcome, Reason, Refusal};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Details that are kept. A payload of 6 MB can hold two million refused events; their details would not fit into the
/// memory of the function, and the report lists a thousand. A dead letter's detail beyond them is read again.
const MAX_DETAILS: usize = 10_000;

/// The outcome of every event. Its size is two bytes an event.
#[derive(Debug)]
pub struct Ledger {
    late_samples: LateSamples,
    /// Number of the first event of each message.
    first: Vec<u32>,
    outcomes: Vec<Outcome>,
    details: BTreeMap<u32, Cow<'static, str>>,
}

/// The worst of a message's events, with late samples that are dropped taken for delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Delivered,
    Rejected,
    Errored,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(late_samples: LateSamples) -> Self {
        Self { late_samples, first: Vec::new(), outcomes: Vec::new(), details: BTreeMap::new() }
    }

    /// Begins the next message: events that are added belong to it.
    pub(super) fn open_message(&mut self) {
        self.first.push(number(self.outcomes.len()));
    }

    pub(super) fn add(&mut self, outcome: Outcome) -> ItemId {
        let message = number(self.first.len().saturating_sub(1));
        let event = number(self.outcomes.len()) - self.first[message as usize];
        self.outcomes.push(outcome);
        ItemId { message, event }
    }

    pub(super) fn add_rejected(&mut self, refusal: Refusal) {
        self.keep(number(self.outcomes.len()), refusal.detail);
        self.add(Outcome::Rejected(refusal.reason));
    }

    pub(super) fn reject(&mut self, item: ItemId, refusal: Refusal) {
        let event = self.event_number(item);
        self.keep(event, refusal.detail);
        self.outcomes[event as usize] = Outcome::Rejected(refusal.reason);
    }

    pub(super) fn set(&mut self, item: ItemId, outcome: Outcome) {
        let event = self.event_number(item);
        self.outcomes[event as usize] = outcome;
    }

    /// The outcome of one event.
    #[must_use]
    pub fn outcome(&self, item: ItemId) -> Outcome {
        self.outcomes[self.event_number(item) as usize]
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether there is no event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Whether `reason` is counted as dropped, and not as rejected.
    #[must_use]
    pub fn drops(&self, reason: Reason) -> bool {
        self.late_samples == LateSamples::Drop && reason.is_late()
    }

    /// The events of the whole batch with a reason, in order: number, reason, and detail where it was kept.
    pub fn refused(&self) -> impl Iterator<Item = (usize, Reason, Option<&str>)> {
        self.refused_in(0..self.outcomes.len())
    }

    /// The same of one message; numbers count from its first event.
    pub fn refused_of(&self, message: usize) -> impl Iterator<Item = (usize, Reason, Option<&str>)> {
        let range = self.range(message);
        let start = range.start;
        self.refused_in(range).map(move |(event, reason, detail)| (event - start, reason, detail))
    }

    pub(super) fn verdict(&self, message: usize) -> Verdict {
        let mut worst = Verdict::Delivered;
        for outcome in &self.outcomes[self.range(message)] {
            match outcome {
                Outcome::Errored => return Verdict::Errored,
                Outcome::Rejected(reason) if !self.drops(*reason) => worst = Verdict::Rejected,
                _ => {}
            }
        }
        worst
    }

    pub(super) fn count_into(&self, metrics: &mut MetricLine) {
        metrics.received = self.outcomes.len() as u64;
        for outcome in &self.outcomes {
            match *outcome {
                Outcome::Delivered => metrics.delivered += 1,
                Outcome::Errored => metrics.errored += 1,
                Outcome::Rejected(reason) if self.drops(reason) => {
                    metrics.dropped += 1;
                    metrics.dropped_by[reason as usize] += 1;
                }
                Outcome::Rejected(reason) => {
                    metrics.rejected += 1;
                    metrics.rejected_by[reason as usize] += 1;
                }
            }
        }
    }

    fn refused_in(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = (usize, Reason, Option<&str>)> {
        range.filter_map(|event| match self.outcomes[event] {
            Outcome::Rejected(reason) => Some((event, reason, self.details.get(&number(event)).map(Cow::as_ref))),
            _ => None,
        })
    }

    fn range(&self, message: usize) -> std::ops::Range<usize> {
        let end = self.first.get(message + 1).map_or(self.outcomes.len(), |&first| first as usize);
        self.first[message] as usize..end
    }

    fn event_number(&self, item: ItemId) -> u32 {
        self.first[item.message as usize] + item.event
    }

    fn keep(&mut self, event: u32, detail: Cow<'static, str>) {
        if self.details.len() < MAX_DETAILS {
            self.details.insert(event, detail);
        }
    }
}

/// A payload of 6 MB holds at most three million events.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
