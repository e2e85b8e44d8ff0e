//! Sums that stay finite, and counts that stay below 2^63.

/// The largest count. So every count, and the difference of two, is an `i64`.
pub(super) const MAX_COUNT: u64 = i64::MAX as u64;

/// Returns the sum, or the largest double with its sign if no double is that large. A NaN adds nothing.
pub(super) fn add_finite(sum: f64, value: f64) -> f64 {
    let new = sum + value;
    if new.is_nan() { sum } else { new.clamp(f64::MIN, f64::MAX) }
}

/// Returns the product of a value and its weight, in the same way.
#[expect(clippy::cast_precision_loss, reason = "a weight beyond 2^53 is rounded")]
pub(super) fn weighted(value: f64, count: u64) -> f64 {
    (value * count as f64).clamp(f64::MIN, f64::MAX)
}

/// Returns a count as the value of a sample.
pub(super) fn count_value(count: u64) -> crate::model::Value {
    crate::model::Value::Integer(count.min(MAX_COUNT).cast_signed())
}
