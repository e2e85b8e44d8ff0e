//! Converts exponential histograms to native ones:
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>.
//!
//! * Bucket 0 of a native histogram ends at 1, and bucket 0 of OTLP begins at 1. So the index rises by one.
//! * The finest schema is 8. With a higher scale, neighbouring buckets are joined.

use super::message::{Buckets, Point};
use crate::model::{CANONICAL_NAN, Counts, NativeHistogram, ResetHint, STALE_MARKER, Span};
use std::error::Error;
use std::fmt;

const MIN_SCHEMA: i32 = -4;
const MAX_SCHEMA: i32 = 8;

/// OTLP has a zero threshold, but Prometheus does not read it yet.
const ZERO_THRESHOLD: f64 = 1e-128;

/// Up to this number empty buckets are written. More of them end a span.
const MAX_ZEROS: i64 = 2;

/// Why an exponential histogram cannot become a native one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HistogramError {
    /// The scale is below [`MIN_SCHEMA`].
    Scale(i32),
    /// A count does not fit into 63 bits.
    Count(u64),
    /// The index of a bucket does not fit into 32 bits.
    Index,
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale(scale) => write!(f, "the scale is {scale}, at least {MIN_SCHEMA} is allowed"),
            Self::Count(count) => write!(f, "a bucket counts {count}, at most {} is allowed", i64::MAX),
            Self::Index => f.write_str("the offset of the buckets is too large"),
        }
    }
}

impl Error for HistogramError {}

/// Returns the native histogram of a data point.
pub(super) fn native(point: &Point<'_>) -> Result<NativeHistogram, HistogramError> {
    check_scale(point.scale)?;
    if point.no_recorded_value {
        return Ok(stale());
    }
    let schema = point.scale.min(MAX_SCHEMA);
    let shift = point.scale.saturating_sub(schema).unsigned_abs();
    let (positive_spans, positive_deltas) = layout(&point.positive, shift)?;
    let (negative_spans, negative_deltas) = layout(&point.negative, shift)?;
    let sum = point.sum.unwrap_or(0.0);
    Ok(NativeHistogram {
        sum: if sum.is_nan() { f64::from_bits(CANONICAL_NAN) } else { sum },
        schema,
        zero_threshold: ZERO_THRESHOLD,
        counts: Counts::Integer { count: point.count, zero: point.zero_count, negative_deltas, positive_deltas },
        negative_spans,
        positive_spans,
        reset_hint: ResetHint::Unknown,
        custom_values: Vec::new(),
    })
}

pub(super) fn check_scale(scale: i32) -> Result<(), HistogramError> {
    if scale < MIN_SCHEMA { Err(HistogramError::Scale(scale)) } else { Ok(()) }
}

/// Returns the marker that ends a series of native histograms, as Prometheus writes it when a target is gone.
fn stale() -> NativeHistogram {
    NativeHistogram {
        sum: f64::from_bits(STALE_MARKER),
        schema: 0,
        zero_threshold: 0.0,
        counts: Counts::Integer { count: 0, zero: 0, negative_deltas: Vec::new(), positive_deltas: Vec::new() },
        negative_spans: Vec::new(),
        positive_spans: Vec::new(),
        reset_hint: ResetHint::Unknown,
        custom_values: Vec::new(),
    }
}

/// Returns the spans, and for each of their buckets the difference to the one before. Each bucket joins 2^`shift`
/// buckets of the point.
fn layout(buckets: &Buckets, shift: u32) -> Result<(Vec<Span>, Vec<i64>), HistogramError> {
    // Beyond 63 all that is left is the sign.
    let index_of = |i: usize| {
        let position = i64::try_from(i).map_err(|_| HistogramError::Index)? + i64::from(buckets.offset);
        Ok((position >> shift.min(63)) + 1)
    };
    let mut layout = Layout { spans: Vec::new(), deltas: Vec::new(), last: 0, last_count: 0 };
    let Some(last) = buckets.counts.len().checked_sub(1) else { return Ok((layout.spans, layout.deltas)) };
    let (first, last) = (index_of(0)?, index_of(last)?);
    layout.begin(first)?;
    let (mut index, mut sum) = (first, 0_u64);
    for (i, &count) in buckets.counts.iter().enumerate() {
        let next = index_of(i)?;
        if next != index {
            if sum > 0 {
                layout.push(index, sum)?;
            }
            (index, sum) = (next, 0);
        }
        sum = sum.checked_add(count).ok_or(HistogramError::Count(u64::MAX))?;
    }
    // The last bucket is written even if it is empty, as Prometheus does.
    layout.push(last, sum)?;
    Ok((layout.spans, layout.deltas))
}

struct Layout {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    /// The index of the last bucket, and its count.
    last: i64,
    last_count: i64,
}

impl Layout {
    fn begin(&mut self, first: i64) -> Result<(), HistogramError> {
        self.last = first - 1;
        self.span(first)
    }

    fn span(&mut self, offset: i64) -> Result<(), HistogramError> {
        let offset = i32::try_from(offset).map_err(|_| HistogramError::Index)?;
        self.spans.push(Span { offset, length: 0 });
        Ok(())
    }

    fn push(&mut self, index: i64, count: u64) -> Result<(), HistogramError> {
        let count = i64::try_from(count).map_err(|_| HistogramError::Count(count))?;
        let gap = index - self.last - 1;
        if gap > MAX_ZEROS {
            self.span(gap)?;
        } else {
            for _ in 0..gap {
                self.bucket(0);
            }
        }
        self.bucket(count);
        self.last = index;
        Ok(())
    }

    fn bucket(&mut self, count: i64) {
        if let Some(span) = self.spans.last_mut() {
            span.length += 1;
        }
        self.deltas.push(count - self.last_count);
        self.last_count = count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(scale: i32, offset: i32, counts: &[u64]) -> Result<NativeHistogram, HistogramError> {
        let positive = Buckets { offset, counts: counts.to_vec() };
        native(&Point { scale, positive, ..Point::default() })
    }

    fn shown(scale: i32, offset: i32, counts: &[u64]) -> (i32, Vec<(i32, u32)>, Vec<i64>) {
        let histogram = of(scale, offset, counts).unwrap();
        let Counts::Integer { positive_deltas, .. } = histogram.counts else { panic!("floats") };
        let spans = histogram.positive_spans.iter().map(|span| (span.offset, span.length)).collect();
        (histogram.schema, spans, positive_deltas)
    }

    #[test]
    fn moves_the_index_by_one_and_writes_counts_as_differences() {
        assert_eq!(shown(0, 1, &[4, 2, 3]), (0, vec![(2, 3)], vec![4, -2, 1]));
        assert_eq!(shown(0, 0, &[]), (0, vec![], vec![]));
        assert_eq!(shown(0, -1, &[0]), (0, vec![(0, 1)], vec![0]));
    }

    #[test]
    fn fills_short_gaps_with_zeros_and_begins_a_span_behind_long_ones() {
        assert_eq!(shown(0, 0, &[1, 0, 0, 1]), (0, vec![(1, 4)], vec![1, -1, 0, 1]));
        assert_eq!(shown(0, 0, &[1, 0, 0, 0, 1]), (0, vec![(1, 1), (3, 1)], vec![1, 0]));
        assert_eq!(shown(0, 0, &[0, 0, 0, 1]), (0, vec![(1, 0), (3, 1)], vec![1]));
    }

    #[test]
    fn joins_neighbours_if_the_scale_is_finer_than_schema_8() {
        assert_eq!(shown(9, 0, &[1, 2, 3, 4]), (8, vec![(1, 2)], vec![3, 4]));
        assert_eq!(shown(9, -1, &[1, 2, 3]), (8, vec![(0, 2)], vec![1, 4]));
        assert_eq!(shown(20, 5_000, &[1; 100]), (8, vec![(2, 1)], vec![100]));
        assert_eq!(shown(i32::MAX, -3, &[1, 2, 3]), (8, vec![(0, 1)], vec![6]));
    }

    #[test]
    fn rejects_what_no_native_histogram_holds() {
        assert_eq!(of(-5, 0, &[1]), Err(HistogramError::Scale(-5)));
        assert_eq!(of(0, 0, &[u64::MAX]), Err(HistogramError::Count(u64::MAX)));
        assert_eq!(of(9, 0, &[u64::MAX, 1]), Err(HistogramError::Count(u64::MAX)));
        assert_eq!(of(0, i32::MAX, &[1]), Err(HistogramError::Index));
        assert!(of(8, i32::MAX - 1, &[1]).is_ok() && of(8, i32::MIN, &[1]).is_ok());
    }

    proptest! {
        /// Every count is in the bucket that its index names, and nothing is lost.
        #[test]
        fn property_test_downscaling_keeps_every_count(
            offset in -40..40_i32, scale in 0..14_i32, counts in proptest::collection::vec(prop_oneof![Just(0), 0..9_u64], 1..40),
        ) {
            let (schema, spans, deltas) = shown(scale, offset, &counts);
            let mut expected = std::collections::BTreeMap::new();
            for (i, &count) in counts.iter().enumerate() {
                let index = ((offset + i32::try_from(i).unwrap()) >> (scale - schema)) + 1;
                *expected.entry(index).or_insert(0) += i64::try_from(count).unwrap();
            }
            let (mut found, mut index, mut count, mut deltas) = (std::collections::BTreeMap::new(), 0, 0, deltas.into_iter());
            for (gap, length) in spans {
                index += gap;
                for _ in 0..length {
                    count += deltas.next().unwrap();
                    found.insert(index, count);
                    index += 1;
                }
            }
            prop_assert_eq!(deltas.next(), None);
            expected.retain(|_, count| *count > 0);
            found.retain(|_, count| *count > 0);
            prop_assert_eq!(found, expected);
        }
    }
}
