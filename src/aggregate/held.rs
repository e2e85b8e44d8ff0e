//! Finds the series of a shard by their keys.

use super::{Aggregate, SeriesKey};
use crate::index::Index;
use crate::model::Timestamp;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// A typed series.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    key: Box<[u8]>,
    pub aggregate: Aggregate,
    /// The tick that began the series.
    pub born: Timestamp,
    /// The time of its zero.
    pub zero: Timestamp,
    /// The tick that last counted an update.
    pub updated: Timestamp,
    /// The series differs from the snapshot.
    pub(super) is_changed: bool,
}

/// Series by their keys. Their order has no meaning.
#[derive(Clone, Default, Debug)]
pub(super) struct HeldSeries {
    series: Vec<Series>,
    index: Index,
    hasher: RandomState,
}

impl Series {
    pub(super) fn new(key: SeriesKey<'_>, aggregate: Aggregate, born: Timestamp, zero: Timestamp) -> Self {
        Self { key: key.as_bytes().into(), aggregate, born, zero, updated: born, is_changed: true }
    }

    pub fn key(&self) -> SeriesKey<'_> {
        SeriesKey::of_checked(&self.key)
    }
}

impl HeldSeries {
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Series> {
        self.series.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.series.iter_mut()
    }

    /// Returns the position of a series.
    pub(super) fn position(&self, key: SeriesKey<'_>) -> Option<usize> {
        let is_it = |i: u32| *self.series[i as usize].key == *key.as_bytes();
        self.index.find(hash(&self.hasher, key.as_bytes()), is_it).map(|i| i as usize)
    }

    pub(super) fn get(&self, key: SeriesKey<'_>) -> Option<&Series> {
        self.position(key).map(|position| &self.series[position])
    }

    pub(super) fn at(&mut self, position: usize) -> &mut Series {
        &mut self.series[position]
    }

    /// Adds a series, or replaces the one with its key. Returns its position and the replaced one.
    pub(super) fn insert(&mut self, series: Series) -> (usize, Option<Series>) {
        let Self { series: all, index, hasher } = self;
        // A shard has at most MAX_SERIES, fewer than a u32 counts.
        let next = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let is_it = |i: u32| all[i as usize].key == series.key;
        let position = index.find_or_insert(hash(hasher, &series.key), next, is_it) as usize;
        if let Some(known) = all.get_mut(position) {
            return (position, Some(std::mem::replace(known, series)));
        }
        all.push(series);
        (position, None)
    }

    pub(super) fn remove(&mut self, key: SeriesKey<'_>) -> Option<Series> {
        let position = self.position(key)?;
        let Self { series, index, hasher } = self;
        let number = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        index.replace(hash(hasher, key.as_bytes()), number(position), None);
        let last = series.len() - 1;
        if last != position {
            index.replace(hash(hasher, &series[last].key), number(last), Some(number(position)));
        }
        Some(series.swap_remove(position))
    }
}

fn hash(hasher: &RandomState, key: &[u8]) -> u64 {
    hasher.hash_one(key)
}
