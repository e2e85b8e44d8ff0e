//! Reads any text as a message. Its events keep the contract, and each rejection has a path and a reason.

#![no_main]

use amp_push_gateway::event::{Event, EventTimes, ParsedEvent, PlainEvent, Rules, Shape, read_message};
use amp_push_gateway::limits::MAX_LABELS;
use amp_push_gateway::model::{
    Label, LabelName, LabelSet, Layout, Observation, Rejection, Timestamp, TypedMetric, Update, Value,
};
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
const BEGINNINGS: [&str; 18] = [
    "metrics",
    "dimensions",
    "timestamp",
    "type",
    "name",
    "value",
    "labels",
    "counts",
    "buckets",
    "quantiles",
    "epsilons",
    "help",
    "id: ",
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
                match event {
                    Event::Plain(event) => check_event(event),
                    Event::Typed(metric) => check_typed(metric),
                }
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

fn check_labels(labels: &LabelSet<'_>) {
    assert!(labels.get("env").is_some() && labels.get("team").is_some(), "an external label is missing");
    let labels = labels.as_slice();
    assert!(labels.len() < MAX_LABELS, "{} labels beside the name", labels.len());
    assert!(labels.windows(2).all(|pair| pair[0].name.as_str() < pair[1].name.as_str()), "{labels:?}");
    for label in labels {
        assert!(is_label_name(label.name.as_str()), "{label:?}");
        assert!(!label.value.is_empty() && label.value.len() <= 2_048, "{label:?}");
    }
}

fn check_event(event: &PlainEvent<'_>) {
    check_labels(&event.labels);
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

fn check_typed(metric: &TypedMetric<'_>) {
    let TypedMetric { name, labels, update, help, time, id } = metric;
    check_labels(labels);
    assert!(is_metric_name(name.as_str()), "{name:?}");
    assert!((NOW - 3_600_000..=NOW + 10_000).contains(&time.0), "{time}");
    assert!(help.as_ref().is_none_or(|help| (1..=1_024).contains(&help.len())), "{help:?}");
    assert!(id.as_ref().is_none_or(|id| (1..=128).contains(&id.len())), "{id:?}");
    let finite = |value: &Value| f64::from_bits(value.wire_bits()).is_finite();
    let check_observations = |observations: &[Observation]| {
        assert!(!observations.is_empty(), "nothing was observed");
        assert!(observations.iter().all(|one| one.value.is_finite() && one.count > 0), "{observations:?}");
    };
    match update {
        Update::Counter(value) => assert!(finite(value) && f64::from_bits(value.wire_bits()) >= 0.0, "{value}"),
        Update::Gauge(value) => assert!(finite(value), "{value}"),
        Update::Histogram { layout, observations } => {
            check_observations(observations);
            assert!(labels.get("le").is_none(), "{labels:?}");
            if let Layout::Classic(bounds) = layout {
                assert!(bounds.len() <= 200 && bounds.iter().all(|bound| bound.is_finite()), "{bounds:?}");
                assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]), "{bounds:?}");
            }
        }
        Update::Summary { quantiles, observations } => {
            check_observations(observations);
            assert!(labels.get("quantile").is_none(), "{labels:?}");
            assert!((1..=20).contains(&quantiles.len()), "{quantiles:?}");
            assert!(quantiles.windows(2).all(|pair| pair[0] < pair[1]), "{quantiles:?}");
            assert!(quantiles.iter().all(|quantile| (0.0..=1.0).contains(quantile)), "{quantiles:?}");
        }
        other => panic!("no event is one: {other:?}"),
    }
}

/// Checks that the text of a value is read as the same value, with the same type and bits.
fn check_value(value: Value) {
    let text = format!(r#"{{"metrics":{{"m":"{value}"}}}}"#);
    let (_, events) = read(&text, None);
    let Ok(Event::Plain(again)) = &events[0].event else { panic!("a value as it was shown") };
    let again = again.metrics[0].1;
    assert_eq!(std::mem::discriminant(&again), std::mem::discriminant(&value), "{value}");
    assert_eq!(again.wire_bits(), value.wire_bits(), "{value}");
    assert!(!value.is_inexact() || matches!(value, Value::Integer(_)), "{value}");
}

/// Checks that an event that is dead-lettered on its own is the same event if it is sent again.
fn check_again(parsed: &ParsedEvent<'_>, event: &Event<'_>) {
    let (shape, again) = read(&parsed.text, parsed.sent);
    assert_eq!((shape, again.len()), (Shape::Single, 1), "{}", parsed.text);
    let again = again[0].event.as_ref().expect("the same event, read again");
    match (event, again) {
        (Event::Plain(event), Event::Plain(again)) => {
            assert_eq!((&again.labels, again.timestamp), (&event.labels, event.timestamp));
            let metrics = |event: &PlainEvent<'_>| -> Vec<(String, u64)> {
                event.metrics.iter().map(|(name, value)| (name.as_str().to_owned(), value.wire_bits())).collect()
            };
            assert_eq!(metrics(again), metrics(event));
        }
        (Event::Typed(metric), Event::Typed(again)) => assert_eq!(format!("{again:?}"), format!("{metric:?}")),
        _ => panic!("an event that became another: {}", parsed.text),
    }
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
