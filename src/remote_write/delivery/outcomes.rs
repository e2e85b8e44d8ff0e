//! Decides one outcome for each item by the states of its samples.

use super::sample_state::Settled;
use super::{Counted, Delivery};
use crate::model::{ItemId, Outcome, Rejection, Value};
use crate::series::Sample;
use std::collections::{BTreeMap, BTreeSet};

/// The outcome of each item of a delivery.
#[derive(Debug)]
pub struct Outcomes {
    /// By item; `None` for an item without samples.
    by_item: Vec<Option<Outcome>>,
    refusals: Vec<Rejection>,
    /// For each refused item, the position in `refusals`, and whether it may be stored.
    refused: BTreeMap<ItemId, (u32, bool)>,
    /// Distinct samples that the receiver acknowledged.
    pub samples: u64,
    /// Distinct series of these samples.
    pub series: u64,
    /// Integers of delivered items that no double holds exactly.
    pub inexact: u64,
    /// Counts of what the receiver has written of requests whose items are all refused.
    pub counted: Vec<Counted>,
    /// Why items are errored: the first answer that failed, or what ran out.
    pub failure: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemOutcome<'o> {
    Delivered,
    Errored,
    Rejected { rejection: &'o Rejection, maybe_stored: bool },
}

impl Delivery<'_, '_> {
    /// Ends the delivery. `sent_before` says of an item whether an earlier delivery may have sent it.
    pub fn outcomes(mut self, sent_before: impl Fn(ItemId) -> bool) -> Outcomes {
        let samples = self.table.samples();
        // Items that were refused together share what an earlier delivery may have stored.
        let mut refusal_sent_before = vec![false; self.refusals.len()];
        for (&item, refused) in &self.refused {
            refusal_sent_before[refused.refusal as usize] |= sent_before(item);
        }
        let mut refused: BTreeMap<_, _> = self
            .refused
            .iter()
            .map(|(&item, refused)| {
                let sent_before = refusal_sent_before[refused.refusal as usize];
                (item, (refused.refusal, refused.maybe_stored || (refused.like_stored && sent_before)))
            })
            .collect();
        let unsettled = self.unsettled(&mut refused);
        let items = samples.iter().map(|sample| sample.item.0 as usize + 1).max().unwrap_or(0);
        let mut by_item = vec![None; items];
        let all_stored = self.states.iter().all(|state| state.settled() == Settled::Stored);
        for (sample, state) in samples.iter().zip(&self.states) {
            let outcome = match state.settled() {
                _ if all_stored => Outcome::Delivered,
                Settled::Stored => Outcome::Delivered,
                Settled::Pending if unsettled.contains(&sample.item) => self.refused_as(&refused, sample.item),
                Settled::Pending => Outcome::Errored,
                Settled::Refused => self.refused_as(&refused, sample.item),
            };
            let worst = &mut by_item[sample.item.0 as usize];
            *worst = if all_stored { Some(outcome) } else { (*worst).max(Some(outcome)) };
        }
        let (mut distinct, mut series, mut inexact) = (0, 0, 0);
        let mut last: Option<&Sample> = None;
        for (sample, state) in samples.iter().zip(&self.states) {
            if state.settled() != Settled::Stored {
                continue;
            }
            let is_of_series = last.is_some_and(|last| last.series == sample.series);
            series += u64::from(!is_of_series);
            distinct += u64::from(!(is_of_series && last.is_some_and(|last| last.timestamp == sample.timestamp)));
            let is_delivered = all_stored || by_item[sample.item.0 as usize] == Some(Outcome::Delivered);
            inexact += u64::from(is_delivered && sample.number().is_some_and(Value::is_inexact));
            last = Some(sample);
        }
        Outcomes {
            by_item,
            refusals: self.refusals,
            refused,
            samples: distinct,
            series,
            inexact,
            counted: self.counted,
            failure: self.failure,
        }
    }
}

impl Delivery<'_, '_> {
    fn refused_as(&self, refused: &BTreeMap<ItemId, (u32, bool)>, item: ItemId) -> Outcome {
        Outcome::Rejected(self.refusals[refused[&item].0 as usize].reason)
    }

    /// Refuses the items that are not settled and whose messages are given up, if an item of the message is refused. Returns them.
    fn unsettled(&mut self, refused: &mut BTreeMap<ItemId, (u32, bool)>) -> BTreeSet<ItemId> {
        let mut unsettled = BTreeSet::new();
        if self.shares.given_up.is_empty() {
            return unsettled;
        }
        let mut by_message = BTreeMap::new();
        for (&item, &(refusal, _)) in &*refused {
            let message = self.shares.message_of(item);
            if self.shares.given_up.contains(&message) {
                by_message.entry(message).or_insert(refusal);
            }
        }
        for refusal in by_message.values_mut() {
            let Rejection { reason, detail } = &self.refusals[*refusal as usize];
            let text =
                format!("not settled before the requests for its message ran out; another event of it: {detail}");
            let rejection = Rejection::new(*reason, text);
            *refusal = self.add_refusal(rejection);
        }
        for (sample, state) in self.table.samples().iter().zip(&self.states) {
            if let Some(&refusal) = by_message.get(&self.shares.message_of(sample.item)).filter(|_| state.is_pending())
            {
                refused.entry(sample.item).or_insert((refusal, true)).1 = true;
                unsettled.insert(sample.item);
            }
        }
        unsettled
    }
}

impl Outcomes {
    /// Returns the outcome of every item that has samples, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (ItemId, ItemOutcome<'_>)> {
        let outcome = |item: ItemId, outcome| match outcome {
            Outcome::Delivered => ItemOutcome::Delivered,
            Outcome::Errored => ItemOutcome::Errored,
            Outcome::Rejected(_) => {
                let (refusal, maybe_stored) = self.refused[&item];
                ItemOutcome::Rejected { rejection: &self.refusals[refusal as usize], maybe_stored }
            }
        };
        let items = (0..).map(ItemId).zip(&self.by_item);
        items.filter_map(move |(item, known)| known.map(|known| (item, outcome(item, known))))
    }
}
