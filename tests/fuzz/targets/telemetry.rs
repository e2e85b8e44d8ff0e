//! Reads a delivery of the Telemetry API, and the same bytes as lines of `StatsD`. Every metric adds numbers that its type takes.

#![no_main]

use amp_push_gateway::model::{LabelSet, Layout, Timestamp, Update, Value};
use amp_push_gateway::telemetry::{
    LineUpdate, Pending, PendingSeries, Platform, PlatformRules, read_lines, read_records,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let rules = PlatformRules { labels: LabelSet::default(), layout: Layout::Native, logs: true };
    let (mut platform, mut pending) = (Platform::new(rules), Pending::default());
    let _is_array = read_records(bytes, &mut |kind, record| {
        platform.observe(kind, &record, Timestamp(1), &mut pending);
    });
    pending.take().iter().for_each(check);

    read_lines(bytes, &Layout::Native, &mut |line| match line {
        Ok(line) => {
            if let LineUpdate::Typed(update) = &line.update {
                check_update(update);
            }
        }
        Err(error) => assert!(error.to_string().len() < 2_000, "an error is bounded"),
    });
});

fn check(series: &PendingSeries) {
    assert!(series.name.as_str().starts_with("lambda_"));
    let updates = series.total.updates();
    assert!(!updates.is_empty());
    updates.iter().for_each(check_update);
}

fn check_update(update: &Update) {
    match update {
        Update::Counter(Value::Float(increment)) => assert!(increment.is_finite() && *increment >= 0.0),
        Update::Counter(increment) => assert!(matches!(increment, Value::Integer(0..))),
        Update::Gauge(value) => assert!(!matches!(value, Value::Float(float) if !float.is_finite())),
        Update::Histogram { observations, .. } | Update::Summary { observations, .. } => {
            assert!(!observations.is_empty());
            assert!(observations.iter().all(|one| one.value.is_finite() && one.count > 0));
        }
        other => panic!("telemetry has none: {other:?}"),
    }
}
