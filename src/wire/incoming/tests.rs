use super::*;
use crate::model::{Counts, MetricType, ResetHint, STALE_MARKER, Span};
use crate::protobuf::Problem;
use crate::wire::messages::{
    self, BucketSpan, Count, Exemplar, Histogram, Label, MetricMetadata, Sample, ZeroCount, v2,
};
use proptest::prelude::*;
use prost::Message as _;

/// A part, without borrowed texts.
#[derive(PartialEq, Debug)]
enum Owned {
    Series { labels: Vec<(String, String)>, samples: Vec<(i64, u64)>, histograms: Vec<String>, exemplars: usize },
    Metadata(String, MetricType, String, String),
}

fn owned(part: &Part<'_, '_>) -> Owned {
    match part {
        Part::Series(Series { labels, samples, histograms, exemplars, .. }) => Owned::Series {
            labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            samples: samples.iter().map(|(timestamp, bits)| (timestamp.0, *bits)).collect(),
            histograms: histograms.iter().map(shown).collect(),
            exemplars: *exemplars,
        },
        Part::Metadata(Metadata { family, metric_type, help, unit }) => {
            Owned::Metadata((*family).to_owned(), *metric_type, (*help).to_owned(), (*unit).to_owned())
        }
    }
}

/// Shows every field, and the bits of doubles: to Debug all NaN are the same.
fn shown(histogram: &(Timestamp, NativeHistogram)) -> String {
    let NativeHistogram { sum, zero_threshold, counts, custom_values, .. } = &histogram.1;
    let mut doubles = vec![*sum, *zero_threshold];
    doubles.extend(custom_values);
    if let Counts::Float { count, zero, negative, positive } = counts {
        doubles.extend([&[*count, *zero], negative.as_slice(), positive].concat());
    }
    let bits: Vec<_> = doubles.iter().map(|double| double.to_bits()).collect();
    format!("{histogram:?} {bits:x?}")
}

fn v1(request: &[u8]) -> Result<Vec<Owned>, ReadError> {
    let mut parts = Vec::new();
    read_v1(request, &mut |part| parts.push(owned(&part)))?;
    Ok(parts)
}

fn v2(request: &[u8]) -> Result<Vec<Owned>, ReadError> {
    let mut parts = Vec::new();
    read_v2(request, &mut |part| parts.push(owned(&part)))?;
    Ok(parts)
}

/// The histogram that the model has of a message.
fn native(message: &Histogram) -> (Timestamp, NativeHistogram) {
    let spans = |spans: &[BucketSpan]| {
        spans.iter().map(|&BucketSpan { offset, length }| Span { offset, length }).collect::<Vec<_>>()
    };
    let counts = match (message.count, message.zero_count) {
        (Some(Count::Int(count)), Some(ZeroCount::Int(zero))) => Counts::Integer {
            count,
            zero,
            negative_deltas: message.negative_deltas.clone(),
            positive_deltas: message.positive_deltas.clone(),
        },
        (Some(Count::Float(count)), Some(ZeroCount::Float(zero))) => Counts::Float {
            count,
            zero,
            negative: message.negative_counts.clone(),
            positive: message.positive_counts.clone(),
        },
        other => panic!("{other:?}"),
    };
    let hints = [ResetHint::Unknown, ResetHint::Yes, ResetHint::No, ResetHint::Gauge];
    let histogram = NativeHistogram {
        sum: message.sum,
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        counts,
        negative_spans: spans(&message.negative_spans),
        positive_spans: spans(&message.positive_spans),
        reset_hint: hints[usize::try_from(message.reset_hint).unwrap()],
        custom_values: message.custom_values.clone(),
    };
    (Timestamp(message.timestamp), histogram)
}

fn double() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::from_bits(STALE_MARKER)), Just(0.0), Just(f64::INFINITY)]
        .prop_filter("prost leaves out -0", |double| double.to_bits() != (-0.0_f64).to_bits())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{0,8}", "\\PC{0,6}"]
}

fn histograms() -> impl Strategy<Value = Histogram> {
    let spans = || {
        let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length });
        proptest::collection::vec(span, 0..3)
    };
    let numbers = (any::<bool>(), any::<u64>(), double(), 0..4_i32, any::<i64>(), any::<i32>());
    let many = (proptest::collection::vec(any::<i64>(), 0..4), proptest::collection::vec(double(), 0..4));
    (numbers, spans(), spans(), many).prop_map(|(numbers, negative_spans, positive_spans, (deltas, doubles))| {
        let (is_float, count, double, reset_hint, timestamp, schema) = numbers;
        let floats = || if is_float { doubles.clone() } else { Vec::new() };
        let deltas = if is_float { Vec::new() } else { deltas };
        Histogram {
            count: Some(if is_float { Count::Float(double) } else { Count::Int(count) }),
            sum: double,
            schema,
            zero_threshold: double,
            zero_count: Some(if is_float { ZeroCount::Float(double) } else { ZeroCount::Int(count / 3) }),
            negative_spans,
            negative_deltas: deltas.clone(),
            negative_counts: floats(),
            positive_spans,
            positive_deltas: deltas,
            positive_counts: floats(),
            reset_hint,
            timestamp,
            custom_values: doubles,
            start_timestamp: timestamp / 2,
        }
    })
}

/// The contents of one series: pairs of labels, samples, histograms, the number of exemplars.
type Contents = (Vec<(String, String)>, Vec<(f64, i64)>, Vec<Histogram>, usize);

fn contents() -> impl Strategy<Value = Contents> {
    let labels = proptest::collection::vec((text(), text()), 0..4);
    let samples = proptest::collection::vec((double(), any::<i64>()), 0..4);
    (labels, samples, proptest::collection::vec(histograms(), 0..3), 0..3_usize)
}

fn expected((labels, samples, histograms, exemplars): &Contents) -> Owned {
    Owned::Series {
        labels: labels.clone(),
        samples: samples.iter().map(|(value, timestamp)| (*timestamp, value.to_bits())).collect(),
        histograms: histograms.iter().map(|histogram| shown(&native(histogram))).collect(),
        exemplars: *exemplars,
    }
}

fn label((name, value): &(String, String)) -> Label {
    Label { name: name.clone(), value: value.clone() }
}

fn message_v1((labels, samples, histograms, exemplars): &Contents) -> messages::TimeSeries {
    let sample = |&(value, timestamp): &(f64, i64)| Sample { value, timestamp };
    messages::TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(sample).collect(),
        exemplars: vec![Exemplar { labels: labels.iter().map(label).collect(), value: 1.0, timestamp: 2 }; *exemplars],
        histograms: histograms.clone(),
    }
}

/// Adds a text to the symbols, and returns its reference.
fn symbol(symbols: &mut Vec<String>, text: &str) -> u32 {
    let found = symbols.iter().position(|symbol| symbol == text);
    let position = found.unwrap_or_else(|| {
        symbols.push(text.to_owned());
        symbols.len() - 1
    });
    u32::try_from(position).unwrap()
}

fn message_v2(
    (labels, samples, histograms, exemplars): &Contents,
    metadata: Option<v2::Metadata>,
    symbols: &mut Vec<String>,
) -> v2::TimeSeries {
    let sample = |&(value, timestamp): &(f64, i64)| v2::Sample { value, timestamp, start_timestamp: 5 };
    let labels_refs: Vec<u32> =
        labels.iter().flat_map(|(name, value)| [symbol(symbols, name), symbol(symbols, value)]).collect();
    let exemplar = v2::Exemplar { labels_refs: labels_refs.clone(), value: 1.0, timestamp: 2 };
    v2::TimeSeries {
        labels_refs,
        samples: samples.iter().map(sample).collect(),
        histograms: histograms.clone(),
        exemplars: vec![exemplar; *exemplars],
        metadata,
    }
}

proptest! {
    /// Both versions say the same as the messages that `prost` encodes, to the bit.
    #[test]
    fn property_test_reads_what_prost_writes(all in proptest::collection::vec(contents(), 0..4)) {
        let parts: Vec<_> = all.iter().map(expected).collect();
        let timeseries = all.iter().map(message_v1).collect();
        let request = messages::WriteRequest { timeseries, ..Default::default() };
        prop_assert_eq!(v1(&request.encode_to_vec()).unwrap(), parts);

        let mut symbols = vec![String::new()];
        let timeseries = all.iter().map(|contents| message_v2(contents, None, &mut symbols)).collect();
        let request = v2::Request { symbols, timeseries };
        let parts: Vec<_> = all.iter().map(expected).collect();
        prop_assert_eq!(v2(&request.encode_to_vec()).unwrap(), parts);
    }

    /// Whatever the bytes are: an error has a position in them.
    #[test]
    fn property_test_a_broken_request_is_an_error_with_a_position(
        contents in contents(), position: proptest::sample::Index, byte: u8, cut: bool,
    ) {
        let request = messages::WriteRequest { timeseries: vec![message_v1(&contents)], ..Default::default() };
        let mut symbols = vec![String::new()];
        let timeseries = vec![message_v2(&contents, None, &mut symbols)];
        for mut bytes in [request.encode_to_vec(), v2::Request { symbols, timeseries }.encode_to_vec()] {
            if bytes.is_empty() {
                continue;
            }
            let position = position.index(bytes.len());
            if cut { bytes.truncate(position) } else { bytes[position] = byte }
            for error in [v1(&bytes).err(), v2(&bytes).err()].into_iter().flatten() {
                prop_assert!(error.offset <= bytes.len() && !error.to_string().is_empty(), "{}", error);
            }
        }
    }
}

fn series(labels: &[(&str, &str)]) -> Contents {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    (labels.collect(), vec![(1.0, 7)], Vec::new(), 0)
}

#[test]
fn reads_metadata_of_either_version_and_makes_a_family_of_a_series() {
    let message = |metric_type, family: &str| MetricMetadata {
        metric_type,
        metric_family_name: family.to_owned(),
        help: "Help.".to_owned(),
        unit: "s".to_owned(),
    };
    let request =
        messages::WriteRequest { timeseries: Vec::new(), metadata: vec![message(1, "a_total"), message(99, "b")] };
    let metadata =
        |family: &str, metric_type| Owned::Metadata(family.to_owned(), metric_type, "Help.".to_owned(), "s".to_owned());
    let expected = [metadata("a_total", MetricType::Counter), metadata("b", MetricType::Unknown)];
    assert_eq!(v1(&request.encode_to_vec()).unwrap(), expected);

    let table = [
        ("a_total", 1, "a_total"),
        ("a_bucket", 3, "a"),
        ("a_count", 4, "a"),
        ("a_sum", 5, "a"),
        ("a_bucket", 5, "a_bucket"),
        ("a_count", 2, "a_count"),
    ];
    for (name, metric_type, family) in table {
        let mut symbols = vec![String::new(), "Help.".to_owned(), "s".to_owned()];
        let message = v2::Metadata { metric_type, help_ref: 1, unit_ref: 2 };
        let timeseries = vec![message_v2(&series(&[("__name__", name)]), Some(message), &mut symbols)];
        let parts = v2(&v2::Request { symbols, timeseries }.encode_to_vec()).unwrap();
        let metric_type = MetricType::from_number(u32::try_from(metric_type).unwrap());
        assert_eq!(parts[1], metadata(family, metric_type), "{name}");
    }
}

/// Read by the other version's rules it would be a request without series.
#[test]
fn rejects_time_series_of_the_other_version() {
    let timeseries = vec![message_v1(&series(&[("__name__", "up")]))];
    let of_1 = messages::WriteRequest { timeseries, ..Default::default() }.encode_to_vec();
    let mut symbols = vec![String::new()];
    let timeseries = vec![message_v2(&series(&[("__name__", "up")]), None, &mut symbols)];
    let of_2 = v2::Request { symbols, timeseries }.encode_to_vec();
    assert_eq!(v2(&of_1), Err(ReadError { offset: 0, problem: ReadProblem::OfVersion1 }));
    assert_eq!(v1(&of_2).unwrap_err().problem, ReadProblem::OfVersion2);
    assert!(v1(&of_2).unwrap_err().to_string().contains("proto=io.prometheus.write.v2.Request"));
}

/// A length-delimited field.
fn field(number: u8, contents: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(contents.len()).unwrap()], contents].concat()
}

#[test]
fn takes_symbols_behind_the_series_and_references_that_are_not_packed() {
    let refs = [0x08, 1, 0x08, 2, 0x0a, 2, 1, 0, 0x3a, 1, 9];
    let request = [field(5, &refs), field(4, b""), field(4, b"a"), field(4, b"b")].concat();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let labels = vec![pair("a", "b"), pair("a", "")];
    let expected = Owned::Series { labels, samples: vec![], histograms: vec![], exemplars: 0 };
    assert_eq!(v2(&request).unwrap(), [expected]);
    assert_eq!(v2(b"").unwrap(), []);
}

#[test]
fn says_what_is_wrong_with_the_references_of_a_request() {
    let symbols = [field(4, b""), field(4, b"a")].concat();
    let reference = |reference, symbols| ReadProblem::Reference { reference, symbols };
    let table = [
        (field(4, b"a"), 0, ReadProblem::FirstSymbol),
        (field(5, &field(1, &[0, 0])), 2, reference(0, 0)),
        ([symbols.clone(), field(5, &field(1, &[1, 2]))].concat(), 7, reference(2, 2)),
        ([symbols.clone(), field(5, &field(1, &[1, 1, 1]))].concat(), 5, ReadProblem::OddReferences),
        ([symbols.clone(), field(5, &field(4, &field(1, &[1])))].concat(), 7, ReadProblem::OddReferences),
        ([symbols.clone(), field(5, &field(5, &[0x18, 5]))].concat(), 9, reference(5, 2)),
        ([symbols, field(4, b"\xff")].concat(), 7, ReadProblem::Protobuf(Problem::NotUtf8)),
    ];
    for (request, offset, problem) in table {
        assert_eq!(v2(&request), Err(ReadError { offset, problem }), "{request:?}");
    }
}

#[test]
fn takes_a_missing_or_zero_count_of_the_other_kind_but_no_mixture() {
    let read = |histogram: Histogram| {
        let request = field(1, &field(4, &histogram.encode_to_vec()));
        v1(&request).map_err(|error| error.problem)
    };
    let default = Histogram::default;
    let good = [
        default(),
        Histogram { count: Some(Count::Float(1.0)), zero_count: Some(ZeroCount::Int(0)), ..default() },
        Histogram { count: Some(Count::Int(1)), zero_count: Some(ZeroCount::Float(0.0)), ..default() },
        Histogram { positive_counts: vec![1.0], ..default() },
    ];
    for histogram in good {
        assert!(read(histogram.clone()).is_ok(), "{histogram:?}");
    }
    let mixed = [
        Histogram { count: Some(Count::Float(1.0)), zero_count: Some(ZeroCount::Int(1)), ..default() },
        Histogram { count: Some(Count::Int(1)), positive_counts: vec![1.0], ..default() },
        Histogram { count: Some(Count::Float(1.0)), negative_deltas: vec![1], ..default() },
        Histogram { negative_counts: vec![1.0], positive_deltas: vec![1], ..default() },
    ];
    for histogram in mixed {
        assert_eq!(read(histogram.clone()), Err(ReadProblem::MixedHistogram), "{histogram:?}");
    }
}

#[test]
fn rejects_a_request_that_would_take_much_memory() {
    // Two bytes each.
    let histograms = [0x22, 0].repeat(400_000);
    let mut request = vec![0x0a];
    prost::encoding::encode_varint(histograms.len() as u64, &mut request);
    request.extend(histograms);
    assert_eq!(v1(&request).unwrap_err().problem, ReadProblem::TooLarge);
    assert!(v1(&request[..1]).is_err() && v1(&[0x0a, 2, 0x22, 0]).is_ok());
}

#[test]
fn unpacks_a_block_within_bounds_and_says_what_is_none() {
    let block = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    assert_eq!(decode_block(&block(b"")).unwrap(), b"");
    let zeros = vec![0; 16 << 20];
    assert_eq!(decode_block(&block(&zeros)).unwrap().len(), 16 << 20);
    assert_eq!(decode_block(&block(&[zeros, vec![0]].concat())), Err(BlockError::TooLarge((16 << 20) + 1)));
    assert_eq!(decode_block(b""), Err(BlockError::Empty));
    assert_eq!(decode_block(b"\xff\x06\x00\x00sNaPpY\x01"), Err(BlockError::Framed));
    // 16 MiB are promised, and nothing follows.
    for bytes in [&b"\x80\x80\x80\x08"[..], b"\x05hello", b"\xff\xff\xff\xff\xff", b"{}"] {
        let error = decode_block(bytes).unwrap_err();
        assert!(matches!(error, BlockError::Snappy(_)) && error.to_string().contains("snappy"), "{error}");
    }
}
