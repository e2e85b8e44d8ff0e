//! The keys of the items of a shard, and how long they stay in the table.
//!
//! ```text
//! j#<shard>  <13 digits: ms>#<running number>#<random>         journal, which ingest writes; old keys have no running number
//! s#<shard>  head                                              the commit
//! s#<shard>  sent                                              what the receiver has settled
//! s#<shard>  b#<base>#0#<part>                                 base
//! s#<shard>  b#<base>#1#<13 digits: tick>#<delta>#<part>       deltas of that base, in the order of their ticks
//! s#<shard>  i#<13 digits: newest>#<random>#<part>             identities, oldest first
//! g#<shard>  …                                                 groups
//! ```
//!
//! So one query reads a snapshot, and another one the identities, both in order. If no head names a blob, it is garbage,
//! and the table deletes it.

use crate::aggregate::head::{BlobName, IdsName};
use crate::model::Timestamp;
use crate::store::Key;

/// The table deletes journal items, snapshots and identities after 14 days.
const KEPT_SECONDS: i64 = 14 * 86_400;

pub(super) fn state_partition(shard: u16) -> String {
    format!("s#{shard}")
}

pub(in crate::gateway) fn journal_partition(shard: u16) -> String {
    format!("j#{shard}")
}

pub(in crate::gateway) fn group_partition(shard: impl Into<u32>) -> String {
    format!("g#{}", shard.into())
}

pub(super) fn head_key(shard: u16) -> Key {
    Key::new(state_partition(shard), "head")
}

pub(super) fn settled_key(shard: u16) -> Key {
    Key::new(state_partition(shard), "sent")
}

/// Returns the beginning of the sort keys of a base and its deltas.
pub(super) fn snapshot_prefix(base: u64) -> String {
    format!("b#{base:016x}#")
}

/// Returns the beginning of the sort keys of a base's parts.
pub(super) fn base_prefix(base: u64) -> String {
    format!("b#{base:016x}#0#")
}

pub(super) fn delta_prefix(base: u64, delta: &BlobName) -> String {
    format!("b#{base:016x}#1#{}#{:016x}#", digits(delta.tick), delta.name)
}

pub(super) fn ids_prefix(ids: &IdsName) -> String {
    format!("i#{}#{:016x}#", digits(ids.newest), ids.name)
}

/// Returns the sort key of a part.
pub(super) fn part(prefix: &str, part: usize) -> String {
    format!("{prefix}{part:04}")
}

/// Returns the sort key of the first journal item that can have this time.
pub(super) fn journal_from(time: Timestamp) -> String {
    digits(time)
}

/// Returns the time in the key of a journal item.
pub(super) fn journal_time(sort: &str) -> Option<Timestamp> {
    sort.split_once('#')?.0.parse().ok().map(Timestamp)
}

/// Returns when the table deletes an item that is written now, in seconds since 1970.
pub(in crate::gateway) fn expires(now: Timestamp) -> i64 {
    now.0.div_euclid(1_000).saturating_add(KEPT_SECONDS)
}

/// Reports whether the table may have deleted what a tick at this time wrote.
pub(super) fn may_be_deleted(written: Timestamp, now: Timestamp) -> bool {
    now.since(written) >= KEPT_SECONDS * 1_000
}

fn digits(time: Timestamp) -> String {
    format!("{:013}", time.0.max(0))
}
