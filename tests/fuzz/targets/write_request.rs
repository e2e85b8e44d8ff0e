//! Sends any bytes to the local workspace: they are decoded within bounds, and stored or refused.
//!
//! A first byte of 0x80 or more is flags, the rest the body; see [`Flags`].

#![no_main]

use amp_push_gateway::local::tsdb::{Flavour, Rules, Tsdb};
use amp_push_gateway::local::workspace::{MAX_DECODED_BYTES, decode};
use amp_push_gateway::model::Timestamp;
use amp_push_gateway::wire::messages::WriteRequest;
use amp_push_gateway_fuzz::NOW;
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

struct Flags(u8);

impl Flags {
    /// The bytes are protobuf, and are made a snappy block first.
    fn is_protobuf(&self) -> bool {
        self.0 & 1 != 0
    }

    fn rules(&self) -> Rules {
        let flavour = if self.0 & 2 != 0 { Flavour::AllOrNothing } else { Flavour::StoresTheValidRest };
        let out_of_order_window_ms = if self.0 & 4 != 0 { 0 } else { 60_000 };
        let rules = Rules { flavour, out_of_order_window_ms, ..Rules::default() };
        if self.0 & 8 == 0 {
            return rules;
        }
        Rules { max_labels: 4, max_series: 3, max_samples: 8, max_label_bytes: 200, ..rules }
    }
}

fuzz_target!(|input: &[u8]| {
    let (flags, bytes) = match input {
        [flags @ 0x80..=0xff, bytes @ ..] => (Flags(*flags), bytes),
        bytes => (Flags(0), bytes),
    };
    let decoded = if flags.is_protobuf() {
        decode(&snap::raw::Encoder::new().compress_vec(bytes).expect("a small block"))
    } else {
        decode(bytes)
    };
    let request = match decoded {
        Ok(request) => request,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() <= 1_000, "{text}");
            return;
        }
    };
    assert!(request.encoded_len() <= MAX_DECODED_BYTES, "more than was decoded");
    let again = WriteRequest::decode(request.encode_to_vec().as_slice()).expect("what was encoded");
    assert_eq!(again.encode_to_vec(), request.encode_to_vec());
    append(&request, flags.rules());
});

fn append(request: &WriteRequest, rules: Rules) {
    let mut tsdb = Tsdb::new(rules.clone());
    let appended = tsdb.append(request.clone(), Timestamp(NOW));
    assert_eq!(appended.refused > 0, appended.first.is_some());
    if let Some(refusal) = &appended.first {
        let text = refusal.to_string();
        assert!(!text.is_empty(), "the receiver refuses without an error text");
    }
    if rules.flavour == Flavour::AllOrNothing && appended.refused > 0 {
        assert_eq!(appended.stored, 0, "the valid rest is stored");
    }

    let stored = tsdb.snapshot();
    assert!(stored.len() <= rules.max_series, "{} series", stored.len());
    let bytes = |labels: &[(String, String)]| labels.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>();
    assert!(
        stored.iter().map(|series| bytes(&series.labels)).sum::<usize>() <= rules.max_label_bytes,
        "too many bytes"
    );
    let samples: usize = stored.iter().map(|series| series.samples.len()).sum();
    assert!(samples <= rules.max_samples.max(stored.len()) + 1, "{samples} samples");
    for series in &stored {
        assert!(series.labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{:?}", series.labels);
        assert!(series.labels.iter().all(|(_, value)| !value.is_empty()), "{:?}", series.labels);
        let in_order = series.samples.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp);
        assert!(in_order && !series.samples.is_empty(), "{:?}", series.samples);
    }

    if samples == appended.stored {
        let again = tsdb.append(request.clone(), Timestamp(NOW));
        assert_eq!(again.stored, 0, "a sample that was stored or refused is stored at the second time");
    }
}
