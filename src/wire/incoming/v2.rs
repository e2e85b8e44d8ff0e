//! Remote write 2.0: `io.prometheus.write.v2.Request`. Labels are references to a table of symbols.

use super::budget::{EXEMPLAR, LABEL, SAMPLE, SYMBOL};
use super::v1::sample;
use super::{Budget, Part, ReadError, ReadProblem, Series, histogram};
use crate::model::{METRIC_NAME_LABEL, MetricType, Timestamp};
use crate::protobuf::{Field, Message};
use crate::wire::{Exemplar, Metadata};

/// Calls `each` for each part of a `Request`. If there is an error, the parts before it were already passed on.
pub fn read_v2<'a>(request: &'a [u8], each: &mut dyn FnMut(Part<'_, 'a>)) -> Result<(), ReadError> {
    read(request, false, each)
}

/// Reads exemplars, too.
pub fn read_v2_with_exemplars<'a>(request: &'a [u8], each: &mut dyn FnMut(Part<'_, 'a>)) -> Result<(), ReadError> {
    read(request, true, each)
}

fn read<'a>(request: &'a [u8], exemplars: bool, each: &mut dyn FnMut(Part<'_, 'a>)) -> Result<(), ReadError> {
    let mut budget = Budget::new();
    let symbols = Symbols::read(request, &mut budget)?;
    let mut series = Series::default();
    let mut request = Message::new(request);
    while let Some(field) = request.field()? {
        if field.number == 1 {
            return Err(ReadError { offset: field.offset, problem: ReadProblem::OfVersion1 });
        }
        if field.number == 5 {
            series.clear();
            let metadata = read_series(field, &symbols, exemplars, &mut series, &mut budget)?;
            let name = series.labels.iter().find(|(name, _)| *name == METRIC_NAME_LABEL).map(|(_, value)| *value);
            each(Part::Series(&mut series));
            if let (Some(metadata), Some(name)) = (metadata, name) {
                each(Part::Metadata(Metadata { family: family(name, metadata.metric_type), ..metadata }));
            }
        }
    }
    Ok(())
}

/// The texts of a request, each once.
struct Symbols<'a>(Vec<&'a str>);

impl<'a> Symbols<'a> {
    fn read(request: &'a [u8], budget: &mut Budget) -> Result<Self, ReadError> {
        let mut symbols = Vec::new();
        let mut request = Message::new(request);
        while let Some(field) = request.field()? {
            if field.number == 4 {
                budget.take(SYMBOL, field.offset)?;
                let symbol = field.text()?;
                if symbols.is_empty() && !symbol.is_empty() {
                    return Err(ReadError { offset: field.offset, problem: ReadProblem::FirstSymbol });
                }
                symbols.push(symbol);
            }
        }
        Ok(Self(symbols))
    }

    fn get(&self, reference: u64, offset: usize) -> Result<&'a str, ReadError> {
        let symbol = usize::try_from(reference).ok().and_then(|reference| self.0.get(reference).copied());
        let problem = ReadProblem::Reference { reference, symbols: self.0.len() };
        symbol.ok_or(ReadError { offset, problem })
    }

    /// Returns the text of a reference that has its own field.
    fn of(&self, field: Field<'_>) -> Result<&'a str, ReadError> {
        self.get(field.varint()?, field.offset)
    }
}

/// References to names and values by turns.
#[derive(Default)]
struct Pairs<'a> {
    name: Option<&'a str>,
}

impl<'a> Pairs<'a> {
    fn read(
        &mut self,
        field: Field<'_>,
        symbols: &Symbols<'a>,
        mut each: impl FnMut((&'a str, &'a str)) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        field.varints(|reference| {
            let text = symbols.get(reference, field.offset)?;
            match self.name.take() {
                None => self.name = Some(text),
                Some(name) => each((name, text))?,
            }
            Ok(())
        })
    }

    fn end(self, offset: usize) -> Result<(), ReadError> {
        match self.name {
            None => Ok(()),
            Some(_) => Err(ReadError { offset, problem: ReadProblem::OddReferences }),
        }
    }
}

/// Returns the metadata without its family, if there is any.
fn read_series<'a>(
    series_field: Field<'a>,
    symbols: &Symbols<'a>,
    exemplars: bool,
    series: &mut Series<'a>,
    budget: &mut Budget,
) -> Result<Option<Metadata<'a>>, ReadError> {
    let mut message = series_field.message()?;
    let (mut labels, mut found) = (Pairs::default(), None);
    while let Some(field) = message.field()? {
        match field.number {
            1 => labels.read(field, symbols, |label| {
                budget.take(LABEL, field.offset)?;
                series.labels.push(label);
                Ok(())
            })?,
            2 => {
                budget.take(SAMPLE, field.offset)?;
                series.samples.push(sample(field)?);
            }
            3 => series.histograms.push(histogram::read(field, budget)?),
            4 => {
                series.exemplars += 1;
                if exemplars {
                    budget.take(EXEMPLAR, field.offset)?;
                    series.read_exemplars.push(exemplar(field, symbols, budget)?);
                } else {
                    check_exemplar(field, symbols)?;
                }
            }
            5 => found = metadata(field, symbols)?,
            _ => {}
        }
    }
    labels.end(series_field.offset)?;
    Ok(found)
}

fn exemplar<'a>(field: Field<'_>, symbols: &Symbols<'a>, budget: &mut Budget) -> Result<Exemplar<'a>, ReadError> {
    let (mut exemplar, mut labels) = (Exemplar::default(), Pairs::default());
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => labels.read(field, symbols, |label| {
                budget.take(LABEL, field.offset)?;
                exemplar.labels.push(label);
                Ok(())
            })?,
            2 => exemplar.bits = field.double_bits()?,
            3 => exemplar.timestamp = Timestamp(field.int64()?),
            _ => {}
        }
    }
    labels.end(field.offset)?;
    Ok(exemplar)
}

/// Checks the references of an exemplar.
fn check_exemplar(exemplar: Field<'_>, symbols: &Symbols<'_>) -> Result<(), ReadError> {
    let mut message = exemplar.message()?;
    let mut labels = Pairs::default();
    while let Some(field) = message.field()? {
        if field.number == 1 {
            labels.read(field, symbols, |_| Ok(()))?;
        }
    }
    labels.end(exemplar.offset)
}

fn metadata<'a>(field: Field<'_>, symbols: &Symbols<'a>) -> Result<Option<Metadata<'a>>, ReadError> {
    let mut metadata = Metadata { family: "", metric_type: MetricType::Unknown, help: "", unit: "" };
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => metadata.metric_type = MetricType::from_number(field.uint32()?),
            3 => metadata.help = symbols.of(field)?,
            4 => metadata.unit = symbols.of(field)?,
            _ => {}
        }
    }
    let Metadata { metric_type, help, unit, .. } = metadata;
    Ok((metric_type != MetricType::Unknown || !help.is_empty() || !unit.is_empty()).then_some(metadata))
}

/// Returns the name of the family of a series: without the suffix that its type gives to its parts.
fn family(name: &str, metric_type: MetricType) -> &str {
    let suffixes: &[&str] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => &["_bucket", "_sum", "_count"],
        MetricType::Summary => &["_sum", "_count"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}
