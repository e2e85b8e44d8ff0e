//! Native histograms: <https://prometheus.io/docs/specs/native_histograms/>.

use super::codec;
use super::exponential::{Exponential, ZERO_THRESHOLD};
use super::number::{add_finite, weighted};
use crate::blob::BlobError;
use crate::model::{Counts, NativeHistogram, Observation, ResetHint};

/// The first schema: bounds grow by 9 %.
const SCHEMA: i8 = 3;

/// Positive buckets, negative ones, and the zero bucket. OpenTelemetry's SDKs have the same limit.
const MAX_BUCKETS: usize = 160;

/// A native histogram. Its schema only falls.
#[derive(Clone, PartialEq, Debug)]
pub struct Native {
    buckets: Exponential,
    sum: f64,
}

impl Default for Native {
    fn default() -> Self {
        Self { buckets: Exponential::new(SCHEMA), sum: 0.0 }
    }
}

impl Native {
    pub(super) fn sum(&self) -> f64 {
        self.sum
    }

    /// A value that is not finite is left out: no parser lets it through.
    pub(super) fn observe(&mut self, observations: &[Observation]) {
        for &Observation { value, count } in observations {
            if value.is_finite() {
                self.add(value, count);
                self.add_sum(weighted(value, count));
            }
        }
    }

    /// Counts values without adding them to the sum.
    pub(super) fn add(&mut self, value: f64, count: u64) {
        self.buckets.add(value, count, MAX_BUCKETS);
    }

    pub(super) fn add_sum(&mut self, sum: f64) {
        self.sum = add_finite(self.sum, sum);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.buckets.merge(&other.buckets, MAX_BUCKETS);
        self.add_sum(other.sum);
    }

    /// Gives `out` the upper bound and the count of each bucket that is not empty.
    pub(super) fn for_each_bucket(&self, mut out: impl FnMut(f64, u64)) {
        self.buckets.for_each_bucket(|_, upper, count| out(upper, count));
    }

    pub(super) fn to_histogram(&self) -> NativeHistogram {
        let (positive_spans, positive_deltas) = self.buckets.positive_spans();
        let (negative_spans, negative_deltas) = self.buckets.negative_spans();
        let (count, zero) = (self.buckets.total(), self.buckets.zero());
        NativeHistogram {
            sum: self.sum,
            schema: i32::from(self.buckets.schema()),
            zero_threshold: ZERO_THRESHOLD,
            counts: Counts::Integer { count, zero, negative_deltas, positive_deltas },
            negative_spans,
            positive_spans,
            reset_hint: ResetHint::Unknown,
            custom_values: Vec::new(),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.buckets.encode(out);
        codec::put_double(out, self.sum);
    }

    pub(super) fn decode(input: &mut &[u8]) -> Result<Self, BlobError> {
        let buckets = Exponential::decode(input, SCHEMA, MAX_BUCKETS)?;
        let sum = codec::take_finite(input, "the sum of a native histogram is not finite")?;
        Ok(Self { buckets, sum })
    }
}
