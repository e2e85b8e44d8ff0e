//! Reads any records as a snapshot, and any bytes as a head and as what the receiver has settled. A state that was read is written and
//! read again as the same.
//!
//! The first byte chooses what is read.

#![no_main]

use amp_push_gateway::aggregate::head::{Head, Settled};
use amp_push_gateway::aggregate::{Aggregate, Seen, TypedState, read_ids};
use amp_push_gateway::blob::seal;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    let Ok(blob) = seal(1, rest) else { return };
    match first % 5 {
        0 => {
            let mut state = TypedState::default();
            let _any = state.read_part(rest);
        }
        1 => snapshot(&blob),
        2 => {
            if let Ok(head) = Head::from_blob(&blob) {
                assert_eq!(head.to_blob().and_then(|blob| Head::from_blob(&blob)), Ok(head));
            }
        }
        3 => {
            if let Ok(settled) = Settled::from_blob(&blob) {
                assert_eq!(settled.to_blob().and_then(|blob| Settled::from_blob(&blob)), Ok(settled));
            }
        }
        _ => {
            let mut seen = Seen::default();
            let _any = read_ids(&blob, &mut seen);
            assert!(seen.is_empty());
        }
    }
});

fn snapshot(blob: &[u8]) {
    let mut state = TypedState::default();
    if state.read_part(blob).is_err() {
        return;
    }
    state.finish_reading();
    let written = state.base().expect("what was read can be written");
    let mut again = TypedState::default();
    for part in &written {
        again.read_part(part).expect("what was written can be read");
    }
    again.finish_reading();
    assert_eq!(again.len(), state.len());
    assert_eq!(again.base().expect("what was read can be written").len(), written.len());
    for series in state.series() {
        let held = again.get(series.key()).expect("every series is written");
        assert_eq!((held.born, held.zero, held.updated), (series.born, series.zero, series.updated));
        let bytes = |aggregate: &Aggregate| {
            let mut out = Vec::new();
            aggregate.encode(&mut out);
            out
        };
        // A gauge can hold a NaN.
        assert_eq!(bytes(&held.aggregate), bytes(&series.aggregate));
    }
}
