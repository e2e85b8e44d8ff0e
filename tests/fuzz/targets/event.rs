//! Any text as a message: what is read of it holds to the contract, and what is refused says where and why.

#![no_main]

use amp_push_gateway::event::{Event, EventTimes, MAX_LABELS, ParsedEvent, Rules, Shape, read_message};
use amp_push_gateway::model::{Label, LabelName, LabelSet, Rejection, Timestamp, Value};
use amp_push_gateway_fuzz::{NOW, check_detail, is_label_name, is_metric_name};
use libfuzzer_sys::{Corpus, fuzz_target};
use std::borrow::Cow;
use std::sync::LazyLock;

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let label = |name, value| Label {
        name: LabelName::translate(Cow::Borrowed(name)).expect("a label name"),
        value: Cow::Borrowed(value),
    };
    let external_labels = LabelSet::new(vec![label("env", "prod"), label("team", "water")]).expect("two labels");
    Rules { external_labels, ..Rules::default() }
});

/// Where a refusal can begin, behind the number of the event.
const PLACES: [&str; 8] = [
    "metrics",
    "dimensions",
    "timestamp",
    "Records",
    "the event is ",
    "the message is ",
    "the wrappers nest ",
    "the message is neither JSON ",
];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    let sent = (text.len() % 2 == 1).then_some(Timestamp(NOW - 1_000));
    let (shape, found) = read(text, sent);
    assert!(shape == Shape::Many || found.len() == 1, "a single event that is {}", found.len());
    for found in &found {
        match &found.event {
            Ok(event) => {
                check_event(event);
                check_again(found, event);
            }
            Err(refusal) => check_refusal(refusal),
        }
    }
    Corpus::Keep
});

fn read(text: &str, sent: Option<Timestamp>) -> (Shape, Vec<ParsedEvent<'_>>) {
    let mut all = Vec::new();
    let shape = read_message(text, &EventTimes { now: Timestamp(NOW), sent }, &RULES, &mut |found| all.push(found));
    (shape, all)
}

fn check_event(event: &Event<'_>) {
    let labels = event.labels.as_slice();
    assert!(labels.len() < MAX_LABELS, "{} labels beside the name", labels.len());
    assert!(labels.windows(2).all(|pair| pair[0].name.as_str() < pair[1].name.as_str()), "{labels:?}");
    for label in labels {
        assert!(is_label_name(label.name.as_str()), "{label:?}");
        assert!(!label.value.is_empty() && label.value.len() <= 2_048, "{label:?}");
    }
    assert!(event.labels.get("env").is_some() && event.labels.get("team").is_some(), "an external label is missing");
    assert!((NOW - 3_600_000..=NOW + 10_000).contains(&event.timestamp.0), "{}", event.timestamp);

    assert!(!event.metrics.is_empty(), "an event without metrics");
    let mut names: Vec<_> = event.metrics.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().all(|name| is_metric_name(name)), "{names:?}");
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a metric stands twice: {names:?}");
    for (_, value) in &event.metrics {
        check_value(*value);
    }
}

/// What a value shows of itself is read as the same value, type and bits.
fn check_value(value: Value) {
    let text = format!(r#"{{"metrics":{{"m":"{value}"}}}}"#);
    let (_, found) = read(&text, None);
    let again = found[0].event.as_ref().expect("a value as it was shown").metrics[0].1;
    assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&value), "{value}");
    assert_eq!(again.wire_bits(), value.wire_bits(), "{value}");
    assert!(!value.is_inexact() || matches!(value, Value::Integer(_)), "{value}");
}

/// An event that is put aside on its own is the same event when it is sent again.
fn check_again(found: &ParsedEvent<'_>, event: &Event<'_>) {
    let (shape, again) = read(&found.text, found.sent);
    assert_eq!((shape, again.len()), (Shape::Single, 1), "{}", found.text);
    let again = again[0].event.as_ref().expect("the same event, read again");
    assert_eq!((&again.labels, again.timestamp), (&event.labels, event.timestamp));
    let plain = |event: &Event<'_>| -> Vec<(String, u64)> {
        event.metrics.iter().map(|(name, value)| (name.as_str().to_owned(), value.wire_bits())).collect()
    };
    assert_eq!(plain(again), plain(event));
}

fn check_refusal(refusal: &Rejection) {
    let detail = refusal.detail.as_ref();
    check_detail(detail);
    let place = match detail.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((number, rest)) if number.parse::<u32>().is_ok() => rest.trim_start_matches([':', ' ', '.']),
        _ => detail,
    };
    let named = PLACES.iter().any(|known| place.starts_with(known)) || detail.contains(": unknown key; ");
    assert!(named, "no place: {refusal}");
}
