//! Reads any bytes as a journal item, and any entries of a sealed body: an error or entries that a builder could have written.
//!
//! The first byte chooses: the blob as it is, or the rest as a body with a right checksum.

#![no_main]

use amp_push_gateway::aggregate::Seen;
use amp_push_gateway::aggregate::journal::Journal;
use amp_push_gateway::blob::seal;
use amp_push_gateway::model::{Layout, Update, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let opened = match first % 2 {
        0 => Journal::open(rest),
        _ => seal(1, rest).and_then(|blob| Journal::open(&blob)),
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
            Update::Gauge(Value::Float(value)) => assert!(value.is_finite()),
            Update::Gauge(Value::Integer(_)) => {}
            Update::Counter(Value::StaleMarker) | Update::Gauge(Value::StaleMarker) => panic!("a stale marker"),
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
