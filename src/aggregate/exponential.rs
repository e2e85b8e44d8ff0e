//! Buckets whose bounds grow by a constant factor, as native histograms have them:
//! <https://prometheus.io/docs/specs/native_histograms/#schema>.
//!
//! With the schema `s`, bucket `k` has the values above `2^((k-1)/2^s)`, up to and including `2^(k/2^s)`. Negative values
//! have their own buckets, by magnitude. The bounds are not computed with a logarithm, because its rounding could move a
//! value on a bound to another bucket. [`FINEST_BOUNDS`] has the doubles that Prometheus has.

use super::codec;
use super::number::MAX_COUNT;
use crate::blob::BlobError;
use crate::model::{KeyCount, Span};

/// The finest schema for values.
pub(super) const FINEST_SCHEMA: i8 = 6;

/// The finest schema for buckets that senders have counted: that of native histograms.
pub(super) const FINEST_COUNTED_SCHEMA: i8 = 8;

/// The least exponent of two among the upper bounds of buckets is one step above this: that of [`ZERO_THRESHOLD`].
const ZERO_EXPONENT: i32 = -128;

/// The exponent of the greatest upper bound.
const MAX_EXPONENT: i32 = 1_024;

/// The coarsest schema of Prometheus. Here all doubles above [`ZERO_THRESHOLD`] fall into 72 buckets.
const COARSEST_SCHEMA: i8 = -4;

/// Values up to this magnitude are in the zero bucket: 2^-128, as in Prometheus' client libraries.
pub(super) const ZERO_THRESHOLD: f64 = f64::from_bits((1_023 - 128) << 52);

/// Buckets of the finest schema for each power of two.
const FINEST_PER_OCTAVE: i32 = 1 << FINEST_SCHEMA;

/// The bounds of the finest schema from 0.5 up to, but without, 1. Schema `s` has every `2^(6-s)`th of them.
///
/// They are products of these six roots of two, multiplied in this order, as in Prometheus' table: `exponentialBounds` in
/// <https://github.com/prometheus/prometheus/blob/main/model/histogram/generic.go>. The first root is one unit in the last place
/// below the nearest double.
const FINEST_BOUNDS: [f64; 1 << FINEST_SCHEMA] = {
    let roots = [
        std::f64::consts::SQRT_2.next_down(),
        1.189_207_115_002_721,
        1.090_507_732_665_257_7,
        1.044_273_782_427_413_8,
        1.021_897_148_654_116_6,
        1.010_889_286_051_700_5,
    ];
    let mut bounds = [0.5; 1 << FINEST_SCHEMA];
    let mut bound = 0;
    while bound < bounds.len() {
        let mut root = 0;
        while root < roots.len() {
            if bound >> (roots.len() - 1 - root) & 1 == 1 {
                bounds[bound] *= roots[root];
            }
            root += 1;
        }
        bound += 1;
    }
    bounds
};

type Bucket = KeyCount;

/// Counts in exponential buckets. Invariants:
///
/// * Keys ascend strictly, and no count is 0.
/// * `total` is the sum of all counts, at most [`MAX_COUNT`].
/// * The resolution is halved only if there are more buckets than the limit of the owner. So the schema is the finest one within
///   this limit, from that of the owner down, in whatever order values come or states are merged.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Exponential {
    schema: i8,
    zero: u64,
    total: u64,
    positive: Vec<Bucket>,
    negative: Vec<Bucket>,
}

impl Exponential {
    pub(super) fn new(schema: i8) -> Self {
        Self { schema, zero: 0, total: 0, positive: Vec::new(), negative: Vec::new() }
    }

    /// Returns what a sender has counted. Buckets below the threshold belong to the zero bucket, and no bucket is above the largest double.
    pub(super) fn of_counts(schema: i8, zero: u64, positive: &[Bucket], negative: &[Bucket]) -> Self {
        let schema = schema.clamp(COARSEST_SCHEMA, FINEST_COUNTED_SCHEMA);
        let (zero_key, max_key) = (key_at(ZERO_EXPONENT, schema), key_at(MAX_EXPONENT, schema));
        let mut own = Self::new(schema);
        let take = |total: &mut u64, count: u64| {
            let count = count.min(MAX_COUNT - *total);
            *total += count;
            count
        };
        own.zero = take(&mut own.total, zero);
        for (buckets, kept) in [(positive, &mut own.positive), (negative, &mut own.negative)] {
            for &(key, count) in buckets {
                let count = take(&mut own.total, count);
                match kept.last_mut() {
                    _ if count == 0 => {}
                    _ if key <= zero_key => own.zero += count,
                    Some((last, sum)) if *last >= key.min(max_key) => *sum += count,
                    _ => kept.push((key.min(max_key), count)),
                }
            }
        }
        own
    }

    pub(super) fn schema(&self) -> i8 {
        self.schema
    }

    pub(super) fn zero(&self) -> u64 {
        self.zero
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Counts a value that is not NaN. An infinite one belongs to the largest bucket.
    pub(super) fn add(&mut self, value: f64, count: u64, limit: usize) {
        let count = count.min(MAX_COUNT - self.total);
        if count == 0 {
            return;
        }
        self.coarsen(FINEST_SCHEMA);
        self.total += count;
        let magnitude = value.abs();
        if magnitude <= ZERO_THRESHOLD {
            self.zero += count;
        } else {
            let key = coarser(finest_key(magnitude.min(f64::MAX)), FINEST_SCHEMA, self.schema);
            let buckets = if value < 0.0 { &mut self.negative } else { &mut self.positive };
            match buckets.binary_search_by_key(&key, |(key, _)| *key) {
                Ok(bucket) => buckets[bucket].1 += count,
                Err(bucket) => buckets.insert(bucket, (key, count)),
            }
        }
        self.fit(limit);
    }

    pub(super) fn merge(&mut self, other: &Self, limit: usize) {
        let schema = self.schema.min(other.schema);
        self.coarsen(schema);
        let mut other = other.clone();
        other.coarsen(schema);
        let mut room = MAX_COUNT - self.total;
        let mut take = |count: u64| {
            let taken = count.min(room);
            room -= taken;
            taken
        };
        self.zero += take(other.zero);
        add_all(&mut self.positive, &other.positive, &mut take);
        add_all(&mut self.negative, &other.negative, &mut take);
        self.total = MAX_COUNT - room;
        self.fit(limit);
    }

    /// Halves the resolution until there are at most `limit` buckets.
    fn fit(&mut self, limit: usize) {
        while self.buckets() > limit && self.schema > COARSEST_SCHEMA {
            self.coarsen(self.schema - 1);
        }
    }

    /// The zero bucket is one, too.
    fn buckets(&self) -> usize {
        self.positive.len() + self.negative.len() + usize::from(self.zero > 0)
    }

    /// Does nothing if the schema is not finer.
    pub(super) fn coarsen(&mut self, schema: i8) {
        if schema < self.schema {
            for buckets in [&mut self.positive, &mut self.negative] {
                for (key, _) in buckets.iter_mut() {
                    *key = coarser(*key, self.schema, schema);
                }
                buckets.dedup_by(|(key, count), (before, sum)| {
                    let is_same = key == before;
                    if is_same {
                        *sum += *count;
                    }
                    is_same
                });
            }
            self.schema = schema;
        }
    }

    /// Gives `out` each bucket that is not empty, in the order of the values: its bounds, and its count.
    pub(super) fn for_each_bucket(&self, mut out: impl FnMut(f64, f64, u64)) {
        for &(key, count) in self.negative.iter().rev() {
            out(-upper_bound(key, self.schema), -upper_bound(key - 1, self.schema), count);
        }
        if self.zero > 0 {
            out(-ZERO_THRESHOLD, ZERO_THRESHOLD, self.zero);
        }
        for &(key, count) in &self.positive {
            out(upper_bound(key - 1, self.schema), upper_bound(key, self.schema), count);
        }
    }

    /// Returns a number near to all values of the bucket that holds the value of this rank, counted from 0. Returns None if there
    /// are not so many values. The error is at most `(f-1)/(f+1)` of the value, where `f` is the factor between two bounds: 0.55 %
    /// with schema 6.
    pub(super) fn at_rank(&self, rank: u64) -> Option<f64> {
        // A multiple of the lower bound: 2lu/(l+u) has the same relative error to both.
        let factor = upper_bound(1, self.schema);
        let middle = |key: i32| upper_bound(key - 1, self.schema) * (2.0 * factor / (1.0 + factor));
        let mut below = 0;
        let mut reached = |count: u64| {
            below += count;
            below > rank
        };
        if let Some((key, _)) = self.negative.iter().rev().find(|(_, count)| reached(*count)) {
            return Some(-middle(*key));
        }
        if reached(self.zero) {
            return Some(0.0);
        }
        self.positive.iter().find(|(_, count)| reached(*count)).map(|(key, _)| middle(*key))
    }

    /// Returns the positive buckets as remote write has them: no span has an empty bucket, and no two spans adjoin.
    pub(super) fn positive_spans(&self) -> (Vec<Span>, Vec<i64>) {
        spans(&self.positive)
    }

    pub(super) fn negative_spans(&self) -> (Vec<Span>, Vec<i64>) {
        spans(&self.negative)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        codec::put_i64(out, i64::from(self.schema));
        codec::put_u64(out, self.zero);
        for buckets in [&self.positive, &self.negative] {
            codec::put_u64(out, buckets.len() as u64);
            let mut before = 0;
            for &(key, count) in buckets {
                codec::put_i64(out, i64::from(key) - before);
                codec::put_u64(out, count);
                before = i64::from(key);
            }
        }
    }

    /// `finest` is the first schema of the owner.
    pub(super) fn decode(input: &mut &[u8], finest: i8, limit: usize) -> Result<Self, BlobError> {
        let schema = i8::try_from(codec::take_i64(input)?).ok();
        let schema = schema.filter(|schema| (COARSEST_SCHEMA..=finest).contains(schema));
        let schema = schema.ok_or(BlobError::Damaged("the schema of exponential buckets is out of range"))?;
        let zero = codec::take_u64(input)?;
        let positive = decode_buckets(input, schema, limit)?;
        let negative = decode_buckets(input, schema, limit)?;
        let counts = positive.iter().chain(&negative).map(|(_, count)| count).chain([&zero]);
        let total = codec::total(counts)?;
        let buckets = Self { schema, zero, total, positive, negative };
        if buckets.buckets() > limit {
            return Err(BlobError::Damaged(TOO_MANY));
        }
        Ok(buckets)
    }
}

const TOO_MANY: &str = "there are more exponential buckets than a state has";

fn decode_buckets(input: &mut &[u8], schema: i8, limit: usize) -> Result<Vec<Bucket>, BlobError> {
    let len = codec::take_len(input, limit, TOO_MANY)?;
    let keys = key_at(ZERO_EXPONENT, schema) + 1..=key_at(MAX_EXPONENT, schema);
    let mut buckets: Vec<Bucket> = Vec::with_capacity(len);
    for _ in 0..len {
        let before = buckets.last().map(|(key, _)| *key);
        let key = codec::take_i64(input)?.checked_add(i64::from(before.unwrap_or(0)));
        let key = key.and_then(|key| i32::try_from(key).ok()).filter(|key| keys.contains(key) && before < Some(*key));
        let key = key.ok_or(BlobError::Damaged("the keys of exponential buckets are out of range or do not ascend"))?;
        match codec::take_u64(input)? {
            0 => return Err(BlobError::Damaged("an exponential bucket is empty")),
            count => buckets.push((key, count)),
        }
    }
    Ok(buckets)
}

/// Returns the bucket of a value above [`ZERO_THRESHOLD`], which is a normal double.
fn finest_key(value: f64) -> i32 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const HALF: u64 = 1_022 << 52;
    let bits = value.to_bits();
    // value = fraction * 2^exponent, and the fraction is from 0.5 up to, but without, 1.
    let exponent = i32::try_from(bits >> 52 & 0x7FF).unwrap_or(0) - 1_022;
    let fraction = f64::from_bits(bits & MANTISSA | HALF);
    let bound = FINEST_BOUNDS.partition_point(|bound| *bound < fraction);
    (exponent - 1) * FINEST_PER_OCTAVE + i32::try_from(bound).unwrap_or(0)
}

/// Returns the bucket of the schema `to` that holds bucket `key` of the schema `from`, which is finer or the same.
fn coarser(key: i32, from: i8, to: i8) -> i32 {
    ((key - 1) >> (from - to)) + 1
}

/// Returns the bucket whose upper bound is 2 to the power of `exponent`, which is a multiple of 16.
fn key_at(exponent: i32, schema: i8) -> i32 {
    if schema < 0 { exponent >> -schema } else { exponent << schema }
}

/// Returns the upper bound of a bucket, which is infinite for the last one. With a schema above [`FINEST_SCHEMA`] it may be a few units in
/// the last place away from that of Prometheus.
pub fn upper_bound(key: i32, schema: i8) -> f64 {
    if schema > FINEST_SCHEMA {
        let shift = schema - FINEST_SCHEMA;
        let rest = key & ((1 << shift) - 1);
        let factor = (f64::from(rest) / f64::from(1 << schema)).exp2();
        return upper_bound(key >> shift, FINEST_SCHEMA) * factor;
    }
    let finest = key << (FINEST_SCHEMA - schema);
    let octave = finest >> FINEST_SCHEMA;
    let bound = FINEST_BOUNDS[usize::try_from(finest & (FINEST_PER_OCTAVE - 1)).unwrap_or(0)];
    // 2^1024 is no double. The keys are those of values above the threshold, so nothing is below the normal doubles.
    let power = u64::try_from(octave.min(1_023) + 1_023).unwrap_or(0) << 52;
    let scale = if octave > 1_023 { f64::INFINITY } else { f64::from_bits(power) };
    2.0 * bound * scale
}

/// Adds `others` to `buckets`, as far as `take` allows.
fn add_all(buckets: &mut Vec<Bucket>, others: &[Bucket], take: &mut impl FnMut(u64) -> u64) {
    let mut merged = Vec::with_capacity(buckets.len() + others.len());
    let mut own = buckets.iter().copied().peekable();
    for &(key, count) in others {
        while let Some(bucket) = own.next_if(|(own, _)| *own < key) {
            merged.push(bucket);
        }
        let own = own.next_if(|(own, _)| *own == key).map_or(0, |(_, count)| count);
        let sum = own + take(count);
        if sum > 0 {
            merged.push((key, sum));
        }
    }
    merged.extend(own);
    *buckets = merged;
}

fn spans(buckets: &[Bucket]) -> (Vec<Span>, Vec<i64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut deltas = Vec::with_capacity(buckets.len());
    // The key after the last bucket, and the last count.
    let (mut next, mut before) = (0, 0);
    for &(key, count) in buckets {
        match spans.last_mut() {
            Some(span) if key == next => span.length += 1,
            _ => spans.push(Span { offset: key - next, length: 1 }),
        }
        let count = count.cast_signed();
        deltas.push(count - before);
        (next, before) = (key + 1, count);
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests;
