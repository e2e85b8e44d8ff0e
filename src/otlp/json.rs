//! Reads JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>, and everything else that protobuf's own
//! mapping allows.
//!
//! * Numbers may be texts. NaN and infinities always are. Enums are numbers or names. `null` means absent.
//! * A list is kept as raw text until all fields beside it are read. Each byte is read at most once for each of the five
//!   levels.

mod attributes;
mod values;

use self::attributes::Attributes;
use self::values::{Double, Flag, List, ListVisitor, Signed, Text, Unsigned};
use super::error::{ReadError, ReadProblem};
use super::message::{self, Kind, Point, Temporality, Visitor};
use crate::limits::MAX_ERROR_TEXT_CHARS;
use crate::protobuf::Problem;
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;
use std::marker::PhantomData;

type Read<T> = Result<T, ReadError>;

/// Gives the parts of an `ExportMetricsServiceRequest` to `visitor`.
pub fn read_json<'a>(body: &'a [u8], visitor: &mut dyn Visitor<'a>) -> Result<(), ReadError> {
    let body = std::str::from_utf8(body)
        .map_err(|error| ReadError { offset: error.valid_up_to(), problem: ReadProblem::Protobuf(Problem::NotUtf8) })?;
    // serde would take a list for the fields of a message, one after another.
    let start = body.len() - body.trim_start().len();
    if body[start..].starts_with('[') {
        return Err(ReadError {
            offset: start,
            problem: ReadProblem::Json("expected an object, not a list".to_owned()),
        });
    }
    let reader = Reader { body };
    let request: Option<Request<'a>> = reader.parse(body)?;
    let each = &mut |metrics| reader.resource_metrics(metrics, visitor);
    reader.each(request.unwrap_or_default().resource_metrics, each)
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    body: &'a str,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Request<'a> {
    #[serde(borrow, alias = "resource_metrics")]
    resource_metrics: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceMetrics<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow, alias = "scope_metrics")]
    scope_metrics: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Attributes<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScopeMetrics<'a> {
    #[serde(borrow)]
    scope: Option<Scope<'a>>,
    #[serde(borrow)]
    metrics: Option<&'a RawValue>,
    #[serde(borrow, alias = "schema_url")]
    schema_url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    version: Text<'a>,
    #[serde(borrow)]
    attributes: Attributes<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metric<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    description: Text<'a>,
    #[serde(borrow)]
    unit: Text<'a>,
    #[serde(borrow)]
    gauge: Option<&'a RawValue>,
    #[serde(borrow)]
    sum: Option<&'a RawValue>,
    #[serde(borrow)]
    histogram: Option<&'a RawValue>,
    #[serde(borrow, alias = "exponential_histogram")]
    exponential_histogram: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

/// The data of a metric of any kind.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data<'a> {
    #[serde(borrow, rename = "dataPoints", alias = "data_points")]
    points: Option<&'a RawValue>,
    #[serde(alias = "aggregation_temporality")]
    aggregation_temporality: Temporality,
    #[serde(alias = "is_monotonic")]
    is_monotonic: Flag,
}

/// A data point of any kind.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DataPoint<'a> {
    #[serde(borrow)]
    attributes: Attributes<'a>,
    #[serde(alias = "start_time_unix_nano")]
    start_time_unix_nano: Unsigned,
    #[serde(alias = "time_unix_nano")]
    time_unix_nano: Unsigned,
    flags: Unsigned,
    #[serde(alias = "as_double")]
    as_double: Option<Double>,
    #[serde(alias = "as_int")]
    as_int: Option<Signed>,
    count: Unsigned,
    sum: Option<Double>,
    #[serde(alias = "bucket_counts")]
    bucket_counts: List<Unsigned>,
    #[serde(alias = "explicit_bounds")]
    explicit_bounds: List<Double>,
    scale: Signed,
    #[serde(alias = "zero_count")]
    zero_count: Unsigned,
    positive: Option<Buckets>,
    negative: Option<Buckets>,
    #[serde(alias = "quantile_values")]
    quantile_values: List<Quantile>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Buckets {
    offset: Signed,
    #[serde(alias = "bucket_counts")]
    bucket_counts: List<Unsigned>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Quantile {
    quantile: Double,
    value: Double,
}

impl<'a> Reader<'a> {
    fn parse<T: Deserialize<'a>>(self, text: &'a str) -> Read<T> {
        serde_json::from_str(text).map_err(|error| self.error(text, &error))
    }

    /// Returns an error of `text`, which is a part of the body.
    fn error(self, text: &str, error: &serde_json::Error) -> ReadError {
        let before = text.split('\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum::<usize>();
        let start = (text.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let sentence = error.to_string();
        let sentence = sentence.rsplit_once(" at line ").map_or(sentence.as_str(), |(sentence, _)| sentence);
        let sentence = sentence.chars().take(MAX_ERROR_TEXT_CHARS).collect();
        ReadError { offset: start + before + error.column().saturating_sub(1), problem: ReadProblem::Json(sentence) }
    }

    /// Calls `each` for each element of a list.
    fn each<T: Deserialize<'a> + Default>(
        self,
        list: Option<&'a RawValue>,
        each: &mut dyn FnMut(T) -> Read<()>,
    ) -> Read<()> {
        let Some(list) = list else { return Ok(()) };
        let mut problem = None;
        let visitor = ListVisitor(PhantomData, |element: Option<T>| {
            each(element.unwrap_or_default()).map_err(|error| problem = Some(error)).is_ok()
        });
        let result = serde_json::Deserializer::from_str(list.get()).deserialize_any(visitor);
        match (problem, result) {
            (Some(problem), _) => Err(problem),
            (None, result) => result.map_err(|error| self.error(list.get(), &error)),
        }
    }

    fn resource_metrics(self, metrics: ResourceMetrics<'a>, visitor: &mut dyn Visitor<'a>) -> Read<()> {
        let Resource { attributes: Attributes(attributes) } = metrics.resource.unwrap_or_default();
        visitor.resource(message::Resource { attributes });
        self.each(metrics.scope_metrics, &mut |metrics| self.scope_metrics(metrics, visitor))?;
        visitor.end_of_resource();
        Ok(())
    }

    fn scope_metrics(self, metrics: ScopeMetrics<'a>, visitor: &mut dyn Visitor<'a>) -> Read<()> {
        let Scope { name, version, attributes: Attributes(attributes) } = metrics.scope.unwrap_or_default();
        let schema_url = metrics.schema_url.0;
        visitor.scope(message::Scope { name: name.0, version: version.0, schema_url, attributes });
        self.each(metrics.metrics, &mut |metric| self.metric(metric, visitor))
    }

    fn metric(self, metric: Metric<'a>, visitor: &mut dyn Visitor<'a>) -> Read<()> {
        let Metric { name, description, unit, gauge, sum, histogram, exponential_histogram, summary } = metric;
        let (unknown, is_monotonic) = (Temporality::Unspecified, false);
        let data = [
            (gauge, Kind::Gauge),
            (sum, Kind::Sum { temporality: unknown, is_monotonic }),
            (histogram, Kind::Histogram(unknown)),
            (exponential_histogram, Kind::ExponentialHistogram(unknown)),
            (summary, Kind::Summary),
        ];
        let mut metric = message::Metric { name: name.0, description: description.0, unit: unit.0, kind: Kind::None };
        let data = data.into_iter().find_map(|(data, kind)| Some((data?, kind)));
        let Some((data, kind)) = data else {
            visitor.metric(metric);
            return Ok(());
        };
        let data: Data<'a> = self.parse(data.get())?;
        let temporality = data.aggregation_temporality;
        metric.kind = match kind {
            Kind::Sum { .. } => Kind::Sum { temporality, is_monotonic: data.is_monotonic.0 },
            Kind::Histogram(_) => Kind::Histogram(temporality),
            Kind::ExponentialHistogram(_) => Kind::ExponentialHistogram(temporality),
            Kind::None | Kind::Gauge | Kind::Summary => kind,
        };
        visitor.metric(metric);
        self.each(data.points, &mut |point: DataPoint<'a>| {
            visitor.point(&mut point.into());
            Ok(())
        })
    }
}

impl<'a> From<DataPoint<'a>> for Point<'a> {
    fn from(point: DataPoint<'a>) -> Self {
        let float = point.as_double.map(|Double(float)| message::Number::Float(float));
        let integer = point.as_int.map(|Signed(integer)| message::Number::Integer(integer));
        let buckets = |buckets: Option<Buckets>| {
            let Buckets { offset, bucket_counts } = buckets.unwrap_or_default();
            let counts = bucket_counts.0.into_iter().map(|Unsigned(count)| count).collect();
            message::Buckets { offset: saturated(offset), counts }
        };
        Self {
            attributes: point.attributes.0,
            start: point.start_time_unix_nano.0,
            time: point.time_unix_nano.0,
            no_recorded_value: point.flags.0 & u64::from(Point::NO_RECORDED_VALUE) != 0,
            number: float.or(integer),
            count: point.count.0,
            sum: point.sum.map(|Double(sum)| sum),
            bounds: point.explicit_bounds.0.into_iter().map(|Double(bound)| bound).collect(),
            counts: point.bucket_counts.0.into_iter().map(|Unsigned(count)| count).collect(),
            scale: saturated(point.scale),
            zero_count: point.zero_count.0,
            positive: buckets(point.positive),
            negative: buckets(point.negative),
            quantiles: point.quantile_values.0.into_iter().map(|both| (both.quantile.0, both.value.0)).collect(),
        }
    }
}

fn saturated(Signed(number): Signed) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}
