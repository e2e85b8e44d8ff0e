//! Reads any bytes as an OTLP request in protobuf: what is translated is what the receiver takes.

#![no_main]

use amp_push_gateway::model::{LabelSet, Timestamp};
use amp_push_gateway::otlp::{DeltaRules, Promoted, Rules, Texts, Translator, read_protobuf};
use amp_push_gateway_fuzz::NOW;
use amp_push_gateway_fuzz::otlp::Checks;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let promoted: Vec<_> = Promoted::new("a").into_iter().collect();
    let external = LabelSet::default();
    let deltas = Some(DeltaRules { max_age_ms: i64::MAX, max_lead_ms: i64::MAX });
    let rules = Rules { promoted: &promoted, scope_labels: true, external: &external, now: Timestamp(NOW), deltas };
    let texts = Texts::default();
    let mut translator = Translator::new(rules, &texts, Checks::default());
    if let Err(error) = read_protobuf(input, &mut translator) {
        let text = error.to_string();
        assert!(text.starts_with("byte ") && text.len() <= 4_000, "{text}");
        assert!(error.offset <= input.len(), "{text}");
    }
});
