//! Remote write 1.0: `prometheus.WriteRequest`.

use super::budget::{LABEL, SAMPLE};
use super::{Budget, Part, ReadError, ReadProblem, Series, histogram};
use crate::model::{MetricType, Timestamp};
use crate::protobuf::{Field, Message};
use crate::wire::Metadata;

/// Calls `each` for each part of a `WriteRequest`. If there is an error, the parts before it were already passed on.
pub fn read_v1<'a>(request: &'a [u8], each: &mut dyn FnMut(Part<'_, 'a>)) -> Result<(), ReadError> {
    let mut budget = Budget::new();
    let mut series = Series::default();
    let mut request = Message::new(request);
    while let Some(field) = request.field()? {
        match field.number {
            1 => {
                series.clear();
                read_series(field.message()?, &mut series, &mut budget)?;
                each(Part::Series(&mut series));
            }
            3 => each(Part::Metadata(metadata(field.message()?)?)),
            5 => return Err(ReadError { offset: field.offset, problem: ReadProblem::OfVersion2 }),
            _ => {}
        }
    }
    Ok(())
}

fn read_series<'a>(mut message: Message<'a>, series: &mut Series<'a>, budget: &mut Budget) -> Result<(), ReadError> {
    while let Some(field) = message.field()? {
        match field.number {
            1 => {
                budget.take(LABEL, field.offset)?;
                series.labels.push(label(field.message()?)?);
            }
            2 => {
                budget.take(SAMPLE, field.offset)?;
                series.samples.push(sample(field)?);
            }
            3 => {
                field.message()?;
                series.exemplars += 1;
            }
            4 => series.histograms.push(histogram::read(field, budget)?),
            _ => {}
        }
    }
    Ok(())
}

fn label(mut message: Message<'_>) -> Result<(&str, &str), ReadError> {
    let (mut name, mut value) = ("", "");
    while let Some(field) = message.field()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Reads a `Sample` of either version.
pub(super) fn sample(field: Field<'_>) -> Result<(Timestamp, u64), ReadError> {
    let mut message = field.message()?;
    let (mut timestamp, mut bits) = (0, 0);
    while let Some(field) = message.field()? {
        match field.number {
            1 => bits = field.double_bits()?,
            2 => timestamp = field.int64()?,
            _ => {}
        }
    }
    Ok((Timestamp(timestamp), bits))
}

fn metadata(mut message: Message<'_>) -> Result<Metadata<'_>, ReadError> {
    let mut metadata = Metadata { family: "", metric_type: MetricType::Unknown, help: "", unit: "" };
    while let Some(field) = message.field()? {
        match field.number {
            1 => metadata.metric_type = MetricType::from_number(field.uint32()?),
            2 => metadata.family = field.text()?,
            4 => metadata.help = field.text()?,
            5 => metadata.unit = field.text()?,
            _ => {}
        }
    }
    Ok(metadata)
}
