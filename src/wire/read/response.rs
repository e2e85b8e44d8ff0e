//! The response to a read request. It collects series and samples, counts their size as protobuf, and encodes the snappy
//! block.

use super::TimeRange;
use super::matrix::{self, MatrixError};
use crate::model::{CANONICAL_NAN, Timestamp};
use crate::order::sort_by;
use crate::wire::varint::{framed, varint, write_varint};
use prost::encoding::encoded_len_varint;
use std::collections::BTreeMap;
use std::fmt;

// Keys of the protobuf fields: (number << 3) | wire type.
const RESULTS: u8 = 0x0A; // ReadResponse.results = 1
const TIMESERIES: u8 = 0x0A; // QueryResult.timeseries = 1
const LABELS: u8 = 0x0A; // TimeSeries.labels = 1
const SAMPLES: u8 = 0x12; // TimeSeries.samples = 2
const NAME: u8 = 0x0A; // Label.name = 1
const VALUE: u8 = 0x12; // Label.value = 2
const SAMPLE_VALUE: u8 = 0x09; // Sample.value = 1, a double
const SAMPLE_TIMESTAMP: u8 = 0x10; // Sample.timestamp = 2, a varint

/// Names and values, sorted by name.
pub(super) type Labels = Vec<(String, String)>;

/// The samples of a series.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Samples(Vec<(Timestamp, f64)>);

/// One result for each query, in the order of the queries.
#[derive(Clone, PartialEq, Debug)]
pub struct ReadResponse {
    results: Vec<BTreeMap<Labels, Samples>>,
    /// The length as protobuf, without the lengths of series and results.
    bytes: usize,
    max_bytes: usize,
    /// Native histograms that were left out.
    pub histograms: u64,
}

/// The response would be longer than its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResponseTooLarge;

impl ReadResponse {
    /// Returns a response without results, which takes series and samples of at most about `max_bytes` of protobuf.
    pub fn new(max_bytes: usize) -> Self {
        Self { results: Vec::new(), bytes: 0, max_bytes, histograms: 0 }
    }

    /// Begins the result of the next query.
    pub fn begin_result(&mut self) {
        self.results.push(BTreeMap::new());
    }

    /// Adds what a receiver answered to a range selector: those samples that are in `range`, to the series of the last result. Ranges
    /// must follow each other.
    pub fn add_matrix(&mut self, json: &[u8], range: TimeRange) -> Result<(), MatrixError> {
        matrix::read(json, range, self)
    }

    /// Returns the number of series and of samples.
    pub fn counts(&self) -> (usize, usize) {
        let all = || self.results.iter().flat_map(BTreeMap::values);
        (all().count(), all().map(|samples| samples.0.len()).sum())
    }

    /// Counts a sample of `time` before it is kept.
    pub(super) fn claim_sample(&mut self, time: Timestamp) -> Result<(), ResponseTooLarge> {
        self.claim(framed(9 + 1 + encoded_len_varint(time.0.cast_unsigned())))
    }

    fn claim(&mut self, bytes: usize) -> Result<(), ResponseTooLarge> {
        self.bytes += bytes;
        if self.bytes > self.max_bytes { Err(ResponseTooLarge) } else { Ok(()) }
    }

    /// Adds samples, which are counted, to a series. A series without samples is left out.
    pub(super) fn add_series(&mut self, mut labels: Labels, samples: Samples) -> Result<(), ResponseTooLarge> {
        if samples.0.is_empty() {
            return Ok(());
        }
        labels.sort_unstable();
        let Some(result) = self.results.last_mut() else { return Ok(()) };
        if let Some(known) = result.get_mut(&labels) {
            known.0.extend(samples.0);
            return Ok(());
        }
        let bytes = framed(labels_len(&labels));
        result.insert(labels, samples);
        self.claim(bytes)
    }

    /// Returns the response as the snappy block of a `prometheus.ReadResponse`, if that has at most `max_block_bytes`.
    pub fn encode(mut self, max_block_bytes: usize) -> Result<Vec<u8>, ResponseTooLarge> {
        self.results.iter_mut().flat_map(BTreeMap::values_mut).for_each(Samples::order);
        let message = self.message();
        drop(self);
        let block = snap::raw::Encoder::new().compress_vec(&message).map_err(|_| ResponseTooLarge)?;
        if block.len() > max_block_bytes { Err(ResponseTooLarge) } else { Ok(block) }
    }

    fn message(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes);
        for result in &self.results {
            let len = result.iter().map(|(labels, samples)| framed(series_len(labels, samples))).sum();
            key_and_len(RESULTS, len, &mut out);
            for (labels, samples) in result {
                key_and_len(TIMESERIES, series_len(labels, samples), &mut out);
                for (name, value) in labels {
                    key_and_len(LABELS, framed(name.len()) + framed(value.len()), &mut out);
                    text(NAME, name, &mut out);
                    text(VALUE, value, &mut out);
                }
                for (time, value) in &samples.0 {
                    sample(*time, *value, &mut out);
                }
            }
        }
        out
    }
}

impl Samples {
    pub(super) fn push(&mut self, time: Timestamp, value: f64) {
        self.0.push((time, value));
    }

    /// Sorts the samples by time, and keeps one for each time. A receiver that keeps its own rules sends them so.
    fn order(&mut self) {
        if !self.0.is_sorted_by(|earlier, later| earlier.0 < later.0) {
            sort_by(&mut self.0, |(a, _), (b, _)| a.cmp(b));
            self.0.dedup_by_key(|(time, _)| *time);
        }
    }
}

fn series_len(labels: &Labels, samples: &Samples) -> usize {
    labels_len(labels) + samples.0.iter().map(|(time, value)| framed(sample_len(*time, *value))).sum::<usize>()
}

fn labels_len(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| framed(framed(name.len()) + framed(value.len()))).sum()
}

/// Proto3 leaves out fields that are zero; -0.0 is not zero.
fn sample_len(time: Timestamp, value: f64) -> usize {
    let value_len = if value.to_bits() == 0 { 0 } else { 9 };
    let time_len = if time.0 == 0 { 0 } else { 1 + encoded_len_varint(time.0.cast_unsigned()) };
    value_len + time_len
}

fn sample(time: Timestamp, value: f64, out: &mut Vec<u8>) {
    key_and_len(SAMPLES, sample_len(time, value), out);
    let bits = if value.is_nan() { CANONICAL_NAN } else { value.to_bits() };
    if bits != 0 {
        out.push(SAMPLE_VALUE);
        out.extend_from_slice(&bits.to_le_bytes());
    }
    if time.0 != 0 {
        out.push(SAMPLE_TIMESTAMP);
        write_varint(time.0.cast_unsigned(), out);
    }
}

fn text(key: u8, text: &str, out: &mut Vec<u8>) {
    key_and_len(key, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

fn key_and_len(key: u8, len: usize, out: &mut Vec<u8>) {
    out.push(key);
    varint(len, out);
}

impl fmt::Display for ResponseTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response would be longer than its bound")
    }
}

impl std::error::Error for ResponseTooLarge {}
