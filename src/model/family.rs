//! Metric families with their series, as a scrape shows them.

use super::labels::LabelSet;
use super::metric_type::MetricType;
use super::names::MetricName;
use super::native_histogram::NativeHistogram;
use std::borrow::Cow;

/// A metric family. Its name is that of its metadata. For a counter of OpenMetrics it is `http_requests`, without `_total`.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricFamily<'a> {
    pub name: MetricName<'a>,
    pub metric_type: MetricType,
    pub help: Option<Cow<'a, str>>,
    pub unit: Option<Cow<'a, str>>,
    pub series: Vec<FamilySeries<'a>>,
}

/// A series of a family, and its value without a time.
#[derive(Clone, PartialEq, Debug)]
pub struct FamilySeries<'a> {
    /// The full name, such as `http_requests_total` or `latency_bucket`.
    pub name: MetricName<'a>,
    pub labels: LabelSet<'a>,
    pub value: FamilyValue,
}

#[derive(Clone, PartialEq, Debug)]
pub enum FamilyValue {
    Float(f64),
    Histogram(Box<NativeHistogram>),
}

impl FamilySeries<'_> {
    /// Reports whether both are the same series, whatever their values.
    pub fn is_same_series(&self, other: &FamilySeries<'_>) -> bool {
        self.name == other.name && self.labels == other.labels
    }
}

impl FamilyValue {
    pub fn is_histogram(&self) -> bool {
        matches!(self, Self::Histogram(_))
    }

    /// Reports whether both are the same to the bit: NaN equals NaN.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a.is_same(b),
            _ => false,
        }
    }
}
