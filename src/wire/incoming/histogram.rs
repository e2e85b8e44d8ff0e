//! Reads a `Histogram` message. It is the same in both versions, except for field 17.

use super::budget::{HISTOGRAM, NUMBER};
use super::{Budget, ReadError, ReadProblem};
use crate::model::{Counts, NativeHistogram, ResetHint, Span, Timestamp};
use crate::protobuf::{Field, Message, sint64};

/// A member of a `oneof`.
#[derive(Clone, Copy)]
enum Number {
    Integer(u64),
    Float(f64),
}

pub(super) fn read(field: Field<'_>, budget: &mut Budget) -> Result<(Timestamp, NativeHistogram), ReadError> {
    let offset = field.offset;
    budget.take(HISTOGRAM, offset)?;
    let mut message = field.message()?;
    let (mut timestamp, mut sum, mut schema, mut zero_threshold) = (0, 0.0, 0, 0.0);
    let (mut count, mut zero, mut reset_hint) = (None, None, ResetHint::Unknown);
    let (mut negative_spans, mut negative_deltas, mut negative) = (Vec::new(), Vec::new(), Vec::new());
    let (mut positive_spans, mut positive_deltas, mut positive) = (Vec::new(), Vec::new(), Vec::new());
    let mut custom_values = Vec::new();
    while let Some(field) = message.field()? {
        match field.number {
            1 => count = Some(Number::Integer(field.varint()?)),
            2 => count = Some(Number::Float(field.double()?)),
            3 => sum = field.double()?,
            4 => schema = field.sint32()?,
            5 => zero_threshold = field.double()?,
            6 => zero = Some(Number::Integer(field.varint()?)),
            7 => zero = Some(Number::Float(field.double()?)),
            8 => negative_spans.push(span(field, budget)?),
            9 => deltas(field, &mut negative_deltas, budget)?,
            10 => doubles(field, &mut negative, budget)?,
            11 => positive_spans.push(span(field, budget)?),
            12 => deltas(field, &mut positive_deltas, budget)?,
            13 => doubles(field, &mut positive, budget)?,
            14 => reset_hint = hint(field.uint32()?),
            15 => timestamp = field.int64()?,
            16 => doubles(field, &mut custom_values, budget)?,
            _ => {}
        }
    }
    let has_floats = !negative.is_empty() || !positive.is_empty();
    let has_deltas = !negative_deltas.is_empty() || !positive_deltas.is_empty();
    let is_float = match count.or(zero) {
        Some(number) => matches!(number, Number::Float(_)),
        None => has_floats,
    };
    let mixed = ReadError { offset, problem: ReadProblem::MixedHistogram };
    let counts = if is_float && !has_deltas {
        let float = |number| match number {
            Some(Number::Float(float)) => Ok(float),
            None | Some(Number::Integer(0)) => Ok(0.0),
            Some(Number::Integer(_)) => Err(mixed),
        };
        Counts::Float { count: float(count)?, zero: float(zero)?, negative, positive }
    } else if !is_float && !has_floats {
        let integer = |number| match number {
            Some(Number::Integer(integer)) => Ok(integer),
            None | Some(Number::Float(0.0)) => Ok(0),
            Some(Number::Float(_)) => Err(mixed),
        };
        Counts::Integer { count: integer(count)?, zero: integer(zero)?, negative_deltas, positive_deltas }
    } else {
        return Err(mixed);
    };
    let histogram = NativeHistogram {
        sum,
        schema,
        zero_threshold,
        counts,
        negative_spans,
        positive_spans,
        reset_hint,
        custom_values,
    };
    Ok((Timestamp(timestamp), histogram))
}

fn span(field: Field<'_>, budget: &mut Budget) -> Result<Span, ReadError> {
    budget.take(NUMBER, field.offset)?;
    let mut message: Message<'_> = field.message()?;
    let mut span = Span { offset: 0, length: 0 };
    while let Some(field) = message.field()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

fn deltas(field: Field<'_>, deltas: &mut Vec<i64>, budget: &mut Budget) -> Result<(), ReadError> {
    field.varints(|zigzag| {
        budget.take(NUMBER, field.offset)?;
        deltas.push(sint64(zigzag));
        Ok(())
    })
}

fn doubles(field: Field<'_>, doubles: &mut Vec<f64>, budget: &mut Budget) -> Result<(), ReadError> {
    field.doubles(|double| {
        budget.take(NUMBER, field.offset)?;
        doubles.push(double);
        Ok(())
    })
}

fn hint(number: u32) -> ResetHint {
    match number {
        1 => ResetHint::Yes,
        2 => ResetHint::No,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}
