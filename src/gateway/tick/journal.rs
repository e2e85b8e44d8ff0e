//! Reads the journal since the cursor, and the identities that earlier ticks counted.
//!
//! Memory is bounded: if a tick has read [`MAX_JOURNAL_BYTES`] or [`MAX_ENTRIES`], it leaves the rest to the next one. The
//! cursor is then such that the next tick begins with the last item that this one read, or earlier. No item can appear any
//! more before that one, because its key is already two minutes old.
//!
//! A tick reads no item that is newer than its own beginning. So if it reads an item of an invocation, it also reads the items
//! before it: they were confirmed before that item got its key. Otherwise the first item could appear in a page that was read
//! already, and the second one in a later page.

use super::blobs::{ids_prefix, journal_from, journal_partition, journal_time, may_be_deleted, part, state_partition};
use super::{TickError, Ticker, Turn};
use crate::aggregate::head::{Head, MARGIN_MS};
use crate::aggregate::journal::Journal;
use crate::aggregate::{Safeguard, Seen, read_ids};
use crate::blob::BlobError;
use crate::model::Timestamp;
use crate::store::Range;
use bytes::Bytes;
use std::collections::HashSet;

/// The items that one tick reads.
const MAX_JOURNAL_BYTES: usize = 24 << 20;

/// The entries that one tick reads. Their identities take 20 MB.
const MAX_ENTRIES: usize = 500_000;

/// The part of the journal that a tick has read.
#[derive(Debug)]
pub(super) struct JournalRead {
    /// In the order of their keys, with the times in them.
    pub(super) items: Vec<(Timestamp, Bytes)>,
    pub(super) seen: Seen,
    /// The cursor after this tick.
    pub(super) cursor: Timestamp,
    /// The last item that was read, if there may be more after it.
    pub(super) stopped_at: Option<Timestamp>,
    /// When reading began.
    pub(super) began: Timestamp,
    pub(super) damaged: u64,
}

impl<T, D> Ticker<'_, T, D> {
    pub(super) async fn read_journal(
        &self,
        turn: &Turn<'_>,
        head: Option<&Head>,
        limits: (usize, usize),
    ) -> Result<JournalRead, TickError> {
        let began = turn.now();
        let (max_bytes, max_entries) = limits;
        let from = head.map(|head| if Safeguard::Margin.is_kept() { head.read_from() } else { head.cursor });
        let range = Range::from(journal_partition(turn.shard), journal_from(from.unwrap_or(Timestamp(0))));
        let mut read = JournalRead {
            items: Vec::new(),
            seen: Seen::default(),
            cursor: began,
            stopped_at: None,
            began,
            damaged: 0,
        };
        let (mut bytes, mut after, mut last) = (0, None, None);
        'pages: loop {
            let page = self.store.query(&range, after.as_deref()).await?;
            for item in page.items {
                let Some(time) = journal_time(&item.key.sort) else {
                    damaged(&mut read, turn, &item.key.sort, "its key has no time");
                    continue;
                };
                if time > began {
                    break 'pages;
                }
                if bytes >= max_bytes || read.seen.len() >= max_entries {
                    read.stopped_at = last;
                    break 'pages;
                }
                last = Some(time);
                bytes += item.body.len();
                let added = Journal::open(&item.body).and_then(|journal| read.seen.add(&journal));
                match added {
                    Ok(()) => read.items.push((time, item.body)),
                    Err(error @ BlobError::NewerVersion { .. }) => {
                        return Err(TickError::Blob { what: "a journal item", error });
                    }
                    Err(BlobError::Damaged(what)) => damaged(&mut read, turn, &item.key.sort, what),
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
            if turn.is_over() {
                return Err(TickError::OutOfTime);
            }
        }
        if let Some(stopped) = read.stopped_at {
            read.cursor = began.min(Timestamp(stopped.0.saturating_add(MARGIN_MS)));
        }
        if !Safeguard::KeyOrder.is_kept() {
            read.items.reverse();
        }
        // A clock that was set back must not move the cursor back: identities are forgotten by it.
        read.cursor = read.cursor.max(head.map_or(read.cursor, |head| head.cursor));
        Ok(read)
    }

    /// Streams the remembered identities past those that were read.
    pub(super) async fn read_remembered(
        &self,
        turn: &Turn<'_>,
        head: &Head,
        seen: &mut Seen,
    ) -> Result<usize, TickError> {
        let Some(first) = head.ids.iter().min_by_key(|ids| (ids.newest, ids.name)) else { return Ok(0) };
        let parts = |ids| {
            let prefix = ids_prefix(ids);
            (0..ids.parts as usize).map(move |number| part(&prefix, number))
        };
        let mut missing: HashSet<String> = head.ids.iter().flat_map(parts).collect();
        let range = Range::from(state_partition(turn.shard), ids_prefix(first));
        let (mut after, mut count) = (None, 0);
        loop {
            let page = self.store.query(&range, after.as_deref()).await?;
            for item in page.items {
                if missing.remove(&item.key.sort) {
                    count += read_ids(&item.body, seen).map_err(TickError::blob("identities"))?;
                }
            }
            after = page.next;
            if after.is_none() || missing.is_empty() {
                break;
            }
        }
        let is_deleted = |sort: &String| {
            let newest = sort.strip_prefix("i#").and_then(journal_time);
            newest.is_some_and(|newest| may_be_deleted(newest, turn.now()))
        };
        if missing.iter().all(is_deleted) { Ok(count) } else { Err(TickError::Missing("a part of the identities")) }
    }
}

/// The items and entries that a tick reads.
pub(super) const LIMITS: (usize, usize) = (MAX_JOURNAL_BYTES, MAX_ENTRIES);

fn damaged(read: &mut JournalRead, turn: &Turn<'_>, key: &str, what: &str) {
    read.damaged += 1;
    let Turn { request_id, shard, .. } = turn;
    tracing::error!(request_id, shard, key, what, "a journal item cannot be read, its events are lost");
}
