//! Encodes samples as a `WriteRequest`, directly from borrowed labels.
//!
//! To build the structs of [`super::messages`] costs nine times as much, because each label needs a `String`.
//! `wire/tests.rs` compares both.

use super::histogram;
use super::varint::{framed, varint, write_varint};
use crate::model::{BOUND_LABEL, Label, METRIC_NAME_LABEL, MetricName, NativeHistogram, Timestamp, Value};
use crate::series::{Labels, Sample, SampleTable, SampleValue};
use prost::encoding::encoded_len_varint;
use std::ops::Range;

// Keys of the protobuf fields: (number << 3) | wire type.
const TIMESERIES: u8 = 0x0A; // WriteRequest.timeseries = 1
const LABELS: u8 = 0x0A; // TimeSeries.labels = 1
const SAMPLES: u8 = 0x12; // TimeSeries.samples = 2, also in 2.0
const HISTOGRAMS: u8 = 0x22; // TimeSeries.histograms = 4
const NAME: u8 = 0x0A; // Label.name = 1
const VALUE: u8 = 0x12; // Label.value = 2
const SAMPLE_VALUE: u8 = 0x09; // Sample.value = 1, a double
const SAMPLE_TIMESTAMP: u8 = 0x10; // Sample.timestamp = 2, a varint

/// Writes one `TimeSeries` after another.
pub(super) struct Writer<'w, 'a> {
    table: &'w SampleTable<'a>,
    out: &'w mut Vec<u8>,
    last: Option<Written<'w, 'a>>,
}

/// The label set that was written last, and its position in the output. The metrics of an event share one and follow each other, and
/// the sets of a histogram's buckets differ in `le` alone.
struct Written<'w, 'a> {
    labels: Labels<'w, 'a>,
    /// The labels before `__name__`.
    before: Range<usize>,
    /// The labels after it and before `le`.
    between: Range<usize>,
    /// The labels after `le`.
    after: Range<usize>,
}

impl Written<'_, '_> {
    fn len(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }
}

impl<'w, 'a> Writer<'w, 'a> {
    /// `out` must be empty.
    pub(super) fn new(table: &'w SampleTable<'a>, out: &'w mut Vec<u8>) -> Self {
        Self { table, out, last: None }
    }

    /// Writes the `TimeSeries` of `samples`, which are all of one series. Returns `false` and writes nothing if the output would become
    /// longer than `limit` bytes; the first series is written whatever its size.
    pub(super) fn series(&mut self, samples: &[Sample], limit: usize) -> bool {
        let Some(first) = samples.first() else { return true };
        let (name, labels) = self.table.series(first.series);
        let known = self.last.take().filter(|last| last.labels.differ_in_bound(labels));
        let own_len = known.as_ref().map_or_else(|| labels_len(labels), Written::len);
        let bound_len = labels.bound().map_or(0, |bound| framed(label_len(BOUND_LABEL, &bound.value)));
        let name_len = framed(label_len(METRIC_NAME_LABEL, name.as_str()));
        let len = own_len + bound_len + name_len + self.samples_len(samples);
        if !self.out.is_empty() && self.out.len() + framed(len) > limit {
            return false;
        }
        self.out.push(TIMESERIES);
        varint(len, self.out);
        self.last = Some(self.labels(name, labels, known));
        for sample in distinct(samples) {
            write_sample(sample, self.out);
        }
        if self.table.has_histograms() {
            for (timestamp, histogram) in histograms(self.table, samples) {
                self.out.push(HISTOGRAMS);
                varint(histogram::len(timestamp, histogram), self.out);
                histogram::write(timestamp, histogram, self.out);
            }
        }
        true
    }

    fn samples_len(&self, samples: &[Sample]) -> usize {
        let numbers = distinct(samples).map(sample_len).sum();
        if !self.table.has_histograms() {
            return numbers;
        }
        let len = |(timestamp, histogram)| framed(histogram::len(timestamp, histogram));
        numbers + histograms(self.table, samples).map(len).sum::<usize>()
    }

    /// Writes all labels in bytewise order: names that begin with a capital or with `_0` to `_Z` come before `__name__`.
    fn labels(
        &mut self,
        name: &MetricName<'a>,
        labels: Labels<'w, 'a>,
        known: Option<Written<'w, 'a>>,
    ) -> Written<'w, 'a> {
        let out = &mut *self.out;
        if let Some(known) = known {
            out.extend_from_within(known.before.clone());
            write_label(METRIC_NAME_LABEL, name.as_str(), out);
            out.extend_from_within(known.between.clone());
            write_bound(labels.bound(), out);
            out.extend_from_within(known.after.clone());
            return known;
        }
        let [before, between, after] = match labels.as_slice() {
            Some(slice) => write_labels(slice.iter(), name, labels.bound(), out),
            None => write_labels(labels.without_bound(), name, labels.bound(), out),
        };
        Written { labels, before, between, after }
    }
}

/// Returns each sample once, however many items brought it.
pub(super) fn distinct(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    let repeats = |i: usize, sample: &Sample| i > 0 && samples[i - 1].is_same_sample(sample);
    samples.iter().enumerate().filter(move |(i, sample)| !repeats(*i, sample)).map(|(_, sample)| sample)
}

/// Returns the length without `le`.
fn labels_len(labels: Labels<'_, '_>) -> usize {
    let len = |label: &Label<'_>| framed(label_len(label.name.as_str(), &label.value));
    match labels.as_slice() {
        Some(slice) => slice.iter().map(len).sum(),
        None => labels.without_bound().map(len).sum(),
    }
}

/// Writes labels, name and bound. Returns the positions in `out` of the labels before and behind them.
fn write_labels<'l, 'a: 'l>(
    labels: impl Iterator<Item = &'l Label<'a>>,
    name: &MetricName<'_>,
    bound: Option<&Label<'_>>,
    out: &mut Vec<u8>,
) -> [Range<usize>; 3] {
    let mut labels = labels.peekable();
    let mut write_below = |end: Option<&str>, out: &mut Vec<u8>| {
        let start = out.len();
        while let Some(label) = labels.next_if(|label| end.is_none_or(|end| label.name.as_str() < end)) {
            write_label(label.name.as_str(), &label.value, out);
        }
        start..out.len()
    };
    let before = write_below(Some(METRIC_NAME_LABEL), out);
    write_label(METRIC_NAME_LABEL, name.as_str(), out);
    let between = write_below(Some(BOUND_LABEL), out);
    write_bound(bound, out);
    [before, between, write_below(None, out)]
}

fn write_bound(bound: Option<&Label<'_>>, out: &mut Vec<u8>) {
    if let Some(bound) = bound {
        write_label(BOUND_LABEL, &bound.value, out);
    }
}

fn label_len(name: &str, value: &str) -> usize {
    framed(name.len()) + framed(value.len())
}

fn write_label(name: &str, value: &str, out: &mut Vec<u8>) {
    out.push(LABELS);
    varint(label_len(name, value), out);
    out.push(NAME);
    varint(name.len(), out);
    out.extend_from_slice(name.as_bytes());
    out.push(VALUE);
    varint(value.len(), out);
    out.extend_from_slice(value.as_bytes());
}

/// Returns the histograms, each once.
pub(super) fn histograms<'t>(
    table: &'t SampleTable<'_>,
    samples: &'t [Sample],
) -> impl Iterator<Item = (Timestamp, &'t NativeHistogram)> {
    distinct(samples).filter_map(|sample| match table.value(sample) {
        SampleValue::Histogram(histogram) => Some((sample.timestamp, histogram)),
        SampleValue::Number(_) => None,
    })
}

/// Returns the length of a sample with its key and length, and 0 for a histogram. Proto3 leaves out fields that are zero; -0.0 is not
/// zero, although `prost` leaves it out.
pub(super) fn sample_len(sample: &Sample) -> usize {
    sample.number().map_or(0, |number| framed(sample_body_len(sample, number)))
}

fn sample_body_len(sample: &Sample, number: Value) -> usize {
    let value = if number.wire_bits() == 0 { 0 } else { 9 };
    let timestamp = if sample.timestamp.0 == 0 { 0 } else { 1 + encoded_len_varint(wire_timestamp(sample.timestamp)) };
    value + timestamp
}

pub(super) fn write_sample(sample: &Sample, out: &mut Vec<u8>) {
    let Some(number) = sample.number() else { return };
    out.push(SAMPLES);
    varint(sample_body_len(sample, number), out);
    let bits = number.wire_bits();
    if bits != 0 {
        out.push(SAMPLE_VALUE);
        out.extend_from_slice(&bits.to_le_bytes());
    }
    if sample.timestamp.0 != 0 {
        out.push(SAMPLE_TIMESTAMP);
        write_varint(wire_timestamp(sample.timestamp), out);
    }
}

/// An int64 is sent as the varint of its two's complement.
fn wire_timestamp(timestamp: Timestamp) -> u64 {
    timestamp.0.cast_unsigned()
}
