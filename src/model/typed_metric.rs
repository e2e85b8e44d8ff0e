//! Typed metrics: increments and observations that the table adds up.

use super::labels::LabelSet;
use super::metric_type::MetricType;
use super::names::MetricName;
use super::sample::{Timestamp, Value};
use std::borrow::Cow;

/// One change of one typed series.
#[derive(Clone, Debug)]
pub struct TypedMetric<'a> {
    /// The name of the family, translated. Suffixes such as `_bucket` are not part of it.
    pub name: MetricName<'a>,
    /// The labels of the event and the external labels; never `le` in a histogram or `quantile` in a summary.
    pub labels: LabelSet<'a>,
    pub update: Update,
    /// At most [`crate::limits::MAX_METADATA_BYTES`].
    pub help: Option<Cow<'a, str>>,
    /// The event's own time, else the sent time of its message, else the start of the invocation.
    pub time: Timestamp,
    /// The producer's text that makes a repetition recognisable.
    pub id: Option<Cow<'a, str>>,
}

/// How a series changes. The parser has checked it: every number is finite.
#[derive(Clone, Debug)]
pub enum Update {
    /// The increment, at least 0.
    Counter(Value),
    /// The new value.
    Gauge(Value),
    /// Adds to a gauge, or takes away. No event is one, and data points of OTLP are.
    GaugeIncrement(Value),
    Histogram {
        layout: Layout,
        observations: Vec<Observation>,
    },
    Summary {
        /// From 0 to 1, at most [`crate::limits::MAX_TYPED_QUANTILES`].
        quantiles: Vec<f64>,
        observations: Vec<Observation>,
    },
    /// New observations of a classic histogram, counted by the sender.
    ClassicCounts(ClassicCounts),
    /// New observations of a native histogram, counted by the sender.
    NativeCounts(NativeCounts),
}

/// New observations in each bucket of a classic histogram.
#[derive(Clone, PartialEq, Debug)]
pub struct ClassicCounts {
    /// As those of [`Layout::Classic`].
    pub bounds: Vec<f64>,
    /// A count for each bound, and one for the values above. They are not cumulative. Their sum is at most `i64::MAX`.
    pub counts: Vec<u64>,
    /// `None` if the sender does not tell it.
    pub sum: Option<f64>,
}

/// New observations in each bucket of a native histogram.
#[derive(Clone, PartialEq, Debug)]
pub struct NativeCounts {
    /// From -4 to 8.
    pub schema: i8,
    /// The count of the zero bucket.
    pub zero: u64,
    pub positive: Vec<KeyCount>,
    pub negative: Vec<KeyCount>,
    pub sum: f64,
}

/// The key of an exponential bucket, and its count, which is not 0. With the schema `s`, bucket `k` holds values above `2^((k-1)/2^s)`, up
/// to and including `2^(k/2^s)`. In a list the keys ascend.
pub type KeyCount = (i32, u64);

/// The buckets of a histogram.
#[derive(Clone, PartialEq, Debug)]
pub enum Layout {
    /// Upper bounds: finite, strictly ascending, at most [`crate::limits::MAX_TYPED_BUCKETS`], without `+Inf`.
    Classic(Vec<f64>),
    /// Exponential buckets: <https://prometheus.io/docs/specs/native_histograms/>.
    Native,
}

/// A value that was measured `count` times.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Observation {
    pub value: f64,
    /// At least 1.
    pub count: u64,
}

impl Update {
    /// Returns the type of a series that begins with this update.
    pub fn metric_type(&self) -> MetricType {
        match self {
            Self::Counter(_) => MetricType::Counter,
            Self::Gauge(_) | Self::GaugeIncrement(_) => MetricType::Gauge,
            Self::Histogram { .. } | Self::ClassicCounts(_) | Self::NativeCounts(_) => MetricType::Histogram,
            Self::Summary { .. } => MetricType::Summary,
        }
    }
}

impl TypedMetric<'_> {
    pub fn into_owned(self) -> TypedMetric<'static> {
        TypedMetric {
            name: self.name.into_owned(),
            labels: self.labels.into_owned(),
            update: self.update,
            help: self.help.map(|help| Cow::Owned(help.into_owned())),
            time: self.time,
            id: self.id.map(|id| Cow::Owned(id.into_owned())),
        }
    }
}
