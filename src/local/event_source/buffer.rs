//! Gathers received messages into batches by number, size and time. Pure: the time is an argument.
//!
//! At most one batch of a FIFO group is in flight, and its messages keep their order.

use super::record::{EMPTY_EVENT_BYTES, Record};
use crate::local::invoke_endpoint::MAX_SYNC_BYTES;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Records of a batch.
    pub(super) batch_size: usize,
    /// The first message of a batch may wait this long for others.
    pub(super) window: Duration,
    /// The queue delivers a message again after this time. The buffer drops it then.
    pub(super) visibility: Duration,
}

#[derive(Debug)]
pub(super) struct Buffer {
    limits: Limits,
    /// Oldest first.
    arrived: VecDeque<Arrived>,
    /// The FIFO groups with a batch in flight.
    locked: HashSet<String>,
}

#[derive(Debug)]
struct Arrived {
    record: Record,
    at: Instant,
}

/// The next batch, as indices into `arrived`.
struct Next {
    indices: Vec<usize>,
    is_full: bool,
}

impl Buffer {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, arrived: VecDeque::new(), locked: HashSet::new() }
    }

    pub(super) fn add(&mut self, record: Record, now: Instant) {
        self.arrived.push_back(Arrived { record, at: now });
    }

    /// Returns how many more messages fit into the next batch.
    pub(super) fn room(&self) -> usize {
        let next = self.next();
        if next.is_full { 0 } else { self.limits.batch_size - next.indices.len() }
    }

    /// Returns the time when the next batch is due if no other message arrives. A full batch is due already.
    pub(super) fn due(&self) -> Option<Instant> {
        let next = self.next();
        let first = self.arrived.get(*next.indices.first()?)?;
        Some(if next.is_full { first.at } else { first.at + self.limits.window })
    }

    /// Returns the next batch if it is due. Locks its groups until [`Self::release`].
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<Record>> {
        let visibility = self.limits.visibility;
        self.arrived.retain(|arrived| now.duration_since(arrived.at) < visibility);
        if self.due()? > now {
            return None;
        }
        // From the last, so that the other indices stay valid.
        let indices = self.next().indices.into_iter().rev();
        let mut batch: Vec<_> = indices.filter_map(|index| self.arrived.remove(index)).map(|one| one.record).collect();
        batch.reverse();
        self.locked.extend(batch.iter().filter_map(|record| record.group.clone()));
        Some(batch)
    }

    /// Unlocks the groups of a batch that has ended. Drops the messages of a group with a failed message, because they
    /// would overtake it. The queue delivers all of them again, in order.
    pub(super) fn release(&mut self, groups: &HashSet<String>, failed: &HashSet<String>) {
        self.locked.retain(|group| !groups.contains(group));
        self.arrived.retain(|arrived| arrived.record.group.as_ref().is_none_or(|group| !failed.contains(group)));
    }

    /// Selects from the oldest on, without locked groups, as many as fit.
    fn next(&self) -> Next {
        let (mut indices, mut bytes) = (Vec::new(), EMPTY_EVENT_BYTES);
        for (index, Arrived { record, .. }) in self.arrived.iter().enumerate() {
            if record.group.as_ref().is_some_and(|group| self.locked.contains(group)) {
                continue;
            }
            bytes += record.size();
            // One message always fits: a queue takes 1 MiB, which JSON escapes at most double.
            if bytes > MAX_SYNC_BYTES && !indices.is_empty() {
                return Next { indices, is_full: true };
            }
            indices.push(index);
            if indices.len() == self.limits.batch_size {
                return Next { indices, is_full: true };
            }
        }
        Next { indices, is_full: false }
    }
}

#[cfg(test)]
mod tests;
