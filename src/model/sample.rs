//! Values and timestamps.

use std::fmt;

/// The bits of the NaN that is sent for every NaN that a sender measured: Prometheus' `NormalNaN`
/// (<https://github.com/prometheus/prometheus/blob/main/model/value/value.go>).
pub const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// The bits of the NaN that ends a series: Prometheus' `StaleNaN`, in the same file.
pub const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp(pub i64);

/// The value of a sample. A request has only doubles.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// Written as `[+-]?[0-9]+`, and fits.
    Integer(i64),
    /// Written in any other way.
    Float(f64),
    /// The series has no more samples. No measured value becomes it, not even a NaN with the same bits.
    StaleMarker,
}

impl Timestamp {
    /// Returns the milliseconds from `earlier` to this time; they are negative if this time is before it.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Value {
    /// Returns the bits of the double that is sent. An integer that no double holds becomes the nearest double. Every NaN
    /// becomes [`CANONICAL_NAN`].
    pub fn wire_bits(self) -> u64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double is the contract; counted as inexact")]
            Self::Integer(integer) => (integer as f64).to_bits(),
            Self::Float(float) if float.is_nan() => CANONICAL_NAN,
            Self::Float(float) => float.to_bits(),
            Self::StaleMarker => STALE_MARKER,
        }
    }

    /// Returns whether this is an integer that no double holds exactly: above 2^53, and not a multiple of a large enough
    /// power of two.
    pub fn is_inexact(self) -> bool {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "the round trip is the test"
            )]
            Self::Integer(integer) => i128::from(integer) != (integer as f64) as i128,
            Self::Float(_) | Self::StaleMarker => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) if float.is_nan() => f.write_str("NaN"),
            Self::Float(float) if float.is_infinite() => f.write_str(if *float > 0.0 { "+Inf" } else { "-Inf" }),
            // Debug keeps the point of 12.0: it tells a float from an integer.
            Self::Float(float) => fmt::Debug::fmt(float, f),
            Self::StaleMarker => f.write_str("stale marker"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_integers_that_no_double_holds() {
        let table = [
            (0, false),
            (-5, false),
            (1 << 53, false),
            ((1 << 53) + 1, true),
            (-(1 << 53) - 1, true),
            ((1 << 53) + 2, false),
            (i64::MAX, true),
            (i64::MIN, false),
        ];
        for (integer, expected) in table {
            assert_eq!(Value::Integer(integer).is_inexact(), expected, "{integer}");
        }
    }

    #[test]
    fn sends_every_measured_nan_as_the_canonical_one_and_keeps_the_sign_of_zero() {
        let table = [
            (Value::Float(f64::NAN), CANONICAL_NAN),
            (Value::Float(-f64::NAN), CANONICAL_NAN),
            (Value::Float(f64::from_bits(STALE_MARKER)), CANONICAL_NAN),
            (Value::StaleMarker, STALE_MARKER),
            (Value::Float(-0.0), 1 << 63),
            (Value::Integer(0), 0),
        ];
        for (value, bits) in table {
            assert_eq!(value.wire_bits(), bits, "{value}");
        }
        assert!(f64::from_bits(STALE_MARKER).is_nan() && !Value::StaleMarker.is_inexact());
    }

    #[test]
    fn prints_a_value_with_its_type() {
        let table = [
            (Value::Integer(12), "12"),
            (Value::Float(12.0), "12.0"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(f64::NAN), "NaN"),
            (Value::Float(f64::NEG_INFINITY), "-Inf"),
            (Value::StaleMarker, "stale marker"),
        ];
        for (value, expected) in table {
            assert_eq!(value.to_string(), expected);
        }
    }
}
