//! The table of samples: the labels of each series, and its samples in order.

use crate::model::{BOUND_LABEL, ItemId, Label, MetricName, NativeHistogram, Timestamp, Value};
use std::cmp::Ordering;
use std::fmt;

/// One sample of one item, in 32 bytes: a payload of 6 MB can hold 400,000 of them.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub timestamp: Timestamp,
    pub series: SeriesId,
    pub item: ItemId,
    kind: Kind,
    /// The integer, the bits of the double, or the position of the histogram.
    bits: u64,
}

/// How the bits of a sample are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Integer,
    Float,
    StaleMarker,
    Histogram,
}

/// The value of a sample: a number, or a histogram of the table.
#[derive(Clone, Copy, Debug)]
pub enum SampleValue<'t> {
    Number(Value),
    Histogram(&'t NativeHistogram),
}

/// The number of a label set and of a metric name. There can be as many series as samples, but there are few names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SeriesId {
    pub(super) labels: u32,
    pub(super) name: u32,
}

/// All samples of an invocation, by labels, name (both in the order of their first appearance) and time.
#[derive(Default, Debug)]
pub struct SampleTable<'a> {
    /// The labels of all label sets, one set after another.
    pub(super) labels: Vec<Label<'a>>,
    /// Labels of every label set that has no other value for their names. They are kept once, because ten external
    /// labels would take more memory than everything else.
    pub(super) common: &'a [Label<'a>],
    pub(super) label_sets: Vec<LabelsEntry>,
    pub(super) names: Vec<MetricName<'a>>,
    pub(super) samples: Vec<Sample>,
    /// In the order in which they came. None of them is removed with its sample.
    pub(super) histograms: Vec<NativeHistogram>,
}

/// The place of a label set's own labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct LabelsEntry {
    /// The end of the own labels in [`SampleTable::labels`]. They begin at the end of the set before.
    pub(super) end: u32,
    /// The number of the set that has all labels but `le`, for a set with that label: its own label is `le` alone. The buckets of a
    /// histogram differ in nothing else. It is the set's own number for any other set.
    pub(super) without_bound: u32,
}

/// The labels of a series.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'t, 'a> {
    /// Without `le`.
    own: &'t [Label<'a>],
    bound: Option<&'t Label<'a>>,
    common: &'t [Label<'a>],
}

impl<'t, 'a> Labels<'t, 'a> {
    /// Returns all labels, in the bytewise order of their names.
    pub fn iter(self) -> impl Iterator<Item = &'t Label<'a>> {
        let is_before = |label: &&Label<'_>| label.name.as_str() < BOUND_LABEL;
        let before = self.without_bound().take_while(is_before);
        before.chain(self.bound()).chain(self.without_bound().skip_while(is_before))
    }

    /// Returns the label `le`.
    pub fn bound(self) -> Option<&'t Label<'a>> {
        let common = || self.common.iter().find(|label| label.name.as_str() == BOUND_LABEL);
        self.bound.or_else(common)
    }

    /// Returns all labels but `le`, in the bytewise order of their names.
    pub fn without_bound(self) -> impl Iterator<Item = &'t Label<'a>> {
        let common = self.common.iter().filter(|label| label.name.as_str() != BOUND_LABEL);
        let (mut own, mut common) = (self.own.iter().peekable(), common.peekable());
        std::iter::from_fn(move || {
            let order = match (own.peek(), common.peek()) {
                (Some(own), Some(common)) => own.name.cmp(&common.name),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            if order == Ordering::Equal {
                common.next();
            }
            if order == Ordering::Greater { common.next() } else { own.next() }
        })
    }

    /// Returns the labels without `le` if they are in one piece, that is, if there are no labels that label sets share.
    pub fn as_slice(self) -> Option<&'t [Label<'a>]> {
        self.common.is_empty().then_some(self.own)
    }

    /// Reports whether these are labels of the same table that differ in `le` at most.
    pub fn differ_in_bound(self, other: Self) -> bool {
        std::ptr::eq(self.own, other.own) && std::ptr::eq(self.common, other.common)
    }
}

impl<'t, 'a> From<&'t [Label<'a>]> for Labels<'t, 'a> {
    fn from(own: &'t [Label<'a>]) -> Self {
        Self { own, bound: None, common: &[] }
    }
}

impl Sample {
    pub(super) fn new(timestamp: Timestamp, value: Value, series: SeriesId, item: ItemId) -> Self {
        let (kind, bits) = match value {
            Value::Integer(integer) => (Kind::Integer, integer.cast_unsigned()),
            Value::Float(float) => (Kind::Float, float.to_bits()),
            Value::StaleMarker => (Kind::StaleMarker, 0),
        };
        Self { timestamp, series, item, kind, bits }
    }

    /// `index` is the position of the histogram in the table.
    pub(super) fn of_histogram(timestamp: Timestamp, index: u32, series: SeriesId, item: ItemId) -> Self {
        Self { timestamp, series, item, kind: Kind::Histogram, bits: u64::from(index) }
    }

    /// Returns the number; `None` if the sample is a histogram.
    pub fn number(&self) -> Option<Value> {
        match self.kind {
            Kind::Integer => Some(Value::Integer(self.bits.cast_signed())),
            Kind::Float => Some(Value::Float(f64::from_bits(self.bits))),
            Kind::StaleMarker => Some(Value::StaleMarker),
            Kind::Histogram => None,
        }
    }

    pub fn is_histogram(&self) -> bool {
        self.kind == Kind::Histogram
    }

    /// Reports whether the two are the same sample. Samples of one table that differ in value alone do not exist.
    pub fn is_same_sample(&self, other: &Self) -> bool {
        self.series == other.series && self.timestamp == other.timestamp
    }
}

impl<'a> SampleTable<'a> {
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Reports whether a sample may be a histogram. If not, nobody needs to ask each one.
    pub fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    /// Returns the value of a sample of this table.
    ///
    /// # Panics
    /// If `sample` is not of this table.
    pub fn value(&self, sample: &Sample) -> SampleValue<'_> {
        match sample.number() {
            Some(number) => SampleValue::Number(number),
            None => SampleValue::Histogram(self.histogram(sample)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the position was a u32")]
    fn histogram(&self, sample: &Sample) -> &NativeHistogram {
        &self.histograms[sample.bits as usize]
    }

    /// Returns the name and the labels of a series of this table.
    ///
    /// # Panics
    /// If `series` is not of this table.
    pub fn series(&self, series: SeriesId) -> (&MetricName<'a>, Labels<'_, 'a>) {
        let own = self.own_labels(series.labels);
        let (own, bound) = match self.without_bound(series.labels) {
            Some(number) => (self.own_labels(number), own.first()),
            None => (own, None),
        };
        (&self.names[series.name as usize], Labels { own, bound, common: self.common })
    }

    /// Returns the labels of a set without the common ones; of a set with `le` this label alone.
    pub(super) fn own_labels(&self, number: u32) -> &[Label<'a>] {
        let end = |number: u32| self.label_sets[number as usize].end as usize;
        &self.labels[number.checked_sub(1).map_or(0, end)..end(number)]
    }

    /// Returns the number of the set that has all labels but `le`.
    pub(super) fn without_bound(&self, number: u32) -> Option<u32> {
        Some(self.label_sets[number as usize].without_bound).filter(|other| *other != number)
    }
}

impl SampleValue<'_> {
    /// Reports whether the receiver would get the same value.
    pub fn is_same(self, other: SampleValue<'_>) -> bool {
        match (self, other) {
            (Self::Number(a), SampleValue::Number(b)) => a.wire_bits() == b.wire_bits(),
            (Self::Histogram(a), SampleValue::Histogram(b)) => a.is_same(b),
            _ => false,
        }
    }
}

impl fmt::Display for SampleValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(value) => value.fmt(f),
            Self::Histogram(_) => f.write_str("a native histogram"),
        }
    }
}
