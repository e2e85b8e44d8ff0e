//! The expected series are those that Prometheus' own parser (`model/textparse` 3.16, with classic and native histograms) returns. One
//! differs: an untyped metric without a value is 0. Prometheus takes the value of the metric before it.

use super::super::{SampleValue, Series};
use super::*;
use proptest::prelude::*;
use prost::Message as _;

#[derive(Clone, PartialEq, prost::Message)]
struct Family {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    metric_type: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<MetricOf>,
    #[prost(string, optional, tag = "5")]
    unit: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct MetricOf {
    #[prost(message, repeated, tag = "1")]
    label: Vec<Pair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "4")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Number>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Pair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// A gauge, a counter or an untyped value; or a quantile and its value.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(double, optional, tag = "2")]
    second: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Summary {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    quantile: Vec<Number>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(double, optional, tag = "4")]
    count_float: Option<f64>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(double, optional, tag = "8")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<SpanOf>,
    #[prost(sint64, repeated, packed = "false", tag = "10")]
    negative_delta: Vec<i64>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<SpanOf>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(double, repeated, tag = "14")]
    positive_count: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
    #[prost(double, optional, tag = "4")]
    count_float: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct SpanOf {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

fn family(name: &str, metric_type: Option<i32>, metric: Vec<MetricOf>) -> Family {
    Family { name: Some(name.to_owned()), metric_type, metric, ..Family::default() }
}

fn labels(pairs: &[(&str, &str)]) -> Vec<Pair> {
    let pair = |(name, value): &(&str, &str)| Pair { name: Some((*name).to_owned()), value: Some((*value).to_owned()) };
    pairs.iter().map(pair).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "as the fields are")]
fn number(value: f64) -> Option<Number> {
    Some(Number { value: Some(value), second: None })
}

fn bucket_of(upper_bound: f64, count: u64) -> Bucket {
    Bucket { count: Some(count), upper_bound: Some(upper_bound), count_float: None }
}

fn span_of(offset: i32, length: u32) -> SpanOf {
    SpanOf { offset: Some(offset), length: Some(length) }
}

fn histogram(histogram: Histogram) -> MetricOf {
    MetricOf { histogram: Some(histogram), ..MetricOf::default() }
}

fn body(families: &[Family]) -> Vec<u8> {
    families.iter().flat_map(Family::encode_length_delimited_to_vec).collect()
}

/// Returns each series in one line, with its type.
fn lines(exposition: &Exposition<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for family in exposition.families() {
        for series in family.series() {
            let labels: Vec<_> = series.labels().map(|(name, value)| format!("{name}={value:?}")).collect();
            let value = match series.value() {
                SampleValue::Float(value) => format!("{value}"),
                SampleValue::Histogram(histogram) => format!("{histogram:?}"),
            };
            let time = series.timestamp().map_or(String::new(), |time| format!(" @{time}"));
            lines.push(format!("{} {}{{{}}} {value}{time}", family.metric_type(), series.name(), labels.join(",")));
        }
    }
    lines
}

fn parsed(families: &[Family]) -> Vec<String> {
    lines(&parse_protobuf(&body(families)).unwrap())
}

fn problem(families: &[Family]) -> String {
    parse_protobuf(&body(families)).unwrap_err().to_string()
}

#[test]
fn reads_counters_gauges_and_untyped_values_with_labels_and_times() {
    let counter = MetricOf { label: labels(&[("a", "x"), ("b", "")]), counter: number(3.0), ..MetricOf::default() };
    let gauge = MetricOf { gauge: number(-0.5), timestamp_ms: Some(1_676_398_017_000), ..MetricOf::default() };
    let at_zero = MetricOf { untyped: number(f64::INFINITY), timestamp_ms: Some(0), ..MetricOf::default() };
    let of_other_type = MetricOf { gauge: number(7.0), label: labels(&[("b", "é\n")]), ..MetricOf::default() };
    let families = [
        family("c_total", None, vec![counter]),
        family("g", Some(1), vec![gauge]),
        family("empty", Some(99), vec![]),
        family("my.u", Some(3), vec![at_zero, of_other_type]),
    ];
    assert_eq!(
        parsed(&families),
        [
            "counter c_total{a=\"x\",b=\"\"} 3",
            "gauge g{} -0.5 @1676398017000",
            "unknown my.u{} inf",
            "unknown my.u{b=\"é\\n\"} 0",
        ]
    );
    assert!(parsed(&[]).is_empty());
}

#[test]
fn makes_the_series_of_a_summary_and_of_a_classic_histogram_as_a_scrape_does() {
    let quantile = |quantile, value| Number { value: Some(quantile), second: Some(value) };
    let summary = Summary { count: Some(5), sum: Some(1.5), quantile: vec![quantile(0.5, 0.25), quantile(1.0, 9.0)] };
    let summary = MetricOf { label: labels(&[("a", "x")]), summary: Some(summary), ..MetricOf::default() };
    let without_infinity = Histogram {
        count: Some(4),
        sum: Some(2.5),
        bucket: vec![bucket_of(1.0, 2), bucket_of(1e6, 3)],
        ..Histogram::default()
    };
    let floats = Histogram {
        count: Some(9),
        count_float: Some(4.5),
        bucket: vec![
            Bucket { count_float: Some(0.5), ..bucket_of(0.1, 7) },
            bucket_of(f64::INFINITY, 4),
            bucket_of(f64::INFINITY, 5),
        ],
        ..Histogram::default()
    };
    let floats = MetricOf { label: labels(&[("a", "y")]), ..histogram(floats) };
    let families = [
        family("s", Some(2), vec![summary, MetricOf { summary: Some(Summary::default()), ..MetricOf::default() }]),
        family(
            "h",
            Some(4),
            vec![histogram(without_infinity), floats, MetricOf { label: labels(&[("a", "z")]), ..MetricOf::default() }],
        ),
        family("gh", Some(5), vec![histogram(Histogram { bucket: vec![bucket_of(2.0, 1)], ..Histogram::default() })]),
    ];
    assert_eq!(
        parsed(&families),
        [
            "summary s_count{a=\"x\"} 5",
            "summary s_sum{a=\"x\"} 1.5",
            "summary s{a=\"x\",quantile=\"0.5\"} 0.25",
            "summary s{a=\"x\",quantile=\"1.0\"} 9",
            "summary s_count{} 0",
            "summary s_sum{} 0",
            "histogram h_count{} 4",
            "histogram h_sum{} 2.5",
            "histogram h_bucket{le=\"1.0\"} 2",
            "histogram h_bucket{le=\"1e+06\"} 3",
            "histogram h_bucket{le=\"+Inf\"} 4",
            "histogram h_count{a=\"y\"} 4.5",
            "histogram h_sum{a=\"y\"} 0",
            "histogram h_bucket{a=\"y\",le=\"0.1\"} 0.5",
            "histogram h_bucket{a=\"y\",le=\"+Inf\"} 4",
            "histogram h_count{a=\"z\"} 0",
            "histogram h_sum{a=\"z\"} 0",
            "histogram h_bucket{a=\"z\",le=\"+Inf\"} 0",
            "gaugehistogram gh_count{} 0",
            "gaugehistogram gh_sum{} 0",
            "gaugehistogram gh_bucket{le=\"2.0\"} 1",
            "gaugehistogram gh_bucket{le=\"+Inf\"} 0",
        ]
    );
}

fn native() -> Histogram {
    Histogram {
        count: Some(7),
        sum: Some(f64::NAN),
        schema: Some(3),
        zero_threshold: Some(1e-128),
        zero_count: Some(1),
        negative_span: vec![span_of(-2, 1)],
        negative_delta: vec![2],
        positive_span: vec![span_of(0, 2), span_of(3, 1)],
        positive_delta: vec![1, -0, 1],
        ..Histogram::default()
    }
}

#[test]
fn keeps_native_histograms_and_the_classic_buckets_beside_them() {
    let floats = Histogram {
        count_float: Some(2.5),
        negative_count: vec![0.5],
        negative_span: vec![span_of(1, 1)],
        positive_span: vec![span_of(0, 0)],
        ..Histogram::default()
    };
    let families = [
        family("n", Some(4), vec![histogram(Histogram { bucket: vec![bucket_of(1.0, 2)], ..native() })]),
        family("f", Some(5), vec![MetricOf { timestamp_ms: Some(9), ..histogram(floats) }]),
    ];
    let parsed = parse_protobuf(&body(&families)).unwrap();
    let names: Vec<_> =
        parsed.families().flat_map(|family| family.series().map(|series| series.name().to_owned())).collect();
    assert_eq!(names, ["n", "n_count", "n_sum", "n_bucket", "n_bucket", "f"]);
    let histograms: Vec<_> = parsed
        .families()
        .flat_map(|family| family.series().map(Series::value).collect::<Vec<_>>())
        .filter_map(|value| if let SampleValue::Histogram(histogram) = value { Some(histogram.clone()) } else { None })
        .collect();
    let span = |offset, length| model::Span { offset, length };
    let first = NativeHistogram {
        sum: f64::NAN,
        schema: 3,
        zero_threshold: 1e-128,
        counts: Counts::Integer { count: 7, zero: 1, negative_deltas: vec![2], positive_deltas: vec![1, 0, 1] },
        negative_spans: vec![span(-2, 1)],
        positive_spans: vec![span(0, 2), span(3, 1)],
        reset_hint: ResetHint::Unknown,
        custom_values: vec![],
    };
    let second = NativeHistogram {
        sum: 0.0,
        schema: 0,
        zero_threshold: 0.0,
        counts: Counts::Float { count: 2.5, zero: 0.0, negative: vec![0.5], positive: vec![] },
        negative_spans: vec![span(1, 1)],
        positive_spans: vec![span(0, 0)],
        reset_hint: ResetHint::Gauge,
        custom_values: vec![],
    };
    assert!(histograms[0].is_same(&first) && histograms[1].is_same(&second), "{histograms:?}");
}

#[test]
fn reads_metadata_wherever_it_stands_and_joins_families_of_one_name() {
    let one = Family {
        help: Some("Help.".to_owned()),
        unit: Some("s".to_owned()),
        ..family("g", Some(1), vec![MetricOf { gauge: number(1.0), ..MetricOf::default() }])
    };
    let mut bytes = body(&[family(
        "g",
        Some(1),
        vec![MetricOf { gauge: number(2.0), label: labels(&[("a", "x")]), ..MetricOf::default() }],
    )]);
    // The metric in front of name and type.
    let metric = Family { metric: one.metric.clone(), ..Family::default() }.encode_to_vec();
    let rest = Family { metric: vec![], ..one }.encode_to_vec();
    bytes.push(u8::try_from(metric.len() + rest.len()).unwrap());
    bytes.extend([metric, rest].concat());
    let parsed = parse_protobuf(&bytes).unwrap();
    assert_eq!(lines(&parsed), ["gauge g{a=\"x\"} 2", "gauge g{} 1"]);
    let family = parsed.families().next().unwrap();
    assert_eq!((family.help(), family.unit()), (Some("Help."), Some("s")));
}

#[test]
fn says_which_family_is_wrong_and_why() {
    let gauge = |name: &str, pairs: &[(&str, &str)], value| {
        let metric = MetricOf { label: labels(pairs), gauge: number(value), ..MetricOf::default() };
        family(name, Some(1), vec![metric])
    };
    let native_of = |histogram_of| family("n", Some(4), vec![histogram(histogram_of)]);
    let ok = gauge("ok", &[], 1.0);
    let table = [
        (gauge("", &[], 1.0), "family 2: the series has no name"),
        (Family { metric_type: Some(6), ..ok.clone() }, "family 2: ok: expected a type such as counter, found 6"),
        (Family { metric_type: Some(0), ..ok.clone() }, "family 2: ok: the type is counter, but it was gauge before"),
        (gauge("ok", &[], 2.0), "family 2: ok: the series has another value on family 1"),
        (gauge("g", &[("a", "1"), ("a", "1")], 1.0), "family 2: g: the label a occurs twice"),
        (gauge("g", &[("__name__", "h")], 1.0), "family 2: g: the series has a second name, h"),
        (
            native_of(Histogram { positive_delta: vec![1], ..native() }),
            "family 2: n: the spans of a native histogram have 3 buckets, and there are 1 counts",
        ),
        (
            native_of(Histogram { bucket: vec![bucket_of(f64::NAN, 1)], ..Histogram::default() }),
            "family 2: n: expected a number in the label le of a bucket, found NaN",
        ),
        (
            family("h", Some(4), vec![MetricOf { label: labels(&[("le", "1")]), ..histogram(Histogram::default()) }]),
            "family 2: h: the label le occurs twice",
        ),
    ];
    for (wrong, expected) in table {
        assert_eq!(problem(&[ok.clone(), wrong]), expected);
    }
    let table: [(&[u8], &str); 4] = [
        (&[5, 0x0a, 1], "family 1: byte 0: the message ends inside of a field"),
        (&[2, 0x0a, 9], "family 1: byte 2: the message ends inside of a field"),
        (&[3, 0x0a, 1, 0xff], "family 1: byte 3: expected text in UTF-8"),
        (&[0x80], "family 1: byte 0: the message ends inside of a field"),
    ];
    for (bytes, expected) in table {
        assert_eq!(parse_protobuf(bytes).unwrap_err().to_string(), expected, "{bytes:?}");
    }
}

#[test]
fn bounds_the_memory_of_native_histograms() {
    // A histogram with a span takes six bytes.
    let metric = [0x22, 6, 0x3a, 4, 0x62, 2, 0x10, 0];
    let metrics = metric.repeat(400_000);
    let mut message = vec![0x0a, 1, b'n', 0x18, 4];
    message.extend(metrics);
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(message.len() as u64, &mut bytes);
    bytes.extend(message);
    let error = parse_protobuf(&bytes).unwrap_err();
    assert!(error.is_size() && matches!(error.problem, Problem::TooManyBuckets), "{error}");
}

#[test]
fn bounds_what_is_sent_before_all_of_it_is_built() {
    let bucket_of = |number: u32| bucket_of(-1e-300 / f64::from(number + 1), 1);
    let bucket: Vec<_> = (0..800_000).map(bucket_of).collect();
    let metric = MetricOf { label: labels(&[("a", "x")]), ..histogram(Histogram { bucket, ..Histogram::default() }) };
    let error = parse_protobuf(&body(&[family("h", Some(4), vec![metric])])).unwrap_err();
    assert!(error.is_size() && matches!(error.problem, Problem::TooMuchToSend), "{error}");
}

#[test]
fn the_least_time_is_not_taken_for_none() {
    let at = |timestamp_ms| MetricOf { gauge: number(1.0), timestamp_ms, ..MetricOf::default() };
    for (time, expected) in [(None, None), (Some(0), None), (Some(i64::MIN), Some(i64::MIN + 1)), (Some(7), Some(7))] {
        let bytes = body(&[family("g", Some(1), vec![at(time)])]);
        let exposition = parse_protobuf(&bytes).unwrap();
        let found = exposition
            .families()
            .flat_map(crate::exposition::Family::series)
            .map(Series::timestamp)
            .collect::<Vec<_>>();
        assert_eq!(found, [expected.map(Timestamp)], "{time:?}");
    }
}

proptest! {
    /// No bytes make a panic, and each error has its sentence. A shorter length makes two families of one.
    #[test]
    fn property_test_broken_bodies_are_errors(position: proptest::sample::Index, byte: u8, cut: bool) {
        let metric = histogram(Histogram { bucket: vec![bucket_of(1.0, 2)], ..native() });
        let families = [family("n", Some(4), vec![MetricOf { label: labels(&[("a", "x")]), ..metric }])];
        let mut bytes = body(&families);
        let position = position.index(bytes.len());
        if cut { bytes.truncate(position) } else { bytes[position] = byte }
        match parse_protobuf(&bytes) {
            Ok(exposition) => prop_assert!(lines(&exposition).len() <= 5),
            Err(error) => prop_assert!(error.to_string().starts_with("family "), "{error}"),
        }
    }
}
