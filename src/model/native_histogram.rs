//! Native histograms: <https://prometheus.io/docs/specs/native_histograms/>.

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
}

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
