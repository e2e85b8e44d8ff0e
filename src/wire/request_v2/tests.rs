use super::super::messages::v2::{Metadata as MetadataMessage, Request, Sample as SampleMessage, TimeSeries};
use super::super::messages::{BucketSpan, Count, Histogram, ZeroCount};
use super::super::{
    EMPTY_REQUEST_V2, EncodedRequest, Encoder, Exemplar, Exemplars, Families, Form, Limits, Metadata, Version, encode,
};
use crate::model::{
    Counts, ItemId, Label, LabelName, LabelSet, MetricName, MetricType, NativeHistogram, ResetHint, STALE_MARKER, Span,
    Timestamp, Value,
};
use crate::series::{SampleTable, SampleTableBuilder, SampleValue};
use crate::wire::incoming::{Part, read_v2, read_v2_with_exemplars};
use proptest::prelude::*;
use prost::Message as _;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Families by the names of their metrics.
#[derive(Default, Debug)]
struct ByMetric(BTreeMap<String, (MetricType, String, String)>);

impl Families for ByMetric {
    fn find(&self, name: &str, take: &mut dyn FnMut(Metadata<'_>)) {
        if let Some((metric_type, help, unit)) = self.0.get(name) {
            take(Metadata { family: name, metric_type: *metric_type, help, unit });
        }
    }
}

fn requests(table: &SampleTable<'_>, families: &ByMetric, limits: &Limits) -> Vec<EncodedRequest> {
    let form = Form::V2 { families, relayed: None };
    encode(table, limits, form, &mut Encoder::default()).collect()
}

fn protobuf(request: &EncodedRequest) -> Vec<u8> {
    let protobuf = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    assert_eq!((protobuf.len(), request.version), (request.decoded_len, Version::V2));
    protobuf
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet<'static> {
    let label = |(name, value): &(&str, &str)| Label {
        name: LabelName::translate(Cow::Owned((*name).to_owned())).unwrap(),
        value: Cow::Owned((*value).to_owned()),
    };
    LabelSet::new(pairs.iter().map(label).collect()).unwrap()
}

fn name(metric: &str) -> MetricName<'static> {
    MetricName::translate(Cow::Owned(metric.to_owned())).unwrap()
}

fn finish(builder: SampleTableBuilder<'_>) -> SampleTable<'_> {
    builder.finish(&mut |contradiction| panic!("{contradiction:?}"))
}

/// A histogram with custom bounds, whose sum is the stale marker.
fn histogram() -> NativeHistogram {
    NativeHistogram {
        sum: f64::from_bits(STALE_MARKER),
        schema: -53,
        zero_threshold: 0.0,
        counts: Counts::Integer { count: 5, zero: 0, negative_deltas: Vec::new(), positive_deltas: vec![2, 1] },
        negative_spans: Vec::new(),
        positive_spans: vec![Span { offset: 0, length: 2 }],
        reset_hint: ResetHint::No,
        custom_values: vec![0.5, 2.5],
    }
}

#[test]
fn writes_the_bytes_that_prost_writes() {
    let mut builder = SampleTableBuilder::default();
    let number = |metric, time, value| (name(metric), Timestamp(time), value);
    let set = || labels(&[("Z", "b"), ("a", "b")]);
    builder.add(ItemId(0), set(), [number("m", 1, Value::Float(2.5)), number("n", -1, Value::StaleMarker)]);
    builder.add(
        ItemId(1),
        labels(&[("Z", "b"), ("a", "b"), ("le", "1"), ("m", "x")]),
        [number("m", 0, Value::Integer(0))],
    );
    builder.add_histograms(ItemId(2), labels(&[]), [(name("h"), Timestamp(9), histogram())]);
    let table = finish(builder);
    let families = ByMetric(BTreeMap::from([
        ("m".to_owned(), (MetricType::Counter, "Counts m.".to_owned(), "b".to_owned())),
        ("h".to_owned(), (MetricType::Histogram, String::new(), String::new())),
    ]));
    let requests = requests(&table, &families, &Limits::default());

    let symbols = ["", "m", "Counts m.", "b", "Z", "a", "__name__", "n", "x", "le", "1", "h"].map(str::to_owned);
    let counter = Some(MetadataMessage { metric_type: 1, help_ref: 2, unit_ref: 3 });
    let sample = |value, timestamp| vec![SampleMessage { value, timestamp, start_timestamp: 0 }];
    let stale = f64::from_bits(STALE_MARKER);
    let message = Histogram {
        count: Some(Count::Int(5)),
        sum: stale,
        schema: -53,
        zero_count: Some(ZeroCount::Int(0)),
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }],
        positive_deltas: vec![2, 1],
        reset_hint: 2,
        timestamp: 9,
        custom_values: vec![0.5, 2.5],
        ..Histogram::default()
    };
    let series = |labels_refs: &[u32], samples, metadata| TimeSeries {
        labels_refs: labels_refs.to_vec(),
        samples,
        metadata,
        ..TimeSeries::default()
    };
    let timeseries = vec![
        series(&[4, 3, 6, 1, 5, 3], sample(2.5, 1), counter),
        series(&[4, 3, 6, 7, 5, 3], sample(stale, -1), None),
        series(&[4, 3, 6, 1, 5, 3, 9, 10, 1, 8], sample(0.0, 0), counter),
        TimeSeries {
            histograms: vec![message],
            ..series(&[6, 11], Vec::new(), Some(MetadataMessage { metric_type: 3, help_ref: 0, unit_ref: 0 }))
        },
    ];
    let expected = Request { symbols: symbols.to_vec(), timeseries };
    let [request] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!(protobuf(request), expected.encode_to_vec());
}

#[test]
fn splits_a_series_of_numbers_and_histograms_into_messages_in_the_order_of_time() {
    let mut builder = SampleTableBuilder::default();
    builder.add_histograms(ItemId(0), labels(&[]), [4, 1, 2].map(|time| (name("a"), Timestamp(time), histogram())));
    builder.add(ItemId(1), labels(&[]), [3, 3].map(|time| (name("a"), Timestamp(time), Value::StaleMarker)));
    let table = finish(builder);
    let requests = requests(&table, &ByMetric::default(), &Limits::default());
    let request = Request::decode(protobuf(&requests[0]).as_slice()).unwrap();
    let times: Vec<(Vec<i64>, Vec<i64>)> = request
        .timeseries
        .iter()
        .map(|series| {
            let histograms = series.histograms.iter().map(|histogram| histogram.timestamp).collect();
            (series.samples.iter().map(|sample| sample.timestamp).collect(), histograms)
        })
        .collect();
    assert_eq!(times, [(vec![], vec![1, 2]), (vec![3], vec![]), (vec![], vec![4])]);
    assert_eq!((requests.len(), requests[0].samples.clone()), (1, 0..5));
}

#[test]
fn gives_each_sample_a_message_of_its_own_and_a_request_at_most_10_000_of_them() {
    let mut builder = SampleTableBuilder::default();
    for i in 0..4_000 {
        let number = |time| (name("a"), Timestamp(time), Value::Integer(time));
        builder.add(ItemId(i), labels(&[("l", &i.to_string())]), [number(3), number(1), number(2), number(3)]);
    }
    let (table, families) = (finish(builder), ByMetric::default());
    let exemplars = Exemplars::default();
    let form = Form::V2 { families: &families, relayed: Some(&exemplars) };
    let (mut encoder, mut times) = (Encoder::default(), Vec::new());
    for request in encode(&table, &Limits::default(), form, &mut encoder) {
        let message = Request::decode(protobuf(&request).as_slice()).unwrap();
        assert!(message.timeseries.len() <= 10_000);
        assert!(message.timeseries.iter().all(|series| series.samples.len() == 1));
        times.extend(message.timeseries.iter().map(|series| series.samples[0].timestamp));
    }
    assert_eq!(times, [1, 2, 3].repeat(4_000));
}

#[test]
fn writes_the_exemplars_of_a_series_into_its_first_message() {
    let mut builder = SampleTableBuilder::default();
    let number = |time| (ItemId(0), Timestamp(time), Value::Integer(time));
    let series = ["a", "b"].map(|metric| builder.add_series(&name(metric), labels(&[]), [number(1), number(2)], []));
    let exemplar = |timestamp, value: &'static str| Exemplar {
        labels: vec![("trace_id", value), ("b", "")],
        bits: 0.5_f64.to_bits(),
        timestamp: Timestamp(timestamp),
    };
    let given = vec![(series[1], exemplar(3, "x")), (series[1], exemplar(-1, "a")), (series[0], exemplar(0, "y"))];
    let (table, families, exemplars) = (finish(builder), ByMetric::default(), Exemplars::new(given.clone()));
    let form = Form::V2 { families: &families, relayed: Some(&exemplars) };
    let mut encoder = Encoder::default();
    let requests: Vec<_> = encode(&table, &Limits::default(), form, &mut encoder).collect();
    let mut found = Vec::new();
    read_v2_with_exemplars(&protobuf(&requests[0]), &mut |part| {
        let Part::Series(series) = part else { panic!("{part:?}") };
        found.push((series.labels[0].1.to_owned(), series.samples[0].0.0, format!("{:?}", series.read_exemplars)));
    })
    .unwrap();
    let shown = |exemplars: &[(_, Exemplar<'_>)]| {
        format!("{:?}", exemplars.iter().map(|(_, exemplar)| exemplar).collect::<Vec<_>>())
    };
    let expected =
        [("a", 1, shown(&given[2..])), ("a", 2, shown(&[])), ("b", 1, shown(&given[..2])), ("b", 2, shown(&[]))];
    assert_eq!(found, expected.map(|(metric, time, exemplars)| (metric.to_owned(), time, exemplars)));
}

#[test]
fn goes_back_to_version_1_at_the_request_that_was_refused() {
    let mut builder = SampleTableBuilder::default();
    for i in 0..20 {
        let sample = (name("a"), Timestamp(1), Value::Integer(1));
        builder.add(ItemId(i), labels(&[("l", &i.to_string())]), [sample]);
    }
    let table = finish(builder);
    let (limits, mut encoder, families) =
        (Limits { decoded: 100, compressed: 90 }, Encoder::default(), ByMetric::default());
    let mut requests = encode(&table, &limits, Form::V2 { families: &families, relayed: None }, &mut encoder);
    let (first, second) = (requests.next().unwrap(), requests.next().unwrap());
    assert_eq!((first.version, second.version), (Version::V2, Version::V2));
    requests.fall_back(second.samples.start);
    let mut next = second.samples.start;
    for request in requests {
        assert_eq!((request.version, request.samples.start), (Version::V1, next));
        next = request.samples.end;
        assert!(request.decoded_len <= 100);
    }
    assert_eq!(next, 20);
}

#[test]
fn the_empty_request_has_the_empty_symbol_and_nothing_else() {
    let protobuf = snap::raw::Decoder::new().decompress_vec(EMPTY_REQUEST_V2).unwrap();
    assert_eq!(protobuf, Request { symbols: vec![String::new()], timeseries: Vec::new() }.encode_to_vec());
    read_v2(&protobuf, &mut |part| panic!("{part:?}")).unwrap();
}

/// A sample of a table: labels with the name, time, and value, which is a histogram if it is `None`.
type Row = (BTreeMap<String, String>, i64, Option<u64>);

fn rows_of(table: &SampleTable<'_>) -> BTreeSet<Row> {
    let row = |sample: &crate::series::Sample| {
        let (name, labels) = table.series(sample.series);
        let pairs = labels.iter().map(|label| (label.name.as_str().to_owned(), label.value.to_string()));
        let value = match table.value(sample) {
            SampleValue::Number(number) => Some(number.wire_bits()),
            SampleValue::Histogram(_) => None,
        };
        let name = ("__name__".to_owned(), name.as_str().to_owned());
        (pairs.chain([name]).collect(), sample.timestamp.0, value)
    };
    table.samples().iter().map(row).collect()
}

proptest! {
    /// Our reader of 2.0 finds in the requests exactly the samples of the table, each once, with the metadata of their metrics. The
    /// requests keep to the limits unless one series alone is over them.
    #[test]
    fn property_test_the_reader_of_version_2_finds_the_samples_of_the_table(
        samples in proptest::collection::vec((0..5_usize, 0..4_usize, 0..6_i64, any::<bool>()), 1..40),
        has_common: bool, decoded in 60..600_usize,
    ) {
        let sets = [
            labels(&[]), labels(&[("a", "x"), ("le", "1")]), labels(&[("a", "x"), ("le", "+Inf")]),
            labels(&[("Z", "m0"), ("_A", "é"), ("zone", "m0")]), labels(&[("a", "x")]),
        ];
        let common = if has_common { labels(&[("env", "prod"), ("zone", "b")]) } else { labels(&[]) };
        let families = ByMetric(BTreeMap::from([
            ("m0".to_owned(), (MetricType::Gauge, "help".to_owned(), "m0".to_owned())),
            ("m1".to_owned(), (MetricType::Unknown, String::new(), String::new())),
            ("m2".to_owned(), (MetricType::Summary, "a".to_owned(), String::new())),
        ]));
        let mut builder = SampleTableBuilder::default().with_common_labels(&common);
        // A time has one kind of value.
        for (id, &(set, metric, time, _)) in (0..).map(ItemId).zip(&samples) {
            let (metric, mut set) = (name(&format!("m{metric}")), sets[set].clone());
            set.add_missing(&common);
            if time % 2 == 0 {
                builder.add(id, set, [(metric, Timestamp(time), Value::Integer(time))]);
            } else {
                builder.add_histograms(id, set, [(metric, Timestamp(time), histogram())]);
            }
        }
        let table = finish(builder);
        let (mut found, mut count, mut next) = (BTreeSet::new(), 0, 0);
        for request in requests(&table, &families, &Limits { decoded, compressed: 10_000 }) {
            prop_assert_eq!(request.samples.start, next);
            next = request.samples.end;
            let protobuf = protobuf(&request);
            let message = Request::decode(protobuf.as_slice()).unwrap();
            let distinct: BTreeSet<_> = message.symbols.iter().collect();
            prop_assert_eq!(distinct.len(), message.symbols.len());
            prop_assert_eq!(&message.symbols[0], "");
            let used = message.timeseries.iter().flat_map(|series| {
                let of_metadata = series.metadata.iter().flat_map(|metadata| [metadata.help_ref, metadata.unit_ref]);
                series.labels_refs.iter().copied().chain(of_metadata).chain([0])
            });
            prop_assert_eq!(used.collect::<BTreeSet<_>>().len(), message.symbols.len());
            let mut described = Vec::new();
            read_v2(&protobuf, &mut |part| match part {
                Part::Series(series) => {
                    let labels: BTreeMap<_, _> =
                        series.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
                    assert!(series.labels.is_sorted() && series.labels.len() == labels.len());
                    assert!(series.samples.is_empty() != series.histograms.is_empty());
                    let numbers = series.samples.iter().map(|(time, bits)| (time.0, Some(*bits)));
                    let values = numbers.chain(series.histograms.iter().map(|(time, value)| {
                        assert!(value.is_same(&histogram()));
                        (time.0, None)
                    }));
                    for (time, value) in values {
                        count += 1;
                        assert!(found.insert((labels.clone(), time, value)), "twice");
                    }
                }
                Part::Metadata(Metadata { metric_type, help, unit, .. }) => {
                    described.push((metric_type, help.to_owned(), unit.to_owned()));
                }
            }).unwrap();
            let expected: Vec<_> = message.timeseries.iter().filter_map(|series| {
                let pairs = series.labels_refs.chunks(2);
                let name = pairs.filter(|pair| message.symbols[pair[0] as usize] == "__name__");
                let name = name.map(|pair| message.symbols[pair[1] as usize].as_str()).next().unwrap();
                families.0.get(name).filter(|(metric_type, ..)| *metric_type != MetricType::Unknown).cloned()
            }).collect();
            prop_assert_eq!(described, expected);
            let series: BTreeSet<_> = message.timeseries.iter().map(|series| &series.labels_refs).collect();
            prop_assert!(series.len() == 1 || request.decoded_len <= decoded);
        }
        prop_assert_eq!(next, table.samples().len());
        prop_assert_eq!(&found, &rows_of(&table));
        prop_assert_eq!(count, found.len());
    }
}
