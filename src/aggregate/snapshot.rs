//! The state as blobs. A base has every series. A delta has the changes of one tick, and everything that is owed. The state
//! is a base with its deltas in order.
//!
//! A base or a delta is cut between records into parts of at most [`MAX_PART_BYTES`]. Each part is a blob. These are the
//! records of version 1 (numbers as in [`crate::blob::codec`]; times in milliseconds):
//!
//! ```text
//! 1 series    key, born, born - zero, updated - born, aggregate
//! 2 removed   key
//! 3 family    name, type, help, born
//! 4 renew     nothing: what was owed before is owed no more; stands before the records 5 to 7
//! 5 ended     time, then as 1
//! 6 owed      number, identity, reason, sent, JSON
//! 7 next      the number of the next event that is owed
//! ```

use super::held::Series;
use super::owed::{OwedEvent, OwedReason};
use super::state::{EndedSeries, Family, TypedState};
use super::{Aggregate, Identity, SeriesKey};
use crate::blob::codec::{put_bytes, put_i64, put_u64, take_array, take_i64, take_text, take_u8, take_u64};
use crate::blob::{BlobError, open, seal};
use crate::model::{MetricType, Timestamp};
use bytes::Bytes;

const VERSION: u8 = 1;

/// The body of a part. A larger record is a part of its own.
pub const MAX_PART_BYTES: usize = 350_000;

/// The longest body that is unpacked: the largest record is a series with a key of 300 KB, or an owed event of as much.
const MAX_UNPACKED_BYTES: usize = 8 << 20;

const SERIES: u8 = 1;
const REMOVED: u8 = 2;
const FAMILY: u8 = 3;
const RENEW: u8 = 4;
const ENDED: u8 = 5;
const OWED: u8 = 6;
const NEXT: u8 = 7;

/// Collects records into parts.
#[derive(Default)]
struct Parts {
    sealed: Vec<Bytes>,
    body: Vec<u8>,
    record: Vec<u8>,
}

impl Parts {
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), BlobError> {
        self.record.clear();
        write(&mut self.record);
        if !self.body.is_empty() && self.body.len() + self.record.len() > MAX_PART_BYTES {
            self.close()?;
        }
        self.body.extend_from_slice(&self.record);
        Ok(())
    }

    fn close(&mut self) -> Result<(), BlobError> {
        self.sealed.push(seal(VERSION, &self.body)?);
        self.body.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Bytes>, BlobError> {
        if !self.body.is_empty() {
            self.close()?;
        }
        Ok(self.sealed)
    }
}

impl TypedState {
    /// Returns the whole state; no part if it is empty.
    pub fn base(&self) -> Result<Vec<Bytes>, BlobError> {
        self.write(true)
    }

    /// Returns what changed since the state was read; no part if nothing did, and if nothing is or was owed.
    pub fn delta(&self) -> Result<Vec<Bytes>, BlobError> {
        self.write(false)
    }

    fn write(&self, all: bool) -> Result<Vec<Bytes>, BlobError> {
        let mut parts = Parts::default();
        // Before the series: one can be removed and born again in one tick.
        for key in self.removed.iter().filter(|_| !all) {
            parts.add(|out| {
                out.push(REMOVED);
                out.extend_from_slice(key);
            })?;
        }
        for (name, family) in self.families.iter().filter(|(_, family)| all || family.is_changed) {
            parts.add(|out| put_family(name, family, out))?;
        }
        for series in self.held.iter().filter(|series| all || series.is_changed) {
            parts.add(|out| {
                out.push(SERIES);
                put_series(series, out);
            })?;
        }
        if all || self.owes_otherwise {
            parts.add(|out| out.push(RENEW))?;
            for ended in &self.ended {
                parts.add(|out| {
                    out.push(ENDED);
                    put_i64(out, ended.time.0);
                    put_series(&ended.series, out);
                })?;
            }
            for event in &self.owed.events {
                parts.add(|out| put_owed(event, out))?;
            }
            parts.add(|out| {
                out.push(NEXT);
                put_u64(out, self.owed.next);
            })?;
        }
        parts.finish()
    }

    /// Reads the next part of the base, or of a delta, in their order.
    pub fn read_part(&mut self, blob: &[u8]) -> Result<(), BlobError> {
        let body = open(blob, VERSION, MAX_UNPACKED_BYTES)?;
        let mut input = body.as_slice();
        while !input.is_empty() {
            self.record(&mut input)?;
        }
        Ok(())
    }

    /// Ends the reading: what follows are the changes of a tick.
    pub fn finish_reading(&mut self) {
        for family in self.families.values_mut() {
            family.series = 0;
            family.is_changed = false;
        }
        for series in self.held.iter_mut() {
            series.is_changed = false;
            if let Some(family) = self.families.get_mut(series.key().name()) {
                family.series += 1;
            }
        }
        self.families.retain(|_, family| family.series > 0);
        self.removed.clear();
        self.owes_otherwise = false;
    }

    fn record(&mut self, input: &mut &[u8]) -> Result<(), BlobError> {
        match take_u8(input)? {
            SERIES => {
                let series = take_series(input)?;
                self.held.insert(series);
            }
            REMOVED => {
                let key = SeriesKey::take(input)?;
                self.held.remove(key);
            }
            FAMILY => {
                let (name, family) = take_family(input)?;
                self.families.insert(name, family);
            }
            RENEW => {
                self.ended.clear();
                self.last_ends.clear();
                self.owed = super::owed::Owed::default();
            }
            ENDED => {
                let time = Timestamp(take_i64(input)?);
                self.remember_end(EndedSeries { series: take_series(input)?, time });
            }
            OWED => self.owed.push(take_owed(input)?),
            NEXT => self.owed.next = take_u64(input)?,
            _ => return Err(BlobError::Damaged("a snapshot has an unknown record")),
        }
        Ok(())
    }
}

fn put_series(series: &Series, out: &mut Vec<u8>) {
    out.extend_from_slice(series.key().as_bytes());
    put_i64(out, series.born.0);
    put_i64(out, series.born.0.wrapping_sub(series.zero.0));
    put_i64(out, series.updated.0.wrapping_sub(series.born.0));
    series.aggregate.encode(out);
}

fn take_series(input: &mut &[u8]) -> Result<Series, BlobError> {
    let key = SeriesKey::take(input)?;
    let born = take_i64(input)?;
    let zero = born.wrapping_sub(take_i64(input)?);
    let updated = born.wrapping_add(take_i64(input)?);
    let aggregate = Aggregate::decode(input)?;
    let mut series = Series::new(key, aggregate, Timestamp(born), Timestamp(zero));
    series.updated = Timestamp(updated);
    Ok(series)
}

fn put_family(name: &str, family: &Family, out: &mut Vec<u8>) {
    out.push(FAMILY);
    put_bytes(out, name.as_bytes());
    out.push(family.metric_type as u8);
    put_bytes(out, family.help.as_bytes());
    put_i64(out, family.born.0);
}

fn take_family(input: &mut &[u8]) -> Result<(Box<str>, Family), BlobError> {
    let name = take_text(input)?.into();
    let metric_type = MetricType::from_number(u32::from(take_u8(input)?));
    let help = take_text(input)?.into();
    let born = Timestamp(take_i64(input)?);
    Ok((name, Family { metric_type, help, born, series: 0, is_changed: false }))
}

fn put_owed(event: &OwedEvent, out: &mut Vec<u8>) {
    out.push(OWED);
    put_u64(out, event.number);
    out.extend_from_slice(event.identity.as_bytes());
    out.push(event.reason as u8);
    put_i64(out, event.sent.0);
    put_bytes(out, event.json.as_bytes());
}

fn take_owed(input: &mut &[u8]) -> Result<OwedEvent, BlobError> {
    let number = take_u64(input)?;
    let identity = Identity(take_array(input)?);
    let reason = OwedReason::from_number(take_u8(input)?);
    let reason = reason.ok_or(BlobError::Damaged("an event is owed for an unknown reason"))?;
    let sent = Timestamp(take_i64(input)?);
    Ok(OwedEvent { number, identity, reason, sent, json: take_text(input)?.to_owned() })
}
