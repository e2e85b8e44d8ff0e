//! The numbers of a tick.

use super::TickError;
use crate::aggregate::Folded;
use crate::model::Timestamp;
use crate::remote_write::Sent;
use std::time::Duration;

/// The numbers of one shard.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct ShardSummary {
    pub shard: u16,
    /// Typed series that are held.
    pub series: u64,
    /// Distinct samples that the receiver acknowledged.
    pub samples: u64,
    pub groups: u64,
    pub expired: u64,
    /// Stale markers that were sent.
    pub stale: u64,
    pub folded: Folded,
    /// Identities of earlier ticks that were read.
    pub ids: u64,
    /// Journal items that cannot be read.
    pub damaged: u64,
    /// Series of a group that another writer exposes.
    pub series_conflicts: u64,
    /// Dead letters that are owed after this tick.
    pub owed: u64,
    pub dead_lettered: u64,
    /// Samples that the receiver refuses.
    pub refused: u64,
    /// Samples that are not settled.
    pub errored: u64,
    /// Requests with metadata that the receiver did not take.
    pub metadata_failed: u64,
    pub snapshot_bytes: u64,
    pub journal_age_ms: i64,
    /// The time up to which the journal is read.
    pub cursor: Option<Timestamp>,
    pub read: Duration,
    pub fold: Duration,
    pub write: Duration,
    pub sent: Sent,
    /// Another tick was faster, or newer.
    pub overtaken: bool,
    /// The tick was committed before.
    pub repeated: bool,
    /// Every request was settled.
    pub acknowledged: bool,
    pub error: Option<TickError>,
}

/// The numbers of a tick: of its shards together.
#[derive(Clone, PartialEq, Debug)]
pub struct TickSummary {
    pub tick: Timestamp,
    /// Each number is the sum over the shards; ages and errors are the greatest and the first.
    pub sum: ShardSummary,
    pub shards: u64,
    /// Shards whose tick failed.
    pub failed: u64,
    pub total: Duration,
}

impl Default for TickSummary {
    fn default() -> Self {
        Self { tick: Timestamp(0), sum: ShardSummary::default(), shards: 0, failed: 0, total: Duration::ZERO }
    }
}

impl TickSummary {
    pub(super) fn add(&mut self, shard: ShardSummary) {
        let sum = &mut self.sum;
        self.failed += u64::from(shard.error.is_some());
        let (all, one) = (&mut sum.folded, &shard.folded);
        for (sum, number) in [
            (&mut sum.series, shard.series),
            (&mut sum.samples, shard.samples),
            (&mut sum.groups, shard.groups),
            (&mut sum.expired, shard.expired),
            (&mut sum.stale, shard.stale),
            (&mut sum.ids, shard.ids),
            (&mut sum.damaged, shard.damaged),
            (&mut sum.series_conflicts, shard.series_conflicts),
            (&mut sum.owed, shard.owed),
            (&mut sum.dead_lettered, shard.dead_lettered),
            (&mut sum.refused, shard.refused),
            (&mut sum.errored, shard.errored),
            (&mut sum.metadata_failed, shard.metadata_failed),
            (&mut sum.snapshot_bytes, shard.snapshot_bytes),
            (&mut all.entries, one.entries),
            (&mut all.increments, one.increments),
            (&mut all.duplicates, one.duplicates),
            (&mut all.births, one.births),
            (&mut all.bucket_conflicts, one.bucket_conflicts),
            (&mut all.type_conflicts, one.type_conflicts),
            (&mut all.series_limit, one.series_limit),
        ] {
            *sum += number;
        }
        for (sum, dropped) in all.dropped.iter_mut().zip(one.dropped) {
            *sum += dropped;
        }
        sum.journal_age_ms = sum.journal_age_ms.max(shard.journal_age_ms);
        sum.cursor = sum.cursor.max(shard.cursor);
        sum.sent += shard.sent;
        sum.read += shard.read;
        sum.fold += shard.fold;
        sum.write += shard.write;
        self.shards += 1;
        sum.acknowledged = shard.acknowledged && (self.shards == 1 || sum.acknowledged);
        sum.overtaken |= shard.overtaken;
        sum.repeated |= shard.repeated;
        sum.error = sum.error.take().or(shard.error);
    }

    /// Returns the events that were dropped because too many dead letters were owed.
    pub fn dropped(&self) -> u64 {
        self.sum.folded.dropped.iter().sum()
    }
}
