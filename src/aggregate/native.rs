//! Native histograms of typed metrics: <https://prometheus.io/docs/specs/native_histograms/>.

use super::codec;
use super::exponential::{Exponential, FINEST_COUNTED_SCHEMA, ZERO_THRESHOLD};
use super::number::{add_finite, weighted};
use crate::blob::BlobError;
use crate::model::{Counts, NativeCounts, NativeHistogram, Observation, ResetHint};

/// The schema of observations: bounds grow by 9 %.
const SCHEMA: i8 = 3;

/// Positive buckets, negative ones, and the zero bucket. OpenTelemetry's SDKs have the same limit.
const MAX_BUCKETS: usize = 160;

/// A native histogram. Its schema only falls: it is the coarsest of all updates, or coarser.
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
    /// Returns an empty histogram for such counts.
    pub(super) fn of(counts: &NativeCounts) -> Self {
        Self { buckets: Exponential::of_counts(counts.schema, 0, &[], &[]), sum: 0.0 }
    }

    /// Returns the histogram that precedes this one. It is the same at every time, unless the schema passes that of observations.
    /// `increase()` takes the coarser schema of two histograms, so a fine empty one does no harm.
    pub(super) fn to_empty(&self) -> Self {
        let schema = if self.is_fine() { FINEST_COUNTED_SCHEMA } else { SCHEMA };
        Self { buckets: Exponential::new(schema), sum: 0.0 }
    }

    /// Reports whether the schema is finer than that of observations.
    pub(super) fn is_fine(&self) -> bool {
        self.buckets.schema() > SCHEMA
    }

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
        self.buckets.coarsen(SCHEMA);
        self.buckets.add(value, count, MAX_BUCKETS);
    }

    pub(super) fn add_sum(&mut self, sum: f64) {
        self.sum = add_finite(self.sum, sum);
    }

    /// Returns as many observations in each bucket as a sender has counted there. They do not add up to its sum.
    pub(super) fn observations(counts: &NativeCounts) -> Vec<Observation> {
        let buckets = Exponential::of_counts(counts.schema, counts.zero, &counts.positive, &counts.negative);
        let mut observations = Vec::new();
        buckets.for_each_bucket(|lower, upper, count| {
            let value = if lower < 0.0 && upper > 0.0 {
                0.0
            } else if upper <= 0.0 {
                // A negative bucket has its lower bound, and not the upper one.
                lower.max(f64::MIN)
            } else {
                upper.min(f64::MAX)
            };
            observations.push(Observation { value, count });
        });
        observations
    }

    /// Adds what a sender has counted.
    pub(super) fn count(&mut self, NativeCounts { schema, zero, positive, negative, sum }: &NativeCounts) {
        self.buckets.merge(&Exponential::of_counts(*schema, *zero, positive, negative), MAX_BUCKETS);
        self.add_sum(*sum);
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

    pub(super) fn decode(input: &mut &[u8], is_fine: bool) -> Result<Self, BlobError> {
        let finest = if is_fine { FINEST_COUNTED_SCHEMA } else { SCHEMA };
        let buckets = Exponential::decode(input, finest, MAX_BUCKETS)?;
        let sum = codec::take_finite(input, "the sum of a native histogram is not finite")?;
        Ok(Self { buckets, sum })
    }
}
