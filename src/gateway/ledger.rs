//! The outcome of every event and the action for every message of a batch. Pure.
//!
//! * An event has one entry of one byte. Entries are in the order of the payload. The position of an event is its
//!   [`ItemId`].
//! * A message is a range of events, its [`Shape`], and one action.
//! * Details have a limit. A payload of 6 MB can have two million rejected events, and their details would not fit into
//!   memory. The first detail of each message is always kept.

use super::MessageAction;
use crate::config::LateSamples;
use crate::event::Shape;
use crate::limits::MAX_KEPT_DETAILS;
use crate::model::{ItemId, Outcome, Reason, Rejection};
use crate::remote_write::{ItemOutcome, Outcomes};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

#[derive(Debug)]
pub struct Ledger {
    late_samples: LateSamples,
    messages: Vec<Entry>,
    outcomes: Vec<Outcome>,
    details: BTreeMap<u32, Cow<'static, str>>,
    /// How many details of each [`Kind`] are kept.
    kept: [usize; 3],
    maybe_stored: BTreeSet<u32>,
    /// The typed events that the journal holds, in ascending order.
    journalled: Vec<u32>,
    /// Null metrics of the events that were read.
    pub(super) null_values: u64,
    pub(super) actions: Vec<MessageAction>,
}

/// A message.
#[derive(Debug)]
struct Entry {
    first_event: u32,
    shape: Shape,
    /// The detail of one of its rejected events is kept.
    has_detail: bool,
}

/// When an event was rejected. Each kind has its own room for details.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    WhenRead,
    Later,
    Dropped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectedEvent<'l> {
    /// Its index in the batch, or in the message that was asked for.
    pub index: usize,
    pub reason: Reason,
    /// Its own detail, if it was kept.
    pub own_detail: Option<&'l str>,
    pub maybe_stored: bool,
}

impl<'l> RejectedEvent<'l> {
    /// Returns its own detail, or a general one.
    pub fn detail(&self) -> Cow<'l, str> {
        match (self.own_detail, self.reason) {
            (Some(detail), _) => Cow::Borrowed(detail),
            (None, Reason::DuplicateTimestamp) => "another value for the series and time of an earlier event".into(),
            (None, reason) => format!("rejected as {reason}").into(),
        }
    }
}

impl Ledger {
    pub(super) fn new(late_samples: LateSamples) -> Self {
        Self {
            late_samples,
            messages: Vec::new(),
            outcomes: Vec::new(),
            details: BTreeMap::new(),
            kept: [0; 3],
            maybe_stored: BTreeSet::new(),
            journalled: Vec::new(),
            null_values: 0,
            actions: Vec::new(),
        }
    }

    /// Begins the next message: events that are added belong to it.
    pub(super) fn open_message(&mut self) {
        self.messages.push(Entry { first_event: number(self.outcomes.len()), shape: Shape::Single, has_detail: false });
    }

    /// Ends the message that was begun last.
    pub(super) fn close_message(&mut self, shape: Shape) {
        if let Some(message) = self.messages.last_mut() {
            message.shape = shape;
        }
    }

    /// Adds an event that was read. It is errored until it is settled.
    pub(super) fn add(&mut self) -> ItemId {
        self.push(Outcome::Errored)
    }

    /// Adds an event that was rejected when it was read; its detail names its index.
    pub(super) fn add_rejected(&mut self, rejection: Rejection) {
        let kind = if self.drops(rejection.reason) { Kind::Dropped } else { Kind::WhenRead };
        let event = self.push(Outcome::Rejected(rejection.reason));
        self.keep(event, kind, rejection.detail);
    }

    /// Rejects an event that was added. In a message of several events the detail gets its index in front.
    pub(super) fn reject(&mut self, event: ItemId, rejection: Rejection) {
        let message = self.message_of(event);
        let Entry { first_event, shape, .. } = self.messages[message];
        let rejection = match shape {
            Shape::Single => rejection,
            Shape::Many => rejection.at_index((event.0 - first_event) as usize),
        };
        let kind = if self.drops(rejection.reason) { Kind::Dropped } else { Kind::Later };
        self.outcomes[event.0 as usize] = Outcome::Rejected(rejection.reason);
        self.keep(event, kind, rejection.detail);
    }

    /// Writes the outcomes of a delivery.
    pub(super) fn settle(&mut self, outcomes: &Outcomes) {
        for (event, outcome) in outcomes.iter() {
            match outcome {
                ItemOutcome::Delivered => self.outcomes[event.0 as usize] = Outcome::Delivered,
                ItemOutcome::Errored => {}
                ItemOutcome::Rejected { rejection, maybe_stored } => {
                    self.reject(event, rejection.clone());
                    if maybe_stored {
                        self.maybe_stored.insert(event.0);
                    }
                }
            }
        }
    }

    /// Writes the outcomes of typed events, which come in ascending order.
    pub(super) fn settle_typed(&mut self, journalled: &[(ItemId, bool)]) {
        for (event, _) in journalled.iter().filter(|(_, is_confirmed)| *is_confirmed) {
            self.outcomes[event.0 as usize] = Outcome::Delivered;
            self.journalled.push(event.0);
        }
    }

    /// Marks the event that was added last as maybe stored.
    pub(super) fn last_may_be_stored(&mut self) {
        if let Some(last) = self.outcomes.len().checked_sub(1) {
            self.maybe_stored.insert(number(last));
        }
    }

    fn push(&mut self, outcome: Outcome) -> ItemId {
        let event = self.next();
        self.outcomes.push(outcome);
        event
    }

    fn keep(&mut self, event: ItemId, kind: Kind, detail: Cow<'static, str>) {
        let message = self.message_of(event);
        let has_detail = &mut self.messages[message].has_detail;
        let is_first = kind != Kind::Dropped && !*has_detail;
        if is_first || self.kept[kind as usize] < MAX_KEPT_DETAILS {
            self.kept[kind as usize] += 1;
            *has_detail |= kind != Kind::Dropped;
            self.details.insert(event.0, detail);
        }
    }
}

impl Ledger {
    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Returns the action for each message.
    pub fn actions(&self) -> &[MessageAction] {
        &self.actions
    }

    /// Reports whether the batch is one message of one event.
    pub fn is_single_event(&self) -> bool {
        matches!(self.messages.as_slice(), [Entry { shape: Shape::Single, .. }])
    }

    /// Returns the first event of each message.
    pub(super) fn first_events(&self) -> Vec<ItemId> {
        self.messages.iter().map(|message| ItemId(message.first_event)).collect()
    }

    pub(super) fn shape(&self, message: usize) -> Shape {
        self.messages[message].shape
    }

    /// Reports whether `LATE_SAMPLES` counts this reason as dropped instead of rejected.
    pub fn drops(&self, reason: Reason) -> bool {
        self.late_samples == LateSamples::Drop && reason.is_late()
    }

    /// Returns the rejected events of the batch, in order.
    pub fn rejected(&self) -> impl Iterator<Item = RejectedEvent<'_>> {
        self.rejected_or_dropped(0..self.outcomes.len()).filter(|event| !self.drops(event.reason))
    }

    /// Returns the dropped events of the batch, in order.
    pub fn dropped(&self) -> impl Iterator<Item = RejectedEvent<'_>> {
        self.rejected_or_dropped(0..self.outcomes.len()).filter(|event| self.drops(event.reason))
    }

    /// Returns the rejected events of one message; their indices count from its first event.
    pub fn rejected_in(&self, message: usize) -> impl Iterator<Item = RejectedEvent<'_>> {
        let events = self.events(message);
        let first = events.start;
        let rejected = self.rejected_or_dropped(events).filter(|event| !self.drops(event.reason));
        rejected.map(move |event| RejectedEvent { index: event.index - first, ..event })
    }

    /// Returns how many events of a message are rejected, without those that are dropped.
    pub(super) fn rejected_count_in(&self, message: usize) -> usize {
        let outcomes = self.outcomes[self.events(message)].iter();
        outcomes.filter(|outcome| matches!(outcome, Outcome::Rejected(reason) if !self.drops(*reason))).count()
    }

    /// Returns how many rejected events may be stored, without those that are dropped.
    pub(super) fn maybe_stored_count(&self) -> usize {
        let is_rejected = |event: &&u32| match self.outcomes[**event as usize] {
            Outcome::Rejected(reason) => !self.drops(reason),
            _ => false,
        };
        self.maybe_stored.iter().filter(is_rejected).count()
    }

    /// Reports whether a rejected or dropped event of a message may be stored.
    pub(super) fn maybe_stored_in(&self, message: usize) -> bool {
        let events = self.events(message);
        self.maybe_stored.range(number(events.start)..number(events.end)).next().is_some()
    }

    /// Returns how many typed events the journal holds.
    pub(super) fn journalled_count(&self) -> usize {
        self.journalled.len()
    }

    /// Reports whether the journal holds a typed event of a message.
    pub(super) fn counted_in(&self, message: usize) -> bool {
        let events = self.events(message);
        let first = self.journalled.partition_point(|event| (*event as usize) < events.start);
        self.journalled.get(first).is_some_and(|event| events.contains(&(*event as usize)))
    }

    /// Returns the event that is added next.
    pub(super) fn next(&self) -> ItemId {
        ItemId(number(self.outcomes.len()))
    }

    /// Returns the number of events that were added to the message that was begun last.
    pub(super) fn len_of_open_message(&self) -> u32 {
        let first = self.messages.last().map_or(0, |message| message.first_event);
        number(self.outcomes.len()).saturating_sub(first)
    }

    /// Returns the worst outcome of a message's events; a dropped event counts as delivered.
    pub(super) fn worst_outcome(&self, message: usize) -> Outcome {
        let mut worst = Outcome::Delivered;
        for &outcome in &self.outcomes[self.events(message)] {
            match outcome {
                Outcome::Errored => return Outcome::Errored,
                Outcome::Rejected(reason) if !self.drops(reason) => worst = outcome,
                _ => {}
            }
        }
        worst
    }

    /// Returns the message of an event.
    pub(super) fn message_of(&self, event: ItemId) -> usize {
        // A message without events begins at the same event as the next one.
        self.messages.partition_point(|message| message.first_event <= event.0) - 1
    }

    fn events(&self, message: usize) -> Range<usize> {
        let end = self.messages.get(message + 1).map_or(self.outcomes.len(), |next| next.first_event as usize);
        self.messages[message].first_event as usize..end
    }

    fn rejected_or_dropped(&self, events: Range<usize>) -> impl Iterator<Item = RejectedEvent<'_>> {
        events.filter_map(|index| {
            let Outcome::Rejected(reason) = self.outcomes[index] else { return None };
            let own_detail = self.details.get(&number(index)).map(Cow::as_ref);
            Some(RejectedEvent { index, reason, own_detail, maybe_stored: self.maybe_stored.contains(&number(index)) })
        })
    }
}

/// A payload of 6 MB holds at most three million events.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
