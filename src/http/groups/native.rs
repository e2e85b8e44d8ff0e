//! The buckets of a native histogram as Prometheus' API has them:
//! <https://prometheus.io/docs/prometheus/latest/querying/api/#native-histograms>.

use crate::aggregate::bucket_bound;
use crate::exposition::number_text;
use crate::model::{Counts, NativeHistogram, Span};
use serde_json::{Value, json};

/// Says which of its bounds belong to a bucket.
const UPPER: u8 = 0;
const LOWER: u8 = 1;
const BOTH: u8 = 3;

/// The schemas whose bounds are powers of two.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Returns the buckets with observations, in the order of their bounds. Buckets of another schema are not known.
pub(super) fn native_buckets(histogram: &NativeHistogram) -> Vec<Value> {
    let NativeHistogram { schema, zero_threshold, counts, negative_spans, positive_spans, .. } = histogram;
    let Some(schema) = Some(*schema).filter(|schema| SCHEMAS.contains(schema)).and_then(|it| i8::try_from(it).ok())
    else {
        return Vec::new();
    };
    let (zero, negative, positive) = match counts {
        Counts::Integer { zero, negative_deltas, positive_deltas, .. } => {
            (as_double(*zero), sums(negative_deltas), sums(positive_deltas))
        }
        Counts::Float { zero, negative, positive, .. } => (*zero, negative.clone(), positive.clone()),
    };
    let bounds = |key: i32| (bucket_bound(key.wrapping_sub(1), schema), bucket_bound(key, schema));
    let mut buckets = Vec::new();
    for (key, count) in keys(negative_spans).zip(negative).collect::<Vec<_>>().into_iter().rev() {
        let (near, far) = bounds(key);
        buckets.push((LOWER, -far, -near, count));
    }
    buckets.push((BOTH, -zero_threshold, *zero_threshold, zero));
    for (key, count) in keys(positive_spans).zip(positive) {
        let (near, far) = bounds(key);
        buckets.push((UPPER, near, far, count));
    }
    let filled = buckets.into_iter().filter(|(.., count)| *count != 0.0);
    filled
        .map(|(side, from, to, count)| json!([side, number_text(from), number_text(to), number_text(count)]))
        .collect()
}

/// Returns the keys of all buckets. There may be more than counts.
fn keys(spans: &[Span]) -> impl Iterator<Item = i32> {
    let mut next = 0_i32;
    spans.iter().flat_map(move |span| {
        let first = next.wrapping_add(span.offset);
        next = first.wrapping_add_unsigned(span.length);
        (0..span.length).map(move |number| first.wrapping_add_unsigned(number))
    })
}

fn sums(deltas: &[i64]) -> Vec<f64> {
    let mut sum = 0_i64;
    let mut next = |delta: &i64| {
        sum = sum.wrapping_add(*delta);
        #[expect(clippy::cast_precision_loss, reason = "the nearest double")]
        let count = sum as f64;
        count
    };
    deltas.iter().map(&mut next).collect()
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double")]
fn as_double(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResetHint;

    fn histogram(schema: i32, counts: Counts) -> NativeHistogram {
        NativeHistogram {
            sum: 18.4,
            schema,
            zero_threshold: 0.001,
            counts,
            negative_spans: vec![Span { offset: -1, length: 2 }],
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 2 }],
            reset_hint: ResetHint::Unknown,
            custom_values: Vec::new(),
        }
    }

    #[test]
    fn shows_the_buckets_that_pushgateway_shows() {
        let counts = |zero| Counts::Integer {
            count: 12,
            zero,
            negative_deltas: vec![1, -1],
            positive_deltas: vec![1, 1, -1, 0],
        };
        // The positive ones are an answer of Pushgateway 1.11 to these spans and deltas.
        let expected = json!([
            [1, "-0.7071067811865475", "-0.5", "1"],
            [3, "-0.001", "0.001", "2"],
            [0, "0.7071067811865475", "1", "1"],
            [0, "1", "1.414213562373095", "2"],
            [0, "2", "2.82842712474619", "1"],
            [0, "2.82842712474619", "4", "1"],
        ]);
        assert_eq!(json!(native_buckets(&histogram(1, counts(2)))), expected);
        assert_eq!(native_buckets(&histogram(-53, counts(2))), Vec::<Value>::new());
        let floats =
            Counts::Float { count: 1.5, zero: 0.0, negative: vec![0.0; 2], positive: vec![0.0, 0.0, 0.0, 1.5] };
        assert_eq!(json!(native_buckets(&histogram(0, floats))), json!([[0, "8", "16", "1.5"]]));
    }

    #[test]
    fn takes_spans_that_no_number_holds() {
        let spans = vec![Span { offset: i32::MAX, length: u32::MAX }, Span { offset: i32::MIN, length: 1 }];
        let counts =
            Counts::Integer { count: 1, zero: 0, negative_deltas: vec![1], positive_deltas: vec![1, i64::MAX] };
        for schema in SCHEMAS {
            let odd = NativeHistogram {
                negative_spans: spans.clone(),
                positive_spans: spans.clone(),
                ..histogram(schema, counts.clone())
            };
            assert_eq!(native_buckets(&odd).len(), 3);
        }
    }
}
