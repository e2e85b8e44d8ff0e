//! The head of a shard is the one item that a tick replaces to commit. Beside it there is an item that says what the
//! receiver has settled.
//!
//! Two rules make every event count once. Both are measured from the cursor, never from a clock:
//!
//! * A tick reads the journal from [`MARGIN_MS`] before the cursor. The gateway gives up a Put after 5 s, so no item
//!   appears before that point.
//! * A tick keeps identities back to the cursor - ([`Head::ids_kept_for`]). The gateway journals a repetition at most
//!   `MAX_SAMPLE_AGE` and the function's timeout of 15 minutes after the event itself. A head has room for the identities of
//!   [`MAX_IDS`] ticks: 14 days, if there is one each minute. The table deletes older ones anyway.

use crate::blob::codec::{put_bytes, put_i64, put_u64, take_count, take_i64, take_text, take_u8, take_u32, take_u64};
use crate::blob::{BlobError, open, seal};
use crate::model::Timestamp;
use bytes::Bytes;

const VERSION: u8 = 1;

/// The journal is read from this much before the cursor.
pub const MARGIN_MS: i64 = 120_000;

/// Identities are kept for `MAX_SAMPLE_AGE` and this much.
pub const IDS_BEYOND_AGE_MS: i64 = 20 * 60_000;

/// The ticks whose identities a head names.
const MAX_IDS: usize = 20_160;

/// A new base is written after this time, if there are deltas.
const BASE_MS: i64 = 3_600_000;

/// Deltas of one base. More would not fit into the item of the head.
const MAX_DELTAS: usize = 1_000;

/// A base without deltas is written again after this time, because the table deletes it after 14 days.
const RENEW_MS: i64 = 7 * 86_400_000;

/// The last committed tick of a shard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    pub tick: Timestamp,
    /// Everything in the journal up to [`MARGIN_MS`] before it has been read.
    pub cursor: Timestamp,
    pub base: Option<BlobName>,
    /// The oldest first.
    pub deltas: Vec<BlobName>,
    /// The oldest first.
    pub ids: Vec<IdsName>,
}

/// The blobs of a base or a delta.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlobName {
    /// Random.
    pub name: u64,
    pub parts: u32,
    /// The bytes of all parts.
    pub bytes: u64,
    /// The tick that wrote it. A deletion between two ticks takes a time between theirs.
    pub tick: Timestamp,
}

/// The identities that one tick counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdsName {
    pub name: u64,
    pub parts: u32,
    /// The time in the key of the newest item that held one of them.
    pub newest: Timestamp,
}

/// The requests and dead letters that need not be sent again.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Settled {
    /// The last tick of which every request was settled.
    pub tick: Option<Timestamp>,
    /// The last tick whose zeros and markers, and all before them, were settled.
    pub zeros: Option<Timestamp>,
    /// The owed dead letters below this number were sent.
    pub letters: u64,
    /// Series that the receiver refused in the last ticks.
    pub refused: Vec<RefusedSeries>,
    /// The last tick that sent, for the page. Older versions of this program neither wrote nor read it.
    pub last: Option<LastTick>,
}

/// The numbers of a tick that sent.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct LastTick {
    /// In milliseconds since 1970.
    pub tick: i64,
    /// Samples that the receiver acknowledged.
    pub samples: u64,
    /// Typed series that are held.
    pub series: u64,
    pub groups: u64,
    /// Stale markers.
    pub stale: u64,
    /// Typed series that expired.
    pub expired: u64,
    /// Increments, values and observations that were counted.
    pub increments: u64,
    /// Events that were counted before.
    pub duplicates: u64,
    pub dead_lettered: u64,
    /// Samples that the receiver refuses.
    pub refused: u64,
    /// Series that are not settled.
    pub errored: u64,
    /// Why not everything was sent; empty if everything was.
    pub failure: String,
}

/// A series that the receiver refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedSeries {
    /// [`super::SeriesKey::hash`] of its key.
    pub hash: u64,
    /// Ticks running.
    pub ticks: u32,
    /// The tick that tried it last.
    pub tried: Timestamp,
}

impl Head {
    /// Returns from where the journal is read.
    pub fn read_from(&self) -> Timestamp {
        Timestamp(self.cursor.0.saturating_sub(MARGIN_MS))
    }

    /// Returns how long identities are kept before the cursor.
    pub fn ids_kept_for(max_sample_age_ms: i64) -> i64 {
        max_sample_age_ms.saturating_add(IDS_BEYOND_AGE_MS)
    }

    /// Keeps the identities that a tick with this cursor must know.
    pub fn forget_ids(&mut self, max_sample_age_ms: i64) {
        let oldest = self.cursor.0.saturating_sub(Self::ids_kept_for(max_sample_age_ms));
        self.ids.retain(|ids| ids.newest.0 >= oldest);
        self.ids.drain(..self.ids.len().saturating_sub(MAX_IDS));
    }

    /// Reports whether the next snapshot must be a base. `bytes` are those of the delta that would be written instead.
    pub fn needs_base(&self, tick: Timestamp, bytes: u64) -> bool {
        let Some(base) = self.base else { return true };
        let deltas: u64 = self.deltas.iter().map(|delta| delta.bytes).sum::<u64>().saturating_add(bytes);
        let age = tick.since(base.tick);
        let is_full = self.deltas.len() >= MAX_DELTAS;
        is_full || deltas > base.bytes / 2 || (deltas > 0 && age >= BASE_MS) || age >= RENEW_MS
    }

    pub fn to_blob(&self) -> Result<Bytes, BlobError> {
        let mut out = Vec::new();
        put_i64(&mut out, self.tick.0);
        put_i64(&mut out, self.cursor.0);
        put_u64(&mut out, self.base.iter().len() as u64);
        put_u64(&mut out, self.deltas.len() as u64);
        for blob in self.base.iter().chain(&self.deltas) {
            out.extend_from_slice(&blob.name.to_le_bytes());
            put_u64(&mut out, u64::from(blob.parts));
            put_u64(&mut out, blob.bytes);
            put_i64(&mut out, blob.tick.0);
        }
        put_u64(&mut out, self.ids.len() as u64);
        for ids in &self.ids {
            out.extend_from_slice(&ids.name.to_le_bytes());
            put_u64(&mut out, u64::from(ids.parts));
            put_i64(&mut out, ids.newest.0);
        }
        seal(VERSION, &out)
    }

    pub fn from_blob(blob: &[u8]) -> Result<Self, BlobError> {
        let body = open(blob, VERSION, 1 << 20)?;
        let mut input = body.as_slice();
        let input = &mut input;
        let tick = Timestamp(take_i64(input)?);
        let cursor = Timestamp(take_i64(input)?);
        let bases = take_count(input, 11)?;
        if bases > 1 {
            return Err(BlobError::Damaged("a head names several bases"));
        }
        let deltas = take_count(input, 11)?;
        let mut base = None;
        for _ in 0..bases {
            base = Some(take_blob_name(input)?);
        }
        let deltas = (0..deltas).map(|_| take_blob_name(input)).collect::<Result<_, _>>()?;
        let count = take_count(input, 10)?;
        let ids =
            |_| Ok(IdsName { name: take_name(input)?, parts: take_u32(input)?, newest: Timestamp(take_i64(input)?) });
        let ids = (0..count).map(ids).collect::<Result<_, BlobError>>()?;
        Ok(Self { tick, cursor, base, deltas, ids })
    }
}

fn take_blob_name(input: &mut &[u8]) -> Result<BlobName, BlobError> {
    let name = take_name(input)?;
    Ok(BlobName { name, parts: take_u32(input)?, bytes: take_u64(input)?, tick: Timestamp(take_i64(input)?) })
}

fn take_name(input: &mut &[u8]) -> Result<u64, BlobError> {
    crate::blob::codec::take_array(input).map(u64::from_le_bytes)
}

fn put_time(out: &mut Vec<u8>, time: Option<Timestamp>) {
    out.push(u8::from(time.is_some()));
    if let Some(time) = time {
        put_i64(out, time.0);
    }
}

fn take_time(input: &mut &[u8]) -> Result<Option<Timestamp>, BlobError> {
    match take_u8(input)? {
        0 => Ok(None),
        1 => Ok(Some(Timestamp(take_i64(input)?))),
        _ => Err(BlobError::Damaged("a time is neither there nor absent")),
    }
}

impl Settled {
    pub fn to_blob(&self) -> Result<Bytes, BlobError> {
        let mut out = Vec::new();
        put_time(&mut out, self.tick);
        put_time(&mut out, self.zeros);
        put_u64(&mut out, self.letters);
        put_u64(&mut out, self.refused.len() as u64);
        for series in &self.refused {
            out.extend_from_slice(&series.hash.to_le_bytes());
            put_u64(&mut out, u64::from(series.ticks));
            put_i64(&mut out, series.tried.0);
        }
        if let Some(last) = &self.last {
            last.put(&mut out);
        }
        seal(VERSION, &out)
    }

    pub fn from_blob(blob: &[u8]) -> Result<Self, BlobError> {
        let body = open(blob, VERSION, 1 << 20)?;
        let mut input = body.as_slice();
        let input = &mut input;
        let (tick, zeros) = (take_time(input)?, take_time(input)?);
        let letters = take_u64(input)?;
        let count = take_count(input, 10)?;
        let series = |_| {
            Ok(RefusedSeries { hash: take_name(input)?, ticks: take_u32(input)?, tried: Timestamp(take_i64(input)?) })
        };
        let refused = (0..count).map(series).collect::<Result<_, BlobError>>()?;
        let last = if input.is_empty() { None } else { Some(LastTick::take(input)?) };
        Ok(Self { tick, zeros, letters, refused, last })
    }
}

impl LastTick {
    /// Returns the numbers in the order in which they are written. A new one comes last.
    fn numbers(&mut self) -> [&mut u64; 10] {
        let Self {
            samples,
            series,
            groups,
            stale,
            expired,
            increments,
            duplicates,
            dead_lettered,
            refused,
            errored,
            ..
        } = self;
        [samples, series, groups, stale, expired, increments, duplicates, dead_lettered, refused, errored]
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_i64(out, self.tick);
        put_bytes(out, self.failure.as_bytes());
        let mut numbers = self.clone();
        let numbers = numbers.numbers();
        put_u64(out, numbers.len() as u64);
        for number in numbers {
            put_u64(out, *number);
        }
    }

    /// Reads the numbers that this version knows. Others may follow.
    fn take(input: &mut &[u8]) -> Result<Self, BlobError> {
        let mut last = Self { tick: take_i64(input)?, failure: take_text(input)?.to_owned(), ..Self::default() };
        let count = take_count(input, 1)?;
        for number in last.numbers().into_iter().take(count) {
            *number = take_u64(input)?;
        }
        Ok(last)
    }

    /// Adds the numbers of another shard. The time is the later one, the failure the first.
    pub fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        self.tick = self.tick.max(other.tick);
        if self.failure.is_empty() {
            self.failure = std::mem::take(&mut other.failure);
        }
        for (sum, number) in self.numbers().into_iter().zip(other.numbers()) {
            *sum = sum.saturating_add(*number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob(bytes: u64, tick: i64) -> BlobName {
        BlobName { name: 7, parts: 1, bytes, tick: Timestamp(tick) }
    }

    fn head() -> Head {
        let (tick, cursor) = (Timestamp(0), Timestamp(0));
        Head { tick, cursor, base: Some(blob(100, 0)), deltas: Vec::new(), ids: Vec::new() }
    }

    #[test]
    fn a_base_is_due_when_deltas_are_many_or_exceed_half_of_it_or_after_an_hour_or_a_week() {
        let with = |deltas: &[u64]| Head { deltas: deltas.iter().map(|&bytes| blob(bytes, 0)).collect(), ..head() };
        let (minute, hour, day) = (60_000, 3_600_000, 86_400_000);
        let table = [
            (Head { base: None, ..head() }, minute, 0, true),
            (head(), minute, 50, false),
            (head(), minute, 51, true),
            (with(&[30]), minute, 20, false),
            (with(&[30]), minute, 21, true),
            (with(&[1]), hour - 1, 0, false),
            (with(&[1]), hour, 0, true),
            (head(), hour, 0, false),
            (head(), 7 * day - 1, 0, false),
            (head(), 7 * day, 0, true),
            (with(&[0; 999]), minute, 0, false),
            (with(&[0; 1_000]), minute, 0, true),
        ];
        for (head, tick, bytes, expected) in table {
            assert_eq!(head.needs_base(Timestamp(tick), bytes), expected, "{head:?} {tick} {bytes}");
        }
    }

    #[test]
    fn a_head_names_the_identities_of_the_last_ticks_that_fit_into_its_item() {
        // Names are random, and times grow.
        let ids =
            |i: i64| IdsName { name: fastrand::u64(..), parts: 3, newest: Timestamp(1_700_000_000_000 + i * 999) };
        let deltas = (0..1_000).map(|i| blob(1 << 20, 1_700_000_000_000 + i * 1_000)).collect();
        let mut head = Head { deltas, ids: (0..30_000).map(ids).collect(), ..head() };
        assert!(head.needs_base(Timestamp(1_700_001_000_000), 0));
        head.forget_ids(i64::MAX);
        assert_eq!((head.ids.len(), head.ids[MAX_IDS - 1].newest), (MAX_IDS, ids(29_999).newest));
        let blob = head.to_blob().unwrap();
        assert!(blob.len() + 1_000 < crate::limits::MAX_STORE_ITEM_BYTES, "{}", blob.len());
        assert_eq!(Head::from_blob(&blob), Ok(head));
    }

    #[test]
    fn identities_are_kept_for_the_age_and_twenty_minutes_before_the_cursor() {
        let ids = |newest| IdsName { name: 1, parts: 1, newest: Timestamp(newest) };
        let (hour, minute) = (3_600_000, 60_000);
        let cursor = 500 * hour;
        let oldest = cursor - hour - 20 * minute;
        let mut head =
            Head { cursor: Timestamp(cursor), ids: vec![ids(oldest - 1), ids(oldest), ids(cursor)], ..head() };
        head.forget_ids(hour);
        assert_eq!(head.ids, [ids(oldest), ids(cursor)]);
        assert_eq!(head.read_from(), Timestamp(cursor - 2 * minute));
    }

    proptest! {
        #[test]
        fn property_test_head_and_settled_are_read_as_they_were_written(
            numbers in proptest::collection::vec((any::<u64>(), any::<u32>(), any::<i64>()), 0..5),
            times in any::<[i64; 3]>(),
            is_first in any::<bool>(),
        ) {
            let name = |&(name, parts, tick): &(u64, u32, i64)| BlobName { name, parts, bytes: name / 2, tick: Timestamp(tick) };
            let ids = |&(name, parts, newest): &(u64, u32, i64)| IdsName { name, parts, newest: Timestamp(newest) };
            let refused = |&(hash, ticks, tried): &(u64, u32, i64)| RefusedSeries { hash, ticks, tried: Timestamp(tried) };
            let head = Head {
                tick: Timestamp(times[0]),
                cursor: Timestamp(times[2]),
                base: numbers.first().map(name),
                deltas: numbers.iter().map(name).collect(),
                ids: numbers.iter().map(ids).collect(),
            };
            prop_assert_eq!(Head::from_blob(&head.to_blob().unwrap()), Ok(head));
            let settled = Settled {
                tick: is_first.then_some(Timestamp(times[0])),
                zeros: Some(Timestamp(times[1])),
                letters: 5,
                refused: numbers.iter().map(refused).collect(),
                last: is_first.then(|| LastTick { tick: times[2], samples: 7, errored: u64::MAX, failure: "a".to_owned(), ..LastTick::default() }),
            };
            prop_assert_eq!(Settled::from_blob(&settled.to_blob().unwrap()), Ok(settled));
        }

        /// An older version reads what a newer one wrote, and the other way round.
        #[test]
        fn property_test_the_numbers_of_a_tick_may_be_fewer_or_more(count in 0_usize..20) {
            let mut out = Vec::new();
            put_i64(&mut out, 3);
            put_bytes(&mut out, b"");
            put_u64(&mut out, count as u64);
            for number in 0..count {
                put_u64(&mut out, number as u64 + 1);
            }
            let last = LastTick::take(&mut out.as_slice()).unwrap();
            prop_assert_eq!(last.samples, u64::from(count > 0));
            prop_assert_eq!(last.errored, if count >= 10 { 10 } else { 0 });
        }

        #[test]
        fn property_test_any_body_is_read_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let blob = seal(VERSION, &body).unwrap();
            let _any = (Head::from_blob(&blob), Settled::from_blob(&blob));
        }
    }
}
