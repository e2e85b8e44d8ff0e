//! Summaries: quantiles of the last minutes, and a sum and a count for ever.
//!
//! Quantiles come from exponential buckets, as in native histograms, with eight times their resolution. This is a
//! `DDSketch` (<https://arxiv.org/abs/1908.10693>) with exact bounds. The error is at most 0.55 % of the value, and none
//! for the smallest and the largest value. The error is larger only if the values of one slot need more than 4,096 buckets,
//! that is, if they span a factor of 2^64. Magnitudes up to 2^-128 count as 0.

use super::codec;
use super::exponential::{Exponential, FINEST_SCHEMA};
use super::exposed::Exposed;
use super::number::{MAX_COUNT, add_finite, count_value, weighted};
use super::summary_window::SummaryWindow;
use crate::blob::BlobError;
use crate::limits::MAX_TYPED_QUANTILES;
use crate::model::{Observation, Timestamp, Value};

const MAX_BUCKETS: usize = 4_096;

/// A summary. Invariants:
///
/// * `quantiles` are from 0 to 1 and strictly ascending, at most [`MAX_TYPED_QUANTILES`].
/// * `slots` ascend strictly by their beginnings, at most [`SummaryWindow::SLOTS`]; none is empty.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    quantiles: Box<[f64]>,
    count: u64,
    sum: f64,
    slots: Vec<Slot>,
}

/// The values that were counted within a fifth of the window.
#[derive(Clone, PartialEq, Debug)]
struct Slot {
    start: Timestamp,
    min: f64,
    max: f64,
    buckets: Exponential,
}

impl Summary {
    /// Leaves out quantiles that are not from 0 to 1, and those beyond [`MAX_TYPED_QUANTILES`]: no parser lets them through.
    pub(super) fn new(quantiles: &[f64]) -> Self {
        let kept = quantiles.iter().copied().filter(|quantile| (0.0..=1.0).contains(quantile));
        let mut kept: Vec<f64> = kept.take(MAX_TYPED_QUANTILES).collect();
        kept.sort_unstable_by(f64::total_cmp);
        kept.dedup();
        Self { quantiles: kept.into(), count: 0, sum: 0.0, slots: Vec::new() }
    }

    pub(super) fn quantiles(&self) -> &[f64] {
        &self.quantiles
    }

    /// A value that is not finite is left out: no parser lets it through.
    pub(super) fn observe(&mut self, observations: &[Observation], fold_time: Timestamp, window: SummaryWindow) {
        let mut slot = Slot::new(window.slot(fold_time));
        for &Observation { value, count } in observations {
            if value.is_finite() && count > 0 {
                self.count = self.count.saturating_add(count).min(MAX_COUNT);
                self.sum = add_finite(self.sum, weighted(value, count));
                slot.add(value, count);
            }
        }
        // After a change of the window, slots of another length go as soon as they are older than the new one.
        let oldest = window.oldest(fold_time);
        self.slots.retain(|slot| slot.start >= oldest);
        self.add_slot(slot);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count).min(MAX_COUNT);
        self.sum = add_finite(self.sum, other.sum);
        for slot in &other.slots {
            self.add_slot(slot.clone());
        }
    }

    /// Adds the values of a slot, and keeps the newest slots.
    fn add_slot(&mut self, slot: Slot) {
        if slot.buckets.total() == 0 {
            return;
        }
        match self.slots.binary_search_by_key(&slot.start, |own| own.start) {
            Ok(own) => self.slots[own].merge(&slot),
            Err(place) => self.slots.insert(place, slot),
        }
        if self.slots.len() > SummaryWindow::SLOTS {
            self.slots.remove(0);
        }
    }

    pub(super) fn expose(&self, at: Timestamp, window: SummaryWindow, out: &mut dyn FnMut(Exposed)) {
        let oldest = window.oldest(at);
        let mut slots = self.slots.iter().filter(|slot| (oldest..=at).contains(&slot.start));
        if let Some(first) = slots.next().filter(|_| !self.quantiles.is_empty()) {
            let mut all = first.clone();
            for slot in slots {
                all.merge(slot);
            }
            for quantile in &self.quantiles {
                out(Exposed::quantile(*quantile, all.value(*quantile)));
            }
        }
        self.expose_totals(out);
    }

    pub(super) fn expose_totals(&self, out: &mut dyn FnMut(Exposed)) {
        out(Exposed::number("_sum", Value::Float(self.sum)));
        out(Exposed::number("_count", count_value(self.count)));
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        codec::put_u64(out, self.quantiles.len() as u64);
        for quantile in &self.quantiles {
            codec::put_double(out, *quantile);
        }
        codec::put_u64(out, self.count);
        codec::put_double(out, self.sum);
        codec::put_u64(out, self.slots.len() as u64);
        for slot in &self.slots {
            codec::put_i64(out, slot.start.0);
            codec::put_double(out, slot.min);
            codec::put_double(out, slot.max);
            slot.buckets.encode(out);
        }
    }

    pub(super) fn decode(input: &mut &[u8]) -> Result<Self, BlobError> {
        let len = codec::take_len(input, MAX_TYPED_QUANTILES, "a summary has more than 20 quantiles")?;
        let mut quantiles: Vec<f64> = Vec::with_capacity(len);
        for _ in 0..len {
            let quantile = codec::take_double(input)?;
            if !(0.0..=1.0).contains(&quantile) || quantiles.last().is_some_and(|last| *last >= quantile) {
                return Err(BlobError::Damaged("the quantiles of a summary are not from 0 to 1 or do not ascend"));
            }
            quantiles.push(quantile);
        }
        let count = codec::take_u64(input)?;
        if count > MAX_COUNT {
            return Err(BlobError::Damaged("the count of a summary is 2^63 or more"));
        }
        let sum = codec::take_finite(input, "the sum of a summary is not finite")?;
        let len = codec::take_len(input, SummaryWindow::SLOTS, "a summary has more than 5 slots")?;
        let mut slots: Vec<Slot> = Vec::with_capacity(len);
        for _ in 0..len {
            let slot = Slot::decode(input)?;
            if slots.last().is_some_and(|last| last.start >= slot.start) {
                return Err(BlobError::Damaged("the slots of a summary do not ascend"));
            }
            slots.push(slot);
        }
        Ok(Self { quantiles: quantiles.into(), count, sum, slots })
    }
}

impl Slot {
    fn new(start: Timestamp) -> Self {
        Self { start, min: f64::MAX, max: f64::MIN, buckets: Exponential::new(FINEST_SCHEMA) }
    }

    fn add(&mut self, value: f64, count: u64) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.buckets.add(value, count, MAX_BUCKETS);
    }

    fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.buckets.merge(&other.buckets, MAX_BUCKETS);
    }

    /// Returns the value of the rank `quantile * (n - 1)`, rounded down, of all n values in their order. The first and the last are
    /// exact.
    fn value(&self, quantile: f64) -> f64 {
        let last = self.buckets.total() - 1;
        #[expect(clippy::cast_precision_loss, reason = "beyond 2^53 values the rank is rounded")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^63")]
        let rank = (quantile * last as f64) as u64;
        match rank {
            0 => self.min,
            rank if rank >= last => self.max,
            rank => self.buckets.at_rank(rank).unwrap_or(self.max).clamp(self.min, self.max),
        }
    }

    fn decode(input: &mut &[u8]) -> Result<Self, BlobError> {
        let start = Timestamp(codec::take_i64(input)?);
        let min = codec::take_finite(input, "the least value of a summary is not finite")?;
        let max = codec::take_finite(input, "the greatest value of a summary is not finite")?;
        let buckets = Exponential::decode(input, FINEST_SCHEMA, MAX_BUCKETS)?;
        if buckets.total() == 0 || min > max {
            return Err(BlobError::Damaged("a slot of a summary is empty, or its least value is not the least"));
        }
        Ok(Self { start, min, max, buckets })
    }
}
