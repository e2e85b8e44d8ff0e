//! Reads any bytes as the body of a push in delimited protobuf: what is taken is consistent.

#![no_main]

use amp_push_gateway::exposition::{Place, SampleValue, parse_protobuf};
use amp_push_gateway::model::{Counts, NativeHistogram, Span};
use libfuzzer_sys::fuzz_target;
use std::collections::{BTreeMap, BTreeSet};

fuzz_target!(|input: &[u8]| {
    let exposition = match parse_protobuf(input) {
        Ok(exposition) => exposition,
        Err(error) => {
            let text = error.to_string();
            assert!(error.is_size() || text.starts_with("family ") && text.len() <= 4_000, "{text}");
            return;
        }
    };
    let mut known = BTreeSet::new();
    for family in exposition.families() {
        assert!(family.series().len() > 0, "a family without series");
        for series in family.series() {
            let mut labels = BTreeMap::new();
            for (name, value) in series.labels() {
                assert_ne!(name, "__name__");
                assert_eq!(labels.insert(name, value), None, "a label stands twice");
            }
            labels.retain(|_, value| !value.is_empty());
            let name = series.name();
            assert!(!name.is_empty() && series.place() != Place::Family(0), "a series without a name or a family");
            let time = series.timestamp().map(|timestamp| timestamp.0);
            assert!(known.insert((name, labels, time)), "a series stands twice: {name}");
            if let SampleValue::Histogram(histogram) = series.value() {
                check(histogram);
            }
        }
    }
    assert_eq!(known.len(), exposition.series_count());
});

fn check(histogram: &NativeHistogram) {
    let (negative, positive) = match &histogram.counts {
        Counts::Integer { negative_deltas, positive_deltas, .. } => (negative_deltas.len(), positive_deltas.len()),
        Counts::Float { negative, positive, .. } => (negative.len(), positive.len()),
    };
    let of_spans = |spans: &[Span]| spans.iter().map(|span| u64::from(span.length)).sum::<u64>();
    assert_eq!(of_spans(&histogram.negative_spans), negative as u64);
    assert_eq!(of_spans(&histogram.positive_spans), positive as u64);
}
