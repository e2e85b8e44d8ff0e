//! Folds the journal into the state, and commits the result.

use super::blobs::{base_prefix, delta_prefix, expires, head_key, ids_prefix, part, state_partition};
use super::journal::{JournalRead, LIMITS};
use super::{ShardSummary, TickError, Ticker, Turn};
use crate::aggregate::head::{BlobName, Head, IdsName, Settled};
use crate::aggregate::journal::Journal;
use crate::aggregate::{Fold, FoldRules, Safeguard, TypedState, write_ids};
use crate::model::Timestamp;
use crate::order::sort_by;
use crate::store::{Item, Key, Replaced, Store};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// How often a blob is written until it succeeds. It is the same item each time.
const TRIES: u32 = 3;

const PUT_TIMEOUT: Duration = Duration::from_secs(5);

impl<T, D> Ticker<'_, T, D> {
    /// Folds the journal into `state`, and commits. Returns false if somebody else changed the head meanwhile.
    pub(super) async fn fold_and_commit(
        &self,
        turn: &Turn<'_>,
        head: Option<(Head, u64)>,
        settled: &Settled,
        state: &mut TypedState,
        summary: &mut ShardSummary,
    ) -> Result<bool, TickError> {
        self.fold_and_commit_within(LIMITS, turn, head, settled, state, summary).await
    }

    /// `limits` are the bytes and the entries that are read.
    pub(super) async fn fold_and_commit_within(
        &self,
        limits: (usize, usize),
        turn: &Turn<'_>,
        head: Option<(Head, u64)>,
        settled: &Settled,
        state: &mut TypedState,
        summary: &mut ShardSummary,
    ) -> Result<bool, TickError> {
        let (mut old, version) = head.unzip();
        let mut read = self.read_journal(turn, old.as_ref(), limits).await?;
        if let Some(old) = old.as_mut().filter(|_| !Safeguard::IdentitiesFromCursor.is_kept()) {
            let by_clock = Head { cursor: turn.now(), ..old.clone() };
            old.ids = forgotten(by_clock, self.rules.max_sample_age_ms);
        }
        if let Some(old) = old.as_ref().filter(|_| Safeguard::Identities.is_kept() && !read.seen.is_empty()) {
            summary.ids = self.read_remembered(turn, old, &mut read.seen).await? as u64;
        }
        let watch = Instant::now();
        let margin = old.as_ref().map_or(Timestamp(i64::MIN), |old| old.cursor);
        let folded = self.fold(turn, settled, state, (&mut read, margin), summary)?;
        summary.fold = watch.elapsed();
        if turn.is_over() {
            return Err(TickError::OutOfTime);
        }
        let mut head = Head {
            tick: turn.tick,
            cursor: read.cursor,
            base: old.as_ref().and_then(|old| old.base),
            deltas: old.as_ref().map(|old| old.deltas.clone()).unwrap_or_default(),
            ids: old.map(|old| old.ids).unwrap_or_default(),
        };
        self.write_ids(turn, &mut head, &folded).await?;
        summary.snapshot_bytes = self.writing(turn).snapshot(&mut head, turn.tick, state).await?;
        if Safeguard::IdentitiesFromCursor.is_kept() {
            head.forget_ids(self.rules.max_sample_age_ms);
        }
        summary.cursor = Some(head.cursor);
        let item = head_item(turn.shard, &head, version)?;
        if !Safeguard::CompareAndSwap.is_kept() {
            self.store.put(item, PUT_TIMEOUT).await?;
            return Ok(true);
        }
        Ok(self.store.replace(item, version).await? == Replaced::Done)
    }

    fn writing<'w>(&'w self, turn: &Turn<'_>) -> Writing<'w> {
        Writing { store: self.store.as_ref(), shard: turn.shard, now: turn.now(), deadline: turn.deadline }
    }

    /// Returns the identities that were counted, and the time of the newest item that held one. Items before `margin` belong to it.
    fn fold(
        &self,
        turn: &Turn<'_>,
        settled: &Settled,
        state: &mut TypedState,
        (read, margin): (&mut JournalRead, Timestamp),
        summary: &mut ShardSummary,
    ) -> Result<Counted, TickError> {
        let rules = FoldRules { tick: turn.tick, window: self.rules.window, max_series: self.rules.max_series };
        let mut fold = Fold::new(state, &mut read.seen, rules);
        let (mut oldest, mut newest) = (None, None);
        for (time, item) in &read.items {
            let counted = Journal::open(item)
                .and_then(|journal| if *time < margin { fold.item_of_margin(&journal) } else { fold.item(&journal) });
            if counted.map_err(TickError::blob("a journal item"))? > 0 {
                oldest = oldest.or(Some(*time));
                newest = Some(*time);
            }
        }
        let (folded, identities) = fold.finish();
        // The oldest event that was waiting when this tick began, or is waiting still.
        let waiting = oldest.into_iter().chain(read.stopped_at).min();
        summary.journal_age_ms = waiting.map_or(0, |time| read.began.since(time).max(0));
        summary.damaged = read.damaged;
        if let Some(family) = &folded.grew_most {
            let Turn { request_id, shard, .. } = turn;
            let refused = folded.series_limit;
            tracing::warn!(request_id, shard, family, refused, "new series above MAX_SERIES are dead-lettered");
        }
        summary.folded = folded;
        if let Some(ttl) = self.rules.series_ttl_ms {
            summary.expired = state.expire(turn.tick, ttl) as u64;
        }
        state.forget_ended(settled.zeros, turn.tick);
        summary.owed = state.owed().len() as u64;
        let dropped: u64 = summary.folded.dropped.iter().sum();
        if dropped > 0 {
            let Turn { request_id, shard, .. } = turn;
            tracing::error!(request_id, shard, dropped, "events are lost, because too many dead letters wait already");
        }
        Ok(Counted { identities, newest: newest.unwrap_or(read.began) })
    }

    async fn write_ids(&self, turn: &Turn<'_>, head: &mut Head, counted: &Counted) -> Result<(), TickError> {
        let parts = write_ids(&counted.identities).map_err(TickError::blob("new identities"))?;
        if parts.is_empty() {
            return Ok(());
        }
        let ids = IdsName { name: fastrand::u64(..), parts: number(parts.len()), newest: counted.newest };
        self.writing(turn).parts(&ids_prefix(&ids), parts).await?;
        head.ids.push(ids);
        sort_by(&mut head.ids, |a, b| (a.newest, a.name).cmp(&(b.newest, b.name)));
        Ok(())
    }
}

/// Writes the blobs of a shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing<'w> {
    pub(super) store: &'w dyn Store,
    pub(super) shard: u16,
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
}

impl Writing<'_> {
    /// Writes what `state` changed, as a delta or as a new base, and names it in `head`. `place` is the tick, or a time
    /// after those of all deltas, because deltas are read in the order of these times. Returns the bytes.
    pub(super) async fn snapshot(
        &self,
        head: &mut Head,
        place: Timestamp,
        state: &TypedState,
    ) -> Result<u64, TickError> {
        let delta = state.delta().map_err(TickError::blob("a new delta"))?;
        let bytes = |parts: &[Bytes]| parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let named = |parts: &[Bytes]| BlobName {
            name: fastrand::u64(..),
            parts: number(parts.len()),
            bytes: bytes(parts),
            tick: place,
        };
        if let Some(base) = head.base.filter(|_| !head.needs_base(place, bytes(&delta))) {
            if delta.is_empty() {
                return Ok(0);
            }
            let name = named(&delta);
            self.parts(&delta_prefix(base.name, &name), delta).await?;
            head.deltas.push(name);
            return Ok(name.bytes);
        }
        let base = state.base().map_err(TickError::blob("a new base"))?;
        let name = named(&base);
        self.parts(&base_prefix(name.name), base).await?;
        (head.base, head.deltas) = (Some(name), Vec::new());
        Ok(name.bytes)
    }

    async fn parts(&self, prefix: &str, parts: Vec<Bytes>) -> Result<(), TickError> {
        let expires = Some(expires(self.now));
        for (number, body) in parts.into_iter().enumerate() {
            let key = Key::new(state_partition(self.shard), part(prefix, number));
            let item = Item { key, version: 1, expires, body };
            let mut tries = 0;
            while let Err(error) = self.store.put(item.clone(), PUT_TIMEOUT).await {
                tries += 1;
                if tries == TRIES || !error.is_transient() {
                    return Err(error.into());
                }
                if Instant::now() >= self.deadline {
                    return Err(TickError::OutOfTime);
                }
            }
        }
        Ok(())
    }
}

/// The events that a fold counted.
struct Counted {
    identities: Vec<crate::aggregate::Identity>,
    newest: Timestamp,
}

/// Returns the item of a head that replaces the one of this version.
pub(super) fn head_item(shard: u16, head: &Head, replaced: Option<u64>) -> Result<Item, TickError> {
    let body = head.to_blob().map_err(TickError::blob("the new head"))?;
    let version = replaced.unwrap_or(0).saturating_add(1);
    Ok(Item { key: head_key(shard), version, expires: None, body })
}

fn forgotten(mut head: Head, max_sample_age_ms: i64) -> Vec<IdsName> {
    head.forget_ids(max_sample_age_ms);
    head.ids
}

fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
