//! Native histograms: <https://prometheus.io/docs/specs/native_histograms/>.

use std::error::Error;
use std::fmt;

/// A native histogram, with every field of remote write's `Histogram` message but the timestamp.
#[derive(Clone, PartialEq, Debug)]
pub struct NativeHistogram {
    pub sum: f64,
    /// The resolution, from -4 to 8; -53 for custom bounds.
    pub schema: i32,
    pub zero_threshold: f64,
    pub counts: Counts,
    pub negative_spans: Vec<Span>,
    pub positive_spans: Vec<Span>,
    pub reset_hint: ResetHint,
    /// The upper bounds of the buckets if the schema is -53.
    pub custom_values: Vec<f64>,
}

impl NativeHistogram {
    /// Returns the memory that it takes, and about as many bytes as it takes as protobuf.
    pub fn bytes(&self) -> usize {
        let counts = match &self.counts {
            Counts::Integer { negative_deltas, positive_deltas, .. } => negative_deltas.len() + positive_deltas.len(),
            Counts::Float { negative, positive, .. } => negative.len() + positive.len(),
        };
        let spans = self.negative_spans.len() + self.positive_spans.len();
        size_of::<Self>() + size_of::<u64>() * (counts + spans + self.custom_values.len())
    }

    /// Reports whether both are the same to the bit: NaN equals NaN, and 0 does not equal -0.
    pub fn is_same(&self, other: &Self) -> bool {
        let Self { sum, schema, zero_threshold, counts, negative_spans, positive_spans, reset_hint, custom_values } =
            self;
        sum.to_bits() == other.sum.to_bits()
            && *schema == other.schema
            && zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && counts.is_same(&other.counts)
            && *negative_spans == other.negative_spans
            && *positive_spans == other.positive_spans
            && *reset_hint == other.reset_hint
            && same_bits(custom_values, &other.custom_values)
    }

    /// Reports what contradicts itself, as `Histogram.Validate` and `FloatHistogram.Validate` of Prometheus do. It judges neither
    /// the schema nor the bounds.
    pub fn check(&self) -> Result<(), HistogramError> {
        match &self.counts {
            Counts::Integer { count, zero, negative_deltas, positive_deltas } => {
                check_spans(&self.negative_spans, negative_deltas.len())?;
                check_spans(&self.positive_spans, positive_deltas.len())?;
                let of_buckets = i128::from(*zero) + total(negative_deltas)? + total(positive_deltas)?;
                let expected = i128::from(*count);
                // An observation of NaN is in no bucket.
                let fits = if self.sum.is_nan() { of_buckets <= expected } else { of_buckets == expected };
                if fits { Ok(()) } else { Err(HistogramError::Count { count: *count, of_buckets }) }
            }
            Counts::Float { count, zero, negative, positive } => {
                check_spans(&self.negative_spans, negative.len())?;
                check_spans(&self.positive_spans, positive.len())?;
                let mut counts = [count, zero].into_iter().chain(negative).chain(positive);
                if counts.any(|count| *count < 0.0) { Err(HistogramError::NegativeBucket) } else { Ok(()) }
            }
        }
    }
}

fn check_spans(spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    if spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err(HistogramError::NegativeOffset);
    }
    let of_spans: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if of_spans == buckets as u64 { Ok(()) } else { Err(HistogramError::Spans { of_spans, buckets }) }
}

/// Returns the observations of all buckets.
fn total(deltas: &[i64]) -> Result<i128, HistogramError> {
    let (mut bucket, mut total) = (0_i128, 0_i128);
    for delta in deltas {
        bucket += i128::from(*delta);
        if bucket < 0 {
            return Err(HistogramError::NegativeBucket);
        }
        total += bucket;
    }
    Ok(total)
}

/// A contradiction within a native histogram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistogramError {
    Spans {
        of_spans: u64,
        buckets: usize,
    },
    /// A span begins before the end of the span before it.
    NegativeOffset,
    NegativeBucket,
    Count {
        count: u64,
        of_buckets: i128,
    },
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spans { of_spans, buckets } => {
                write!(f, "the spans of a native histogram have {of_spans} buckets, and there are {buckets} counts")
            }
            Self::NegativeOffset => f.write_str("a span of a native histogram overlaps the one before it"),
            Self::NegativeBucket => f.write_str("a native histogram has a count below 0"),
            Self::Count { count, of_buckets } => {
                write!(f, "a native histogram has {of_buckets} observations in its buckets, but a count of {count}")
            }
        }
    }
}

impl Error for HistogramError {}

impl Counts {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Float { count, zero, negative, positive },
                Self::Float {
                    count: other_count,
                    zero: other_zero,
                    negative: other_negative,
                    positive: other_positive,
                },
            ) => {
                same_bits(&[*count, *zero], &[*other_count, *other_zero])
                    && same_bits(negative, other_negative)
                    && same_bits(positive, other_positive)
            }
            _ => self == other,
        }
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// The counts of a native histogram.
#[derive(Clone, PartialEq, Debug)]
pub enum Counts {
    /// Each bucket as the difference to the bucket before.
    Integer { count: u64, zero: u64, negative_deltas: Vec<i64>, positive_deltas: Vec<i64> },
    /// Each bucket as it is.
    Float { count: f64, zero: f64, negative: Vec<f64>, positive: Vec<f64> },
}

/// A run of buckets that follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The gap to the span before; for the first span the index of its first bucket.
    pub offset: i32,
    pub length: u32,
}

/// The sender's knowledge of a reset of the counts.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
pub enum ResetHint {
    #[default]
    Unknown = 0,
    Yes = 1,
    No = 2,
    Gauge = 3,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(count: u64, spans: &[(i32, u32)], deltas: &[i64], sum: f64) -> NativeHistogram {
        let spans: Vec<_> = spans.iter().map(|&(offset, length)| Span { offset, length }).collect();
        let counts =
            Counts::Integer { count, zero: 1, negative_deltas: deltas.to_vec(), positive_deltas: deltas.to_vec() };
        NativeHistogram {
            sum,
            schema: 3,
            zero_threshold: 0.001,
            counts,
            negative_spans: spans.clone(),
            positive_spans: spans,
            reset_hint: ResetHint::Unknown,
            custom_values: Vec::new(),
        }
    }

    #[test]
    fn names_what_contradicts_itself() {
        use HistogramError::{Count, NegativeBucket, NegativeOffset, Spans};
        let table = [
            (integer(11, &[(-3, 2)], &[2, 1], 1.0), Ok(())),
            (integer(1, &[], &[], f64::NAN), Ok(())),
            (integer(12, &[(0, 2)], &[2, 1], f64::NAN), Ok(())),
            (integer(10, &[(0, 2)], &[2, 1], f64::NAN), Err(Count { count: 10, of_buckets: 11 })),
            (integer(12, &[(0, 2)], &[2, 1], 1.0), Err(Count { count: 12, of_buckets: 11 })),
            (integer(11, &[(0, 1), (-1, 1)], &[2, 1], 1.0), Err(NegativeOffset)),
            (integer(11, &[(0, 3)], &[2, 1], 1.0), Err(Spans { of_spans: 3, buckets: 2 })),
            (integer(11, &[(0, u32::MAX); 3], &[2, 1], 1.0), Err(Spans { of_spans: 3 * 0xffff_ffff, buckets: 2 })),
            (integer(1, &[(0, 2)], &[2, -3], 1.0), Err(NegativeBucket)),
            (
                integer(u64::MAX, &[(0, 2)], &[i64::MAX, i64::MAX], f64::NAN),
                Err(Count { count: u64::MAX, of_buckets: 6 * i128::from(i64::MAX) + 1 }),
            ),
        ];
        for (histogram, expected) in table {
            assert_eq!(histogram.check(), expected, "{histogram:?}");
        }
        let float = |negative: &[f64], positive: &[f64], count, zero| NativeHistogram {
            counts: Counts::Float { count, zero, negative: negative.to_vec(), positive: positive.to_vec() },
            ..integer(0, &[(0, 1)], &[], 1.0)
        };
        // Floats are not exact: their sum is not compared with the count.
        assert_eq!(float(&[0.5], &[f64::NAN], 9.5, 0.0).check(), Ok(()));
        assert_eq!(float(&[], &[1.0], 1.0, 0.0).check(), Err(Spans { of_spans: 1, buckets: 0 }));
        for (negative, positive, count, zero) in
            [(-0.5, 1.0, 1.0, 0.0), (0.5, -1.0, 1.0, 0.0), (0.5, 1.0, -1.0, 0.0), (0.5, 1.0, 1.0, -1.0)]
        {
            assert_eq!(float(&[negative], &[positive], count, zero).check(), Err(NegativeBucket));
        }
    }
}
