//! Typed metrics: increments and observations that the table adds up.

use super::labels::LabelSet;
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
    Histogram {
        layout: Layout,
        observations: Vec<Observation>,
    },
    Summary {
        /// From 0 to 1, at most [`crate::limits::MAX_TYPED_QUANTILES`].
        quantiles: Vec<f64>,
        observations: Vec<Observation>,
    },
}

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
