//! Typed metrics in the journal, and the state that adds them up.
//!
//! * [`Identity`]: recognises the repetition of an event.
//! * [`journal`]: the items that an invocation appends, and their reader.
//! * [`SeriesKey`]: the name and the labels of a typed series, as bytes.
//! * [`Aggregate`]: the state of one series. It takes updates, and returns the samples that a scrape would show.
//! * [`TypedState`]: all series of a shard, and the dead letters that it owes. [`Fold`] adds journal items to it, each
//!   event once ([`Seen`]).
//! * [`head`]: the item of a shard. A tick commits by replacing it.
//!
//! Invariants of an [`Aggregate`]:
//!
//! * Its type never changes, nor does the layout of a histogram or a summary. The first update decides both.
//! * Integers add up exactly, in any order. This holds for counts, for integer increments, and for the buckets of every
//!   histogram. Sums of doubles differ by the rounding of each addition.
//! * No state holds a NaN or an infinity, except for a gauge that was set to it. A sum stops at the largest double, and
//!   a count at `i64::MAX`.
//! * Memory is bounded for each series: 200 classic bounds, 160 exponential buckets, five slots of 4,096 buckets in a summary.

mod codec;
mod conflict;
mod counter;
mod exponential;
mod exposed;
mod fold;
mod gauge;
pub mod head;
mod held;
mod histogram;
mod identity;
mod ids;
pub mod journal;
mod native;
mod number;
mod owed;
mod safeguard;
mod seen;
mod series_key;
mod snapshot;
mod state;
mod summary;
mod summary_window;

pub use counter::Counter;
pub use exponential::upper_bound as bucket_bound;
pub use exposed::{Bound, Exposed, ExposedValue};
pub use fold::{Fold, FoldRules, Folded};
pub use gauge::Gauge;
pub use held::Series;
pub use histogram::Histogram;
pub use identity::Identity;
pub use ids::{read_ids, write_ids};
pub use native::Native;
pub use owed::{MAX_ARRAY_BYTES, MAX_ARRAY_EVENTS, MAX_OWED, MAX_OWED_BYTES, OwedEvent, OwedReason};
pub use safeguard::Safeguard;
#[cfg(test)]
pub(crate) use safeguard::break_safeguard;
pub use seen::Seen;
pub use series_key::{SeriesKey, shard_of};
pub use snapshot::MAX_PART_BYTES;
pub use state::{EndedSeries, Family, TypedState, is_owed};
pub use summary::Summary;
pub use summary_window::SummaryWindow;

use crate::blob::BlobError;
use crate::model::{Layout, MetricType, Timestamp, Update};

// The first byte of an encoded aggregate. A form that an older version cannot read gets a new number.
const COUNTER: u8 = 1;
const GAUGE: u8 = 2;
const HISTOGRAM: u8 = 3;
const NATIVE: u8 = 4;
const SUMMARY: u8 = 5;
const GAUGE_SUM: u8 = 6;
const HISTOGRAM_WITHOUT_SUM: u8 = 7;
const FINE_NATIVE: u8 = 8;

/// The state of one typed series.
#[derive(Clone, PartialEq, Debug)]
pub enum Aggregate {
    Counter(Counter),
    Gauge(Gauge),
    /// A gauge that increments change. It has no value that an update sets.
    GaugeSum(Counter),
    Histogram(Box<Histogram>),
    Native(Box<Native>),
    Summary(Box<Summary>),
}

/// The effect of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Applied {
    Counted,
    /// The update came with other buckets. It was counted in those of the series.
    BucketConflict,
    /// The series has another type. Nothing was counted.
    TypeConflict,
}

impl Aggregate {
    /// Returns the empty state of a series that begins with `update`, which is not yet counted.
    pub fn new(update: &Update) -> Self {
        match update {
            Update::Counter(_) => Self::Counter(Counter::default()),
            Update::Gauge(_) => Self::Gauge(Gauge::default()),
            Update::GaugeIncrement(_) => Self::GaugeSum(Counter::default()),
            Update::Histogram { layout: Layout::Classic(bounds), .. } => {
                Self::Histogram(Box::new(Histogram::new(bounds)))
            }
            Update::Histogram { layout: Layout::Native, .. } => Self::Native(Box::default()),
            Update::Summary { quantiles, .. } => Self::Summary(Box::new(Summary::new(quantiles))),
            Update::ClassicCounts(counts) => Self::Histogram(Box::new(Histogram::of(counts))),
            Update::NativeCounts(counts) => Self::Native(Box::new(Native::of(counts))),
        }
    }

    pub fn metric_type(&self) -> MetricType {
        match self {
            Self::Counter(_) => MetricType::Counter,
            Self::Gauge(_) | Self::GaugeSum(_) => MetricType::Gauge,
            Self::Histogram(_) | Self::Native(_) => MetricType::Histogram,
            Self::Summary(_) => MetricType::Summary,
        }
    }

    /// Counts an update. `time` is that of the event and decides between values of a gauge. `fold_time` is the time of the tick
    /// that counts it and places the observations of a summary in `window`.
    pub fn apply(&mut self, update: &Update, time: Timestamp, fold_time: Timestamp, window: SummaryWindow) -> Applied {
        match (self, update) {
            (Self::Counter(counter), Update::Counter(increment)) => {
                counter.add(*increment);
                Applied::Counted
            }
            (Self::Gauge(gauge), Update::Gauge(value)) => {
                gauge.set(*value, time);
                Applied::Counted
            }
            (Self::GaugeSum(sum), Update::GaugeIncrement(increment)) => {
                sum.add(*increment);
                Applied::Counted
            }
            (Self::Histogram(histogram), Update::ClassicCounts(counts)) => histogram.count(counts),
            (Self::Native(native), Update::NativeCounts(counts)) => {
                native.count(counts);
                Applied::Counted
            }
            (own @ (Self::Histogram(_) | Self::Native(_)), Update::ClassicCounts(_) | Update::NativeCounts(_)) => {
                // Another layout.
                let mut other = Self::new(update);
                match other.apply(update, time, fold_time, window) {
                    Applied::Counted => own.merge(&other),
                    // Counts fit into a state that was made for them.
                    otherwise => otherwise,
                }
            }
            (Self::Histogram(histogram), Update::Histogram { layout, observations }) => {
                histogram.observe(observations);
                match layout {
                    Layout::Classic(bounds) if *histogram.bounds() == **bounds => Applied::Counted,
                    Layout::Classic(_) | Layout::Native => Applied::BucketConflict,
                }
            }
            (Self::Native(native), Update::Histogram { layout, observations }) => {
                native.observe(observations);
                match layout {
                    Layout::Native => Applied::Counted,
                    Layout::Classic(_) => Applied::BucketConflict,
                }
            }
            (Self::Summary(summary), Update::Summary { observations, .. }) => {
                summary.observe(observations, fold_time, window);
                Applied::Counted
            }
            _ => Applied::TypeConflict,
        }
    }

    /// Adds what `other`, a state of the same series, has counted. Both must have begun empty: nothing may be in both. The order in
    /// which states are merged changes no integer; of two gauges with equal times `other` wins. The layout stays that of this
    /// state; with a [`Applied::BucketConflict`] the buckets of `other` are counted as if each value were the upper
    /// bound.
    pub fn merge(&mut self, other: &Self) -> Applied {
        match (self, other) {
            (Self::Counter(counter), Self::Counter(other)) => {
                counter.merge(other);
                Applied::Counted
            }
            (Self::GaugeSum(sum), Self::GaugeSum(other)) => {
                sum.merge(other);
                Applied::Counted
            }
            (Self::Gauge(gauge), Self::Gauge(other)) => {
                gauge.merge(other);
                Applied::Counted
            }
            (Self::Histogram(histogram), Self::Histogram(other)) => histogram.merge(other),
            (Self::Native(native), Self::Native(other)) => {
                native.merge(other);
                Applied::Counted
            }
            (Self::Histogram(histogram), Self::Native(other)) => {
                other.for_each_bucket(|bound, count| histogram.add(bound, count));
                histogram.add_sum(other.sum());
                Applied::BucketConflict
            }
            (Self::Native(native), Self::Histogram(other)) => {
                // Values above the last bound have no upper bound. `histogram_quantile` takes the last one for them, too.
                let last = other.bounds().last().copied().unwrap_or(0.0);
                other.for_each_bucket(|bound, count| native.add(if bound.is_finite() { bound } else { last }, count));
                native.add_sum(other.sum());
                Applied::BucketConflict
            }
            (Self::Summary(summary), Self::Summary(other)) => {
                summary.merge(other);
                Applied::Counted
            }
            _ => Applied::TypeConflict,
        }
    }

    /// Gives `out` every sample that a scrape at the time `at` shows. Buckets come in ascending order and end in `+Inf`.
    pub fn expose(&self, at: Timestamp, window: SummaryWindow, out: &mut dyn FnMut(Exposed)) {
        match self {
            Self::Counter(sum) | Self::GaugeSum(sum) => out(Exposed::number("", sum.value())),
            Self::Gauge(gauge) => {
                if let Some(value) = gauge.value() {
                    out(Exposed::number("", value));
                }
            }
            Self::Histogram(histogram) => histogram.expose(out),
            Self::Native(native) => out(Exposed::histogram(native.to_histogram())),
            Self::Summary(summary) => summary.expose(at, window, out),
        }
    }

    /// Gives `out` the zeros before the first samples of a new series. Gauges and quantiles have none.
    pub fn expose_zero(&self, out: &mut dyn FnMut(Exposed)) {
        match self {
            Self::Counter(_) => out(Exposed::number("", Counter::default().value())),
            Self::Gauge(_) | Self::GaugeSum(_) => {}
            Self::Histogram(histogram) => histogram.to_empty().expose(out),
            Self::Native(native) => out(Exposed::histogram(native.to_empty().to_histogram())),
            Self::Summary(_) => Summary::new(&[]).expose_totals(out),
        }
    }

    /// Appends the state in a compact form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Counter(counter) => {
                out.push(COUNTER);
                counter.encode(out);
            }
            Self::Gauge(gauge) => {
                out.push(GAUGE);
                gauge.encode(out);
            }
            Self::GaugeSum(sum) => {
                out.push(GAUGE_SUM);
                sum.encode(out);
            }
            Self::Histogram(histogram) => {
                out.push(if histogram.has_sum() { HISTOGRAM } else { HISTOGRAM_WITHOUT_SUM });
                histogram.encode(out);
            }
            Self::Native(native) => {
                out.push(if native.is_fine() { FINE_NATIVE } else { NATIVE });
                native.encode(out);
            }
            Self::Summary(summary) => {
                out.push(SUMMARY);
                summary.encode(out);
            }
        }
    }

    /// Reads a state from the front of `input`, and leaves the rest there. After an error `input` is anywhere.
    pub fn decode(input: &mut &[u8]) -> Result<Self, BlobError> {
        match codec::take_u8(input)? {
            COUNTER => Counter::decode(input).map(Self::Counter),
            GAUGE => Gauge::decode(input).map(Self::Gauge),
            GAUGE_SUM => Counter::decode(input).map(Self::GaugeSum),
            kind @ (HISTOGRAM | HISTOGRAM_WITHOUT_SUM) => {
                Histogram::decode(input, kind == HISTOGRAM).map(Box::new).map(Self::Histogram)
            }
            kind @ (NATIVE | FINE_NATIVE) => Native::decode(input, kind == FINE_NATIVE).map(Box::new).map(Self::Native),
            SUMMARY => Summary::decode(input).map(Box::new).map(Self::Summary),
            0 => Err(BlobError::Damaged("an aggregate has the kind 0, expected 1 to 8")),
            found => Err(BlobError::NewerVersion { found, known: FINE_NATIVE }),
        }
    }
}

#[cfg(test)]
mod tests;
