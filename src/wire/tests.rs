use super::messages::{Label, Sample, TimeSeries, WriteRequest};
use super::{EncodedRequest, Limits};
use crate::model::{self, ItemId, LabelName, LabelSet, MetricName, Timestamp, Value};
use crate::series::{SampleTable, SampleTableBuilder};
use proptest::prelude::*;
use prost::Message as _;
use std::borrow::Cow;

fn encode(table: &SampleTable<'_>, limits: &Limits) -> Vec<EncodedRequest> {
    super::encode(table, limits, &mut super::Encoder::default()).collect()
}

fn labels(pairs: &[(String, String)]) -> LabelSet<'static> {
    let label = |(name, value): &(String, String)| model::Label {
        name: LabelName::translate(Cow::Owned(name.clone())).unwrap(),
        value: Cow::Owned(value.clone()),
    };
    LabelSet::new(pairs.iter().map(label).collect()).unwrap()
}

/// An item of one sample.
struct Item {
    labels: LabelSet<'static>,
    sample: (MetricName<'static>, Timestamp, Value),
}

fn item(label: &str, metric: &str, timestamp: i64, value: Value) -> Item {
    let name = MetricName::translate(Cow::Owned(metric.to_owned())).unwrap();
    Item { labels: labels(&[("l".to_owned(), label.to_owned())]), sample: (name, Timestamp(timestamp), value) }
}

fn table(items: Vec<Item>) -> SampleTable<'static> {
    let mut builder = SampleTableBuilder::default();
    for (id, Item { labels, sample }) in (0..).map(ItemId).zip(items) {
        builder.add(id, labels, [sample]);
    }
    builder.finish(&mut |_| ())
}

fn decode(request: &EncodedRequest) -> WriteRequest {
    let protobuf = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    assert_eq!(protobuf.len(), request.decoded_len);
    WriteRequest::decode(protobuf.as_slice()).unwrap()
}

#[test]
fn writes_the_bytes_that_prost_writes() {
    let table = table(vec![
        item("x", "a", 1_676_398_017_000, Value::Float(14.3)),
        item("x", "a", 1_676_398_018_000, Value::Integer(0)),
        item("y", "b", -1, Value::Float(f64::NEG_INFINITY)),
    ]);
    let requests = encode(&table, &Limits::default());
    let by_hand = snap::raw::Decoder::new().decompress_vec(&requests[0].body).unwrap();
    assert_eq!(by_hand, decode(&requests[0]).encode_to_vec());
}

#[test]
fn keeps_the_sign_of_negative_zero_which_prost_would_leave_out() {
    let requests = encode(&table(vec![item("x", "a", 1, Value::Float(-0.0))]), &Limits::default());
    let sample = &decode(&requests[0]).timeseries[0].samples[0];
    assert_eq!(sample.value.to_bits(), (-0.0_f64).to_bits());
}

#[test]
fn sorts_the_name_of_the_metric_among_the_labels_bytewise() {
    let pairs = ["Z", "_Z", "_a", "a"].map(|name| (name.to_owned(), "1".to_owned()));
    let item = Item { labels: labels(&pairs), ..item("x", "m", 1, Value::Integer(1)) };
    let request = decode(&encode(&table(vec![item]), &Limits::default())[0]);
    let names: Vec<_> = request.timeseries[0].labels.iter().map(|label| label.name.as_str()).collect();
    assert_eq!(names, ["Z", "_Z", "__name__", "_a", "a"]);
}

#[test]
fn sends_an_equal_sample_of_two_items_once() {
    let table = table(vec![item("x", "a", 1, Value::Integer(5)), item("x", "a", 1, Value::Float(5.0))]);
    let requests = encode(&table, &Limits::default());
    assert_eq!(decode(&requests[0]).timeseries[0].samples, [Sample { value: 5.0, timestamp: 1 }]);
    assert_eq!(requests[0].samples, 0..2);
}

#[test]
fn makes_no_request_of_an_empty_table() {
    assert!(encode(&table(Vec::new()), &Limits::default()).is_empty());
}

#[test]
fn cuts_a_request_that_does_not_compress_until_it_is_short_enough() {
    // Labels of pseudo-random characters: snappy gains nothing on them.
    let mut state = 1_u64;
    let mut character = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    let items = (0..4_000).map(|_| item(&(0..600).map(|_| character()).collect::<String>(), "a", 1, Value::Integer(1)));
    let table = table(items.collect());
    let requests = encode(&table, &Limits::default());
    assert!(requests.len() >= 3);
    assert!(requests.iter().all(|request| request.body.len() <= 900_000 && request.decoded_len <= 3_000_000));
    assert_eq!(requests.iter().map(|request| decode(request).timeseries.len()).sum::<usize>(), 4_000);
}

/// Values that an encoder could easily lose.
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
        let table = table(vec![item("x", "a", timestamp, value)]);
        let request = decode(&encode(&table, &Limits::default())[0]);
        let expected = Label { name: "__name__".to_owned(), value: "a".to_owned() };
        let TimeSeries { labels, samples } = &request.timeseries[0];
        prop_assert_eq!(&labels[0], &expected);
        prop_assert_eq!(samples.len(), 1);
        prop_assert_eq!(samples[0].value.to_bits(), value.wire_bits());
        prop_assert_eq!(samples[0].timestamp, timestamp);
    }

    /// Requests hold all samples once and in order, and each series once, however small the limits. They keep to the limits unless one
    /// sample alone is over them.
    #[test]
    fn property_test_requests_hold_each_sample_once_and_keep_to_the_limits(
        samples in proptest::collection::vec((0..4_u8, 0..3_u8, 0..6_i64), 1..40),
        decoded in 1..400_usize, compressed in 1..200_usize,
    ) {
        let items = samples.iter().map(|(l, m, t)| item(&"v".repeat(1 + *l as usize), &format!("m{m}"), *t, Value::Integer(7)));
        let table = table(items.collect());
        let requests = encode(&table, &Limits { decoded, compressed });
        let mut next = 0;
        for request in &requests {
            prop_assert_eq!(request.samples.start, next);
            next = request.samples.end;
            let message = decode(request);
            let count: usize = message.timeseries.iter().map(|series| series.samples.len()).sum();
            prop_assert!(message.timeseries.len() == 1 || request.decoded_len <= decoded);
            prop_assert!(count == 1 || request.body.len() <= compressed);
            let mut keys: Vec<_> = message.timeseries.iter().map(|series| &series.labels).collect();
            keys.dedup();
            prop_assert_eq!(keys.len(), message.timeseries.len());
        }
        prop_assert_eq!(next, table.samples().len());
    }
}
