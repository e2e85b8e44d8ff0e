//! Encodes a native histogram as a `Histogram` message, as Prometheus does: `prompb/types.proto`.
//!
//! Proto3 leaves out fields that are zero, except the count and the zero count, which are members of a `oneof`. Repeated
//! numbers are packed.

use super::varint::write_varint;
use crate::model::{Counts, NativeHistogram, Span, Timestamp};
use prost::encoding::encoded_len_varint;

// Keys of the fields: (number << 3) | wire type.
const COUNT_INT: u8 = 0x08; // 1, a varint
const COUNT_FLOAT: u8 = 0x11; // 2, a double
const SUM: u8 = 0x19; // 3, a double
const SCHEMA: u8 = 0x20; // 4, a zigzag varint
const ZERO_THRESHOLD: u8 = 0x29; // 5, a double
const ZERO_COUNT_INT: u8 = 0x30; // 6, a varint
const ZERO_COUNT_FLOAT: u8 = 0x39; // 7, a double
const NEGATIVE_SPANS: u8 = 0x42; // 8
const NEGATIVE_DELTAS: u8 = 0x4A; // 9, zigzag varints
const NEGATIVE_COUNTS: u8 = 0x52; // 10, doubles
const POSITIVE_SPANS: u8 = 0x5A; // 11
const POSITIVE_DELTAS: u8 = 0x62; // 12, zigzag varints
const POSITIVE_COUNTS: u8 = 0x6A; // 13, doubles
const RESET_HINT: u8 = 0x70; // 14, an enum
const TIMESTAMP: u8 = 0x78; // 15, a varint
const CUSTOM_VALUES: [u8; 2] = [0x82, 0x01]; // 16, doubles
const SPAN_OFFSET: u8 = 0x08; // BucketSpan.offset = 1, a zigzag varint
const SPAN_LENGTH: u8 = 0x10; // BucketSpan.length = 2, a varint

/// Takes the pieces of a message: a writer of bytes, or a counter of them.
trait Out {
    fn bytes(&mut self, bytes: &[u8]);
    fn varint(&mut self, value: u64);
}

struct Length(usize);

impl Out for Length {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn varint(&mut self, value: u64) {
        self.0 += encoded_len_varint(value);
    }
}

impl Out for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn varint(&mut self, value: u64) {
        write_varint(value, self);
    }
}

/// Returns the length of the message without its own key and length.
pub(super) fn len(timestamp: Timestamp, histogram: &NativeHistogram) -> usize {
    let mut len = Length(0);
    put(timestamp, histogram, &mut len);
    len.0
}

/// Writes the message without its own key and length.
pub(super) fn write(timestamp: Timestamp, histogram: &NativeHistogram, out: &mut Vec<u8>) {
    put(timestamp, histogram, out);
}

fn put(timestamp: Timestamp, histogram: &NativeHistogram, out: &mut impl Out) {
    let NativeHistogram {
        sum,
        schema,
        zero_threshold,
        counts,
        negative_spans,
        positive_spans,
        reset_hint,
        custom_values,
    } = histogram;
    match counts {
        Counts::Integer { count, .. } => integer(COUNT_INT, *count, out),
        Counts::Float { count, .. } => double(COUNT_FLOAT, *count, out),
    }
    if sum.to_bits() != 0 {
        double(SUM, *sum, out);
    }
    if *schema != 0 {
        integer(SCHEMA, zigzag(i64::from(*schema)), out);
    }
    if zero_threshold.to_bits() != 0 {
        double(ZERO_THRESHOLD, *zero_threshold, out);
    }
    match counts {
        Counts::Integer { zero, negative_deltas, positive_deltas, .. } => {
            integer(ZERO_COUNT_INT, *zero, out);
            spans(NEGATIVE_SPANS, negative_spans, out);
            deltas(NEGATIVE_DELTAS, negative_deltas, out);
            spans(POSITIVE_SPANS, positive_spans, out);
            deltas(POSITIVE_DELTAS, positive_deltas, out);
        }
        Counts::Float { zero, negative, positive, .. } => {
            double(ZERO_COUNT_FLOAT, *zero, out);
            spans(NEGATIVE_SPANS, negative_spans, out);
            doubles(&[NEGATIVE_COUNTS], negative, out);
            spans(POSITIVE_SPANS, positive_spans, out);
            doubles(&[POSITIVE_COUNTS], positive, out);
        }
    }
    if *reset_hint as u8 != 0 {
        integer(RESET_HINT, *reset_hint as u64, out);
    }
    if timestamp.0 != 0 {
        integer(TIMESTAMP, timestamp.0.cast_unsigned(), out);
    }
    doubles(&CUSTOM_VALUES, custom_values, out);
}

fn integer(key: u8, value: u64, out: &mut impl Out) {
    out.bytes(&[key]);
    out.varint(value);
}

fn double(key: u8, value: f64, out: &mut impl Out) {
    out.bytes(&[key]);
    out.bytes(&value.to_bits().to_le_bytes());
}

fn spans(key: u8, spans: &[Span], out: &mut impl Out) {
    for &Span { offset, length } in spans {
        let put = |out: &mut dyn FnMut(u8, u64)| {
            if offset != 0 {
                out(SPAN_OFFSET, zigzag(i64::from(offset)));
            }
            if length != 0 {
                out(SPAN_LENGTH, u64::from(length));
            }
        };
        let mut len = 0;
        put(&mut |_, value| len += 1 + encoded_len_varint(value));
        integer(key, len as u64, out);
        put(&mut |key, value| integer(key, value, out));
    }
}

fn deltas(key: u8, deltas: &[i64], out: &mut impl Out) {
    if deltas.is_empty() {
        return;
    }
    let len: usize = deltas.iter().map(|&delta| encoded_len_varint(zigzag(delta))).sum();
    integer(key, len as u64, out);
    for &delta in deltas {
        out.varint(zigzag(delta));
    }
}

fn doubles(key: &[u8], values: &[f64], out: &mut impl Out) {
    if values.is_empty() {
        return;
    }
    out.bytes(key);
    out.varint(8 * values.len() as u64);
    for value in values {
        out.bytes(&value.to_bits().to_le_bytes());
    }
}

/// A signed number as protobuf's `sint` types have it. For those of 32 bits the result is the same.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}
