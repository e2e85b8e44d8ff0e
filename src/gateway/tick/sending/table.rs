//! Collects the samples of one request, or of a few. An item of the table is a series.

use crate::aggregate::{ExposedValue, Series, SeriesKey};
use crate::gateway::typed::named;
use crate::model::{
    Counts, FamilyValue, ItemId, LabelSet, MetricName, NativeHistogram, ResetHint, STALE_MARKER, Timestamp, Value,
};
use crate::series::SampleTableBuilder;

/// The zero threshold of native histograms.
const ZERO_THRESHOLD: f64 = f64::from_bits((1_023 - 128) << 52);

#[derive(Default)]
pub(super) struct Table<'s> {
    pub(super) builder: SampleTableBuilder<'s>,
    /// The typed series of each item; `None`: a series of a group.
    pub(super) keys: Vec<Option<SeriesKey<'s>>>,
    pub(super) samples: usize,
}

impl<'s> Table<'s> {
    /// Begins the next series.
    pub(super) fn begin(&mut self, key: Option<SeriesKey<'s>>) {
        self.keys.push(key);
    }

    /// Adds a series of a group, which is one sample.
    pub(super) fn add_one(&mut self, name: MetricName<'s>, labels: LabelSet<'s>, time: Timestamp, value: ExposedValue) {
        self.begin(None);
        self.add(name, labels, time, value);
    }

    /// Adds the zeros of a new series.
    pub(super) fn add_zeros(&mut self, series: &'s Series) {
        let mut zeros = Vec::new();
        series.aggregate.expose_zero(&mut |exposed| zeros.push(exposed));
        for exposed in zeros {
            if let Some((name, labels)) = named(series.key(), exposed.suffix, exposed.bound) {
                self.add(name, labels, series.zero, exposed.value);
            }
        }
    }

    pub(super) fn add(&mut self, name: MetricName<'s>, labels: LabelSet<'s>, time: Timestamp, value: ExposedValue) {
        // A table has few more than `TABLE_SAMPLES`.
        let item = ItemId(u32::try_from(self.keys.len().saturating_sub(1)).unwrap_or(u32::MAX));
        self.samples += 1;
        match value {
            ExposedValue::Number(value) => self.builder.add(item, labels, [(name, time, value)]),
            ExposedValue::Histogram(histogram) => self.builder.add_histograms(item, labels, [(name, time, histogram)]),
        }
    }
}

pub(super) fn marker(value: &ExposedValue) -> ExposedValue {
    match value {
        ExposedValue::Number(_) => ExposedValue::Number(Value::StaleMarker),
        ExposedValue::Histogram(_) => stale_histogram(),
    }
}

/// Returns the marker of a native histogram, as a scrape of Prometheus writes it.
pub(super) fn stale_histogram() -> ExposedValue {
    ExposedValue::Histogram(NativeHistogram {
        sum: f64::from_bits(STALE_MARKER),
        schema: 0,
        zero_threshold: ZERO_THRESHOLD,
        counts: Counts::Integer { count: 0, zero: 0, negative_deltas: Vec::new(), positive_deltas: Vec::new() },
        negative_spans: Vec::new(),
        positive_spans: Vec::new(),
        reset_hint: ResetHint::Unknown,
        custom_values: Vec::new(),
    })
}

pub(super) fn of_family(value: &FamilyValue) -> ExposedValue {
    match value {
        FamilyValue::Float(value) => ExposedValue::Number(Value::Float(*value)),
        FamilyValue::Histogram(histogram) => ExposedValue::Histogram(NativeHistogram::clone(histogram)),
    }
}
