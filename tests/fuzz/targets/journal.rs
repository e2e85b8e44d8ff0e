//! Reads any bytes as a journal item, and any entries of a sealed body: an error or entries that a builder could have written.
//!
//! The first byte chooses: the blob as it is, or the rest as a body with a right checksum.

#![no_main]

use amp_push_gateway::aggregate::Seen;
use amp_push_gateway::aggregate::journal::Journal;
use amp_push_gateway::blob::seal;
use amp_push_gateway::model::{ClassicCounts, Layout, NativeCounts, Update, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let opened = match first % 2 {
        0 => Journal::open(rest),
        _ => seal(2, rest).and_then(|blob| Journal::open(&blob)),
    };
    let Ok(journal) = opened else { return };
    let mut seen = Seen::default();
    seen.add(&journal).expect("an item is checked when it is opened");
    let mut reader = journal.reader().expect("an item is checked when it is opened");
    let mut entries = 0;
    while let Some(entry) = reader.next_entry().expect("an item is checked when it is opened") {
        entries += 1;
        assert!(!entry.key.name().is_empty());
        let labels: Vec<_> = entry.key.labels().collect();
        assert!(labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{labels:?}");
        match entry.update {
            Update::Counter(Value::Integer(increment)) => assert!(*increment >= 0),
            Update::Counter(Value::Float(increment)) => assert!(*increment >= 0.0 && increment.is_finite()),
            Update::Gauge(Value::Float(value)) | Update::GaugeIncrement(Value::Float(value)) => {
                assert!(value.is_finite());
            }
            Update::Gauge(Value::Integer(_)) | Update::GaugeIncrement(Value::Integer(_)) => {}
            Update::Counter(Value::StaleMarker)
            | Update::Gauge(Value::StaleMarker)
            | Update::GaugeIncrement(Value::StaleMarker) => panic!("a stale marker"),
            Update::ClassicCounts(ClassicCounts { bounds, counts, sum }) => {
                assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{bounds:?}");
                assert!(counts.len() == bounds.len() + 1 && sum.is_none_or(f64::is_finite));
            }
            Update::NativeCounts(NativeCounts { schema, positive, negative, sum, .. }) => {
                assert!((-4..=8).contains(schema) && sum.is_finite());
                for buckets in [positive, negative] {
                    assert!(
                        buckets.is_sorted_by(|(a, _), (b, _)| a < b) && buckets.iter().all(|(_, count)| *count > 0)
                    );
                }
            }
            Update::Histogram { layout, observations } => {
                if let Layout::Classic(bounds) = layout {
                    assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{bounds:?}");
                }
                assert!(observations.iter().all(|seen| seen.value.is_finite() && seen.count > 0));
            }
            Update::Summary { observations, .. } => {
                assert!(observations.iter().all(|seen| seen.value.is_finite() && seen.count > 0));
            }
        }
    }
    assert!(seen.len() <= entries);
});
