//! The totals of this environment since its start, as a Pushgateway shows them.

use crate::aggregate::{Aggregate, Applied, ExposedValue, SeriesKey, SummaryWindow};
use crate::limits::{MAX_PENDING_BYTES, MAX_PENDING_SERIES};
use crate::model::{FamilySeries, FamilyValue, Label, LabelName, LabelSet, MetricFamily, MetricName, Timestamp};
use crate::telemetry::PendingSeries;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Default, Debug)]
pub(super) struct Totals {
    series: BTreeMap<Box<[u8]>, Held>,
    key_bytes: usize,
}

#[derive(Debug)]
struct Held {
    aggregate: Aggregate,
    help: Option<Box<str>>,
}

impl Totals {
    /// Adds up series of a dispatch. Returns how many did not fit: there are too many, or theirs is of another type.
    pub(super) fn add(&mut self, series: Vec<PendingSeries>, now: Timestamp) -> u64 {
        series.into_iter().map(|one| u64::from(!self.add_one(one, now))).sum()
    }

    fn add_one(&mut self, series: PendingSeries, now: Timestamp) -> bool {
        let mut key = Vec::new();
        SeriesKey::write(&series.name, &series.labels, &mut key);
        let updates = series.total.updates();
        let Some(first) = updates.first() else { return true };
        if !self.series.contains_key(key.as_slice()) {
            if self.series.len() == MAX_PENDING_SERIES || self.key_bytes + key.len() > MAX_PENDING_BYTES {
                return false;
            }
            self.key_bytes += key.len();
        }
        let new = || Held { aggregate: Aggregate::new(first), help: None };
        let held = self.series.entry(key.into()).or_insert_with(new);
        held.help = series.help.or(held.help.take());
        updates.iter().all(|update| {
            let applied = held.aggregate.apply(update, series.time, now, SummaryWindow::default());
            applied != Applied::TypeConflict
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Returns what a scrape would show now.
    pub(super) fn families(&self, now: Timestamp) -> Vec<MetricFamily<'_>> {
        let mut families: Vec<MetricFamily<'_>> = Vec::new();
        // Keys begin with the length of the name, so series of one name are together.
        for (key, held) in &self.series {
            let key = SeriesKey::of_written(key);
            let Some(name) = key.metric_name() else { continue };
            let metric_type = held.aggregate.metric_type();
            if families.last().is_none_or(|last| last.name != name || last.metric_type != metric_type) {
                families.push(MetricFamily { name, metric_type, help: None, unit: None, series: Vec::new() });
            }
            let Some(family) = families.last_mut() else { continue };
            family.help = family.help.take().or(held.help.as_deref().map(Cow::Borrowed));
            held.aggregate.expose(now, SummaryWindow::default(), &mut |exposed| {
                let value = match exposed.value {
                    ExposedValue::Number(value) => FamilyValue::Float(f64::from_bits(value.wire_bits())),
                    ExposedValue::Histogram(histogram) => FamilyValue::Histogram(Box::new(histogram)),
                };
                let bound = exposed.bound.map(|bound| (bound.name, bound.to_string()));
                if let Some((name, labels)) = named(key, exposed.suffix, bound) {
                    family.series.push(FamilySeries { name, labels, value });
                }
            });
        }
        families
    }
}

fn named<'k>(
    key: SeriesKey<'k>,
    suffix: &str,
    bound: Option<(&'static str, String)>,
) -> Option<(MetricName<'k>, LabelSet<'k>)> {
    let name = MetricName::as_is(Cow::Owned(format!("{}{suffix}", key.name()))).ok()?;
    let labels = key.label_set();
    let Some((bound, value)) = bound else { return Some((name, labels)) };
    Some((name, labels.with(Label { name: LabelName::classic(bound).ok()?, value: Cow::Owned(value) })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::render_text;
    use crate::model::{Layout, Observation, TypedMetric, Update, Value};
    use crate::telemetry::Pending;

    fn add(totals: &mut Totals, name: &str, update: Update) -> u64 {
        let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
        let help = Some(Cow::Borrowed("help"));
        let metric = TypedMetric { name, labels: LabelSet::default(), update, help, time: Timestamp(1), id: None };
        let mut pending = Pending::default();
        pending.add(&metric);
        totals.add(pending.take(), Timestamp(1))
    }

    #[test]
    fn adds_up_dispatches_and_shows_them_as_a_scrape_does() {
        let mut totals = Totals::default();
        for value in [0.25, 4.0] {
            let observations = vec![Observation { value, count: 2 }];
            assert_eq!(add(&mut totals, "a_total", Update::Counter(Value::Integer(3))), 0);
            assert_eq!(add(&mut totals, "bb", Update::Gauge(Value::Float(value))), 0);
            let layout = Layout::Classic(vec![1.0]);
            assert_eq!(add(&mut totals, "c_seconds", Update::Histogram { layout, observations }), 0);
        }
        assert_eq!(add(&mut totals, "a_total", Update::Gauge(Value::Integer(3))), 1, "another type");
        let expected = "\
            # HELP a_total help\n# TYPE a_total counter\na_total 6\n\
            # HELP bb help\n# TYPE bb gauge\nbb 4\n\
            # HELP c_seconds help\n# TYPE c_seconds histogram\n\
            c_seconds_bucket{le=\"1.0\"} 2\nc_seconds_bucket{le=\"+Inf\"} 4\nc_seconds_sum 8.5\nc_seconds_count 4\n";
        // The renderer gives every series the label that a push replaces.
        let text =
            render_text(totals.families(Timestamp(1))).replace("{instance=\"\"}", "").replace("instance=\"\",", "");
        assert_eq!(text, expected);
    }

    #[test]
    fn holds_series_up_to_a_bound() {
        let mut totals = Totals::default();
        for i in 0..MAX_PENDING_SERIES {
            assert_eq!(add(&mut totals, &format!("c{i}"), Update::Counter(Value::Integer(1))), 0);
        }
        assert_eq!(add(&mut totals, "more", Update::Counter(Value::Integer(1))), 1);
        assert_eq!(add(&mut totals, "c7", Update::Counter(Value::Integer(1))), 0);
    }
}
