//! The update of a typed metric: its value, and what belongs to it: counts, buckets, quantiles.

use super::{Part, Parts, Type, invalid_event};
use crate::event::entries;
use crate::event::path::{excerpt, kind};
use crate::event::value::{self, ValueError};
use crate::limits::{MAX_TYPED_BUCKETS, MAX_TYPED_QUANTILES};
use crate::model::{Layout, Observation, Reason, Rejection, Update, Value};

/// The quantiles of a summary that names none.
const DEFAULT_QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

impl<'a> Parts<'a> {
    pub(super) fn update(&self, of_type: Type) -> Result<Update, Rejection> {
        let literal = self.required(Part::Value)?;
        Ok(match of_type {
            Type::Counter => {
                let value = number(Part::Value, literal)?;
                // -0 and -0.0 are nothing.
                if as_double(value) < 0.0 {
                    let detail = format!("value: {} is negative, and a counter only grows", excerpt(literal));
                    return Err(Rejection::new(Reason::InvalidValue, detail));
                }
                Update::Counter(value)
            }
            Type::Gauge => Update::Gauge(number(Part::Value, literal)?),
            Type::Histogram => Update::Histogram { layout: self.layout()?, observations: self.observations(literal)? },
            Type::Summary => {
                Update::Summary { quantiles: self.quantiles()?, observations: self.observations(literal)? }
            }
        })
    }

    fn observations(&self, literal: &'a str) -> Result<Vec<Observation>, Rejection> {
        let observed = |value| Observation { value: as_double(value), count: 1 };
        let mut observations = if literal.starts_with('[') {
            elements(Part::Value, literal, usize::MAX, |literal| Ok(observed(finite(literal)?)))?
        } else {
            vec![observed(number(Part::Value, literal)?)]
        };
        if observations.is_empty() {
            return Err(invalid_event("value: empty; a list has at least one value"));
        }
        let Some(counts) = self.get(Part::Counts) else { return Ok(observations) };
        let counts = elements(Part::Counts, counts, observations.len(), |literal| {
            let problem = || format!("{} is not a whole number of at least 1, and below 2^63", excerpt(literal));
            whole(literal).ok_or_else(problem).map_err(invalid_event)
        })?;
        if counts.len() != observations.len() {
            let detail = format!("counts: {} for {} values", counts.len(), observations.len());
            return Err(invalid_event(detail));
        }
        for (observation, count) in observations.iter_mut().zip(counts) {
            observation.count = count;
        }
        Ok(observations)
    }

    fn layout(&self) -> Result<Layout, Rejection> {
        let Some(literal) = self.list(Part::Buckets) else { return Ok(Layout::Native) };
        let mut bounds = elements(Part::Buckets, literal, MAX_TYPED_BUCKETS + 1, |literal| {
            match parameter(literal)? {
                // Zero has one sign as a bound.
                Some(value) if !as_double(value).is_nan() => Ok(as_double(value) + 0.0),
                _ => Err(invalid_event(format!("{} is not a bound", excerpt(literal)))),
            }
        })?;
        bounds.pop_if(|last| *last == f64::INFINITY);
        if let Some(wrong) = bounds.iter().position(|bound| bound.is_infinite()) {
            return Err(invalid_event(format!(
                "buckets[{wrong}]: only the last bound may be infinite, and not negative"
            )));
        }
        if let Some(first) = bounds.windows(2).position(|pair| pair[0] >= pair[1]) {
            let (place, low, high) = (first + 1, bounds[first], bounds[first + 1]);
            return Err(invalid_event(format!("buckets[{place}]: {high} is not above {low}; bounds must ascend")));
        }
        if bounds.len() > MAX_TYPED_BUCKETS {
            return Err(too_many(Part::Buckets, MAX_TYPED_BUCKETS));
        }
        Ok(Layout::Classic(bounds))
    }

    /// Returns the quantiles in ascending order, each once.
    fn quantiles(&self) -> Result<Vec<f64>, Rejection> {
        let Some(literal) = self.list(Part::Quantiles) else { return Ok(DEFAULT_QUANTILES.to_vec()) };
        let mut quantiles =
            elements(Part::Quantiles, literal, MAX_TYPED_QUANTILES, |literal| match parameter(literal)? {
                Some(value) if (0.0..=1.0).contains(&as_double(value)) => Ok(as_double(value) + 0.0),
                _ => Err(invalid_event(format!("{} is not in 0..1", excerpt(literal)))),
            })?;
        quantiles.sort_unstable_by(f64::total_cmp);
        quantiles.dedup();
        Ok(quantiles)
    }
}

fn too_many(part: Part, limit: usize) -> Rejection {
    invalid_event(format!("{part}: more than {limit}"))
}

/// Returns the one number of a value.
fn number(part: Part, literal: &str) -> Result<Value, Rejection> {
    finite(literal).map_err(|rejection| prefixed(&format!("{part}: "), &rejection))
}

/// Returns a bound or a quantile; `None` if it is null.
fn parameter(literal: &str) -> Result<Option<Value>, Rejection> {
    not_a_boolean(literal).and_then(|()| value::parse(literal)).map_err(|error| invalid_event(error.to_string()))
}

/// Returns an error for a boolean, which is 1 or 0 only in an event without a type.
fn not_a_boolean(literal: &str) -> Result<(), ValueError<'_>> {
    if literal.starts_with(['t', 'f']) { Err(ValueError::OtherKind(literal)) } else { Ok(()) }
}

fn finite(literal: &str) -> Result<Value, Rejection> {
    let read = not_a_boolean(literal).and_then(|()| match value::parse(literal)? {
        Some(value) if as_double(value).is_finite() => Ok(value),
        Some(_) => Err(ValueError::NotFinite(literal)),
        None => Err(ValueError::OtherKind(literal)),
    });
    read.map_err(|error| Rejection::new(Reason::InvalidValue, error.to_string()))
}

/// Returns a whole number of at least 1. It may be written with a fraction of zeros, if a double holds it exactly.
fn whole(literal: &str) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    not_a_boolean(literal).ok()?;
    let count = match value::parse(literal) {
        Ok(Some(Value::Integer(integer))) => u64::try_from(integer).ok()?,
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number up to 2^53")]
        Ok(Some(Value::Float(float))) if (0.0..=EXACT).contains(&float) && float.fract() == 0.0 => float as u64,
        _ => return None,
    };
    (count >= 1).then_some(count)
}

pub(super) fn as_double(value: Value) -> f64 {
    f64::from_bits(value.wire_bits())
}

/// Reads each element of a list. The first that cannot be read is named by its position.
fn elements<'a, T>(
    part: Part,
    literal: &'a str,
    limit: usize,
    read: impl Fn(&'a str) -> Result<T, Rejection>,
) -> Result<Vec<T>, Rejection> {
    if !literal.starts_with('[') {
        return Err(invalid_event(format!("{part}: {} is not a list, it is {}", excerpt(literal), kind(literal))));
    }
    let (mut elements, mut problem) = (Vec::new(), None);
    let walked = entries::for_each_element(literal, |element| {
        if problem.is_some() {
            return;
        }
        if elements.len() == limit {
            problem = Some(too_many(part, limit));
            return;
        }
        match read(element) {
            Ok(element) => elements.push(element),
            Err(rejection) => problem = Some(prefixed(&format!("{part}[{}]: ", elements.len()), &rejection)),
        }
    });
    debug_assert!(walked.is_ok(), "it was read before");
    problem.map_or(Ok(elements), Err)
}

fn prefixed(place: &str, rejection: &Rejection) -> Rejection {
    Rejection::new(rejection.reason, format!("{place}{}", rejection.detail))
}
