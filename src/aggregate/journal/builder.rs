//! Builds journal items of events.

use super::MAX_ITEM_BYTES;
use super::layout::{put_content, put_kind, version_of};
use crate::aggregate::{Identity, SeriesKey};
use crate::blob::codec::{put_bytes, put_i64, put_u64};
use crate::blob::{BlobError, seal};
use crate::model::{Timestamp, TypedMetric};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::BuildHasher;

/// The most that one event takes in an item of its own: its series and its observations.
pub const MAX_EVENT_BYTES: usize = 300_000;

/// Collects the typed events of an invocation. An item is full before it has more than [`MAX_ITEM_BYTES`].
#[derive(Debug)]
pub struct JournalBuilder {
    max_item_bytes: usize,
    /// The item of each shard that is not full yet, with its number.
    open: BTreeMap<u16, (usize, OpenItem)>,
    /// Full items; `None` for one that is still open.
    items: Vec<Option<Result<JournalItem, BlobError>>>,
    hasher: RandomState,
    series: Vec<u8>,
    entry: Vec<u8>,
}

/// An item to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalItem {
    pub shard: u16,
    pub events: u64,
    pub blob: Bytes,
}

/// The event takes so many bytes in the journal, more than [`MAX_EVENT_BYTES`]. Another try would not help.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventTooLarge {
    pub bytes: usize,
}

#[derive(Default, Debug)]
struct OpenItem {
    /// The list of series, one after another, and the end of each.
    series: Vec<u8>,
    ends: Vec<usize>,
    known: HashTable<u32>,
    entries: Vec<u8>,
    count: u64,
    /// The sent time of the last entry.
    sent: i64,
    /// The newest that an entry needs.
    version: u8,
}

impl Default for JournalBuilder {
    fn default() -> Self {
        Self {
            max_item_bytes: MAX_ITEM_BYTES,
            open: BTreeMap::new(),
            items: Vec::new(),
            hasher: RandomState::default(),
            series: Vec::new(),
            entry: Vec::new(),
        }
    }
}

impl JournalBuilder {
    /// Returns a builder that cuts after nearly each event.
    #[cfg(test)]
    pub(crate) fn of_small_items() -> Self {
        Self { max_item_bytes: 90, ..Self::default() }
    }

    /// Adds an event, and returns the number of its item in [`Self::finish`]. `sent` is the sent time of its message.
    pub fn add(
        &mut self,
        shard: u16,
        identity: Identity,
        metric: &TypedMetric<'_>,
        sent: Timestamp,
    ) -> Result<usize, EventTooLarge> {
        self.series.clear();
        SeriesKey::write(&metric.name, &metric.labels, &mut self.series);
        put_kind(&metric.update, &mut self.series);
        put_bytes(&mut self.series, metric.help.as_deref().unwrap_or_default().as_bytes());
        let largest = self.series.len() + entry_bytes(metric);
        if largest > MAX_EVENT_BYTES {
            return Err(EventTooLarge { bytes: largest });
        }
        if let Some((_, item)) = self.open.get(&shard)
            && item.bytes() + largest > self.max_item_bytes
            && let Some((number, item)) = self.open.remove(&shard)
        {
            self.items[number] = Some(item.close(shard));
        }
        let next = self.items.len();
        let (number, item) = self.open.entry(shard).or_insert_with(|| (next, OpenItem::default()));
        if *number == next {
            self.items.push(None);
        }
        let series = item.number(&self.series, &self.hasher);
        self.entry.clear();
        self.entry.extend_from_slice(identity.as_bytes());
        put_u64(&mut self.entry, u64::from(series));
        put_i64(&mut self.entry, sent.0.wrapping_sub(item.sent));
        put_i64(&mut self.entry, metric.time.0.wrapping_sub(sent.0));
        put_content(&metric.update, &mut self.entry);
        item.sent = sent.0;
        item.version = item.version.max(version_of(&metric.update));
        item.entries.extend_from_slice(&self.entry);
        item.count += 1;
        Ok(*number)
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the items in the order of their numbers.
    pub fn finish(mut self) -> Result<Vec<JournalItem>, BlobError> {
        let open = std::mem::take(&mut self.open);
        for (shard, (number, item)) in open {
            self.items[number] = Some(item.close(shard));
        }
        self.items.into_iter().flatten().collect()
    }
}

/// Returns the most that an entry takes without its series.
fn entry_bytes(metric: &TypedMetric<'_>) -> usize {
    let mut content = Vec::new();
    put_content(&metric.update, &mut content);
    Identity::BYTES + 5 + 10 + 10 + content.len()
}

impl OpenItem {
    /// Returns the most that the body takes.
    fn bytes(&self) -> usize {
        10 + self.series.len() + self.entries.len()
    }

    /// Returns the number of a series in the dictionary.
    fn number(&mut self, series: &[u8], hasher: &RandomState) -> u32 {
        let Self { series: all, ends, known, .. } = self;
        let of = |i: u32| {
            let start = i.checked_sub(1).map_or(0, |before| ends[before as usize]);
            &all[start..ends[i as usize]]
        };
        // An item of 350,000 bytes has fewer series than a u32 counts.
        let next = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let hash = hasher.hash_one(series);
        let found = *known.entry(hash, |&i| of(i) == series, |&i| hasher.hash_one(of(i))).or_insert(next).get();
        if found == next {
            all.extend_from_slice(series);
            ends.push(all.len());
        }
        found
    }

    fn close(self, shard: u16) -> Result<JournalItem, BlobError> {
        let mut body = Vec::with_capacity(self.bytes());
        put_u64(&mut body, self.ends.len() as u64);
        body.extend_from_slice(&self.series);
        put_u64(&mut body, self.count);
        body.extend_from_slice(&self.entries);
        Ok(JournalItem { shard, events: self.count, blob: seal(self.version, &body)? })
    }
}

impl fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the event takes {} bytes in the journal, at most {MAX_EVENT_BYTES} are allowed", self.bytes)
    }
}

impl std::error::Error for EventTooLarge {}
