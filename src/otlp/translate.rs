//! Data points to samples.

use super::histogram::{HistogramError, native};
use super::labels::{Context, excerpt, target_info};
use super::message::{Kind, Metric, Number, Point, Resource, Scope, Temporality, Visitor};
use super::names::{metric_name, unit_name};
use crate::limits::MAX_TARGET_INFO_SAMPLES;
use crate::model::{
    Label, LabelName, LabelSet, MetricName, MetricType, NameError, NativeHistogram, Reason, Rejection, Timestamp, Value,
};
use std::borrow::Cow;
use std::fmt;

const NANOSECONDS_PER_MS: u64 = 1_000_000;

/// Between two samples of `target_info`: half of the five minutes that a query looks back.
const TARGET_INFO_STEP: u64 = 150_000 * NANOSECONDS_PER_MS;

const TARGET_INFO: &str = "target_info";

/// The settings of a translation.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'r> {
    /// Attributes of the resource that become labels of its series.
    pub promoted: &'r [Promoted],
    /// The scope's name, version, schema and attributes become labels.
    pub scope_labels: bool,
    /// They count when labels are counted, and are not added.
    pub external: &'r LabelSet<'static>,
    /// The time of a data point without one.
    pub now: Timestamp,
}

/// An attribute of the resource that becomes a label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promoted {
    pub(super) key: String,
    pub(super) name: LabelName<'static>,
}

/// A part of a request that has samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Item {
    Point,
    /// The `target_info` of a resource, behind its data points.
    TargetInfo,
}

/// The metadata of a family.
#[derive(Clone, PartialEq, Debug)]
pub struct Family<'a> {
    pub name: MetricName<'a>,
    pub metric_type: MetricType,
    pub help: Cow<'a, str>,
    pub unit: String,
}

/// Takes the translation of a request, in its order.
pub trait Sink<'a> {
    /// Begins an item. If it is not wanted, neither samples nor a rejection of it follow.
    fn begin(&mut self, item: Item) -> bool;
    /// Gives the family of the samples that follow, if it is another one than before.
    fn family(&mut self, family: &Family<'a>);
    fn number(&mut self, name: &MetricName<'a>, labels: LabelSet<'a>, time: Timestamp, value: Value);
    fn histogram(&mut self, name: &MetricName<'a>, labels: LabelSet<'a>, time: Timestamp, value: NativeHistogram);
    /// The item has no samples for this reason.
    fn reject(&mut self, rejection: Rejection);
}

/// The visitor that translates a request.
#[derive(Debug)]
pub struct Translator<'a, 'r, S> {
    rules: Rules<'r>,
    sink: S,
    resource: Resource<'a>,
    of_resource: Context<'a>,
    of_scope: Context<'a>,
    metric: Current<'a>,
    /// The earliest and the latest time of the resource's data points, in nanoseconds.
    times: Option<(u64, u64)>,
}

/// The metric whose data points come.
#[derive(Debug)]
struct Current<'a> {
    /// Its name in the request, for sentences.
    name: Cow<'a, str>,
    kind: Kind,
    /// The same for each of its data points: why there are no samples.
    names: Result<Names<'a>, Rejection>,
    family: Option<Family<'a>>,
}

/// The names of the series of a family.
#[derive(Clone, Debug)]
struct Names<'a> {
    bare: MetricName<'a>,
    sum: MetricName<'a>,
    count: MetricName<'a>,
    bucket: MetricName<'a>,
}

impl Promoted {
    /// Returns `None` if the attribute can be no label, or has no letter or digit: that is a mistake.
    pub fn new(key: &str) -> Option<Self> {
        if !key.contains(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        let name = super::names::label_name(Cow::Borrowed(key))?;
        let name = LabelName::as_is(name).ok()?.into_owned();
        Some(Self { key: key.to_owned(), name })
    }
}

impl<'a, 'r, S: Sink<'a>> Translator<'a, 'r, S> {
    pub fn new(rules: Rules<'r>, sink: S) -> Self {
        let metric = Current { name: Cow::Borrowed(""), kind: Kind::None, names: Err(no_data()), family: None };
        Self {
            rules,
            sink,
            resource: Resource::default(),
            of_resource: Context::default(),
            of_scope: Context::default(),
            metric,
            times: None,
        }
    }

    pub fn into_sink(self) -> S {
        self.sink
    }

    fn samples(&mut self, point: &mut Point<'a>, time: Timestamp) -> Result<(), Rejection> {
        let Self { sink, metric: Current { names, kind, family, .. }, .. } = self;
        let names = names.as_ref().map_err(Clone::clone)?;
        let more = usize::from(matches!(kind, Kind::Histogram(_) | Kind::Summary));
        let labels = self.of_scope.labels(&mut point.attributes, &self.rules, more)?;
        let value = match kind {
            Kind::Gauge | Kind::Sum { .. } => OfPoint::Number(number(point)?),
            Kind::ExponentialHistogram(_) => {
                let rejected = |error: HistogramError| Rejection::new(Reason::InvalidValue, error.to_string());
                OfPoint::Histogram(native(point).map_err(rejected)?)
            }
            _ => OfPoint::Series,
        };
        if let Some(family) = family.take() {
            sink.family(&family);
        }
        let series = Series { names, time, is_stale: point.no_recorded_value };
        match value {
            OfPoint::Number(value) => sink.number(&names.bare, labels, time, value),
            OfPoint::Histogram(histogram) => sink.histogram(&names.bare, labels, time, histogram),
            OfPoint::Series if matches!(kind, Kind::Summary) => series.summary(point, &labels, sink),
            OfPoint::Series => series.histogram(point, &labels, sink),
        }
        Ok(())
    }
}

/// The value of a data point, if it can be none.
enum OfPoint {
    Number(Value),
    Histogram(NativeHistogram),
    /// Each number of it becomes a series.
    Series,
}

fn number(point: &Point<'_>) -> Result<Value, Rejection> {
    match point.number {
        _ if point.no_recorded_value => Ok(Value::StaleMarker),
        Some(Number::Integer(integer)) => Ok(Value::Integer(integer)),
        Some(Number::Float(float)) => Ok(Value::Float(float)),
        None => Err(Rejection::new(Reason::InvalidValue, "a data point has no value")),
    }
}

impl<'a, S: Sink<'a>> Visitor<'a> for Translator<'a, '_, S> {
    fn resource(&mut self, resource: Resource<'a>) {
        self.of_resource = Context::of_resource(&resource, self.rules.promoted);
        self.resource = resource;
        self.times = None;
    }

    fn scope(&mut self, scope: Scope<'a>) {
        self.of_scope =
            if self.rules.scope_labels { self.of_resource.with_scope(&scope) } else { self.of_resource.clone() };
    }

    fn metric(&mut self, metric: Metric<'a>) {
        let names = temporality(metric.kind).and_then(|()| Names::new(&metric));
        let family = names.as_ref().ok().map(|names| Family {
            name: names.bare.clone(),
            metric_type: metric_type(metric.kind),
            help: metric.description,
            unit: unit_name(&metric.unit),
        });
        self.metric = Current { name: metric.name, kind: metric.kind, names, family };
    }

    fn point(&mut self, point: &mut Point<'a>) {
        let time = if point.time == 0 { nanoseconds(self.rules.now) } else { point.time };
        let (earliest, latest) = self.times.unwrap_or((time, time));
        self.times = Some((earliest.min(time), latest.max(time)));
        if !self.sink.begin(Item::Point) {
            return;
        }
        if let Err(Rejection { reason, detail }) = self.samples(point, timestamp(time)) {
            let detail = format!("metric {}: {detail}", excerpt(&self.metric.name));
            self.sink.reject(Rejection::new(reason, detail));
        }
    }

    fn end_of_resource(&mut self) {
        let Some((earliest, latest)) = self.times.take() else { return };
        let Some(labels) = target_info(&self.resource, &self.rules) else { return };
        let Ok(name) = MetricName::classic(TARGET_INFO) else { return };
        if !self.sink.begin(Item::TargetInfo) {
            return;
        }
        let help = Cow::Borrowed("Target metadata");
        let unit = String::new();
        self.sink.family(&Family { name: name.clone(), metric_type: MetricType::Gauge, help, unit });
        let steps = (latest - earliest).div_ceil(TARGET_INFO_STEP);
        for step in steps.saturating_sub(MAX_TARGET_INFO_SAMPLES - 1)..steps {
            let time = timestamp(earliest + step * TARGET_INFO_STEP);
            self.sink.number(&name, labels.clone(), time, Value::Integer(1));
        }
        self.sink.number(&name, labels, timestamp(latest), Value::Integer(1));
    }
}

/// The series of one data point.
#[derive(Clone, Copy)]
struct Series<'m, 'a> {
    names: &'m Names<'a>,
    time: Timestamp,
    is_stale: bool,
}

impl<'a> Series<'_, 'a> {
    /// Writes `_sum`, if there is one, `_count` and the buckets. The bucket of +Inf has the count.
    fn histogram(self, point: &Point<'_>, labels: &LabelSet<'a>, sink: &mut impl Sink<'a>) {
        let Names { sum: sum_name, count: count_name, bucket, .. } = self.names;
        if let Some(sum) = point.sum {
            self.number(sum_name, labels.clone(), Value::Float(sum), sink);
        }
        self.number(count_name, labels.clone(), count(point.count), sink);
        let mut below = 0_u64;
        for (&bound, &counted) in point.bounds.iter().zip(&point.counts) {
            below = below.wrapping_add(counted);
            if bound != f64::INFINITY {
                self.number(bucket, with(labels, "le", bound), count(below), sink);
            }
        }
        self.number(bucket, with(labels, "le", f64::INFINITY), count(point.count), sink);
    }

    fn summary(self, point: &Point<'_>, labels: &LabelSet<'a>, sink: &mut impl Sink<'a>) {
        let Names { sum: sum_name, count: count_name, bare, .. } = self.names;
        self.number(sum_name, labels.clone(), Value::Float(point.sum.unwrap_or_default()), sink);
        self.number(count_name, labels.clone(), count(point.count), sink);
        for &(quantile, value) in &point.quantiles {
            self.number(bare, with(labels, "quantile", quantile), Value::Float(value), sink);
        }
    }

    fn number(self, name: &MetricName<'a>, labels: LabelSet<'a>, value: Value, sink: &mut impl Sink<'a>) {
        sink.number(name, labels, self.time, if self.is_stale { Value::StaleMarker } else { value });
    }
}

impl Names<'_> {
    /// Returns the names of the series, if the receiver takes all that the kind has.
    fn new(metric: &Metric<'_>) -> Result<Self, Rejection> {
        let Some(name) = metric_name(metric) else {
            return Err(Rejection::new(Reason::InvalidMetricName, NameError::OnlyUnderscores.to_string()));
        };
        let with = |suffix: &str| {
            MetricName::as_is(Cow::Owned(format!("{name}{suffix}")))
                .map_err(|error| Rejection::new(Reason::TooLarge, error.to_string()))
        };
        let bare = with("")?;
        Ok(match metric.kind {
            Kind::Histogram(_) => Self { sum: with("_sum")?, count: with("_count")?, bucket: with("_bucket")?, bare },
            Kind::Summary => Self { sum: with("_sum")?, count: with("_count")?, bucket: bare.clone(), bare },
            _ => Self { sum: bare.clone(), count: bare.clone(), bucket: bare.clone(), bare },
        })
    }
}

/// Rejects what has no place among cumulative series.
fn temporality(kind: Kind) -> Result<(), Rejection> {
    let temporality = match kind {
        Kind::None => return Err(no_data()),
        Kind::Gauge | Kind::Summary => return Ok(()),
        Kind::Sum { temporality, .. } | Kind::Histogram(temporality) | Kind::ExponentialHistogram(temporality) => {
            temporality
        }
    };
    let detail = match temporality {
        Temporality::Cumulative => return Ok(()),
        Temporality::Delta => {
            "delta temporality needs the table (STATE_TABLE); set the SDK to cumulative, with \
             OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"
        }
        Temporality::Unspecified => "the aggregation temporality is not set; expected cumulative",
    };
    Err(Rejection::new(Reason::InvalidEvent, detail))
}

fn no_data() -> Rejection {
    Rejection::new(Reason::InvalidEvent, "the metric has no data")
}

fn metric_type(kind: Kind) -> MetricType {
    match kind {
        Kind::None => MetricType::Unknown,
        Kind::Sum { is_monotonic: true, .. } => MetricType::Counter,
        Kind::Gauge | Kind::Sum { .. } => MetricType::Gauge,
        Kind::Histogram(_) | Kind::ExponentialHistogram(_) => MetricType::Histogram,
        Kind::Summary => MetricType::Summary,
    }
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.0).unwrap_or_default().saturating_mul(NANOSECONDS_PER_MS)
}

/// Returns the millisecond that has begun.
fn timestamp(nanoseconds: u64) -> Timestamp {
    Timestamp((nanoseconds / NANOSECONDS_PER_MS).cast_signed())
}

#[expect(clippy::cast_precision_loss, reason = "above 2^63 the nearest double is what Prometheus stores")]
fn count(count: u64) -> Value {
    i64::try_from(count).map_or(Value::Float(count as f64), Value::Integer)
}

/// Returns `labels` with a bound or a quantile, as Go's `strconv.FormatFloat(x, 'f', -1, 64)` writes it.
fn with<'a>(labels: &LabelSet<'a>, name: &'static str, number: f64) -> LabelSet<'a> {
    let value = if number.is_infinite() {
        Cow::Borrowed(if number > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        Cow::Owned(number.to_string())
    };
    match LabelName::classic(name) {
        Ok(name) => labels.with(Label { name, value }),
        Err(_) => labels.clone(),
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Point => "data point",
            Self::TargetInfo => TARGET_INFO,
        })
    }
}
