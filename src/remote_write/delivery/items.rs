//! The items of one request, oldest first, and the samples of each item.

use crate::model::ItemId;
use crate::order::sort_by;
use crate::series::{Sample, SeriesId};
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Numbers the items of a request in the order of their oldest samples.
#[derive(Debug)]
pub(super) struct Items {
    numbers: HashMap<ItemId, u32>,
    /// The item of each number.
    ids: Vec<ItemId>,
    /// For each sample of the request, the number of its item, and the sample.
    samples: Vec<(u32, usize)>,
}

impl Items {
    pub(super) fn of(samples: &[Sample], request: Range<usize>) -> Self {
        let mut by_time: Vec<_> =
            samples[request.clone()].iter().map(|sample| (sample.timestamp, sample.item)).collect();
        by_time.sort_unstable();
        let (mut numbers, mut ids) = (HashMap::new(), Vec::new());
        for (_, item) in by_time {
            let next = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            if *numbers.entry(item).or_insert(next) == next {
                ids.push(item);
            }
        }
        let samples = request.map(|sample| (numbers[&samples[sample].item], sample)).collect();
        Self { numbers, ids, samples }
    }

    /// Returns the cluster of each item: items of one message, and items that share a series, must keep their order. `message_of`
    /// numbers the messages from 0.
    pub(super) fn clusters(&self, samples: &[Sample], message_of: impl Fn(ItemId) -> u32) -> Vec<u32> {
        let messages: Vec<u32> = self.ids.iter().map(|&item| message_of(item)).collect();
        let count = messages.iter().max().map_or(0, |last| last + 1);
        let mut parents: Vec<u32> = (0..count).collect();
        // The samples of a series are next to each other.
        for pair in self.samples.windows(2) {
            let [(a, sample_a), (b, sample_b)] = [pair[0], pair[1]];
            if samples[sample_a].series == samples[sample_b].series {
                let roots = [a, b].map(|item| root(&mut parents, messages[item as usize]));
                parents[roots[0] as usize] = roots[1];
            }
        }
        messages.into_iter().map(|message| root(&mut parents, message)).collect()
    }

    pub(super) fn ids(&self) -> &[ItemId] {
        &self.ids
    }

    /// Returns the position of the item in `part`, which is in ascending order.
    pub(super) fn position_of(&self, item: ItemId, part: &[u32]) -> Option<usize> {
        part.binary_search(self.numbers.get(&item)?).ok()
    }

    /// Returns the samples of the items in `part` that are `wanted`, in their order.
    pub(super) fn samples_of(&self, part: &[u32], wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let in_part = |number: &u32| part.binary_search(number).is_ok();
        self.samples.iter().filter(|(number, sample)| in_part(number) && wanted(*sample)).map(|(_, s)| *s).collect()
    }

    /// Returns the items after the part `failed` that would overtake it. They have a later sample of a series in
    /// `failed`, or in another such item.
    pub(super) fn behind(&self, failed: &[u32], samples: &[Sample]) -> HashSet<u32> {
        let Some(last) = failed.last() else { return HashSet::new() };
        let mut waiting: HashSet<SeriesId> =
            self.samples_of(failed, |_| true).into_iter().map(|sample| samples[sample].series).collect();
        let mut later: Vec<_> = self.samples.iter().filter(|(number, _)| number > last).collect();
        sort_by(&mut later, |(a, _), (b, _)| a.cmp(b));
        let mut behind = HashSet::new();
        for item in later.chunk_by(|(a, _), (b, _)| a == b) {
            if item.iter().any(|(_, sample)| waiting.contains(&samples[*sample].series)) {
                behind.insert(item[0].0);
                waiting.extend(item.iter().map(|(_, sample)| samples[*sample].series));
            }
        }
        behind
    }

    /// Returns the items after `item` that have samples of these series and of no others.
    pub(super) fn only_of(&self, series: &HashSet<SeriesId>, item: u32, samples: &[Sample]) -> HashSet<u32> {
        let later = || self.samples.iter().filter(|(number, _)| *number > item);
        let has_others: HashSet<u32> = later()
            .filter(|(_, sample)| !series.contains(&samples[*sample].series))
            .map(|(number, _)| *number)
            .collect();
        later().map(|(number, _)| *number).filter(|number| !has_others.contains(number)).collect()
    }

    /// Returns those of `some` items that have no sample that is `wanted`.
    pub(super) fn without(&self, some: impl Iterator<Item = ItemId>, wanted: impl Fn(usize) -> bool) -> HashSet<u32> {
        let mut without: HashSet<u32> = some.filter_map(|item| self.numbers.get(&item).copied()).collect();
        if !without.is_empty() {
            for (number, _) in self.samples.iter().filter(|(_, sample)| wanted(*sample)) {
                without.remove(number);
            }
        }
        without
    }
}

/// Returns the root of a message in the forest of merged messages, and shortens the way to it.
fn root(parents: &mut [u32], message: u32) -> u32 {
    let mut root = message;
    while parents[root as usize] != root {
        parents[root as usize] = parents[parents[root as usize] as usize];
        root = parents[root as usize];
    }
    root
}
