//! Counters. Sums of integers are exact.

use super::codec;
use super::number::add_finite;
use crate::blob::BlobError;
use crate::model::Value;

/// The sum of increments. Integers stay exact beyond 2^53, because doubles are added up separately.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Counter {
    integer: i128,
    float: f64,
}

impl Counter {
    pub(super) fn add(&mut self, increment: Value) {
        match increment {
            Value::Integer(integer) => self.integer = self.integer.saturating_add(i128::from(integer)),
            Value::Float(float) => self.float = add_finite(self.float, float),
            // No parser gives a counter this.
            Value::StaleMarker => {}
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.integer = self.integer.saturating_add(other.integer);
        self.float = add_finite(self.float, other.float);
    }

    /// Returns the sum: an integer if all increments were, and it fits.
    pub(super) fn value(&self) -> Value {
        match i64::try_from(self.integer) {
            Ok(integer) if self.float == 0.0 => Value::Integer(integer),
            #[expect(clippy::cast_precision_loss, reason = "samples are doubles; the state stays exact")]
            _ => Value::Float(add_finite(self.integer as f64, self.float)),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        codec::put_i128(out, self.integer);
        codec::put_double(out, self.float);
    }

    pub(super) fn decode(input: &mut &[u8]) -> Result<Self, BlobError> {
        let integer = codec::take_i128(input)?;
        let float = codec::take_finite(input, "the sum of a counter is not finite")?;
        Ok(Self { integer, float })
    }
}
