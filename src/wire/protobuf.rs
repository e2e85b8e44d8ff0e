//! Rows to the bytes of a `WriteRequest`, written straight from borrowed labels.

use crate::model::{LabelSet, METRIC_NAME_LABEL, MetricName};
use crate::series::{Merged, Row};
use prost::encoding::{encode_varint, encoded_len_varint};

// Keys of the protobuf fields: (number << 3) | wire type.
const TIMESERIES: u8 = 0x0A; // WriteRequest.timeseries = 1
const LABELS: u8 = 0x0A; // TimeSeries.labels = 1
const SAMPLES: u8 = 0x12; // TimeSeries.samples = 2
const NAME: u8 = 0x0A; // Label.name = 1
const VALUE: u8 = 0x12; // Label.value = 2
const SAMPLE_VALUE: u8 = 0x09; // Sample.value = 1, a double
const SAMPLE_TIMESTAMP: u8 = 0x10; // Sample.timestamp = 2, a varint

/// Appends the `TimeSeries` of `rows`, which are all of one series.
pub(super) fn series(merged: &Merged<'_>, rows: &[Row], out: &mut Vec<u8>) {
    let Some(first) = rows.first() else { return };
    let (name, labels) = merged.series(first.series);
    out.push(TIMESERIES);
    varint(labels_len(name, labels) + distinct(rows).map(sample_len).sum::<usize>(), out);
    write_labels(name, labels, out);
    for row in distinct(rows) {
        write_sample(row, out);
    }
}

/// Bytes that [`series`] would append.
pub(super) fn series_len(merged: &Merged<'_>, rows: &[Row]) -> usize {
    let Some(first) = rows.first() else { return 0 };
    let (name, labels) = merged.series(first.series);
    framed(labels_len(name, labels) + distinct(rows).map(sample_len).sum::<usize>())
}

/// Each sample once, whichever number of events brought it.
pub(super) fn distinct(rows: &[Row]) -> impl Iterator<Item = &Row> {
    let repeats = |i: usize, row: &Row| i > 0 && rows[i - 1].is_same_sample(row);
    rows.iter().enumerate().filter(move |(i, row)| !repeats(*i, row)).map(|(_, row)| row)
}

fn labels_len(name: &MetricName<'_>, labels: &LabelSet<'_>) -> usize {
    let own = labels.as_slice().iter().map(|label| framed(label_len(label.name.as_str(), &label.value)));
    framed(label_len(METRIC_NAME_LABEL, name.as_str())) + own.sum::<usize>()
}

/// The metric's name takes its place in the bytewise order: capitals and `_0` to `_Z` come before `__name__`.
fn write_labels(name: &MetricName<'_>, labels: &LabelSet<'_>, out: &mut Vec<u8>) {
    let labels = labels.as_slice();
    let before = labels.partition_point(|label| label.name.as_str() < METRIC_NAME_LABEL);
    for label in &labels[..before] {
        write_label(label.name.as_str(), &label.value, out);
    }
    write_label(METRIC_NAME_LABEL, name.as_str(), out);
    for label in &labels[before..] {
        write_label(label.name.as_str(), &label.value, out);
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

/// Length of a sample with its key and length. Fields of the value zero are left out, as proto3 wants it; -0.0 is not
/// that zero, though `prost` takes it for one.
fn sample_len(row: &Row) -> usize {
    framed(sample_body_len(row))
}

fn sample_body_len(row: &Row) -> usize {
    let value = if row.value.wire_bits() == 0 { 0 } else { 9 };
    let timestamp = if row.timestamp.0 == 0 { 0 } else { 1 + encoded_len_varint(wire_timestamp(row)) };
    value + timestamp
}

fn write_sample(row: &Row, out: &mut Vec<u8>) {
    out.push(SAMPLES);
    varint(sample_body_len(row), out);
    let bits = row.value.wire_bits();
    if bits != 0 {
        out.push(SAMPLE_VALUE);
        out.extend_from_slice(&bits.to_le_bytes());
    }
    if row.timestamp.0 != 0 {
        out.push(SAMPLE_TIMESTAMP);
        encode_varint(wire_timestamp(row), out);
    }
}

/// An int64 travels as the varint of its two's complement.
fn wire_timestamp(row: &Row) -> u64 {
    row.timestamp.0.cast_unsigned()
}

/// Nearly all lengths are of one byte.
fn varint(len: usize, out: &mut Vec<u8>) {
    match u8::try_from(len) {
        Ok(short @ ..0x80) => out.push(short),
        _ => encode_varint(len as u64, out),
    }
}

/// Length of a length-delimited field: key, length, contents.
fn framed(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}
