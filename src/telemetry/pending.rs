//! Adds up each series since the last dispatch.
//!
//! * There are at most [`MAX_PENDING_SERIES`] series, [`MAX_PENDING_VALUES`] distinct values of a series, and
//!   [`MAX_PENDING_BYTES`] of memory. If a metric does not fit, it is counted, and changes nothing.
//! * Integers stay integers, and observations stay single values, because the gateway adds them up exactly.

use crate::limits::{MAX_PENDING_BYTES, MAX_PENDING_SERIES, MAX_PENDING_VALUES};
use crate::model::{LabelSet, Layout, MetricName, Observation, Timestamp, TypedMetric, Update, Value};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use std::borrow::Cow;
use std::hash::BuildHasher as _;

/// The metrics of one environment that wait for a dispatch.
#[derive(Default, Debug)]
pub struct Pending {
    series: Vec<PendingSeries>,
    /// The indices of `series` by name and labels.
    index: HashTable<usize>,
    hasher: RandomState,
    /// Counts calls of [`Pending::take`].
    takes: u64,
    /// An estimate of the memory of `series`.
    bytes: usize,
    dropped: u64,
}

/// The largest sum of integers. An event has at most [`i64::MAX`], so this is a bound of the events of a series.
const MAX_SUM: i128 = 8 * i64::MAX as i128;

/// The gateway takes no larger count of a value.
const MAX_COUNT: u64 = i64::MAX.unsigned_abs();

/// The memory of a series beside its texts, and of one distinct value.
const SERIES_BYTES: usize = 256;
const VALUE_BYTES: usize = 32;

/// The answer to a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    Yes,
    /// There are too many series or values, or the series is of another type.
    Dropped,
}

/// The place of a series. It is valid until the series are taken.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    index: usize,
    takes: u64,
}

/// The sum of the updates of one series.
#[derive(Clone, Debug)]
pub enum Total {
    Counter { integers: i128, floats: f64 },
    Gauge(Value),
    Histogram { layout: Layout, values: Values },
    Summary { quantiles: Vec<f64>, values: Values },
}

/// Values by their bits, and how often each was observed.
type Values = HashMap<u64, u64, RandomState>;

/// A series with what was added to it.
#[derive(Clone, Debug)]
pub struct PendingSeries {
    pub name: MetricName<'static>,
    pub labels: LabelSet<'static>,
    pub total: Total,
    pub help: Option<Box<str>>,
    /// The time of the newest update.
    pub time: Timestamp,
}

impl Pending {
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Returns how many metrics were dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Adds one metric.
    pub fn add(&mut self, metric: &TypedMetric<'_>) -> Added {
        self.add_and_place(metric).0
    }

    /// Adds one metric. Returns the place of its series, too, if there is one.
    pub fn add_and_place(&mut self, metric: &TypedMetric<'_>) -> (Added, Option<Place>) {
        let hash = self.hasher.hash_one((&metric.name, &metric.labels));
        let is_same = |index: &usize| {
            let held = &self.series[*index];
            held.name == metric.name && held.labels == metric.labels
        };
        let (added, index) = match self.index.find(hash, is_same) {
            Some(&index) => (self.series[index].add(metric, &mut self.bytes), Some(index)),
            None => self.add_series(metric, hash),
        };
        self.dropped += u64::from(added == Added::Dropped);
        (added, index.map(|index| Place { index, takes: self.takes }))
    }

    /// Adds an update to the series at `place`. It costs a fraction of [`Pending::add`]. Returns `None` if the series was taken.
    pub fn add_at(&mut self, place: Place, update: &Update, time: Timestamp) -> Option<Added> {
        let series = self.series.get_mut(place.index).filter(|_| place.takes == self.takes)?;
        let added = series.update(update, time, &mut self.bytes);
        self.dropped += u64::from(added == Added::Dropped);
        Some(added)
    }

    /// Adds the first metric of a series. Returns its index if it fits.
    fn add_series(&mut self, metric: &TypedMetric<'_>, hash: u64) -> (Added, Option<usize>) {
        let bytes = size_of(metric);
        if self.series.len() == MAX_PENDING_SERIES || self.bytes + bytes > MAX_PENDING_BYTES {
            return (Added::Dropped, None);
        }
        let mut series = PendingSeries {
            name: metric.name.clone().into_owned(),
            labels: metric.labels.clone().into_owned(),
            total: Total::new(&metric.update),
            help: None,
            time: metric.time,
        };
        let added = series.add(metric, &mut self.bytes);
        if added == Added::Dropped {
            return (added, None);
        }
        self.bytes += bytes;
        let index = self.series.len();
        self.series.push(series);
        let Self { series, hasher, .. } = self;
        let hash_of = |index: &usize| hasher.hash_one((&series[*index].name, &series[*index].labels));
        self.index.insert_unique(hash, index, hash_of);
        (added, Some(index))
    }

    /// Returns all series, and begins with none again.
    pub fn take(&mut self) -> Vec<PendingSeries> {
        self.bytes = 0;
        self.takes += 1;
        self.index = HashTable::new();
        std::mem::take(&mut self.series)
    }
}

impl PendingSeries {
    /// Returns the typed metrics that add what is pending.
    pub fn metrics(&self) -> impl Iterator<Item = TypedMetric<'_>> {
        self.total.updates().into_iter().map(|update| TypedMetric {
            name: self.name.clone(),
            labels: self.labels.clone(),
            update,
            help: self.help.as_deref().map(Cow::Borrowed),
            time: self.time,
            id: None,
        })
    }

    /// Adds the memory of new values to `bytes`.
    fn add(&mut self, metric: &TypedMetric<'_>, bytes: &mut usize) -> Added {
        if let Some(help) = &metric.help
            && self.help.as_deref() != Some(help)
        {
            self.help = Some(help.as_ref().into());
        }
        self.update(&metric.update, metric.time, bytes)
    }

    fn update(&mut self, update: &Update, time: Timestamp, bytes: &mut usize) -> Added {
        let added = self.total.add(update, time >= self.time, bytes);
        self.time = self.time.max(time);
        added
    }
}

impl Total {
    fn new(update: &Update) -> Self {
        match update {
            // Only OTLP has the last three, and `add` drops them.
            Update::Counter(_) | Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => {
                Self::Counter { integers: 0, floats: 0.0 }
            }
            Update::Gauge(value) => Self::Gauge(*value),
            Update::Histogram { layout, .. } => Self::Histogram { layout: layout.clone(), values: Values::default() },
            Update::Summary { quantiles, .. } => {
                Self::Summary { quantiles: quantiles.clone(), values: Values::default() }
            }
        }
    }

    /// `is_newer`: no earlier update has a later time. Adds the memory of new values to `bytes`.
    fn add(&mut self, update: &Update, is_newer: bool, bytes: &mut usize) -> Added {
        match (self, update) {
            (Self::Counter { integers, .. }, Update::Counter(Value::Integer(integer))) => {
                let sum = *integers + i128::from(*integer);
                replace_if(sum <= MAX_SUM, integers, sum)
            }
            (Self::Counter { floats, .. }, Update::Counter(Value::Float(float))) => {
                let sum = *floats + float;
                replace_if(sum.is_finite(), floats, sum)
            }
            (Self::Gauge(held), Update::Gauge(value)) => {
                if is_newer {
                    *held = *value;
                }
                Added::Yes
            }
            (Self::Histogram { values, .. }, Update::Histogram { observations, .. })
            | (Self::Summary { values, .. }, Update::Summary { observations, .. }) => {
                add_values(values, observations, bytes)
            }
            _ => Added::Dropped,
        }
    }

    /// Returns the updates that add this much.
    pub fn updates(&self) -> Vec<Update> {
        let observations = |values: &Values| {
            let mut observations: Vec<_> =
                values.iter().map(|(&bits, &count)| Observation { value: f64::from_bits(bits), count }).collect();
            observations.sort_unstable_by(|a, b| a.value.total_cmp(&b.value));
            observations
        };
        match self {
            Self::Counter { integers, floats } => {
                let mut updates = Vec::new();
                let mut rest = *integers;
                while rest > 0 {
                    let part = i64::try_from(rest).unwrap_or(i64::MAX);
                    updates.push(Update::Counter(Value::Integer(part)));
                    rest -= i128::from(part);
                }
                if *floats > 0.0 || updates.is_empty() {
                    updates.push(Update::Counter(Value::Float(*floats)));
                }
                updates
            }
            Self::Gauge(value) => vec![Update::Gauge(*value)],
            Self::Histogram { layout, values } => {
                vec![Update::Histogram { layout: layout.clone(), observations: observations(values) }]
            }
            Self::Summary { quantiles, values } => {
                vec![Update::Summary { quantiles: quantiles.clone(), observations: observations(values) }]
            }
        }
    }
}

fn replace_if<T>(fits: bool, held: &mut T, sum: T) -> Added {
    if fits {
        *held = sum;
        Added::Yes
    } else {
        Added::Dropped
    }
}

/// All observations of an update are added, or none.
fn add_values(values: &mut Values, observations: &[Observation], bytes: &mut usize) -> Added {
    let mut new = 0;
    for Observation { value, count } in observations {
        let held = values.get(&value.to_bits());
        new += usize::from(held.is_none());
        if held.copied().unwrap_or_default().saturating_add(*count) > MAX_COUNT {
            return Added::Dropped;
        }
    }
    if values.len() + new > MAX_PENDING_VALUES || *bytes + new * VALUE_BYTES > MAX_PENDING_BYTES {
        return Added::Dropped;
    }
    *bytes += new * VALUE_BYTES;
    for Observation { value, count } in observations {
        let held = values.entry(value.to_bits()).or_default();
        *held = held.saturating_add(*count).min(MAX_COUNT);
    }
    Added::Yes
}

/// Returns about how much memory a series takes without its values.
fn size_of(metric: &TypedMetric<'_>) -> usize {
    let labels = metric.labels.as_slice().iter();
    let labels: usize = labels.map(|label| label.name.as_str().len() + label.value.len() + 64).sum();
    SERIES_BYTES + metric.name.as_str().len() + labels + metric.help.as_ref().map_or(0, |help| help.len())
}
