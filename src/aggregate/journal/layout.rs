//! The part of an update that its series has, and the part that each entry has.

use crate::blob::BlobError;
use crate::blob::codec::{put_f64, put_i64, put_u64, take_count, take_f64, take_i64, take_u8, take_u64};
use crate::limits::{MAX_TYPED_BUCKETS, MAX_TYPED_QUANTILES};
use crate::model::{Layout, Observation, Update, Value};

type Read<T> = Result<T, BlobError>;

const COUNTER: u8 = 1;
const GAUGE: u8 = 2;
const CLASSIC: u8 = 3;
const NATIVE: u8 = 4;
const SUMMARY: u8 = 5;

const INTEGER: u8 = 0;
const FLOAT: u8 = 1;

/// Writes the kind of the update, with its bounds or quantiles.
pub(super) fn put_kind(update: &Update, out: &mut Vec<u8>) {
    let (kind, numbers): (u8, &[f64]) = match update {
        Update::Counter(_) => (COUNTER, &[]),
        Update::Gauge(_) => (GAUGE, &[]),
        Update::Histogram { layout: Layout::Classic(bounds), .. } => (CLASSIC, bounds),
        Update::Histogram { layout: Layout::Native, .. } => (NATIVE, &[]),
        Update::Summary { quantiles, .. } => (SUMMARY, quantiles),
    };
    out.push(kind);
    if matches!(kind, CLASSIC | SUMMARY) {
        put_u64(out, numbers.len() as u64);
        for &number in numbers {
            put_f64(out, number);
        }
    }
}

/// Reads what [`put_kind`] writes, as an update without a value.
pub(super) fn take_kind(input: &mut &[u8]) -> Read<Update> {
    Ok(match take_u8(input)? {
        COUNTER => Update::Counter(Value::Integer(0)),
        GAUGE => Update::Gauge(Value::Integer(0)),
        CLASSIC => {
            let bounds = take_numbers(input, MAX_TYPED_BUCKETS)?;
            if bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err(BlobError::Damaged("the bounds of a series do not ascend"));
            }
            Update::Histogram { layout: Layout::Classic(bounds), observations: Vec::new() }
        }
        NATIVE => Update::Histogram { layout: Layout::Native, observations: Vec::new() },
        SUMMARY => Update::Summary { quantiles: take_numbers(input, MAX_TYPED_QUANTILES)?, observations: Vec::new() },
        _ => return Err(BlobError::Damaged("a series has an unknown kind")),
    })
}

fn take_numbers(input: &mut &[u8], max: usize) -> Read<Vec<f64>> {
    let count = take_count(input, 8)?;
    if count > max {
        return Err(BlobError::Damaged("a series has too many bounds or quantiles"));
    }
    (0..count).map(|_| finite(take_f64(input)?)).collect()
}

/// Writes the value or the observations.
pub(super) fn put_content(update: &Update, out: &mut Vec<u8>) {
    match update {
        Update::Counter(value) | Update::Gauge(value) => match *value {
            Value::Integer(integer) => {
                out.push(INTEGER);
                put_i64(out, integer);
            }
            Value::Float(float) => {
                out.push(FLOAT);
                put_f64(out, float);
            }
            // No producer can write one.
            Value::StaleMarker => {
                out.push(INTEGER);
                put_i64(out, 0);
            }
        },
        Update::Histogram { observations, .. } | Update::Summary { observations, .. } => {
            put_u64(out, observations.len() as u64);
            for observation in observations {
                put_f64(out, observation.value);
                put_u64(out, observation.count);
            }
        }
    }
}

/// Reads what [`put_content`] writes into `update`, which is of the same kind.
pub(super) fn take_content(input: &mut &[u8], update: &mut Update) -> Read<()> {
    match update {
        Update::Counter(value) | Update::Gauge(value) => {
            *value = match take_u8(input)? {
                INTEGER => Value::Integer(take_i64(input)?),
                FLOAT => Value::Float(finite(take_f64(input)?)?),
                _ => return Err(BlobError::Damaged("a value is neither an integer nor a double")),
            };
        }
        Update::Histogram { observations, .. } | Update::Summary { observations, .. } => {
            let count = take_count(input, 9)?;
            observations.clear();
            for _ in 0..count {
                let observation = Observation { value: finite(take_f64(input)?)?, count: take_u64(input)? };
                if observation.count == 0 {
                    return Err(BlobError::Damaged("an observation counts nothing"));
                }
                observations.push(observation);
            }
        }
    }
    if let Update::Counter(Value::Integer(..0)) = update {
        return Err(BlobError::Damaged("an increment is negative"));
    }
    if let Update::Counter(Value::Float(float)) = update
        && *float < 0.0
    {
        return Err(BlobError::Damaged("an increment is negative"));
    }
    Ok(())
}

fn finite(number: f64) -> Read<f64> {
    if number.is_finite() { Ok(number) } else { Err(BlobError::Damaged("a value is not finite")) }
}
