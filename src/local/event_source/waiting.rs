//! Received messages that wait to be handed over, and when which of them make a batch. Pure: the time is an argument.

use super::record::{EMPTY_EVENT_BYTES, Record};
use crate::local::invoke_endpoint::MAX_SYNC_BYTES;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

/// When a batch is full, and how long messages may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Records of a batch.
    pub(super) batch_size: usize,
    /// What the first message of a batch may wait for others.
    pub(super) window: Duration,
    /// After so long the queue shows a message again: one that waited longer is no longer ours.
    pub(super) visibility: Duration,
}

/// The messages, in the order in which they came, and the groups that may not be handed over now.
#[derive(Debug)]
pub(super) struct Waiting {
    limits: Limits,
    arrived: VecDeque<Arrived>,
    /// Groups of which a batch is in flight.
    locked: HashSet<String>,
}

#[derive(Debug)]
struct Arrived {
    record: Record,
    at: Instant,
}

/// The records of the next batch, by their places.
struct Next {
    places: Vec<usize>,
    is_full: bool,
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, arrived: VecDeque::new(), locked: HashSet::new() }
    }

    pub(super) fn add(&mut self, record: Record, now: Instant) {
        self.arrived.push_back(Arrived { record, at: now });
    }

    /// How many more messages could be part of the next batch.
    pub(super) fn room(&self) -> usize {
        let next = self.next();
        if next.is_full { 0 } else { self.limits.batch_size - next.places.len() }
    }

    /// When the next batch is due, should no other message come. In the past where it is full.
    pub(super) fn due(&self) -> Option<Instant> {
        let next = self.next();
        let first = self.arrived.get(*next.places.first()?)?;
        Some(if next.is_full { first.at } else { first.at + self.limits.window })
    }

    /// The next batch, if it is due. Its groups are locked until they are [released](Self::release).
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<Record>> {
        let visibility = self.limits.visibility;
        self.arrived.retain(|arrived| now.duration_since(arrived.at) < visibility);
        if self.due()? > now {
            return None;
        }
        // From the last, so that the places of the others stay what they are.
        let places = self.next().places.into_iter().rev();
        let mut batch: Vec<_> = places.filter_map(|place| self.arrived.remove(place)).map(|one| one.record).collect();
        batch.reverse();
        self.locked.extend(batch.iter().filter_map(|record| record.group.clone()));
        Some(batch)
    }

    /// The batch with these groups is done. Of a group with a failed message nothing else that waits is handed over:
    /// it would overtake. The queue gives both again, in order.
    pub(super) fn release(&mut self, groups: &HashSet<String>, failed: &HashSet<String>) {
        self.locked.retain(|group| !groups.contains(group));
        self.arrived.retain(|arrived| arrived.record.group.as_ref().is_none_or(|group| !failed.contains(group)));
    }

    /// From the oldest on, what is of no locked group and fits.
    fn next(&self) -> Next {
        let (mut places, mut bytes) = (Vec::new(), EMPTY_EVENT_BYTES);
        for (place, Arrived { record, .. }) in self.arrived.iter().enumerate() {
            if record.group.as_ref().is_some_and(|group| self.locked.contains(group)) {
                continue;
            }
            bytes += record.size();
            // One message always fits: a queue takes 1 MiB, which escaping at most doubles.
            if bytes > MAX_SYNC_BYTES && !places.is_empty() {
                return Next { places, is_full: true };
            }
            places.push(place);
            if places.len() == self.limits.batch_size {
                return Next { places, is_full: true };
            }
        }
        Next { places, is_full: false }
    }
}

#[cfg(test)]
mod tests;
