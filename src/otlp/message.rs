//! The parts of a request that the readers give to a visitor. Texts borrow from the body if possible.

use std::borrow::Cow;

/// Takes the parts of a request: a resource before its scopes, a scope before its metrics, a metric before its data points.
pub trait Visitor<'a> {
    fn resource(&mut self, resource: Resource<'a>);
    fn scope(&mut self, scope: Scope<'a>);
    fn metric(&mut self, metric: Metric<'a>);
    /// The visitor may take the vectors.
    fn point(&mut self, point: &mut Point<'a>);
    /// All data points of the resource are given.
    fn end_of_resource(&mut self);
}

/// The key and the value of an attribute. A value that is no text is written as Prometheus writes it.
pub type Attribute<'a> = (Cow<'a, str>, Cow<'a, str>);

#[derive(Clone, Default, PartialEq, Debug)]
pub struct Resource<'a> {
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Default, PartialEq, Debug)]
pub struct Scope<'a> {
    pub name: Cow<'a, str>,
    pub version: Cow<'a, str>,
    /// The URL of the list of metrics, not of the scope alone.
    pub schema_url: Cow<'a, str>,
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Default, PartialEq, Debug)]
pub struct Metric<'a> {
    pub name: Cow<'a, str>,
    pub description: Cow<'a, str>,
    pub unit: Cow<'a, str>,
    pub kind: Kind,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The metric has no data.
    #[default]
    None,
    Gauge,
    Sum {
        temporality: Temporality,
        is_monotonic: bool,
    },
    Histogram(Temporality),
    ExponentialHistogram(Temporality),
    Summary,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Temporality {
    /// Or a number that nobody knows.
    #[default]
    Unspecified,
    Delta,
    Cumulative,
}

/// A data point of any kind of metric. The fields that its kind does not have are empty.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Point<'a> {
    pub attributes: Vec<Attribute<'a>>,
    /// Nanoseconds since 1970; 0 is none.
    pub start: u64,
    pub time: u64,
    /// The series has no more values.
    pub no_recorded_value: bool,
    /// The value of a gauge or a sum.
    pub number: Option<Number>,
    /// Histograms and summaries have it, as the sum.
    pub count: u64,
    pub sum: Option<f64>,
    /// A histogram has upper bounds, and the counts of their buckets and of the one above.
    pub bounds: Vec<f64>,
    pub counts: Vec<u64>,
    /// An exponential histogram has it, as the rest up to `quantiles`.
    pub scale: i32,
    pub zero_count: u64,
    pub positive: Buckets,
    pub negative: Buckets,
    /// A summary has quantiles, each with its value.
    pub quantiles: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    Integer(i64),
    Float(f64),
}

/// Buckets of an exponential histogram that follow each other.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Buckets {
    /// The index of the first one.
    pub offset: i32,
    pub counts: Vec<u64>,
}

impl Temporality {
    pub(super) fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }
}

impl Kind {
    /// Returns `None` for a kind that has none.
    pub(super) fn temporality(self) -> Option<Temporality> {
        match self {
            Self::None | Self::Gauge | Self::Summary => None,
            Self::Sum { temporality, .. } | Self::Histogram(temporality) | Self::ExponentialHistogram(temporality) => {
                Some(temporality)
            }
        }
    }
}

impl Point<'_> {
    /// The bit of `flags` that says that there is no value.
    pub(super) const NO_RECORDED_VALUE: u32 = 1;

    /// Empties it, and keeps its memory.
    pub(super) fn clear(&mut self) {
        let Self { attributes, bounds, counts, positive, negative, quantiles, .. } = self;
        let emptied = |mut buckets: Buckets| {
            buckets.offset = 0;
            buckets.counts.clear();
            buckets
        };
        let (mut attributes, mut bounds) = (std::mem::take(attributes), std::mem::take(bounds));
        let (mut counts, mut quantiles) = (std::mem::take(counts), std::mem::take(quantiles));
        attributes.clear();
        bounds.clear();
        counts.clear();
        quantiles.clear();
        let (positive, negative) = (emptied(std::mem::take(positive)), emptied(std::mem::take(negative)));
        *self = Self { attributes, bounds, counts, positive, negative, quantiles, ..Self::default() };
    }
}
