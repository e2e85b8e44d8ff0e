//! Classic histograms: a count for each upper bound.

use super::Applied;
use super::codec;
use super::exposed::Exposed;
use super::number::{MAX_COUNT, add_finite, count_value, weighted};
use crate::blob::BlobError;
use crate::limits::MAX_TYPED_BUCKETS;
use crate::model::{ClassicCounts, Observation, Value};

/// Counts below fixed bounds. Invariants:
///
/// * `bounds` are finite and strictly ascending, at most [`MAX_TYPED_BUCKETS`].
/// * `counts` has one more element, for `+Inf`. A value is counted in the first bucket whose bound it does not exceed, and there
///   only: counts become cumulative when they are exposed.
/// * `total` is the sum of all counts, at most [`MAX_COUNT`].
/// * `sum` is `None` if the sum of one update was not known: OpenTelemetry has none for values that can be negative.
#[derive(Clone, PartialEq, Debug)]
pub struct Histogram {
    bounds: Box<[f64]>,
    counts: Box<[u64]>,
    total: u64,
    sum: Option<f64>,
}

impl Histogram {
    /// Leaves out bounds that are not finite or do not ascend, and those beyond [`MAX_TYPED_BUCKETS`]: no parser lets them through.
    pub(super) fn new(bounds: &[f64]) -> Self {
        let mut kept: Vec<f64> = Vec::with_capacity(bounds.len().min(MAX_TYPED_BUCKETS));
        for bound in bounds.iter().copied().filter(|bound| bound.is_finite()) {
            if kept.len() < MAX_TYPED_BUCKETS && kept.last().is_none_or(|last| *last < bound) {
                kept.push(bound);
            }
        }
        Self { counts: vec![0; kept.len() + 1].into(), bounds: kept.into(), total: 0, sum: Some(0.0) }
    }

    /// Returns an empty histogram for such counts.
    pub(super) fn of(ClassicCounts { bounds, sum, .. }: &ClassicCounts) -> Self {
        Self { sum: sum.map(|_| 0.0), ..Self::new(bounds) }
    }

    /// Returns a histogram with the same bounds that has counted nothing.
    pub(super) fn to_empty(&self) -> Self {
        let counts = vec![0; self.counts.len()].into();
        Self { bounds: self.bounds.clone(), counts, total: 0, sum: self.sum.map(|_| 0.0) }
    }

    pub(super) fn bounds(&self) -> &[f64] {
        &self.bounds
    }

    /// Returns 0 if the sum is not known.
    pub(super) fn sum(&self) -> f64 {
        self.sum.unwrap_or(0.0)
    }

    pub(super) fn has_sum(&self) -> bool {
        self.sum.is_some()
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
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let count = count.min(MAX_COUNT - self.total);
        self.counts[bucket] += count;
        self.total += count;
    }

    pub(super) fn add_sum(&mut self, sum: f64) {
        self.sum = self.sum.map(|own| add_finite(own, sum));
    }

    /// Adds what a sender has counted. With other bounds, all values of a bucket count as its upper bound.
    pub(super) fn count(&mut self, ClassicCounts { bounds, counts, sum }: &ClassicCounts) -> Applied {
        self.take_sum(*sum);
        if *self.bounds != **bounds {
            for (bound, &count) in bounds.iter().copied().chain([f64::INFINITY]).zip(counts) {
                self.add(bound, count);
            }
            return Applied::BucketConflict;
        }
        for (own, count) in self.counts.iter_mut().zip(counts) {
            let count = (*count).min(MAX_COUNT - self.total);
            *own += count;
            self.total += count;
        }
        Applied::Counted
    }

    /// Returns as many observations in each bucket as a sender has counted there. They add up to its sum, as far as the buckets allow.
    pub(super) fn observations(ClassicCounts { bounds, counts, sum }: &ClassicCounts) -> Vec<Observation> {
        let last = bounds.last().copied().unwrap_or(0.0);
        // The values of a bucket are above the first number, up to the second.
        let range = |bucket: usize| {
            let before = bucket.checked_sub(1).and_then(|before| bounds.get(before)).copied();
            let upper = bounds.get(bucket).copied();
            let below = |upper: f64| if upper > 0.0 { 0.0 } else { upper * 2.0 - 1.0 };
            match (before, upper) {
                (lower, Some(upper)) => (lower.unwrap_or_else(|| below(upper)).max(f64::MIN), upper),
                (_, None) => (last, (last.abs() * 2.0 + 1.0).min(f64::MAX)),
            }
        };
        let total = |side: fn((f64, f64)) -> f64| {
            counts
                .iter()
                .enumerate()
                .fold(0.0, |sum, (bucket, count)| add_finite(sum, weighted(side(range(bucket)), *count)))
        };
        let (lowest, highest) = (total(|(lower, _)| lower), total(|(_, upper)| upper));
        let share = sum.map_or(1.0, |sum| ((sum - lowest) / (highest - lowest)).clamp(0.0, 1.0));
        let share = if share.is_nan() { 1.0 } else { share };
        let mut observations: Vec<_> = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, &count)| {
                let (lower, upper) = range(bucket);
                Observation { value: (lower + (upper - lower) * share).clamp(lower.next_up(), upper), count }
            })
            .collect();
        // Values above the last bound may be as large as the sum needs.
        if let (Some(sum), Some(1..), Some(above)) = (sum, counts.last(), observations.last_mut())
            && *sum > highest
        {
            above.value = add_finite(above.value, (sum - highest) / weighted(1.0, above.count));
        }
        observations
    }

    fn take_sum(&mut self, sum: Option<f64>) {
        self.sum = self.sum.zip(sum).map(|(own, sum)| add_finite(own, sum));
    }

    pub(super) fn merge(&mut self, other: &Self) -> Applied {
        other.for_each_bucket(|bound, count| self.add(bound, count));
        self.take_sum(other.sum);
        if self.bounds == other.bounds { Applied::Counted } else { Applied::BucketConflict }
    }

    /// Gives `out` the upper bound and the count of each bucket that is not empty. The last bound is infinite.
    pub(super) fn for_each_bucket(&self, mut out: impl FnMut(f64, u64)) {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(self.counts.iter().copied()) {
            if count > 0 {
                out(bound, count);
            }
        }
    }

    pub(super) fn expose(&self, out: &mut dyn FnMut(Exposed)) {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let mut cumulative = 0;
        for (bound, count) in bounds.zip(self.counts.iter()) {
            cumulative += count;
            out(Exposed::bucket(bound, count_value(cumulative)));
        }
        if let Some(sum) = self.sum {
            out(Exposed::number("_sum", Value::Float(sum)));
        }
        out(Exposed::number("_count", count_value(self.total)));
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        codec::put_u64(out, self.bounds.len() as u64);
        for bound in &self.bounds {
            codec::put_double(out, *bound);
        }
        for count in &self.counts {
            codec::put_u64(out, *count);
        }
        if let Some(sum) = self.sum {
            codec::put_double(out, sum);
        }
    }

    pub(super) fn decode(input: &mut &[u8], has_sum: bool) -> Result<Self, BlobError> {
        let len = codec::take_len(input, MAX_TYPED_BUCKETS, "a histogram has more than 200 bounds")?;
        let mut bounds: Vec<f64> = Vec::with_capacity(len);
        for _ in 0..len {
            let bound = codec::take_finite(input, "the bound of a histogram is not finite")?;
            if bounds.last().is_some_and(|last| *last >= bound) {
                return Err(BlobError::Damaged("the bounds of a histogram do not ascend"));
            }
            bounds.push(bound);
        }
        let counts = (0..=len).map(|_| codec::take_u64(input)).collect::<Result<Box<[u64]>, _>>()?;
        let total = codec::total(&counts)?;
        let sum = has_sum.then(|| codec::take_finite(input, "the sum of a histogram is not finite")).transpose()?;
        Ok(Self { bounds: bounds.into(), counts, total, sum })
    }
}
