use super::messages::{
    BucketSpan, Count, Histogram, Label, MetricMetadata, Sample, TimeSeries, WriteRequest, ZeroCount,
};
use super::{EncodedRequest, Limits, Metadata, metadata};
use crate::model::{
    self, Counts, ItemId, LabelName, LabelSet, MetricName, MetricType, NativeHistogram, ResetHint, STALE_MARKER, Span,
    Timestamp, Value,
};
use crate::series::{SampleTable, SampleTableBuilder};
use proptest::prelude::*;
use prost::Message as _;
use std::borrow::Cow;

fn encode(table: &SampleTable<'_>, limits: &Limits) -> Vec<EncodedRequest> {
    super::encode(table, limits, super::Form::V1, &mut super::Encoder::default()).collect()
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

/// A histogram as `prost` has it, and as the model has it.
fn histogram(is_float: bool, number: i64, bits: u64, repeats: usize) -> (Histogram, NativeHistogram) {
    let double = f64::from_bits(bits);
    let unsigned = number.cast_unsigned();
    let short = i32::try_from(number % 100).unwrap();
    let spans = |offset| vec![Span { offset, length: short.unsigned_abs() }; repeats];
    let (deltas, doubles) = ([number, -1, 0, i64::MIN].repeat(repeats), [double, -0.0].repeat(repeats));
    let counts = if is_float {
        Counts::Float { count: double, zero: 0.0, negative: doubles.clone(), positive: doubles.clone() }
    } else {
        Counts::Integer { count: unsigned, zero: 0, negative_deltas: deltas.clone(), positive_deltas: deltas.clone() }
    };
    let native = NativeHistogram {
        sum: double,
        schema: short,
        zero_threshold: double,
        counts,
        negative_spans: spans(short),
        positive_spans: spans(0),
        reset_hint: if is_float { ResetHint::Gauge } else { ResetHint::Unknown },
        custom_values: doubles.clone(),
    };
    let bucket_spans =
        |spans: &[Span]| spans.iter().map(|&Span { offset, length }| BucketSpan { offset, length }).collect();
    let only = |wanted: bool| move |numbers: Vec<f64>| if wanted { numbers } else { Vec::new() };
    let message = Histogram {
        count: Some(if is_float { Count::Float(double) } else { Count::Int(unsigned) }),
        sum: double,
        schema: short,
        zero_threshold: double,
        zero_count: Some(if is_float { ZeroCount::Float(0.0) } else { ZeroCount::Int(0) }),
        negative_spans: bucket_spans(&native.negative_spans),
        negative_deltas: if is_float { Vec::new() } else { deltas.clone() },
        negative_counts: only(is_float)(doubles.clone()),
        positive_spans: bucket_spans(&native.positive_spans),
        positive_deltas: if is_float { Vec::new() } else { deltas },
        positive_counts: only(is_float)(doubles.clone()),
        reset_hint: if is_float { 3 } else { 0 },
        timestamp: number,
        custom_values: doubles,
        start_timestamp: 0,
    };
    (message, native)
}

fn name(metric: &str) -> MetricName<'static> {
    MetricName::translate(Cow::Owned(metric.to_owned())).unwrap()
}

#[test]
fn sends_samples_and_then_histograms_of_a_series_and_equal_histograms_once() {
    let histogram = histogram(false, 7, f64::NAN.to_bits(), 1).1;
    let mut builder = SampleTableBuilder::default();
    let at = |time| (name("a"), Timestamp(time), histogram.clone());
    builder.add_histograms(ItemId(0), labels(&[]), [at(3), at(1)]);
    builder.add(ItemId(1), labels(&[]), [(name("a"), Timestamp(2), Value::StaleMarker)]);
    builder.add_histograms(ItemId(2), labels(&[]), [at(3)]);
    let table = builder.finish(&mut |contradiction| panic!("{contradiction:?}"));
    let requests = encode(&table, &Limits::default());
    let series = &decode(&requests[0]).timeseries[0];
    assert_eq!(series.histograms.iter().map(|histogram| histogram.timestamp).collect::<Vec<_>>(), [1, 3]);
    assert_eq!((series.samples[0].timestamp, series.samples[0].value.to_bits()), (2, STALE_MARKER));
    assert_eq!(requests[0].samples, 0..4);
}

#[test]
fn rejects_a_histogram_that_contradicts_a_number_or_another_histogram() {
    let (first, other) = (histogram(true, 7, 0, 1).1, histogram(true, 7, 1, 1).1);
    let mut builder = SampleTableBuilder::default();
    builder.add_histograms(ItemId(0), labels(&[]), [(name("a"), Timestamp(1), first.clone())]);
    builder.add(ItemId(1), labels(&[]), [(name("a"), Timestamp(1), Value::Integer(1))]);
    builder.add_histograms(ItemId(2), labels(&[]), [(name("a"), Timestamp(1), other)]);
    builder.add_histograms(ItemId(3), labels(&[]), [(name("a"), Timestamp(1), first)]);
    let mut rejected = Vec::new();
    let table = builder.finish(&mut |contradiction| rejected.push((contradiction.item.0, contradiction.to_string())));
    let text = |value| format!("{value} at 1 contradicts a native histogram");
    assert_eq!(rejected, [(1, text("1")), (2, text("a native histogram"))]);
    assert_eq!(table.samples().len(), 2);
}

#[test]
fn cuts_a_series_of_large_histograms_into_requests_of_a_megabyte() {
    let mut builder = SampleTableBuilder::default();
    // 100 kB each.
    let large = |time| (name("a"), Timestamp(time), histogram(false, time, 1, 7_000).1);
    builder.add_histograms(ItemId(0), labels(&[]), (0..40).map(large));
    let table = builder.finish(&mut |contradiction| panic!("{contradiction:?}"));
    let requests = encode(&table, &Limits::default());
    assert!(requests.iter().all(|request| request.decoded_len < 1_600_000), "{requests:?}");
    let times = requests.iter().flat_map(|request| decode(request).timeseries.remove(0).histograms);
    assert_eq!(times.map(|histogram| histogram.timestamp).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
}

#[test]
fn writes_metadata_as_prost_does() {
    let families = [
        Metadata { family: "a_total", metric_type: MetricType::Counter, help: "Counts.", unit: "" },
        Metadata { family: "b", metric_type: MetricType::Unknown, help: "", unit: "seconds" },
    ];
    let protobuf = snap::raw::Decoder::new().decompress_vec(&metadata(&families).unwrap()).unwrap();
    let message = |family: &Metadata<'_>| MetricMetadata {
        metric_type: family.metric_type as i32,
        metric_family_name: family.family.to_owned(),
        help: family.help.to_owned(),
        unit: family.unit.to_owned(),
    };
    let expected = WriteRequest { metadata: families.iter().map(message).collect(), ..WriteRequest::default() };
    assert_eq!(WriteRequest::decode(protobuf.as_slice()).unwrap(), expected);
    assert_eq!(protobuf, expected.encode_to_vec());
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

/// The bits of doubles but -0, which `prost` leaves out of single fields.
fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), Just(0), Just(STALE_MARKER)].prop_filter("-0", |bits| *bits != (-0.0_f64).to_bits())
}

proptest! {
    /// decode(encode(x)) = x, bit for bit, for every value and time.
    #[test]
    fn property_test_samples_arrive_bit_for_bit(value in value(), timestamp: i64) {
        let table = table(vec![item("x", "a", timestamp, value)]);
        let request = decode(&encode(&table, &Limits::default())[0]);
        let expected = Label { name: "__name__".to_owned(), value: "a".to_owned() };
        let TimeSeries { labels, samples, .. } = &request.timeseries[0];
        prop_assert_eq!(&labels[0], &expected);
        prop_assert_eq!(samples.len(), 1);
        prop_assert_eq!(samples[0].value.to_bits(), value.wire_bits());
        prop_assert_eq!(samples[0].timestamp, timestamp);
    }

    /// A histogram is sent with every field, to the bit.
    #[test]
    fn property_test_a_histogram_has_the_bytes_that_prost_writes(
        is_float: bool, number: i64, bits in bits(), repeats in 0..3_usize,
    ) {
        let (message, native) = histogram(is_float, number, bits, repeats);
        let mut builder = SampleTableBuilder::default();
        builder.add_histograms(ItemId(0), labels(&[]), [(name("a"), Timestamp(number), native)]);
        let table = builder.finish(&mut |contradiction| panic!("{contradiction:?}"));
        let requests = encode(&table, &Limits::default());
        let by_hand = snap::raw::Decoder::new().decompress_vec(&requests[0].body).unwrap();
        let label = Label { name: "__name__".to_owned(), value: "a".to_owned() };
        let series = TimeSeries { labels: vec![label], histograms: vec![message], ..TimeSeries::default() };
        let expected = WriteRequest { timeseries: vec![series], ..WriteRequest::default() };
        prop_assert_eq!(by_hand, expected.encode_to_vec());
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
