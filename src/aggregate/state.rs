//! The typed series of a shard, and the zeros, stale markers and dead letters that it still has to send. Invariants:
//!
//! * The first value and the end of a series keep the times of their own ticks. So a sample that is sent again is equal.
//! * The zero of a series is later than everything that was sent of the series before, also its last stale marker.
//! * The state remembers an ended series until its marker is settled, and for at least a minute. So no zero can be earlier
//!   than the marker before it.
//!
//! A snapshot is the beginning of a state. In a tick [`super::fold()`] and [`TypedState::expire`] change it.

use super::held::{HeldSeries, Series};
use super::journal::Entry;
use super::owed::{Owed, OwedEvent, OwedReason};
use super::{Aggregate, Safeguard, SeriesKey, SummaryWindow};
use crate::model::{MetricType, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// A zero is this much earlier than the first tick of its series. With a tick each minute this is one millisecond after the tick before.
const ZERO_BEFORE_MS: i64 = 59_999;

/// AMP takes no sample that is older than an hour, and a series without samples disappears from queries after five minutes. Zeros and
/// markers that are older are no longer owed.
const OWED_FOR_MS: i64 = 3_600_000;

/// Ended series that are remembered. If there are more, the oldest are forgotten.
const MAX_ENDED: usize = 200_000;

/// The typed series of a shard.
#[derive(Clone, Default, Debug)]
pub struct TypedState {
    pub(super) held: HeldSeries,
    pub(super) families: BTreeMap<Box<str>, Family>,
    /// The oldest first.
    pub(super) ended: Vec<EndedSeries>,
    /// The last end of each of them.
    pub(super) last_ends: HashMap<Box<[u8]>, Timestamp>,
    pub(super) owed: Owed,
    /// The keys of the series that this tick removed.
    pub(super) removed: Vec<Box<[u8]>>,
    /// The snapshot does not say what is owed now.
    pub(super) owes_otherwise: bool,
}

/// The metadata of a family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    pub metric_type: MetricType,
    /// Empty if no event had one.
    pub help: Box<str>,
    /// The tick that first exposed it.
    pub born: Timestamp,
    /// Series that are held.
    pub(super) series: usize,
    pub(super) is_changed: bool,
}

/// A series that expired or was deleted, as it was exposed last.
#[derive(Clone, PartialEq, Debug)]
pub struct EndedSeries {
    pub series: Series,
    /// The time of its stale marker.
    pub time: Timestamp,
}

impl TypedState {
    /// Returns the number of series that are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.len() == 0
    }

    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.held.iter()
    }

    pub fn get(&self, key: SeriesKey<'_>) -> Option<&Series> {
        self.held.get(key)
    }

    pub fn families(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.families.iter().map(|(name, family)| (&**name, family))
    }

    pub fn has_family(&self, name: &str) -> bool {
        self.families.get(name).is_some_and(|family| family.series > 0)
    }

    /// Returns the events that are owed as dead letters, in the order of their numbers.
    pub fn owed(&self) -> impl ExactSizeIterator<Item = &OwedEvent> {
        self.owed.events.iter()
    }

    /// Forgets the dead letters that were sent: those with a number below this one.
    pub fn forget_owed_before(&mut self, number: u64) {
        // A table that was made again has other numbers.
        if number <= self.owed.next {
            let before = self.owed.events.len();
            self.owed.forget_before(number);
            self.owes_otherwise |= self.owed.events.len() != before;
        }
    }

    /// Returns whether there was room for the event.
    pub(super) fn owe(&mut self, reason: OwedReason, entry: &Entry<'_, '_>) -> bool {
        let is_owed = self.owed.add(reason, entry);
        self.owes_otherwise |= is_owed;
        is_owed
    }

    /// Returns the series whose stale markers are owed.
    pub fn unsettled_ends(&self, settled: Option<Timestamp>, tick: Timestamp) -> impl Iterator<Item = &EndedSeries> {
        self.ended.iter().filter(move |ended| is_owed(ended.time, settled, tick))
    }

    /// Begins a series at a tick. `empty` is its state before the first update. Returns its position.
    pub(super) fn bear(&mut self, key: SeriesKey<'_>, empty: Aggregate, tick: Timestamp) -> usize {
        let end = self.last_ends.get(key.as_bytes()).filter(|_| Safeguard::ZeroBehindMarker.is_kept());
        let end = end.map_or(i64::MIN, |end| end.0.saturating_add(1));
        let zero = tick.0.saturating_sub(ZERO_BEFORE_MS).max(end);
        self.count_family(key, empty.metric_type(), tick);
        self.held.insert(Series::new(key, empty, tick, Timestamp(zero))).0
    }

    fn count_family(&mut self, key: SeriesKey<'_>, metric_type: MetricType, tick: Timestamp) {
        match self.families.get_mut(key.name()) {
            Some(family) if family.series > 0 => family.series += 1,
            _ => {
                let family = Family { metric_type, help: "".into(), born: tick, series: 1, is_changed: true };
                self.families.insert(key.name().into(), family);
            }
        }
    }

    /// Notes the newest help of a family that is held.
    pub(super) fn set_help(&mut self, name: &str, help: &str) {
        if let Some(family) = self.families.get_mut(name)
            && *family.help != *help
        {
            family.help = help.into();
            family.is_changed = true;
        }
    }

    /// Ends the series that no tick has counted an update of for `ttl`, in milliseconds. Returns how many.
    pub fn expire(&mut self, tick: Timestamp, ttl: i64) -> usize {
        let is_over = |series: &&Series| tick.since(series.updated) >= ttl;
        let over = self.held.iter().filter(is_over);
        let mut keys: Vec<Box<[u8]>> = over.map(|series| series.key().as_bytes().into()).collect();
        // In an order that does not depend on how the state was loaded.
        keys.sort_unstable();
        for key in &keys {
            self.end(SeriesKey::of_checked(key), tick);
        }
        keys.len()
    }

    /// Ends a series: its stale marker is owed with the time `time`. Returns whether it was held.
    pub fn end(&mut self, key: SeriesKey<'_>, time: Timestamp) -> bool {
        let Some(series) = self.held.remove(key) else { return false };
        if let Some(family) = self.families.get_mut(key.name()) {
            family.series = family.series.saturating_sub(1);
            if family.series == 0 {
                self.families.remove(key.name());
            }
        }
        self.removed.push(key.as_bytes().into());
        self.owes_otherwise = true;
        self.remember_end(EndedSeries { series, time });
        true
    }

    pub(super) fn remember_end(&mut self, ended: EndedSeries) {
        self.last_ends.insert(ended.series.key().as_bytes().into(), ended.time);
        self.ended.push(ended);
    }

    /// Forgets ended series whose markers are settled or no longer owed, and of which no zero can lie before the marker.
    pub fn forget_ended(&mut self, settled: Option<Timestamp>, tick: Timestamp) {
        let before = self.ended.len();
        self.ended.retain(|ended| is_owed(ended.time, settled, tick) || tick.since(ended.time) <= ZERO_BEFORE_MS + 1);
        let too_many = self.ended.len().saturating_sub(MAX_ENDED);
        self.ended.drain(..too_many);
        self.owes_otherwise |= self.ended.len() != before;
    }
}

impl Series {
    /// Returns when the quantiles of a summary ended: no value is in its window any more. `None` if they are exposed at `tick`, or if
    /// it is no summary.
    pub fn quantiles_ended(&self, tick: Timestamp, window: SummaryWindow) -> Option<Timestamp> {
        match self.aggregate {
            Aggregate::Summary(_) => Some(window.end(self.updated)).filter(|end| *end <= tick),
            _ => None,
        }
    }
}

/// Reports whether a zero or a marker of the tick `own` is owed at `tick`, if those up to `settled` are settled.
pub fn is_owed(own: Timestamp, settled: Option<Timestamp>, tick: Timestamp) -> bool {
    settled.is_none_or(|settled| own > settled) && own <= tick && tick.since(own) <= OWED_FOR_MS
}

#[cfg(test)]
mod tests;
