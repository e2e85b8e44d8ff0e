//! Finds the series of a shard by their keys.

use super::{Aggregate, SeriesKey};
use crate::model::Timestamp;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
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
    index: HashTable<u32>,
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
        let is_it = |&i: &u32| *self.series[i as usize].key == *key.as_bytes();
        self.index.find(hash(&self.hasher, key.as_bytes()), is_it).map(|&i| i as usize)
    }

    pub(super) fn get(&self, key: SeriesKey<'_>) -> Option<&Series> {
        self.position(key).map(|position| &self.series[position])
    }

    pub(super) fn at(&mut self, position: usize) -> &mut Series {
        &mut self.series[position]
    }

    /// Adds a series, or replaces the one with its key. Returns its position and the replaced one.
    pub(super) fn insert(&mut self, series: Series) -> (usize, Option<Series>) {
        if let Some(position) = self.position(series.key()) {
            return (position, Some(std::mem::replace(&mut self.series[position], series)));
        }
        let Self { series: all, index, hasher } = self;
        // A shard has at most MAX_SERIES, fewer than a u32 counts.
        let position = u32::try_from(all.len()).unwrap_or(u32::MAX);
        index.insert_unique(hash(hasher, &series.key), position, |&i| hash(hasher, &all[i as usize].key));
        all.push(series);
        (all.len() - 1, None)
    }

    pub(super) fn remove(&mut self, key: SeriesKey<'_>) -> Option<Series> {
        let position = self.position(key)?;
        let Self { series, index, hasher } = self;
        let mut take = |key: &[u8], is_it: usize| {
            if let Ok(found) = index.find_entry(hash(hasher, key), |&i| i as usize == is_it) {
                found.remove();
            }
        };
        take(key.as_bytes(), position);
        let last = series.len() - 1;
        if last != position {
            let key = &series[last].key;
            take(key, last);
            let moved = u32::try_from(position).unwrap_or(u32::MAX);
            let own = hash(hasher, key);
            index.insert_unique(own, moved, |&i| {
                let i = if i as usize == position { last } else { i as usize };
                hash(hasher, &series[i].key)
            });
        }
        Some(series.swap_remove(position))
    }
}

fn hash(hasher: &RandomState, key: &[u8]) -> u64 {
    hasher.hash_one(key)
}
