//! The events of one request, oldest first, and which rows of it are whose. Pure.

use crate::model::ItemId;
use crate::series::{Sample, SeriesId};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Numbers events of a request in the order of their times.
pub(super) struct Events {
    by_time: Vec<ItemId>,
    numbers: HashMap<ItemId, u32>,
    /// The event of each row of the request, and the row.
    rows: Vec<(u32, usize)>,
}

// === impl Events ===

impl Events {
    pub(super) fn of(all: &[Sample], range: Range<usize>) -> Self {
        // An event has one time, so the order of its first row is its own.
        let mut by_time: Vec<_> = all[range.clone()].iter().map(|row| (row.timestamp, row.event)).collect();
        by_time.sort_unstable();
        by_time.dedup();
        let by_time: Vec<_> = by_time.into_iter().map(|(_, event)| event).collect();
        let numbers: HashMap<_, _> = by_time.iter().copied().zip(0..).collect();
        let rows = range.map(|row| (numbers[&all[row].event], row)).collect();
        Self { by_time, numbers, rows }
    }

    pub(super) fn numbers(&self) -> Vec<u32> {
        (0..).zip(&self.by_time).map(|(number, _)| number).collect()
    }

    /// Where in `part`, which is in ascending order, the event is.
    pub(super) fn place_of(&self, event: ItemId, part: &[u32]) -> Option<usize> {
        part.binary_search(self.numbers.get(&event)?).ok()
    }

    /// The events after `failed`, a part, that would overtake it: those with a later sample of a series of which one is not
    /// stored, and those behind them in turn.
    pub(super) fn behind(&self, failed: &[u32], all: &[Sample]) -> HashSet<u32> {
        let Some(last) = failed.last() else { return HashSet::new() };
        let mut waiting: HashSet<SeriesId> =
            self.rows_of(failed, |_| true).into_iter().map(|row| all[row].series).collect();
        let mut later: Vec<_> = self.rows.iter().filter(|(number, _)| number > last).collect();
        later.sort_by_key(|(number, _)| number);
        let mut behind = HashSet::new();
        for rows in later.chunk_by(|(a, _), (b, _)| a == b) {
            if rows.iter().any(|(_, row)| waiting.contains(&all[*row].series)) {
                behind.insert(rows[0].0);
                waiting.extend(rows.iter().map(|(_, row)| all[*row].series));
            }
        }
        behind
    }

    /// The events after `event` that have samples of these series and no others.
    pub(super) fn only_of(&self, series: &HashSet<SeriesId>, event: u32, all: &[Sample]) -> HashSet<u32> {
        let later = || self.rows.iter().filter(|(number, _)| *number > event);
        let has_others: HashSet<u32> =
            later().filter(|(_, row)| !series.contains(&all[*row].series)).map(|(number, _)| *number).collect();
        later().map(|(number, _)| *number).filter(|number| !has_others.contains(number)).collect()
    }

    /// Of `some` events, those without a row that is `wanted`.
    pub(super) fn without(&self, some: impl Iterator<Item = ItemId>, wanted: impl Fn(usize) -> bool) -> HashSet<u32> {
        let mut without: HashSet<u32> = some.filter_map(|event| self.numbers.get(&event).copied()).collect();
        if !without.is_empty() {
            for (number, _) in self.rows.iter().filter(|(_, row)| wanted(*row)) {
                without.remove(number);
            }
        }
        without
    }

    /// The rows of the events in `part` that are `wanted`, in their order.
    pub(super) fn rows_of(&self, part: &[u32], wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let in_part = |number: &u32| part.binary_search(number).is_ok();
        self.rows.iter().filter(|(number, row)| in_part(number) && wanted(*row)).map(|(_, row)| *row).collect()
    }
}
