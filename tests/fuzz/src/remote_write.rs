//! Compares how the gateway and `prost` read a remote-write request.

use amp_push_gateway::model::{Counts, NativeHistogram, Timestamp};
use amp_push_gateway::protobuf::Problem;
use amp_push_gateway::wire::incoming::{Part, ReadError, ReadProblem, decode_block};
use amp_push_gateway::wire::messages::{Count, Histogram, ZeroCount};

/// One series in text. Doubles are bits.
pub type Shown = (Vec<(String, String)>, Vec<(i64, u64)>, Vec<String>, usize);

/// Returns the protobuf of an input: behind a first byte of 0x80 it stands as it is, else it is in a snappy block.
pub fn protobuf(input: &[u8]) -> Option<Vec<u8>> {
    if let [0x80, protobuf @ ..] = input {
        return Some(protobuf.to_vec());
    }
    match decode_block(input) {
        Ok(protobuf) => Some(protobuf),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 500, "{text}");
            None
        }
    }
}

/// Returns the series of a part.
pub fn shown(part: &Part<'_, '_>) -> Option<Shown> {
    let Part::Series(series) = part else { return None };
    let labels = series.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let samples = series.samples.iter().map(|(timestamp, bits)| (timestamp.0, *bits)).collect();
    let histograms = series.histograms.iter().map(|(timestamp, histogram)| of_model(*timestamp, histogram)).collect();
    Some((labels, samples, histograms, series.exemplars))
}

fn bits(doubles: &[f64]) -> Vec<u64> {
    doubles.iter().map(|double| double.to_bits()).collect()
}

fn of_model(timestamp: Timestamp, histogram: &NativeHistogram) -> String {
    let NativeHistogram { sum, schema, zero_threshold, counts, negative_spans, positive_spans, .. } = histogram;
    let spans = |spans: &[amp_push_gateway::model::Span]| -> Vec<(i32, u32)> {
        spans.iter().map(|span| (span.offset, span.length)).collect()
    };
    let counts = match counts {
        Counts::Integer { count, zero, negative_deltas, positive_deltas } => {
            format!("{count} {zero} {negative_deltas:?} {positive_deltas:?}")
        }
        Counts::Float { count, zero, negative, positive } => {
            format!("{:x?} {:x?} {:x?}", bits(&[*count, *zero]), bits(negative), bits(positive))
        }
    };
    let rest = bits(&[&[*sum, *zero_threshold], histogram.custom_values.as_slice()].concat());
    let hint = histogram.reset_hint as i32;
    format!(
        "{} {schema} {:?} {:?} {hint} {counts} {rest:x?}",
        timestamp.0,
        spans(negative_spans),
        spans(positive_spans)
    )
}

/// Returns the same text of a message.
pub fn of_message(message: &Histogram) -> String {
    let spans = |spans: &[amp_push_gateway::wire::messages::BucketSpan]| -> Vec<(i32, u32)> {
        spans.iter().map(|span| (span.offset, span.length)).collect()
    };
    let is_float = match (message.count, message.zero_count) {
        (Some(count), _) => matches!(count, Count::Float(_)),
        (None, Some(zero)) => matches!(zero, ZeroCount::Float(_)),
        (None, None) => !message.negative_counts.is_empty() || !message.positive_counts.is_empty(),
    };
    let counts = if is_float {
        let count = if let Some(Count::Float(count)) = message.count { count } else { 0.0 };
        let zero = if let Some(ZeroCount::Float(zero)) = message.zero_count { zero } else { 0.0 };
        let (negative, positive) = (bits(&message.negative_counts), bits(&message.positive_counts));
        format!("{:x?} {negative:x?} {positive:x?}", bits(&[count, zero]))
    } else {
        let count = if let Some(Count::Int(count)) = message.count { count } else { 0 };
        let zero = if let Some(ZeroCount::Int(zero)) = message.zero_count { zero } else { 0 };
        format!("{count} {zero} {:?} {:?}", message.negative_deltas, message.positive_deltas)
    };
    let rest = bits(&[&[message.sum, message.zero_threshold], message.custom_values.as_slice()].concat());
    let hint = if (0..4).contains(&message.reset_hint) { message.reset_hint } else { 0 };
    let (negative, positive) = (spans(&message.negative_spans), spans(&message.positive_spans));
    format!("{} {} {negative:?} {positive:?} {hint} {counts} {rest:x?}", message.timestamp, message.schema)
}

/// Checks an error for bytes that `prost` reads or not: what is an error only here.
pub fn check_error(error: &ReadError, protobuf: &[u8], prost_reads_it: bool) {
    let text = error.to_string();
    assert!(error.offset <= protobuf.len() && text.starts_with("byte ") && text.len() < 200, "{text}");
    let is_strict = match error.problem {
        ReadProblem::Protobuf(problem) => matches!(problem, Problem::WireType(3 | 4)),
        _ => true,
    };
    assert!(is_strict || !prost_reads_it, "prost reads what is an error here: {text}");
}
