//! Finds the one writer of each series. Typed series win over groups, and the newest push over older ones.
//!
//! The series of the groups of all shards come first. Then each shard marks those that its typed series expose. After that it
//! is known for each series of a group whether the group writes it.

use crate::aggregate::{Safeguard, SummaryWindow, TypedState};
use crate::gateway::typed::each_exposed;
use crate::model::{LabelSet, MetricName, Timestamp};
use crate::push_group::Precedence;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};

/// The suffixes of the series that a typed family can expose.
const SUFFIXES: [&str; 4] = ["", "_bucket", "_sum", "_count"];

/// The series that groups expose, or that ended in a group.
#[derive(Default, Debug)]
pub(super) struct Writers {
    series: HashMap<u64, Writer, RandomState>,
    names: HashSet<u64, RandomState>,
    hasher: RandomState,
}

#[derive(Clone, Copy, Default, Debug)]
struct Writer {
    /// `None`: the series only ended.
    push: Option<Precedence>,
    /// A typed series exposes it.
    is_typed: bool,
}

impl Writers {
    /// Adds a series that a group exposes. Returns whether another group exposes it, too.
    pub(super) fn add(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>, push: Precedence) -> bool {
        let writer = self.entry(name, labels);
        let is_conflict = writer.push.is_some_and(|held| held != push);
        writer.push = writer.push.max(Some(push));
        is_conflict
    }

    /// Adds a series that ended in a group.
    pub(super) fn add_ended(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>) {
        self.entry(name, labels);
    }

    /// Marks the series that a shard exposes. Returns how many of them a group exposes, too.
    pub(super) fn mark(&mut self, state: &TypedState, tick: Timestamp, window: SummaryWindow) -> u64 {
        if self.series.is_empty() {
            return 0;
        }
        let has_name = |family: &str, suffix| self.names.contains(&self.hasher.hash_one(format!("{family}{suffix}")));
        let families = state.families().map(|(family, _)| family);
        let families: HashSet<&str> =
            families.filter(|family| SUFFIXES.iter().any(|suffix| has_name(family, suffix))).collect();
        let mut conflicts = 0;
        for series in state.series().filter(|series| families.contains(series.key().name())) {
            each_exposed(series, window, tick, &mut |name, labels, _| {
                let hash = self.hash(&name, &labels);
                if let Some(writer) = self.series.get_mut(&hash) {
                    conflicts += u64::from(writer.push.is_some() && !writer.is_typed);
                    writer.is_typed = true;
                }
            });
        }
        conflicts
    }

    /// Reports whether this push writes the series.
    pub(super) fn is_written_by(&self, push: Precedence, name: &MetricName<'_>, labels: &LabelSet<'_>) -> bool {
        // A group that was pushed to since it was read has a later push than the one that is known.
        let wins = |writer: &Writer| !writer.is_typed && Some(push) >= writer.push;
        !Safeguard::OneWriter.is_kept() || self.series.get(&self.hash(name, labels)).is_none_or(wins)
    }

    /// Reports whether a group exposes the series.
    pub(super) fn has_group(&self, name: &MetricName<'_>, labels: &LabelSet<'_>) -> bool {
        self.find(name, labels).is_some_and(|writer| writer.push.is_some())
    }

    /// Reports whether a group or a typed series exposes the series.
    pub(super) fn is_exposed(&self, name: &MetricName<'_>, labels: &LabelSet<'_>) -> bool {
        self.find(name, labels).is_some_and(|writer| writer.push.is_some() || writer.is_typed)
    }

    fn find(&self, name: &MetricName<'_>, labels: &LabelSet<'_>) -> Option<&Writer> {
        if self.series.is_empty() { None } else { self.series.get(&self.hash(name, labels)) }
    }

    fn entry(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>) -> &mut Writer {
        self.names.insert(self.hasher.hash_one(name.as_str()));
        self.series.entry(self.hash(name, labels)).or_default()
    }

    fn hash(&self, name: &MetricName<'_>, labels: &LabelSet<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        name.as_str().hash(&mut hasher);
        for label in labels.as_slice() {
            label.name.as_str().hash(&mut hasher);
            label.value.hash(&mut hasher);
        }
        hasher.finish()
    }
}
