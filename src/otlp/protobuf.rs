//! Reads protobuf. At each level the message is read twice: first for everything that its lists need.

use super::any_value::{self, Object};
use super::error::{ReadError, ReadProblem};
use super::message::{Attribute, Buckets, Kind, Metric, Number, Point, Resource, Scope, Temporality, Visitor};
use crate::limits::{MAX_OTLP_ATTRIBUTES, MAX_OTLP_BUCKETS};
use crate::protobuf::{Field, Message};
use std::borrow::Cow;

type Read<T> = Result<T, ReadError>;

/// Gives the parts of an `ExportMetricsServiceRequest` to `visitor`.
pub fn read_protobuf<'a>(body: &'a [u8], visitor: &mut dyn Visitor<'a>) -> Result<(), ReadError> {
    let mut request = Message::new(body);
    let mut point = Point::default();
    while let Some(field) = request.field()? {
        if field.number == 1 {
            resource_metrics(field.message()?, visitor, &mut point)?;
        }
    }
    Ok(())
}

fn resource_metrics<'a>(message: Message<'a>, visitor: &mut dyn Visitor<'a>, point: &mut Point<'a>) -> Read<()> {
    let mut resource = Resource::default();
    let mut fields = message;
    while let Some(field) = fields.field()? {
        if field.number == 1 {
            let mut fields = field.message()?;
            while let Some(field) = fields.field()? {
                if field.number == 1 {
                    attribute(field, &mut resource.attributes)?;
                }
            }
        }
    }
    visitor.resource(resource);
    let mut fields = message;
    while let Some(field) = fields.field()? {
        if field.number == 2 {
            scope_metrics(field.message()?, visitor, point)?;
        }
    }
    visitor.end_of_resource();
    Ok(())
}

fn scope_metrics<'a>(message: Message<'a>, visitor: &mut dyn Visitor<'a>, point: &mut Point<'a>) -> Read<()> {
    let mut scope = Scope::default();
    let mut fields = message;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => {
                let mut fields = field.message()?;
                while let Some(field) = fields.field()? {
                    match field.number {
                        1 => scope.name = text(field)?,
                        2 => scope.version = text(field)?,
                        3 => attribute(field, &mut scope.attributes)?,
                        _ => {}
                    }
                }
            }
            3 => scope.schema_url = text(field)?,
            _ => {}
        }
    }
    visitor.scope(scope);
    let mut fields = message;
    while let Some(field) = fields.field()? {
        if field.number == 2 {
            metric(field.message()?, visitor, point)?;
        }
    }
    Ok(())
}

fn metric<'a>(mut message: Message<'a>, visitor: &mut dyn Visitor<'a>, point: &mut Point<'a>) -> Read<()> {
    let mut metric = Metric::default();
    let mut data = None;
    while let Some(field) = message.field()? {
        match field.number {
            1 => metric.name = text(field)?,
            2 => metric.description = text(field)?,
            3 => metric.unit = text(field)?,
            5 | 7 | 9 | 10 | 11 => data = Some((field.number, field.message()?)),
            _ => {}
        }
    }
    let Some((number, data)) = data else {
        visitor.metric(metric);
        return Ok(());
    };
    let (mut temporality, mut is_monotonic) = (Temporality::Unspecified, false);
    if let 7 | 9 | 10 = number {
        let mut fields = data;
        while let Some(field) = fields.field()? {
            match field.number {
                2 => temporality = Temporality::from_number(field.varint()?),
                3 if number == 7 => is_monotonic = field.varint()? != 0,
                _ => {}
            }
        }
    }
    metric.kind = match number {
        5 => Kind::Gauge,
        7 => Kind::Sum { temporality, is_monotonic },
        9 => Kind::Histogram(temporality),
        10 => Kind::ExponentialHistogram(temporality),
        _ => Kind::Summary,
    };
    visitor.metric(metric);
    let mut fields = data;
    while let Some(field) = fields.field()? {
        if field.number == 1 {
            point.clear();
            read_point(number, field.message()?, point)?;
            visitor.point(point);
        }
    }
    Ok(())
}

/// Reads a data point of the metric's field `number`.
fn read_point<'a>(number: u32, message: Message<'a>, point: &mut Point<'a>) -> Read<()> {
    match number {
        5 | 7 => number_point(message, point),
        9 => histogram_point(message, point),
        10 => exponential_point(message, point),
        _ => summary_point(message, point),
    }
}

fn number_point<'a>(mut message: Message<'a>, point: &mut Point<'a>) -> Read<()> {
    while let Some(field) = message.field()? {
        match field.number {
            2 => point.start = field.fixed64()?,
            3 => point.time = field.fixed64()?,
            4 => point.number = Some(Number::Float(field.double()?)),
            6 => point.number = Some(Number::Integer(field.fixed64()?.cast_signed())),
            7 => attribute(field, &mut point.attributes)?,
            8 => flags(field, point)?,
            _ => {}
        }
    }
    Ok(())
}

fn histogram_point<'a>(mut message: Message<'a>, point: &mut Point<'a>) -> Read<()> {
    while let Some(field) = message.field()? {
        match field.number {
            2 => point.start = field.fixed64()?,
            3 => point.time = field.fixed64()?,
            4 => point.count = field.fixed64()?,
            5 => point.sum = Some(field.double()?),
            6 => field.fixed64s(|count| push(count, &mut point.counts, "buckets", MAX_OTLP_BUCKETS, field.offset))?,
            7 => field.doubles(|bound| push(bound, &mut point.bounds, "buckets", MAX_OTLP_BUCKETS, field.offset))?,
            9 => attribute(field, &mut point.attributes)?,
            10 => flags(field, point)?,
            _ => {}
        }
    }
    Ok(())
}

fn exponential_point<'a>(mut message: Message<'a>, point: &mut Point<'a>) -> Read<()> {
    while let Some(field) = message.field()? {
        match field.number {
            1 => attribute(field, &mut point.attributes)?,
            2 => point.start = field.fixed64()?,
            3 => point.time = field.fixed64()?,
            4 => point.count = field.fixed64()?,
            5 => point.sum = Some(field.double()?),
            6 => point.scale = field.sint32()?,
            7 => point.zero_count = field.fixed64()?,
            8 => buckets(field, &mut point.positive)?,
            9 => buckets(field, &mut point.negative)?,
            10 => flags(field, point)?,
            _ => {}
        }
    }
    Ok(())
}

fn buckets(field: Field<'_>, buckets: &mut Buckets) -> Read<()> {
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => buckets.offset = field.sint32()?,
            2 => field.varints(|count| push(count, &mut buckets.counts, "buckets", MAX_OTLP_BUCKETS, field.offset))?,
            _ => {}
        }
    }
    Ok(())
}

fn summary_point<'a>(mut message: Message<'a>, point: &mut Point<'a>) -> Read<()> {
    while let Some(field) = message.field()? {
        match field.number {
            2 => point.start = field.fixed64()?,
            3 => point.time = field.fixed64()?,
            4 => point.count = field.fixed64()?,
            5 => point.sum = Some(field.double()?),
            6 => {
                let (mut quantile, mut value) = (0.0, 0.0);
                let mut fields = field.message()?;
                while let Some(field) = fields.field()? {
                    match field.number {
                        1 => quantile = field.double()?,
                        2 => value = field.double()?,
                        _ => {}
                    }
                }
                push((quantile, value), &mut point.quantiles, "quantiles", MAX_OTLP_BUCKETS, field.offset)?;
            }
            7 => attribute(field, &mut point.attributes)?,
            8 => flags(field, point)?,
            _ => {}
        }
    }
    Ok(())
}

fn flags(field: Field<'_>, point: &mut Point<'_>) -> Read<()> {
    point.no_recorded_value = field.uint32()? & Point::NO_RECORDED_VALUE != 0;
    Ok(())
}

fn text(field: Field<'_>) -> Read<Cow<'_, str>> {
    Ok(Cow::Borrowed(field.text()?))
}

fn push<T>(value: T, list: &mut Vec<T>, what: &'static str, most: usize, offset: usize) -> Read<()> {
    if list.len() == most {
        return Err(ReadError { offset, problem: ReadProblem::TooMany { what, most } });
    }
    list.push(value);
    Ok(())
}

/// Reads a `KeyValue`.
fn attribute<'a>(field: Field<'a>, attributes: &mut Vec<Attribute<'a>>) -> Read<()> {
    let (key, value) = key_value(field)?;
    let value = value.map_or(Ok(Cow::Borrowed("")), any_text)?;
    push((Cow::Borrowed(key), value), attributes, "attributes", MAX_OTLP_ATTRIBUTES, field.offset)
}

fn key_value(field: Field<'_>) -> Read<(&str, Option<Field<'_>>)> {
    let (mut key, mut value) = ("", None);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => key = field.text()?,
            2 => value = Some(field),
            _ => {}
        }
    }
    Ok((key, value))
}

/// Returns the text of an `AnyValue`.
fn any_text(field: Field<'_>) -> Read<Cow<'_, str>> {
    let Some(member) = member(field)? else { return Ok(Cow::Borrowed("")) };
    Ok(match member.number {
        1 => text(member)?,
        2 => Cow::Borrowed(any_value::boolean(member.varint()? != 0)),
        3 => Cow::Owned(member.int64()?.to_string()),
        4 => Cow::Owned(any_value::double(member.double()?)),
        7 => Cow::Owned(any_value::base64(member.message()?.bytes())),
        _ => {
            let mut json = String::new();
            nested(member, &mut json, 1)?;
            Cow::Owned(json)
        }
    })
}

/// Returns the last member of an `AnyValue`.
fn member(field: Field<'_>) -> Read<Option<Field<'_>>> {
    let mut member = None;
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        if (1..=7).contains(&field.number) {
            member = Some(field);
        }
    }
    Ok(member)
}

/// Writes a value as JSON.
fn nested(member: Field<'_>, json: &mut String, depth: usize) -> Read<()> {
    if depth > any_value::MAX_DEPTH {
        return Err(ReadError { offset: member.offset, problem: ReadProblem::TooDeep(any_value::MAX_DEPTH) });
    }
    match member.number {
        1 => any_value::write_text(member.text()?, json),
        2 => json.push_str(any_value::boolean(member.varint()? != 0)),
        3 => json.push_str(&member.int64()?.to_string()),
        4 => any_value::write_double(member.double()?, json),
        5 => {
            let mut separator = "[";
            let mut fields = member.message()?;
            while let Some(field) = fields.field()? {
                if field.number == 1 && !any_value::is_full(json) {
                    json.push_str(separator);
                    separator = ",";
                    any_json(Some(field), json, depth)?;
                }
            }
            json.push_str(if separator == "[" { "[]" } else { "]" });
        }
        6 => {
            let mut object = Object::default();
            let mut fields = member.message()?;
            while let Some(field) = fields.field()? {
                if field.number == 1 && !object.is_full() {
                    let (key, value) = key_value(field)?;
                    let mut json = String::new();
                    any_json(value, &mut json, depth)?;
                    object.push(key.to_owned(), json);
                }
            }
            object.write(json);
        }
        _ => any_value::write_base64(&any_value::base64(member.message()?.bytes()), json),
    }
    Ok(())
}

fn any_json(value: Option<Field<'_>>, json: &mut String, depth: usize) -> Read<()> {
    if let Some(member) = value.map_or(Ok(None), member)? {
        return nested(member, json, depth + 1);
    }
    json.push_str("null");
    Ok(())
}
