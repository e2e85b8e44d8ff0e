//! Adds up each series since the last dispatch.
//!
//! * There are at most [`MAX_PENDING_SERIES`] series, [`MAX_PENDING_VALUES`] distinct values of a series, and
//!   [`MAX_PENDING_BYTES`] of memory. If a metric does not fit, it is counted, and changes nothing.
//! * Integers stay integers, and observations stay single values, because the gateway adds them up exactly.

use crate::limits::{MAX_PENDING_BYTES, MAX_PENDING_SERIES, MAX_PENDING_VALUES};
use crate::model::{LabelSet, Layout, MetricName, Observation, Timestamp, TypedMetric, Update, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The metrics of one environment that wait for a dispatch.
#[derive(Default, Debug)]
pub struct Pending {
    series: HashMap<Key, Waiting>,
    /// An estimate of the memory of `series`.
    bytes: usize,
    dropped: u64,
}

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

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    name: MetricName<'static>,
    labels: LabelSet<'static>,
}

#[derive(Debug)]
struct Waiting {
    total: Total,
    help: Option<Box<str>>,
    time: Timestamp,
}

/// The sum of the updates of one series.
#[derive(Clone, Debug)]
pub enum Total {
    Counter {
        integers: i128,
        floats: f64,
    },
    Gauge(Value),
    /// Values by their bits, and how often each was observed.
    Histogram {
        layout: Layout,
        values: HashMap<u64, u64>,
    },
    Summary {
        quantiles: Vec<f64>,
        values: HashMap<u64, u64>,
    },
}

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
        let key = Key { name: metric.name.clone().into_owned(), labels: metric.labels.clone().into_owned() };
        let new = if self.series.contains_key(&key) { 0 } else { size_of(metric) };
        let room = self.series.len() < MAX_PENDING_SERIES && self.bytes + new <= MAX_PENDING_BYTES;
        let bytes = &mut self.bytes;
        let added = match self.series.entry(key) {
            Entry::Occupied(mut known) => {
                let waiting = known.get_mut();
                let added = waiting.total.add(&metric.update, metric.time >= waiting.time, bytes);
                waiting.time = waiting.time.max(metric.time);
                if let Some(help) = &metric.help
                    && waiting.help.as_deref() != Some(help)
                {
                    waiting.help = Some(help.as_ref().into());
                }
                added
            }
            Entry::Vacant(vacant) if room => {
                let mut total = Total::new(&metric.update);
                let added = total.add(&metric.update, true, bytes);
                if added == Added::Yes {
                    *bytes += new;
                    let help = metric.help.as_deref().map(Into::into);
                    vacant.insert(Waiting { total, help, time: metric.time });
                }
                added
            }
            Entry::Vacant(_) => Added::Dropped,
        };
        self.dropped += u64::from(added == Added::Dropped);
        added
    }

    /// Returns all series, and begins with none again.
    pub fn take(&mut self) -> Vec<PendingSeries> {
        self.bytes = 0;
        let series = std::mem::take(&mut self.series).into_iter();
        let series = series.map(|(Key { name, labels }, Waiting { total, help, time })| PendingSeries {
            name,
            labels,
            total,
            help,
            time,
        });
        series.collect()
    }
}

impl Total {
    fn new(update: &Update) -> Self {
        match update {
            // OTLP alone has the last three: `add` drops them.
            Update::Counter(_) | Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => {
                Self::Counter { integers: 0, floats: 0.0 }
            }
            Update::Gauge(value) => Self::Gauge(*value),
            Update::Histogram { layout, .. } => Self::Histogram { layout: layout.clone(), values: HashMap::new() },
            Update::Summary { quantiles, .. } => Self::Summary { quantiles: quantiles.clone(), values: HashMap::new() },
        }
    }

    /// `is_newer`: no earlier update has a later time. Adds the memory of new values to `bytes`.
    fn add(&mut self, update: &Update, is_newer: bool, bytes: &mut usize) -> Added {
        match (self, update) {
            (Self::Counter { integers, .. }, Update::Counter(Value::Integer(integer))) => {
                *integers = integers.saturating_add(i128::from(*integer));
                Added::Yes
            }
            (Self::Counter { floats, .. }, Update::Counter(Value::Float(float))) => {
                *floats += float;
                Added::Yes
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
        let observations = |values: &HashMap<u64, u64>| {
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

/// All observations of an update are added, or none.
fn add_values(values: &mut HashMap<u64, u64>, observations: &[Observation], bytes: &mut usize) -> Added {
    let new = observations.iter().filter(|observation| !values.contains_key(&observation.value.to_bits())).count();
    if values.len() + new > MAX_PENDING_VALUES || *bytes + new * VALUE_BYTES > MAX_PENDING_BYTES {
        return Added::Dropped;
    }
    *bytes += new * VALUE_BYTES;
    for Observation { value, count } in observations {
        let held = values.entry(value.to_bits()).or_default();
        *held = held.saturating_add(*count);
    }
    Added::Yes
}

/// Returns about how much memory a series takes without its values.
fn size_of(metric: &TypedMetric<'_>) -> usize {
    let labels = metric.labels.as_slice().iter();
    let labels: usize = labels.map(|label| label.name.as_str().len() + label.value.len() + 64).sum();
    SERIES_BYTES + metric.name.as_str().len() + labels + metric.help.as_ref().map_or(0, |help| help.len())
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
}
