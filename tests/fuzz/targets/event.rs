//! Reads any text as a message. Its events keep the contract, and each rejection has a path and a reason.

#![no_main]

use amp_push_gateway::event::{Event, EventTimes, ParsedEvent, Rules, Shape, read_message};
use amp_push_gateway::limits::MAX_LABELS;
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

/// The beginnings of a detail, behind the index of the event.
const BEGINNINGS: [&str; 8] = [
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
    let (shape, events) = read(text, sent);
    assert!(shape == Shape::Many || events.len() == 1, "a single event that is {}", events.len());
    for parsed in &events {
        match &parsed.event {
            Ok(event) => {
                check_event(event);
                check_again(parsed, event);
            }
            Err(rejection) => check_rejection(rejection),
        }
    }
    Corpus::Keep
});

fn read(text: &str, sent: Option<Timestamp>) -> (Shape, Vec<ParsedEvent<'_>>) {
    let mut all = Vec::new();
    let shape = read_message(text, &EventTimes { now: Timestamp(NOW), sent }, &RULES, &mut |parsed| all.push(parsed));
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
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a metric is given twice: {names:?}");
    for (_, value) in &event.metrics {
        check_value(*value);
    }
}

/// Checks that the text of a value is read as the same value, with the same type and bits.
fn check_value(value: Value) {
    let text = format!(r#"{{"metrics":{{"m":"{value}"}}}}"#);
    let (_, events) = read(&text, None);
    let again = events[0].event.as_ref().expect("a value as it was shown").metrics[0].1;
    assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&value), "{value}");
    assert_eq!(again.wire_bits(), value.wire_bits(), "{value}");
    assert!(!value.is_inexact() || matches!(value, Value::Integer(_)), "{value}");
}

/// Checks that an event that is dead-lettered on its own is the same event if it is sent again.
fn check_again(parsed: &ParsedEvent<'_>, event: &Event<'_>) {
    let (shape, again) = read(&parsed.text, parsed.sent);
    assert_eq!((shape, again.len()), (Shape::Single, 1), "{}", parsed.text);
    let again = again[0].event.as_ref().expect("the same event, read again");
    assert_eq!((&again.labels, again.timestamp), (&event.labels, event.timestamp));
    let plain = |event: &Event<'_>| -> Vec<(String, u64)> {
        event.metrics.iter().map(|(name, value)| (name.as_str().to_owned(), value.wire_bits())).collect()
    };
    assert_eq!(plain(again), plain(event));
}

fn check_rejection(rejection: &Rejection) {
    let detail = rejection.detail.as_ref();
    check_detail(detail);
    let beginning = match detail.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((number, rest)) if number.parse::<u32>().is_ok() => rest.trim_start_matches([':', ' ', '.']),
        _ => detail,
    };
    let named = BEGINNINGS.iter().any(|known| beginning.starts_with(known)) || detail.contains(": unknown key; ");
    assert!(named, "no path: {rejection}");
}
