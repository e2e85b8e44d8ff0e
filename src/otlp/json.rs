//! JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>, and all else that protobuf's own mapping allows.
//!
//! * Numbers may be texts, NaN and infinities are, and enums are numbers or names. `null` is nothing.
//! * Lists are kept as raw text until all that stands beside them is read. Each byte is looked at once for each of the five levels.

use super::any_value::{self, Object};
use super::error::{ReadError, ReadProblem};
use super::message::{self, Attribute, Kind, Point, Temporality, Visitor};
use crate::limits::{MAX_ERROR_TEXT_CHARS, MAX_OTLP_ATTRIBUTES, MAX_OTLP_BUCKETS};
use crate::protobuf::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::de::{self, DeserializeOwned, IgnoredAny, MapAccess, SeqAccess};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
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

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Option<Any<'a>>,
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

// --- values ----------------------------------------------------------------------------------------------------------

/// Calls a function for each element of a list, as long as it returns true. `null` has none.
struct ListVisitor<T, F>(PhantomData<T>, F);

impl<'de, T: Deserialize<'de>, F: FnMut(Option<T>) -> bool> de::Visitor<'de> for ListVisitor<T, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if !(self.1)(element) {
                return Err(de::Error::custom("a part of the list is wrong"));
            }
        }
        Ok(())
    }
}

/// A list of numbers, which has a bound.
struct List<T>(Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned + Default> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bounded(deserializer, MAX_OTLP_BUCKETS, "buckets", Option::unwrap_or_default).map(Self)
    }
}

#[derive(Default)]
struct Attributes<'a>(Vec<Attribute<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let attribute = |pair: Option<KeyValue<'a>>| {
            let KeyValue { key, value } = pair.unwrap_or_default();
            (key.0, value.unwrap_or_default().into_text())
        };
        bounded(deserializer, MAX_OTLP_ATTRIBUTES, "attributes", attribute).map(Self)
    }
}

/// Reads a list of at most so many elements.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>, U>(
    deserializer: D,
    most: usize,
    what: &str,
    each: impl Fn(Option<T>) -> U,
) -> Result<Vec<U>, D::Error> {
    let mut list = Vec::new();
    let mut is_full = false;
    let result = deserializer.deserialize_any(ListVisitor(PhantomData, |element| {
        is_full = list.len() == most;
        if !is_full {
            list.push(each(element));
        }
        !is_full
    }));
    if is_full {
        return Err(de::Error::custom(format_args!("at most {most} {what} are allowed in one place")));
    }
    result.map(|()| list)
}

/// A text; `null` is an empty one.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

#[derive(Clone, Copy, Default)]
struct Unsigned(u64);

#[derive(Clone, Copy, Default)]
struct Signed(i64);

#[derive(Clone, Copy, Default)]
struct Double(f64);

#[derive(Clone, Copy, Default)]
struct Flag(bool);

/// A value of JSON that is no list and no object.
enum Scalar<'a> {
    Null,
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

struct ScalarVisitor(&'static str);

impl<'de> de::Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_unit<E>(self) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(value.to_owned())))
    }
}

/// Reads a scalar and makes a value of it; `None` is an error that says what was expected.
fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    make: impl FnOnce(Scalar<'de>) -> Option<T>,
) -> Result<T, D::Error> {
    let scalar = deserializer.deserialize_any(ScalarVisitor(expected))?;
    make(scalar).ok_or_else(|| de::Error::custom(format_args!("expected {expected}")))
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "a text", |scalar| match scalar {
            Scalar::Null => Some(Self::default()),
            Scalar::Text(text) => Some(Self(text)),
            _ => None,
        })
    }
}

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "a whole number of at least 0", |scalar| match scalar {
            Scalar::Null => Some(0),
            Scalar::Unsigned(number) => Some(number),
            Scalar::Signed(number) => u64::try_from(number).ok(),
            Scalar::Float(float) => u64::try_from(whole(float)?).ok(),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Boolean(_) => None,
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "a whole number", |scalar| match scalar {
            Scalar::Null => Some(0),
            Scalar::Unsigned(number) => i64::try_from(number).ok(),
            Scalar::Signed(number) => Some(number),
            Scalar::Float(float) => whole(float),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Boolean(_) => None,
        })
        .map(Self)
    }
}

/// Returns a whole number that was written with a point or an exponent.
fn whole(float: f64) -> Option<i64> {
    // 2^63 does not fit.
    let fits = float.fract() == 0.0 && float.abs() < 9_223_372_036_854_775_808.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and fits")]
    fits.then_some(float as i64)
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[expect(clippy::cast_precision_loss, reason = "the nearest double is what the number means")]
        scalar(deserializer, "a number", |scalar| match scalar {
            Scalar::Null => Some(0.0),
            Scalar::Unsigned(number) => Some(number as f64),
            Scalar::Signed(number) => Some(number as f64),
            Scalar::Float(float) => Some(float),
            Scalar::Text(text) => text.parse().ok(),
            Scalar::Boolean(_) => None,
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "true or false", |scalar| match scalar {
            Scalar::Null => Some(false),
            Scalar::Boolean(value) => Some(value),
            Scalar::Text(text) => text.parse().ok(),
            _ => None,
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Temporality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "an aggregation temporality", |scalar| match scalar {
            Scalar::Unsigned(number) => Some(Self::from_number(number)),
            Scalar::Text(name) => Some(match name.as_ref() {
                "AGGREGATION_TEMPORALITY_DELTA" | "1" => Self::Delta,
                "AGGREGATION_TEMPORALITY_CUMULATIVE" | "2" => Self::Cumulative,
                _ => Self::Unspecified,
            }),
            Scalar::Null | Scalar::Signed(_) => Some(Self::Unspecified),
            Scalar::Boolean(_) | Scalar::Float(_) => None,
        })
    }
}

// --- attributes ------------------------------------------------------------------------------------------------------

/// An `AnyValue`.
#[derive(Default)]
enum Any<'a> {
    #[default]
    Empty,
    Text(Cow<'a, str>),
    Boolean(bool),
    Integer(i64),
    Double(f64),
    /// Base64.
    Bytes(String),
    /// A list or an object.
    Json(String),
}

impl<'a> Any<'a> {
    fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Text(text) => text,
            Self::Boolean(value) => Cow::Borrowed(any_value::boolean(value)),
            Self::Integer(integer) => Cow::Owned(integer.to_string()),
            Self::Double(float) => Cow::Owned(any_value::double(float)),
            Self::Bytes(text) | Self::Json(text) => Cow::Owned(text),
        }
    }

    fn write(self, json: &mut String) {
        match self {
            Self::Empty => json.push_str("null"),
            Self::Text(text) => any_value::write_text(&text, json),
            Self::Bytes(text) => any_value::write_base64(&text, json),
            Self::Double(float) => any_value::write_double(float, json),
            Self::Boolean(_) | Self::Integer(_) | Self::Json(_) => json.push_str(&self.into_text()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Any<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyVisitor(PhantomData))
    }
}

struct AnyVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> de::Visitor<'de> for AnyVisitor<'a> {
    type Value = Any<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the value of an attribute")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any<'a>, A::Error> {
        let mut any = Any::Empty;
        while let Some(Text(key)) = map.next_key()? {
            let value = match key.as_ref() {
                "stringValue" | "string_value" => {
                    map.next_value::<Option<Text<'a>>>()?.map(|Text(text)| Any::Text(text))
                }
                "boolValue" | "bool_value" => map.next_value::<Option<Flag>>()?.map(|Flag(value)| Any::Boolean(value)),
                "intValue" | "int_value" => {
                    map.next_value::<Option<Signed>>()?.map(|Signed(value)| Any::Integer(value))
                }
                "doubleValue" | "double_value" => {
                    map.next_value::<Option<Double>>()?.map(|Double(value)| Any::Double(value))
                }
                "bytesValue" | "bytes_value" => {
                    map.next_value::<Option<Base64>>()?.map(|Base64(text)| Any::Bytes(text))
                }
                "arrayValue" | "array_value" => {
                    map.next_value::<Option<ListText>>()?.map(|list| Any::Json(list.values.0))
                }
                "kvlistValue" | "kvlist_value" => {
                    map.next_value::<Option<ObjectText>>()?.map(|object| Any::Json(object.values.0))
                }
                _ => {
                    let IgnoredAny = map.next_value()?;
                    None
                }
            };
            any = value.unwrap_or(any);
        }
        Ok(any)
    }
}

/// The text of bytes in standard base64. Senders use the other alphabet, too, and leave out the padding.
struct Base64(String);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer, "bytes in base64", |scalar| match scalar {
            Scalar::Text(text) => {
                let text = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
                STANDARD_NO_PAD.decode(text).ok().map(|bytes| any_value::base64(&bytes))
            }
            _ => None,
        })
        .map(Self)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ListText {
    values: ListJson,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ObjectText {
    values: ObjectJson,
}

/// A list as JSON.
struct ListJson(String);

/// An object as JSON.
struct ObjectJson(String);

impl Default for ListJson {
    fn default() -> Self {
        Self("[]".to_owned())
    }
}

impl Default for ObjectJson {
    fn default() -> Self {
        Self("{}".to_owned())
    }
}

impl<'de> Deserialize<'de> for ListJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut json = "[".to_owned();
        deserializer.deserialize_any(ListVisitor(PhantomData, |any: Option<Any<'de>>| {
            if !any_value::is_full(&json) {
                json.push_str(if json.len() > 1 { "," } else { "" });
                any.unwrap_or_default().write(&mut json);
            }
            true
        }))?;
        json.push(']');
        Ok(Self(json))
    }
}

impl<'de> Deserialize<'de> for ObjectJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Object::default();
        deserializer.deserialize_any(ListVisitor(PhantomData, |pair: Option<KeyValue<'de>>| {
            if !object.is_full() {
                let KeyValue { key: Text(key), value } = pair.unwrap_or_default();
                let mut json = String::new();
                value.unwrap_or_default().write(&mut json);
                object.push(key.into_owned(), json);
            }
            true
        }))?;
        let mut json = String::new();
        object.write(&mut json);
        Ok(Self(json))
    }
}
