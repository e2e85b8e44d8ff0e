//! Writes delimited protobuf: each `io.prometheus.client.MetricFamily` after its length. Native histograms keep their
//! buckets.
//!
//! The parts of a histogram or a summary may not make one, for example buckets without a count. Then the family is written
//! as untyped series.

use super::{Kind, Part, Rendered, arrange, labels, part};
use crate::model::write_bound;
use crate::model::{Counts, FamilySeries, FamilyValue, MetricFamily, NativeHistogram, Span};
use prost::encoding::encode_varint;

/// A message begins with this room. Most need no more.
const USUAL_BYTES: usize = 256;

/// Returns the families as delimited messages.
pub fn render_protobuf(families: Vec<MetricFamily<'_>>) -> Vec<u8> {
    let mut out = Vec::with_capacity(families.len() * USUAL_BYTES);
    let mut message = Vec::with_capacity(USUAL_BYTES);
    for family in arrange(families, is_whole) {
        message.clear();
        text(1, &family.name, &mut message);
        if let Some(help) = &family.help {
            text(2, help, &mut message);
        }
        let number = match family.kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Summary => 2,
            Kind::Untyped => 3,
            Kind::Histogram => 4,
            Kind::GaugeHistogram => 5,
        };
        varint(3, number, &mut message);
        for metric in family.chunks() {
            bytes(4, &of_metric(&family, metric), &mut message);
        }
        encode_varint(message.len() as u64, &mut out);
        out.extend_from_slice(&message);
    }
    out
}

/// Reports whether the format can write every metric as a histogram or a summary, so that a reader gets the same.
fn is_whole(family: &Rendered<'_>) -> bool {
    family.chunks().all(|metric| {
        let parts = || metric.iter().map(|series| (series, part(&family.name, family.kind, series)));
        let has = |wanted: Part| parts().filter(|(_, part)| *part == Some(wanted)).count();
        let bounds = || parts().filter(|(_, part)| matches!(part, Some(Part::Bound(_))));
        let classic = metric.iter().filter(|series| !series.value.is_histogram()).count();
        let are_bounds_written_so = bounds().all(|(series, part)| {
            let Some(Part::Bound(bound)) = part else { return false };
            let mut text = String::new();
            write_bound(&mut text, bound);
            series.labels.get(family.kind.bound_label()) == Some(text.as_str())
        });
        let is_count = |series: &FamilySeries<'_>| match series.value {
            FamilyValue::Float(value) => value >= 0.0 && value.is_finite(),
            FamilyValue::Histogram(_) => true,
        };
        let is_integer = |series: &FamilySeries<'_>| match series.value {
            FamilyValue::Float(value) => integer(value).is_some(),
            FamilyValue::Histogram(_) => false,
        };
        let counts = || parts().filter(|(_, part)| *part == Some(Part::Count)).map(|(series, _)| series);
        let has_infinity = bounds().any(|(_, part)| part == Some(Part::Bound(f64::INFINITY)));
        let are_counts = counts().all(is_count)
            && match family.kind {
                Kind::Summary => counts().all(is_integer),
                _ => bounds().all(|(series, _)| is_count(series)) && has_infinity,
            };
        classic == 0 || has(Part::Sum) == 1 && has(Part::Count) == 1 && are_bounds_written_so && are_counts
    })
}

fn of_metric(family: &Rendered<'_>, metric: &[FamilySeries<'_>]) -> Vec<u8> {
    let mut message = Vec::with_capacity(USUAL_BYTES);
    let Some(first) = metric.first() else { return message };
    let bound = family.kind.is_complex().then(|| family.kind.bound_label());
    for (name, value) in labels(first, bound) {
        let mut label = Vec::with_capacity(name.len() + value.len() + 8);
        text(1, name, &mut label);
        text(2, value, &mut label);
        bytes(1, &label, &mut message);
    }
    match family.kind {
        Kind::Summary => bytes(4, &summary(family, metric), &mut message),
        Kind::Histogram | Kind::GaugeHistogram => bytes(7, &histogram(family, metric), &mut message),
        Kind::Counter | Kind::Gauge | Kind::Untyped => {
            let mut value = Vec::with_capacity(9);
            double(1, float(first), &mut value);
            let field = match family.kind {
                Kind::Gauge => 2,
                Kind::Counter => 3,
                _ => 5,
            };
            bytes(field, &value, &mut message);
        }
    }
    message
}

fn summary(family: &Rendered<'_>, metric: &[FamilySeries<'_>]) -> Vec<u8> {
    let mut message = Vec::new();
    for series in metric {
        match part(&family.name, family.kind, series) {
            Some(Part::Count) => varint(1, integer(float(series)).unwrap_or_default(), &mut message),
            Some(Part::Sum) => double(2, float(series), &mut message),
            Some(Part::Bound(quantile)) => {
                let mut pair = Vec::with_capacity(18);
                double(1, quantile, &mut pair);
                double(2, float(series), &mut pair);
                bytes(3, &pair, &mut message);
            }
            Some(Part::Whole) | None => {}
        }
    }
    message
}

fn histogram(family: &Rendered<'_>, metric: &[FamilySeries<'_>]) -> Vec<u8> {
    let mut message = Vec::with_capacity(USUAL_BYTES);
    for series in metric {
        let value = float(series);
        match part(&family.name, family.kind, series) {
            Some(Part::Count) => count(1, 4, value, &mut message),
            Some(Part::Sum) => double(2, value, &mut message),
            Some(Part::Bound(bound)) => {
                let mut bucket = Vec::with_capacity(20);
                count(1, 4, value, &mut bucket);
                double(2, bound, &mut bucket);
                bytes(3, &bucket, &mut message);
            }
            Some(Part::Whole) => {
                if let FamilyValue::Histogram(histogram) = &series.value {
                    native(histogram, &mut message);
                }
            }
            None => {}
        }
    }
    message
}

/// Writes the fields of a native histogram.
fn native(histogram: &NativeHistogram, out: &mut Vec<u8>) {
    let NativeHistogram { sum, schema, zero_threshold, counts, negative_spans, positive_spans, .. } = histogram;
    double(2, *sum, out);
    varint(5, zigzag(i64::from(*schema)), out);
    double(6, *zero_threshold, out);
    for span in negative_spans {
        bytes(9, &of_span(*span), out);
    }
    // A span without buckets marks a native histogram that has none.
    let marker = [Span { offset: 0, length: 0 }];
    let is_empty = negative_spans.is_empty() && positive_spans.is_empty();
    for span in if is_empty { &marker } else { positive_spans.as_slice() } {
        bytes(12, &of_span(*span), out);
    }
    match counts {
        Counts::Integer { count, zero, negative_deltas, positive_deltas } => {
            varint(1, *count, out);
            varint(7, *zero, out);
            for (field, deltas) in [(10, negative_deltas), (13, positive_deltas)] {
                for delta in deltas {
                    varint(field, zigzag(*delta), out);
                }
            }
        }
        Counts::Float { count, zero, negative, positive } => {
            double(4, *count, out);
            double(8, *zero, out);
            for (field, counts) in [(11, negative), (14, positive)] {
                for count in counts {
                    double(field, *count, out);
                }
            }
        }
    }
}

fn of_span(span: Span) -> Vec<u8> {
    let mut message = Vec::with_capacity(12);
    varint(1, zigzag(i64::from(span.offset)), &mut message);
    varint(2, u64::from(span.length), &mut message);
    message
}

fn float(series: &FamilySeries<'_>) -> f64 {
    match series.value {
        FamilyValue::Float(value) => value,
        FamilyValue::Histogram(_) => 0.0,
    }
}

/// Writes a count as an integer, or as a double if it is none.
fn count(field: u64, float_field: u64, value: f64, out: &mut Vec<u8>) {
    match integer(value) {
        Some(integer) => varint(field, integer, out),
        None => double(float_field, value, out),
    }
}

/// Returns a count that an integer holds exactly.
fn integer(value: f64) -> Option<u64> {
    let fits = (0.0..18_446_744_073_709_551_616.0).contains(&value) && value.to_bits() != (-0.0_f64).to_bits();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it fits, and its fraction is checked")]
    let integer = fits.then_some(value as u64)?;
    #[expect(clippy::cast_precision_loss, reason = "a round trip")]
    let back = integer as f64;
    (back.to_bits() == value.to_bits()).then_some(integer)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn varint(field: u64, value: u64, out: &mut Vec<u8>) {
    encode_varint(field << 3, out);
    encode_varint(value, out);
}

fn double(field: u64, value: f64, out: &mut Vec<u8>) {
    encode_varint(field << 3 | 1, out);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn bytes(field: u64, value: &[u8], out: &mut Vec<u8>) {
    encode_varint(field << 3 | 2, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn text(field: u64, value: &str, out: &mut Vec<u8>) {
    bytes(field, value.as_bytes(), out);
}
