//! States of samples to one outcome for each item.

use super::Delivery;
use super::sample_state::Settled;
use crate::model::{ItemId, Outcome, Rejection};
use crate::series::Sample;
use std::collections::BTreeMap;

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
    pub fn outcomes(self, sent_before: impl Fn(ItemId) -> bool) -> Outcomes {
        let samples = self.table.samples();
        // Items that were refused together share what an earlier delivery may have stored.
        let mut refusal_sent_before = vec![false; self.refusals.len()];
        for (&item, refused) in &self.refused {
            refusal_sent_before[refused.refusal as usize] |= sent_before(item);
        }
        let refused: BTreeMap<_, _> = self
            .refused
            .into_iter()
            .map(|(item, refused)| {
                let sent_before = refusal_sent_before[refused.refusal as usize];
                (item, (refused.refusal, refused.maybe_stored || (refused.like_stored && sent_before)))
            })
            .collect();
        let items = samples.iter().map(|sample| sample.item.0 as usize + 1).max().unwrap_or(0);
        let mut by_item = vec![None; items];
        for (sample, state) in samples.iter().zip(&self.states) {
            let outcome = match state.settled() {
                Settled::Stored => Outcome::Delivered,
                Settled::Pending => Outcome::Errored,
                Settled::Refused => Outcome::Rejected(self.refusals[refused[&sample.item].0 as usize].reason),
            };
            let worst = &mut by_item[sample.item.0 as usize];
            *worst = (*worst).max(Some(outcome));
        }
        let (mut distinct, mut series, mut inexact) = (0, 0, 0);
        let mut last: Option<&Sample> = None;
        let stored = samples.iter().zip(&self.states).filter(|(_, state)| state.settled() == Settled::Stored);
        for (sample, _) in stored {
            distinct += u64::from(last.is_none_or(|last| !last.is_same_sample(sample)));
            series += u64::from(last.is_none_or(|last| last.series != sample.series));
            let is_delivered = by_item[sample.item.0 as usize] == Some(Outcome::Delivered);
            inexact += u64::from(is_delivered && sample.value().is_inexact());
            last = Some(sample);
        }
        Outcomes {
            by_item,
            refusals: self.refusals,
            refused,
            samples: distinct,
            series,
            inexact,
            failure: self.failure,
        }
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
