use super::*;
use crate::event::{Event, EventTimes, Rules, read_message};
use crate::model::{Label, LabelName, MetricName, TypedMetric};
use crate::telemetry::Pending;
use proptest::prelude::*;
use std::borrow::Cow;

const NOW: Timestamp = Timestamp(1_764_436_088_000);

fn metric(name: &str, label: &str, update: Update) -> TypedMetric<'static> {
    let label = Label { name: LabelName::as_is(Cow::Borrowed("l")).unwrap(), value: Cow::Owned(label.to_owned()) };
    TypedMetric {
        name: MetricName::as_is(Cow::Owned(name.to_owned())).unwrap(),
        labels: LabelSet::new(vec![label]).unwrap(),
        update,
        help: Some(Cow::Borrowed("what it is")),
        time: Timestamp(NOW.0 - 5_000),
        id: None,
    }
}

fn series(metrics: &[TypedMetric<'_>]) -> Vec<PendingSeries> {
    let mut pending = Pending::default();
    for metric in metrics {
        pending.add(metric);
    }
    let mut series = pending.take();
    series.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.labels.as_slice().cmp(b.labels.as_slice())));
    series
}

/// Returns what the gateway reads from a message.
fn read(body: &str) -> Vec<TypedMetric<'static>> {
    let (mut metrics, rules) = (Vec::new(), Rules::default());
    read_message(body, &EventTimes { now: NOW, sent: None }, &rules, &mut |parsed| match parsed.event.unwrap() {
        Event::Typed(metric) => metrics.push(metric.into_owned()),
        Event::Plain(_) => panic!("no typed metric"),
    });
    metrics
}

#[test]
fn writes_events_with_ids_and_times_that_the_gateway_reads() {
    let observed = |value, count| Observation { value, count };
    let updates = [
        metric("a_total", "x\"\u{ffff}\n", Update::Counter(Value::Integer(3))),
        metric("a_total", "x\"\u{ffff}\n", Update::Counter(Value::Float(0.5))),
        metric("b", "", Update::Gauge(Value::Float(-1.5e-7))),
        metric("c", "y", Update::Histogram { layout: Layout::Native, observations: vec![observed(0.25, 1)] }),
        metric(
            "d",
            "y",
            Update::Histogram { layout: Layout::Classic(vec![0.1, 1.0]), observations: vec![observed(2.0, 7)] },
        ),
        metric(
            "e",
            "y",
            Update::Summary { quantiles: vec![0.5], observations: vec![observed(2.0, 1), observed(3.0, 1)] },
        ),
    ];
    let mut next = 7;
    let messages = cut(series(&updates), "env", &mut next);
    assert_eq!((messages.len(), next), (1, 13));
    assert_eq!(messages[0].first_id("env"), "env-7");
    let body = messages[0].body("env", NOW);
    let expected = r#"[{"type":"counter","name":"a_total","labels":{"l":"x\"\uffff\n"},"value":3,"help":"what it is","id":"env-7","timestamp":1764436088000},{"type":"counter","name":"a_total","labels":{"l":"x\"\uffff\n"},"value":0.5,"help":"what it is","id":"env-8","timestamp":1764436088000},{"type":"gauge","name":"b","value":-1.5e-7,"help":"what it is","id":"env-9","timestamp":1764436083000},{"type":"histogram","name":"c","labels":{"l":"y"},"value":[0.25],"help":"what it is","id":"env-10","timestamp":1764436088000},{"type":"histogram","name":"d","labels":{"l":"y"},"buckets":[0.1,1.0],"value":[2.0],"counts":[7],"help":"what it is","id":"env-11","timestamp":1764436088000},{"type":"summary","name":"e","labels":{"l":"y"},"quantiles":[0.5],"value":[2.0,3.0],"help":"what it is","id":"env-12","timestamp":1764436088000}]"#;
    assert_eq!(body, expected);
    assert_eq!(body.len(), messages[0].bytes);
    let read: Vec<_> = read(&body).into_iter().map(|metric| (metric.id.unwrap().into_owned(), metric.time)).collect();
    assert_eq!(read[2], ("env-9".to_owned(), Timestamp(NOW.0 - 5_000)));
    assert_eq!(read[5], ("env-12".to_owned(), NOW));
}

#[test]
fn sends_an_old_gauge_with_a_time_that_the_gateway_takes() {
    let hour_later = Timestamp(NOW.0 + 3_600_000);
    let messages = cut(series(&[metric("g", "x", Update::Gauge(Value::Integer(1)))]), "env", &mut 1);
    let body = messages[0].body("env", hour_later);
    assert!(body.ends_with(&format!("\"timestamp\":{}}}]", hour_later.0 - MAX_GAUGE_AGE_MS)), "{body}");
}

#[test]
fn cuts_many_series_into_messages_that_the_queue_takes() {
    let metrics: Vec<_> =
        (0..3_000).map(|i| metric("m_total", &format!("{i:0200}"), Update::Counter(Value::Integer(i)))).collect();
    let mut next = 1;
    let messages = cut(series(&metrics), "env", &mut next);
    assert!(messages.len() > 3 && next == 3_001);
    let mut ids = Vec::new();
    for message in &messages {
        let body = message.body("env", NOW);
        assert!(body.len() <= MAX_DISPATCH_MESSAGE_BYTES, "{}", body.len());
        assert_eq!(body.len(), message.bytes);
        ids.extend(read(&body).into_iter().map(|metric| metric.id.unwrap().into_owned()));
    }
    let expected: Vec<_> = (1..=3_000).map(|number| format!("env-{number}")).collect();
    assert_eq!(ids, expected);
}

proptest! {
    #[test]
    fn property_test_the_gateway_reads_every_value_bit_for_bit(value in any::<f64>(), count in 1..u64::MAX / 2, text in "\\PC{0,8}") {
        prop_assume!(value.is_finite());
        let observations = vec![Observation { value, count }];
        let update = Update::Histogram { layout: Layout::Native, observations };
        let body = cut(series(&[metric("h", &text, update)]), "env", &mut 1)[0].body("env", NOW);
        let read = read(&body);
        let Update::Histogram { observations, .. } = &read[0].update else { panic!("no histogram") };
        prop_assert_eq!(observations[0].value.to_bits(), value.to_bits());
        // The gateway reads whole numbers up to that of an i64.
        prop_assert_eq!(observations[0].count, count.min(i64::MAX.cast_unsigned()));
        prop_assert_eq!(read[0].labels.get("l").unwrap_or_default(), text);
    }
}
