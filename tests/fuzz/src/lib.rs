//! Checks of names, labels and requests that hold for every input. The targets share them.

pub mod otlp;
pub mod remote_write;

use amp_push_gateway::model::{CANONICAL_NAN, METRIC_NAME_LABEL};
use amp_push_gateway::wire::messages::{TimeSeries, WriteRequest};
use std::collections::HashSet;

/// The time of every run: three seconds after the event of the examples.
pub const NOW: i64 = 1_676_398_020_000;

/// Returns whether `name` is `[a-zA-Z_:][a-zA-Z0-9_:]*`, as AMP takes it and as the gateway promises it.
pub fn is_metric_name(name: &str) -> bool {
    is_classic(name, |byte| byte == b':')
}

/// Returns whether `name` is `[a-zA-Z_][a-zA-Z0-9_]*`, as AMP takes it and as the gateway promises it.
pub fn is_label_name(name: &str) -> bool {
    is_classic(name, |_| false)
}

fn is_classic(name: &str, also: impl Fn(u8) -> bool) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || also(byte);
    name.len() <= 1_024
        && name.bytes().all(legal)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.starts_with("__")
        && name.bytes().any(|byte| byte != b'_')
}

/// Checks that a request is as remote write 1.0 and AMP want it, with samples that the default settings accept.
pub fn check_request(request: &WriteRequest) {
    assert!(!request.timeseries.is_empty(), "a request without series");
    let mut seen = HashSet::new();
    for series in &request.timeseries {
        check_series(series);
        let labels: Vec<_> = series.labels.iter().map(|label| (&label.name, &label.value)).collect();
        assert!(seen.insert(labels), "a series is twice in a request: {:?}", series.labels);
    }
}

fn check_series(series: &TimeSeries) {
    let labels = &series.labels;
    assert!(labels.len() <= 150, "{} labels", labels.len());
    assert!(labels.windows(2).all(|pair| pair[0].name < pair[1].name), "not sorted or not unique: {labels:?}");
    assert!(labels.iter().any(|label| label.name == METRIC_NAME_LABEL), "no metric name: {labels:?}");
    for label in labels {
        let fine = if label.name == METRIC_NAME_LABEL {
            is_metric_name(&label.value)
        } else {
            is_label_name(&label.name) && !label.value.is_empty() && label.value.len() <= 2_048
        };
        assert!(fine, "a label that AMP refuses: {label:?}");
    }
    assert!(!series.samples.is_empty(), "a series without samples");
    let in_order = series.samples.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp);
    assert!(in_order, "samples out of order: {:?}", series.samples);
    for sample in &series.samples {
        assert!((NOW - 3_600_000..=NOW + 10_000).contains(&sample.timestamp), "a time that is rejected: {sample:?}");
        assert!(!sample.value.is_nan() || sample.value.to_bits() == CANONICAL_NAN, "a NaN that is not the one");
    }
}

/// Checks that the detail of a rejection is bounded.
pub fn check_detail(detail: &str) {
    assert!(!detail.is_empty(), "a rejection without a detail");
    assert!(detail.chars().count() <= 2_000, "{} characters: {detail}", detail.chars().count());
}
