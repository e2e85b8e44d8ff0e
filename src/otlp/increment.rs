//! Converts data points with delta temporality to updates of typed series.
//!
//! * The names, labels and types are those of cumulative data.
//! * A point that cannot be added up is rejected. It has a negative increment, a value or a sum that is not finite, or
//!   buckets that contradict each other. For cumulative data of that kind the receiver decides.
//! * A point without a recorded value changes nothing.
//! * Minimum and maximum are dropped, because they cannot be added up.

use super::histogram::check_scale;
use super::message::{Buckets, Kind, Number, Point};
use crate::limits::MAX_TYPED_BUCKETS;
use crate::model::{
    ClassicCounts, KeyCount, LabelSet, MetricName, NativeCounts, Reason, Rejection, Timestamp, Update, Value,
};

/// The finest schema of a native histogram.
const MAX_SCHEMA: i32 = 8;

/// A change of a typed series, which a data point brings.
#[derive(Debug)]
pub struct Increment<'i, 'a> {
    pub name: &'i MetricName<'a>,
    /// Without external labels; without `le` for a histogram.
    pub labels: LabelSet<'a>,
    pub update: Update,
    /// Empty if there is none. It may be longer than the receiver takes.
    pub help: &'i str,
    pub time: Timestamp,
    /// The point's own times in nanoseconds: start and end. `None` if it has no end: a repetition cannot be recognised.
    pub interval: Option<(u64, u64)>,
    /// Distinguishes the streams of all senders: a hash of the resource, the scope and the metric's own name.
    pub stream: &'i [u8; 32],
}

/// The increments that a table takes. The limits of age are those of events, because older identities are forgotten.
#[derive(Clone, Copy, Debug)]
pub struct DeltaRules {
    pub max_age_ms: i64,
    pub max_lead_ms: i64,
}

impl DeltaRules {
    pub(super) fn check(self, time: Timestamp, now: Timestamp) -> Result<(), Rejection> {
        let Self { max_age_ms, max_lead_ms } = self;
        let age = now.since(time);
        if age > max_age_ms {
            let detail = format!("its time {time} is {age} ms ago, at most {max_age_ms} ms are accepted of a delta");
            return Err(Rejection::new(Reason::TooOld, detail));
        }
        if age < -max_lead_ms {
            let ahead = age.saturating_neg();
            let detail =
                format!("its time {time} is {ahead} ms ahead, at most {max_lead_ms} ms are accepted of a delta");
            return Err(Rejection::new(Reason::InFuture, detail));
        }
        Ok(())
    }
}

/// Returns the update that a point brings.
pub(super) fn update(kind: Kind, point: &Point<'_>) -> Result<Update, Rejection> {
    Ok(match kind {
        Kind::Sum { is_monotonic, .. } => {
            let value = match point.number {
                Some(Number::Integer(integer)) => Value::Integer(integer),
                // -0 is 0.
                Some(Number::Float(float)) => Value::Float(finite(float, "value")? + 0.0),
                None => return Err(invalid("a data point has no value".to_owned())),
            };
            let is_negative = match value {
                Value::Integer(integer) => integer < 0,
                Value::Float(float) => float < 0.0,
                Value::StaleMarker => false,
            };
            match is_monotonic {
                true if is_negative => {
                    return Err(invalid(format!("{value} is negative, and a monotonic sum only grows")));
                }
                true => Update::Counter(value),
                false => Update::GaugeIncrement(value),
            }
        }
        Kind::ExponentialHistogram(_) => Update::NativeCounts(native(point)?),
        _ => Update::ClassicCounts(classic(point)?),
    })
}

/// Returns the counts of a histogram. The values above the last bound are the rest of the count.
fn classic(point: &Point<'_>) -> Result<ClassicCounts, Rejection> {
    let Point { bounds, counts, count, sum, .. } = point;
    let has_no_buckets = bounds.is_empty() && counts.is_empty();
    if !has_no_buckets && counts.len() != bounds.len() + 1 {
        let (counts, bounds) = (counts.len(), bounds.len());
        return Err(invalid(format!(
            "it has {counts} counts for {bounds} bounds, expected one count more than bounds"
        )));
    }
    let mut finite_bounds = Vec::with_capacity(bounds.len());
    let mut own = Vec::with_capacity(counts.len().max(1));
    let mut above = check_count(*count)?;
    for (&bound, &counted) in bounds.iter().zip(counts) {
        if bound == f64::INFINITY {
            continue;
        }
        // Zero has one sign as a bound.
        let bound = bound + 0.0;
        if !bound.is_finite() || finite_bounds.last().is_some_and(|last| *last >= bound) {
            return Err(invalid(format!("its bounds do not ascend at {bound}")));
        }
        finite_bounds.push(bound);
        own.push(counted);
        above = above.checked_sub(counted).ok_or_else(|| too_few(*count))?;
    }
    if finite_bounds.len() > MAX_TYPED_BUCKETS {
        let detail =
            format!("it has {} bounds, at most {MAX_TYPED_BUCKETS} are allowed in the table", finite_bounds.len());
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    own.push(above);
    let sum = sum.map(|sum| finite(sum, "sum")).transpose()?;
    Ok(ClassicCounts { bounds: finite_bounds, counts: own, sum })
}

fn native(point: &Point<'_>) -> Result<NativeCounts, Rejection> {
    let Point { scale, zero_count, positive, negative, count, sum, .. } = point;
    check_scale(*scale).map_err(|error| invalid(error.to_string()))?;
    let schema = (*scale).min(MAX_SCHEMA);
    let shift = scale.saturating_sub(schema).unsigned_abs();
    let (positive, negative) = (buckets(positive, shift), buckets(negative, shift));
    let counted = positive.iter().chain(&negative).map(|(_, count)| u128::from(*count)).sum::<u128>();
    let counted = counted + u128::from(*zero_count);
    if counted != u128::from(check_count(*count)?) {
        return Err(invalid(format!("its buckets count {counted} values, and its count is {count}")));
    }
    let sum = finite(sum.unwrap_or(0.0), "sum")?;
    Ok(NativeCounts { schema: i8::try_from(schema).unwrap_or_default(), zero: *zero_count, positive, negative, sum })
}

/// Returns the buckets that are not empty. Each holds 2^`shift` of the point's. An index beyond 32 bits is beyond all doubles.
fn buckets(Buckets { offset, counts }: &Buckets, shift: u32) -> Vec<KeyCount> {
    let mut buckets: Vec<KeyCount> = Vec::new();
    for (index, &count) in (i64::from(*offset)..).zip(counts).filter(|(_, count)| **count > 0) {
        // Bucket 0 ends at 1 here and begins at 1 there. Beyond 63 bits all that is left is the sign.
        let key = i32::try_from((index >> shift.min(63)) + 1).unwrap_or(i32::MAX);
        match buckets.last_mut() {
            Some((last, sum)) if *last == key => *sum = sum.saturating_add(count),
            _ => buckets.push((key, count)),
        }
    }
    buckets
}

fn check_count(count: u64) -> Result<u64, Rejection> {
    let problem = || invalid(format!("its count is {count}, at most {} is allowed", i64::MAX));
    i64::try_from(count).map(|_| count).map_err(|_| problem())
}

fn finite(number: f64, what: &str) -> Result<f64, Rejection> {
    if number.is_finite() {
        return Ok(number);
    }
    Err(invalid(format!("its {what} is {number}, which cannot be added up")))
}

fn too_few(count: u64) -> Rejection {
    invalid(format!("its buckets count more values than its count, {count}"))
}

fn invalid(detail: String) -> Rejection {
    Rejection::new(Reason::InvalidValue, detail)
}
