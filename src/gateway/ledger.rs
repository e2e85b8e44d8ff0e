//! Who got which outcome: one entry for each event of a batch, in order. Pure.

use crate::config::LateSamples;
use crate::instrumentation::MetricLine;
use crate::model::{ItemId, Outcome, Reason, Rejection};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Details that are kept of events refused when they were read, of those refused later, and of those that are dropped,
/// beside the first of each message. A payload of 6 MB can hold two million refused events; their details would not fit
/// into the memory of the function, and a report lists a thousand. Those of dead letters beyond them are read again.
const MAX_DETAILS: usize = 5_000;

/// The outcome of every event: one byte each.
#[derive(Debug)]
pub struct Ledger {
    late_samples: LateSamples,
    /// Number of the first event of each message.
    first: Vec<u32>,
    outcomes: Vec<Outcome>,
    details: BTreeMap<u32, Cow<'static, str>>,
    /// How many details of each [`Kept`] there are.
    kept: [usize; 3],
    /// By message, whether the detail of a rejected event is kept.
    has_detail: Vec<bool>,
    /// Rejected events that the receiver may hold all the same.
    maybe_stored: BTreeSet<u32>,
}

/// Whose detail it is, for the room that there is for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kept {
    Read,
    Later,
    Dropped,
}

/// An event that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectedEvent<'l> {
    /// Its number in the batch, or in the message that was asked about.
    pub event: usize,
    /// Why.
    pub reason: Reason,
    /// The sentence to the reason, where it was kept.
    pub detail: Option<&'l str>,
    /// Whether the receiver may hold it all the same.
    pub maybe_stored: bool,
}

/// The worst of a message's events, with late samples that are dropped taken for delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Delivered,
    Rejected,
    Errored,
}

// === impl RejectedEvent ===

impl<'l> RejectedEvent<'l> {
    /// The sentence to the reason; a general one where its own was not kept.
    #[must_use]
    pub fn words(&self) -> Cow<'l, str> {
        match (self.detail, self.reason) {
            (Some(detail), _) => Cow::Borrowed(detail),
            (None, Reason::DuplicateTimestamp) => "another value for the series and time of an earlier event".into(),
            (None, reason) => format!("refused as {reason}").into(),
        }
    }
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(late_samples: LateSamples) -> Self {
        Self {
            late_samples,
            first: Vec::new(),
            outcomes: Vec::new(),
            details: BTreeMap::new(),
            kept: [0; 3],
            has_detail: Vec::new(),
            maybe_stored: BTreeSet::new(),
        }
    }

    /// Begins the next message: events that are added belong to it.
    pub(super) fn open_message(&mut self) {
        self.first.push(number(self.outcomes.len()));
        self.has_detail.push(false);
    }

    pub(super) fn add(&mut self, outcome: Outcome) -> ItemId {
        let event = number(self.outcomes.len());
        self.outcomes.push(outcome);
        ItemId(event)
    }

    /// The message that an event stands in, and its number there.
    pub(super) fn place_of(&self, event: ItemId) -> (usize, u32) {
        // A message without events begins where the next one does.
        let message = self.first.partition_point(|&first| first <= event.0) - 1;
        (message, event.0 - self.first[message])
    }

    /// An event that was refused when it was read.
    pub(super) fn add_rejected(&mut self, refusal: Rejection) {
        let kind = if self.drops(refusal.reason) { Kept::Dropped } else { Kept::Read };
        let event = self.add(Outcome::Rejected(refusal.reason));
        self.keep(event, kind, refusal.detail);
    }

    /// An event that was good when it was read.
    pub(super) fn reject(&mut self, event: ItemId, refusal: Rejection) {
        let kind = if self.drops(refusal.reason) { Kept::Dropped } else { Kept::Later };
        self.set(event, Outcome::Rejected(refusal.reason));
        self.keep(event, kind, refusal.detail);
    }

    pub(super) fn set(&mut self, event: ItemId, outcome: Outcome) {
        self.outcomes[event.0 as usize] = outcome;
    }

    pub(super) fn mark_maybe_stored(&mut self, event: ItemId) {
        self.maybe_stored.insert(event.0);
    }

    /// The outcome of one event.
    #[must_use]
    pub fn outcome(&self, event: ItemId) -> Outcome {
        self.outcomes[event.0 as usize]
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

    /// The refused events of the whole batch, in order.
    pub fn refused(&self) -> impl Iterator<Item = RejectedEvent<'_>> {
        self.refused_in(0..self.outcomes.len())
    }

    /// The same of one message; numbers count from its first event.
    pub fn refused_of(&self, message: usize) -> impl Iterator<Item = RejectedEvent<'_>> {
        let range = self.range(message);
        let start = range.start;
        self.refused_in(range).map(move |refused| RejectedEvent { event: refused.event - start, ..refused })
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
        let maybe_stored = self.refused().filter(|refused| refused.maybe_stored && !self.drops(refused.reason));
        metrics.maybe_stored = maybe_stored.count() as u64;
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

    fn refused_in(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = RejectedEvent<'_>> {
        range.filter_map(|event| {
            let Outcome::Rejected(reason) = self.outcomes[event] else { return None };
            let detail = self.details.get(&number(event)).map(Cow::as_ref);
            Some(RejectedEvent { event, reason, detail, maybe_stored: self.maybe_stored.contains(&number(event)) })
        })
    }

    fn range(&self, message: usize) -> std::ops::Range<usize> {
        let end = self.first.get(message + 1).map_or(self.outcomes.len(), |&first| first as usize);
        self.first[message] as usize..end
    }

    fn keep(&mut self, event: ItemId, kind: Kept, detail: Cow<'static, str>) {
        let (message, _) = self.place_of(event);
        let is_first = kind != Kept::Dropped && !self.has_detail[message];
        if is_first || self.kept[kind as usize] < MAX_DETAILS {
            self.kept[kind as usize] += 1;
            self.has_detail[message] |= kind != Kept::Dropped;
            self.details.insert(event.0, detail);
        }
    }
}

/// A payload of 6 MB holds at most three million events.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
