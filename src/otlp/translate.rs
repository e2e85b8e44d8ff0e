//! Translates data points to samples.

use super::histogram::{HistogramError, native};
use super::increment::{self, DeltaRules, Increment};
use super::labels::{Context, LabelNames, target_info};
use super::message::{Kind, Metric, Number, Point, Resource, Scope, Temporality, Visitor};
use super::names::unit_name;
use super::series::{BoundTexts, Names, Series};
use super::stream::{self, StreamHash};
use super::texts::Texts;
use crate::limits::MAX_TARGET_INFO_SAMPLES;
use crate::model::{
    BOUND_LABEL, LabelName, LabelSet, MetricName, MetricType, NativeHistogram, Reason, Rejection, Timestamp, Value,
    excerpt,
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
    /// There is a table for data points with delta temporality.
    pub deltas: Option<DeltaRules>,
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
    /// The `target_info` of a resource, after its data points.
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
    /// Gives the family of the next samples, if it differs from the one before.
    fn family(&mut self, family: &Family<'a>);
    /// Gives the labels of the samples that follow.
    fn labels(&mut self, labels: LabelSet<'a>);
    /// Gives a sample. `bound` is the value of its label `le`, which is not among the given labels then.
    fn number(&mut self, name: &MetricName<'a>, bound: Option<&str>, time: Timestamp, value: Value);
    fn histogram(&mut self, name: &MetricName<'a>, time: Timestamp, value: NativeHistogram);
    /// Gives a change of a typed series. The item has nothing else.
    fn increment(&mut self, increment: Increment<'_, 'a>) -> Result<(), Rejection>;
    /// The item has no samples for this reason.
    fn reject(&mut self, rejection: Rejection);
}

/// The visitor that translates a request.
#[derive(Debug)]
pub struct Translator<'a, 'r, S> {
    rules: Rules<'r>,
    sink: S,
    label_names: LabelNames<'a>,
    bound_texts: BoundTexts,
    resource: Resource<'a>,
    of_resource: Context<'a>,
    of_scope: Context<'a>,
    /// The hash of the scope, if deltas are taken.
    scope_hash: StreamHash,
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
    /// The names of its samples, or the reason why its data points have none.
    names: Result<Names<'a>, Rejection>,
    /// Samples of it have not been given yet.
    family: Option<Family<'a>>,
    /// The metric has delta temporality, and the table takes it.
    delta: Option<Delta<'a>>,
}

/// All increments of a metric share it.
#[derive(Debug)]
struct Delta<'a> {
    rules: DeltaRules,
    stream: StreamHash,
    help: Cow<'a, str>,
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
    /// `texts` holds what is made for the samples.
    pub fn new(rules: Rules<'r>, texts: &'a Texts, sink: S) -> Self {
        let metric =
            Current { name: Cow::Borrowed(""), kind: Kind::None, names: Err(no_data()), family: None, delta: None };
        Self {
            rules,
            sink,
            label_names: LabelNames::new(texts),
            bound_texts: BoundTexts::default(),
            resource: Resource::default(),
            of_resource: Context::default(),
            of_scope: Context::default(),
            scope_hash: StreamHash::default(),
            metric,
            times: None,
        }
    }

    pub fn into_sink(self) -> S {
        self.sink
    }

    fn samples(&mut self, point: &mut Point<'a>, time: Timestamp) -> Result<(), Rejection> {
        if self.metric.delta.is_some() {
            return self.increment(point, time);
        }
        let Self { sink, label_names, bound_texts, metric: Current { names, kind, family, .. }, .. } = self;
        let names = names.as_ref().map_err(Clone::clone)?;
        let more = usize::from(matches!(kind, Kind::Histogram(_) | Kind::Summary));
        let labels = self.of_scope.labels(label_names, &mut point.attributes, &self.rules, more)?;
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
            OfPoint::Number(value) => {
                sink.labels(labels);
                sink.number(&names.bare, None, time, value);
            }
            OfPoint::Histogram(histogram) => {
                sink.labels(labels);
                sink.histogram(&names.bare, time, histogram);
            }
            OfPoint::Series if matches!(kind, Kind::Summary) => series.summary(point, &labels, sink),
            OfPoint::Series => series.histogram(point, labels, bound_texts, sink),
        }
        Ok(())
    }
}

impl<'a, S: Sink<'a>> Translator<'a, '_, S> {
    fn increment(&mut self, point: &mut Point<'a>, time: Timestamp) -> Result<(), Rejection> {
        let Self { sink, label_names, rules, of_scope, metric: Current { names, kind, delta, .. }, .. } = self;
        let Some(Delta { rules: delta_rules, stream, help }) = delta else { return Ok(()) };
        let names = names.as_ref().map_err(Clone::clone)?;
        delta_rules.check(time, rules.now)?;
        let update = increment::update(*kind, point)?;
        let is_histogram = !matches!(kind, Kind::Sum { .. });
        let labels = of_scope.labels(label_names, &mut point.attributes, rules, usize::from(is_histogram))?;
        if is_histogram && labels.get(BOUND_LABEL).is_some() {
            let detail = "the attribute le: the gateway sets this label of a histogram";
            return Err(Rejection::new(Reason::InvalidLabelName, detail));
        }
        let interval = Some((point.start, point.time)).filter(|(_, time)| *time > 0);
        sink.increment(Increment { name: &names.bare, labels, update, help, time, interval, stream })
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
        self.of_resource = Context::of_resource(&mut self.label_names, &resource, self.rules.promoted);
        self.resource = resource;
        self.times = None;
    }

    fn scope(&mut self, scope: Scope<'a>) {
        self.of_scope = if self.rules.scope_labels {
            self.of_resource.with_scope(&mut self.label_names, &scope)
        } else {
            self.of_resource.clone()
        };
        if self.rules.deltas.is_some() {
            self.scope_hash = stream::of_scope(&self.resource, &scope);
        }
    }

    fn metric(&mut self, metric: Metric<'a>) {
        let deltas = self.rules.deltas.filter(|_| metric.kind.temporality() == Some(Temporality::Delta));
        let names = match deltas {
            Some(_) => Ok(()),
            None => temporality(metric.kind),
        };
        let names = names.and_then(|()| Names::new(&metric));
        let Metric { name, description: help, unit, kind } = metric;
        let (mut family, mut delta) = (None, None);
        if let Some(rules) = deltas {
            delta = Some(Delta { rules, stream: stream::of_metric(&self.scope_hash, &name), help });
        } else if let Ok(names) = &names {
            let (metric_type, unit) = (metric_type(kind), unit_name(&unit));
            family = Some(Family { name: names.bare.clone(), metric_type, help, unit });
        }
        self.metric = Current { name, kind, names, family, delta };
    }

    fn point(&mut self, point: &mut Point<'a>) {
        let time = if point.time == 0 { nanoseconds(self.rules.now) } else { point.time };
        let (earliest, latest) = self.times.unwrap_or((time, time));
        self.times = Some((earliest.min(time), latest.max(time)));
        let changes_nothing = point.no_recorded_value && self.metric.delta.is_some();
        if changes_nothing || !self.sink.begin(Item::Point) {
            return;
        }
        if let Err(Rejection { reason, detail }) = self.samples(point, timestamp(time)) {
            let detail = format!("metric {}: {detail}", excerpt(&self.metric.name));
            self.sink.reject(Rejection::new(reason, detail));
        }
    }

    fn end_of_resource(&mut self) {
        let Some((earliest, latest)) = self.times.take() else { return };
        let Some(labels) = target_info(&mut self.label_names, &self.resource, &self.rules) else { return };
        let Ok(name) = MetricName::classic(TARGET_INFO) else { return };
        if !self.sink.begin(Item::TargetInfo) {
            return;
        }
        let help = Cow::Borrowed("Target metadata");
        let unit = String::new();
        self.sink.family(&Family { name: name.clone(), metric_type: MetricType::Gauge, help, unit });
        self.sink.labels(labels);
        let steps = (latest - earliest).div_ceil(TARGET_INFO_STEP);
        for step in steps.saturating_sub(MAX_TARGET_INFO_SAMPLES - 1)..steps {
            let time = timestamp(earliest + step * TARGET_INFO_STEP);
            self.sink.number(&name, None, time, Value::Integer(1));
        }
        self.sink.number(&name, None, timestamp(latest), Value::Integer(1));
    }
}

/// Rejects a metric without data, and one whose temporality is not cumulative.
fn temporality(kind: Kind) -> Result<(), Rejection> {
    if kind == Kind::None {
        return Err(no_data());
    }
    let (reason, detail) = match kind.temporality() {
        None | Some(Temporality::Cumulative) => return Ok(()),
        Some(Temporality::Delta) => (
            Reason::NeedsState,
            "delta temporality needs the table (STATE_TABLE); set the SDK to cumulative, with \
             OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
        ),
        Some(Temporality::Unspecified) => {
            (Reason::InvalidEvent, "the aggregation temporality is not set; expected cumulative")
        }
    };
    Err(Rejection::new(reason, detail))
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

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Point => "data point",
            Self::TargetInfo => TARGET_INFO,
        })
    }
}
