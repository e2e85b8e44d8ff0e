//! Increments of counters, added up in process.

use crate::workload::{NOW, timed};
use amp_push_gateway::aggregate::{Aggregate, Applied, SeriesKey, SummaryWindow};
use amp_push_gateway::model::{Label, LabelName, LabelSet, MetricName, Timestamp, Update, Value};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hint::black_box;

/// Increments of fifty counters of three labels, with the keys of their series.
pub(crate) fn increments(count: u32) -> Vec<(Vec<u8>, Update)> {
    let increment = |i: u32| {
        let name = MetricName::classic("http_requests_total").expect("a name");
        let values = [("method", "GET".to_owned()), ("path", format!("/api/{}", i % 50)), ("status", "200".to_owned())];
        let label = |(name, value)| Label { name: LabelName::classic(name).expect("a name"), value: Cow::Owned(value) };
        let labels = LabelSet::new(values.into_iter().map(label).collect()).expect("different names");
        let mut key = Vec::new();
        SeriesKey::write(&name, &labels, &mut key);
        (key, Update::Counter(if i.is_multiple_of(4) { Value::Float(0.25) } else { Value::Integer(1) }))
    };
    (0..count).map(increment).collect()
}

/// Adds up increments by the keys of their series. Returns the number of samples that a scrape would show.
#[inline(never)]
pub(crate) fn aggregate(increments: &[(Vec<u8>, Update)]) -> u64 {
    let (now, window) = (Timestamp(NOW), SummaryWindow::default());
    let mut state: HashMap<&[u8], Aggregate> = HashMap::new();
    for (key, update) in increments {
        let series = state.entry(key).or_insert_with(|| Aggregate::new(update));
        assert_eq!(series.apply(update, now, now, window), Applied::Counted);
    }
    let mut samples = 0;
    for series in state.values() {
        series.expose(now, window, &mut |sample| {
            black_box(sample);
            samples += 1;
        });
    }
    samples
}

/// Returns the median CPU time of an increment in nanoseconds.
pub(crate) fn cost_of_increments(count: u32, rounds: usize) -> f64 {
    let increments = increments(count);
    let mut costs: Vec<f64> = (0..rounds).map(|_| timed(|| aggregate(black_box(&increments))).1).collect();
    costs.sort_by(f64::total_cmp);
    costs.get(rounds / 2).expect("at least one round") * 1e9 / f64::from(count)
}
