//! Gauges: the newest value.

use super::codec;
use crate::blob::BlobError;
use crate::model::{Timestamp, Value};

const EMPTY: u8 = 0;
const INTEGER: u8 = 1;
const FLOAT: u8 = 2;

/// The value with the greatest time; if times are equal, the one that was set last.
#[derive(Clone, Copy, Default, Debug)]
pub struct Gauge(Option<(Timestamp, Value)>);

impl Gauge {
    pub(super) fn set(&mut self, value: Value, time: Timestamp) {
        let is_older = self.0.is_some_and(|(newest, _)| time < newest);
        // No parser gives a gauge a stale marker.
        if !is_older && !matches!(value, Value::StaleMarker) {
            self.0 = Some((time, value));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if let Some((time, value)) = other.0 {
            self.set(value, time);
        }
    }

    pub(super) fn value(&self) -> Option<Value> {
        self.0.map(|(_, value)| value)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let time = match self.0 {
            None | Some((_, Value::StaleMarker)) => return out.push(EMPTY),
            Some((time, Value::Integer(integer))) => {
                out.push(INTEGER);
                codec::put_i64(out, integer);
                time
            }
            Some((time, Value::Float(float))) => {
                out.push(FLOAT);
                codec::put_double(out, float);
                time
            }
        };
        codec::put_i64(out, time.0);
    }

    pub(super) fn decode(input: &mut &[u8]) -> Result<Self, BlobError> {
        let value = match codec::take_u8(input)? {
            EMPTY => return Ok(Self(None)),
            INTEGER => Value::Integer(codec::take_i64(input)?),
            FLOAT => Value::Float(codec::take_double(input)?),
            _ => return Err(BlobError::Damaged("the value of a gauge is neither an integer nor a double")),
        };
        Ok(Self(Some((Timestamp(codec::take_i64(input)?), value))))
    }
}

/// Equal times, and values that are the same to the bit.
impl PartialEq for Gauge {
    fn eq(&self, other: &Self) -> bool {
        let bits = |gauge: &Self| {
            gauge.0.map(|(time, value)| match value {
                Value::Integer(integer) => (time, INTEGER, integer.cast_unsigned()),
                Value::Float(float) => (time, FLOAT, float.to_bits()),
                Value::StaleMarker => (time, EMPTY, 0),
            })
        };
        bits(self) == bits(other)
    }
}
