//! Divides an update into the part that its series has and the part that each entry has.

use super::{FIRST_VERSION, VERSION};
use crate::blob::BlobError;
use crate::blob::codec::{put_f64, put_i64, put_u64, take_count, take_f64, take_i64, take_u8, take_u64};
use crate::limits::{MAX_TYPED_BUCKETS, MAX_TYPED_QUANTILES};
use crate::model::{ClassicCounts, KeyCount, Layout, NativeCounts, Observation, Update, Value};

type Read<T> = Result<T, BlobError>;

const COUNTER: u8 = 1;
const GAUGE: u8 = 2;
const CLASSIC: u8 = 3;
const NATIVE: u8 = 4;
const SUMMARY: u8 = 5;
// Since version 2.
const GAUGE_INCREMENT: u8 = 6;
const CLASSIC_COUNTS: u8 = 7;
const NATIVE_COUNTS: u8 = 8;

/// The schemas of native histograms.
const SCHEMAS: std::ops::RangeInclusive<i8> = -4..=8;

const INTEGER: u8 = 0;
const FLOAT: u8 = 1;

/// Returns the first version that has the update.
pub(super) fn version_of(update: &Update) -> u8 {
    match update {
        Update::Counter(_) | Update::Gauge(_) | Update::Histogram { .. } | Update::Summary { .. } => FIRST_VERSION,
        Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => VERSION,
    }
}

/// Writes the kind of the update, with its bounds or quantiles.
pub(super) fn put_kind(update: &Update, out: &mut Vec<u8>) {
    let (kind, numbers): (u8, &[f64]) = match update {
        Update::Counter(_) => (COUNTER, &[]),
        Update::Gauge(_) => (GAUGE, &[]),
        Update::Histogram { layout: Layout::Classic(bounds), .. } => (CLASSIC, bounds),
        Update::Histogram { layout: Layout::Native, .. } => (NATIVE, &[]),
        Update::Summary { quantiles, .. } => (SUMMARY, quantiles),
        Update::GaugeIncrement(_) => (GAUGE_INCREMENT, &[]),
        Update::ClassicCounts(ClassicCounts { bounds, .. }) => (CLASSIC_COUNTS, bounds),
        Update::NativeCounts(_) => (NATIVE_COUNTS, &[]),
    };
    out.push(kind);
    if matches!(kind, CLASSIC | SUMMARY | CLASSIC_COUNTS) {
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
        CLASSIC => Update::Histogram { layout: Layout::Classic(take_bounds(input)?), observations: Vec::new() },
        GAUGE_INCREMENT => Update::GaugeIncrement(Value::Integer(0)),
        CLASSIC_COUNTS => {
            Update::ClassicCounts(ClassicCounts { bounds: take_bounds(input)?, counts: Vec::new(), sum: None })
        }
        NATIVE_COUNTS => {
            let (positive, negative) = (Vec::new(), Vec::new());
            Update::NativeCounts(NativeCounts { schema: 0, zero: 0, positive, negative, sum: 0.0 })
        }
        NATIVE => Update::Histogram { layout: Layout::Native, observations: Vec::new() },
        SUMMARY => Update::Summary { quantiles: take_numbers(input, MAX_TYPED_QUANTILES)?, observations: Vec::new() },
        _ => return Err(BlobError::Damaged("a series has an unknown kind")),
    })
}

fn take_bounds(input: &mut &[u8]) -> Read<Vec<f64>> {
    let bounds = take_numbers(input, MAX_TYPED_BUCKETS)?;
    if bounds.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(BlobError::Damaged("the bounds of a series do not ascend"));
    }
    Ok(bounds)
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
        Update::Counter(value) | Update::Gauge(value) | Update::GaugeIncrement(value) => match *value {
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
        // The bounds say how many counts there are: one more.
        Update::ClassicCounts(ClassicCounts { counts, sum, .. }) => {
            for count in counts {
                put_u64(out, *count);
            }
            out.push(u8::from(sum.is_some()));
            if let Some(sum) = sum {
                put_f64(out, *sum);
            }
        }
        Update::NativeCounts(NativeCounts { schema, zero, positive, negative, sum }) => {
            put_i64(out, (*schema).into());
            put_u64(out, *zero);
            put_buckets(positive, out);
            put_buckets(negative, out);
            put_f64(out, *sum);
        }
    }
}

/// Reads what [`put_content`] writes into `update`, which is of the same kind.
pub(super) fn take_content(input: &mut &[u8], update: &mut Update) -> Read<()> {
    match update {
        Update::Counter(value) | Update::Gauge(value) | Update::GaugeIncrement(value) => {
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
        Update::ClassicCounts(ClassicCounts { bounds, counts, sum }) => {
            counts.clear();
            for _ in 0..=bounds.len() {
                counts.push(take_u64(input)?);
            }
            *sum = match take_u8(input)? {
                0 => None,
                1 => Some(finite(take_f64(input)?)?),
                _ => return Err(BlobError::Damaged("a histogram has neither a sum nor none")),
            };
        }
        Update::NativeCounts(NativeCounts { schema, zero, positive, negative, sum }) => {
            let known = i8::try_from(take_i64(input)?).ok().filter(|schema| SCHEMAS.contains(schema));
            *schema = known.ok_or(BlobError::Damaged("a native histogram has an unknown schema"))?;
            *zero = take_u64(input)?;
            take_buckets(input, positive)?;
            take_buckets(input, negative)?;
            *sum = finite(take_f64(input)?)?;
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

/// Writes the number of buckets. For each bucket it then writes the difference to the key before, and the count.
fn put_buckets(buckets: &[KeyCount], out: &mut Vec<u8>) {
    put_u64(out, buckets.len() as u64);
    let mut before = 0;
    for &(key, count) in buckets {
        put_i64(out, i64::from(key) - before);
        put_u64(out, count);
        before = i64::from(key);
    }
}

fn take_buckets(input: &mut &[u8], buckets: &mut Vec<KeyCount>) -> Read<()> {
    const ERROR: BlobError = BlobError::Damaged("the buckets of a native histogram do not ascend, or one is empty");
    buckets.clear();
    for _ in 0..take_count(input, 2)? {
        let before = buckets.last().map(|(key, _)| *key);
        let key = take_i64(input)?.checked_add(before.unwrap_or(0).into()).and_then(|key| i32::try_from(key).ok());
        let key = key.filter(|key| before.is_none_or(|before| before < *key)).ok_or(ERROR)?;
        match take_u64(input)? {
            0 => return Err(ERROR),
            count => buckets.push((key, count)),
        }
    }
    Ok(())
}

fn finite(number: f64) -> Read<f64> {
    if number.is_finite() { Ok(number) } else { Err(BlobError::Damaged("a value is not finite")) }
}
