use super::messages::{Label, Sample, TimeSeries, WriteRequest};
use super::{EncodedRequest, Limits};
use crate::event::Event;
use crate::model::{self, ItemId, LabelName, LabelSet, MetricName, Timestamp, Value};
use crate::series::{SampleTable, merge};
use proptest::prelude::*;
use prost::Message as _;
use std::borrow::Cow;

fn encode(merged: &SampleTable<'_>, limits: &Limits) -> Vec<EncodedRequest> {
    super::encode(merged, limits, &mut super::Encoder::default()).collect()
}

fn labels(pairs: &[(String, String)]) -> LabelSet<'static> {
    let label = |(name, value): &(String, String)| model::Label {
        name: LabelName::translate(Cow::Owned(name.clone())).unwrap(),
        value: Cow::Owned(value.clone()),
    };
    LabelSet::new(pairs.iter().map(label).collect()).unwrap()
}

fn event(label: &str, metric: &str, timestamp: i64, value: Value) -> Event<'static> {
    Event {
        labels: labels(&[("l".to_owned(), label.to_owned())]),
        timestamp: Timestamp(timestamp),
        metrics: vec![(MetricName::translate(Cow::Owned(metric.to_owned())).unwrap(), value)],
    }
}

fn merged(events: Vec<Event<'static>>) -> SampleTable<'static> {
    merge((0..).map(ItemId).zip(events), &mut |_, _| ())
}

fn decode(request: &EncodedRequest) -> WriteRequest {
    let protobuf = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    assert_eq!(protobuf.len(), request.decoded_len);
    WriteRequest::decode(protobuf.as_slice()).unwrap()
}

#[test]
fn what_is_written_by_hand_is_what_prost_writes() {
    let merged = merged(vec![
        event("x", "a", 1_676_398_017_000, Value::Float(14.3)),
        event("x", "a", 1_676_398_018_000, Value::Integer(0)),
        event("y", "b", -1, Value::Float(f64::NEG_INFINITY)),
    ]);
    let requests = encode(&merged, &Limits::default());
    let by_hand = snap::raw::Decoder::new().decompress_vec(&requests[0].body).unwrap();
    assert_eq!(by_hand, decode(&requests[0]).encode_to_vec());
}

#[test]
fn negative_zero_keeps_its_sign_though_prost_would_leave_it_out() {
    let requests = encode(&merged(vec![event("x", "a", 1, Value::Float(-0.0))]), &Limits::default());
    let sample = &decode(&requests[0]).timeseries[0].samples[0];
    assert_eq!(sample.value.to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn the_name_of_the_metric_takes_its_place_in_bytewise_order() {
    let pairs = ["Z", "_Z", "_a", "a"].map(|name| (name.to_owned(), "1".to_owned()));
    let event = Event { labels: labels(&pairs), ..event("x", "m", 1, Value::Integer(1)) };
    let request = decode(&encode(&merged(vec![event]), &Limits::default())[0]);
    let names: Vec<_> = request.timeseries[0].labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["Z", "_Z", "__name__", "_a", "a"]);
}

#[test]
fn an_equal_sample_of_two_events_is_sent_once() {
    let merged = merged(vec![event("x", "a", 1, Value::Integer(5)), event("x", "a", 1, Value::Float(5.0))]);
    let requests = encode(&merged, &Limits::default());
    assert_eq!(decode(&requests[0]).timeseries[0].samples, [Sample { value: 5.0, timestamp: 1 }]);
    assert_eq!(requests[0].rows, 0..2);
}

#[test]
fn nothing_makes_no_request() {
    assert!(encode(&merged(Vec::new()), &Limits::default()).is_empty());
}

#[test]
fn what_does_not_compress_is_cut_until_it_is_short_enough() {
    // Labels of pseudo-random letters: snappy gains nothing on them.
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    let events = (0..4_000).map(|_| event(&(0..600).map(|_| letter()).collect::<String>(), "a", 1, Value::Integer(1)));
    let merged = merged(events.collect());
    let requests = encode(&merged, &Limits::default());
    assert!(requests.len() >= 3);
    assert!(requests.iter().all(|request| request.body.len() <= 900_000 && request.decoded_len <= 3_000_000));
    assert_eq!(requests.iter().map(|request| decode(request).timeseries.len()).sum::<usize>(), 4_000);
}

/// Values that a wire is tempted to lose.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        any::<i64>().prop_map(Value::Integer),
        Just(Value::Float(0.0)),
        Just(Value::Float(-0.0)),
        Just(Value::Float(f64::NAN)),
    ]
}

proptest! {
    /// decode(encode(x)) = x, bit for bit, for every value and time.
    #[test]
    fn property_test_samples_arrive_bit_for_bit(value in value(), timestamp: i64) {
        let merged = merged(vec![event("x", "a", timestamp, value)]);
        let request = decode(&encode(&merged, &Limits::default())[0]);
        let expected = Label { name: "__name__".to_owned(), value: "a".to_owned() };
        let TimeSeries { labels, samples } = &request.timeseries[0];
        prop_assert_eq!(&labels[0], &expected);
        prop_assert_eq!(samples.len(), 1);
        prop_assert_eq!(samples[0].value.to_bits(), value.wire_bits());
        prop_assert_eq!(samples[0].timestamp, timestamp);
    }

    /// However small the limits: requests cover all rows once and in order, keep to the limits unless one sample alone
    /// is over them, and hold each series once.
    #[test]
    fn property_test_requests_cover_each_row_once_and_keep_to_the_limits(
        rows in proptest::collection::vec((0..4_u8, 0..3_u8, 0..6_i64), 1..40),
        decoded in 1..400_usize, compressed in 1..200_usize,
    ) {
        let events = rows.iter().map(|(l, m, t)| event(&"v".repeat(1 + *l as usize), &format!("m{m}"), *t, Value::Integer(7)));
        let merged = merged(events.collect());
        let requests = encode(&merged, &Limits { decoded, compressed });
        let mut next = 0;
        for request in &requests {
            prop_assert_eq!(request.rows.start, next);
            next = request.rows.end;
            let message = decode(request);
            let samples: usize = message.timeseries.iter().map(|series| series.samples.len()).sum();
            prop_assert!(message.timeseries.len() == 1 || request.decoded_len <= decoded);
            prop_assert!(samples == 1 || request.body.len() <= compressed);
            let mut keys: Vec<_> = message.timeseries.iter().map(|series| &series.labels).collect();
            keys.dedup();
            prop_assert_eq!(keys.len(), message.timeseries.len());
        }
        prop_assert_eq!(next, merged.rows().len());
    }
}
