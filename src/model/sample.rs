//! Values and timestamps.

use std::fmt;

/// The bits of the one NaN that is sent. Prometheus gives another NaN, `0x7ff0000000000002`, the meaning "this series
/// ended" (remote write 1.0, "Stale markers"); a reading must never say that.
pub const CANONICAL_NAN: u64 = 0x7ff8_0000_0000_0001;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Timestamp(pub i64);

/// A value, and whether it was written as an integer. The wire knows only doubles; the type stays until then.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// The literal was `[+-]?[0-9]+` and fits.
    Integer(i64),
    /// Any other literal.
    Float(f64),
}

// === impl Timestamp ===

impl Timestamp {
    /// Milliseconds from `earlier` to this, negative where this is before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Value ===

impl Value {
    /// The bits of the double that is sent. An integer that a double cannot hold becomes the nearest one; every NaN
    /// becomes [`CANONICAL_NAN`].
    #[must_use]
    pub fn wire_bits(self) -> u64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double is the contract; counted as inexact")]
            Self::Integer(integer) => (integer as f64).to_bits(),
            Self::Float(float) if float.is_nan() => CANONICAL_NAN,
            Self::Float(float) => float.to_bits(),
        }
    }

    /// Whether this is an integer that no double holds exactly (above 2^53, and not a multiple of a large enough
    /// power of two).
    #[must_use]
    pub fn is_inexact(self) -> bool {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "the round trip is the test"
            )]
            Self::Integer(integer) => i128::from(integer) != (integer as f64) as i128,
            Self::Float(_) => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) if float.is_nan() => f.write_str("NaN"),
            Self::Float(float) if float.is_infinite() => f.write_str(if *float > 0.0 { "+Inf" } else { "-Inf" }),
            // Debug keeps the point of 12.0, so that a float is seen to be one.
            Self::Float(float) => fmt::Debug::fmt(float, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_that_no_double_holds_are_inexact() {
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
    fn any_nan_is_sent_as_the_canonical_one_and_the_sign_of_zero_is_kept() {
        assert_eq!(Value::Float(f64::from_bits(0x7ff0_0000_0000_0002)).wire_bits(), CANONICAL_NAN);
        assert_eq!(Value::Float(-f64::NAN).wire_bits(), CANONICAL_NAN);
        assert_eq!(Value::Float(-0.0).wire_bits(), 1 << 63);
        assert_eq!(Value::Integer(0).wire_bits(), 0);
    }

    #[test]
    fn a_value_prints_its_type() {
        let table = [
            (Value::Integer(12), "12"),
            (Value::Float(12.0), "12.0"),
            (Value::Float(-0.0), "-0.0"),
            (Value::Float(f64::NAN), "NaN"),
            (Value::Float(f64::NEG_INFINITY), "-Inf"),
        ];
        for (value, expected) in table {
            assert_eq!(value.to_string(), expected);
        }
    }
}
