//! The rules of the translation, a row each.

use super::messages::{Buckets, Exemplar, ExponentialHistogramDataPoint};
use super::*;

/// Returns a point with an attribute at 7.999999 ms.
fn of(value: messages::Number) -> NumberDataPoint {
    let attributes = vec![attribute("k", "v")];
    NumberDataPoint { value: Some(value), time_unix_nano: 8 * MS - 1, attributes, ..NumberDataPoint::default() }
}

fn sum(is_monotonic: bool, aggregation_temporality: i32) -> Data {
    Data::Sum(Sum { data_points: vec![of(AsInt(3))], aggregation_temporality, is_monotonic })
}

fn exponential_point(scale: i32, offset: i32, counts: &[u64]) -> Data {
    exponential(vec![ExponentialHistogramDataPoint {
        time_unix_nano: 7 * MS,
        count: counts.iter().sum(),
        scale,
        positive: Some(Buckets { offset, bucket_counts: counts.to_vec() }),
        ..ExponentialHistogramDataPoint::default()
    }])
}

/// A rule, a metric that it is about, and the lines that the metric becomes.
type Row = (&'static str, messages::Metric, &'static [&'static str]);

fn rules_of_numbers() -> Vec<Row> {
    let exemplars = vec![Exemplar { time_unix_nano: MS, as_double: 1.0, span_id: vec![1; 8], trace_id: vec![2; 16] }];
    let with_exemplar = NumberDataPoint { exemplars, ..of(AsInt(1)) };
    vec![
        (
            "runs of other characters of a name are one _, and its edges have none",
            metric("__a..b_", "", gauge(vec![of(AsInt(1))])),
            &["a_b{k=v} 1 @7"],
        ),
        ("a leading digit gets _", metric("1a", "", gauge(vec![of(AsInt(1))])), &["_1a{k=v} 1 @7"]),
        (
            "a name of underscores alone is an error",
            metric("__", "", gauge(vec![of(AsInt(1))])),
            &["invalid_metric_name: metric \"__\": the name has no letter or digit that Prometheus allows"],
        ),
        ("a unit is a suffix", metric("a", "ms", gauge(vec![of(AsInt(1))])), &["a_milliseconds{k=v} 1 @7"]),
        ("unless the name has it", metric("a.seconds.b", "s", gauge(vec![of(AsInt(1))])), &["a_seconds_b{k=v} 1 @7"]),
        ("a unit in braces is none", metric("a", "{x}", gauge(vec![of(AsInt(1))])), &["a{k=v} 1 @7"]),
        (
            "a unit behind a slash is _per_",
            metric("a", "By/s", gauge(vec![of(AsInt(1))])),
            &["a_bytes_per_second{k=v} 1 @7"],
        ),
        ("_total is last", metric("total.a", "s", sum(true, 2)), &["a_seconds_total{k=v} 3 @7"]),
        ("the unit 1 of a gauge is _ratio", metric("a", "1", gauge(vec![of(AsDouble(0.5))])), &["a_ratio{k=v} 0.5 @7"]),
        ("a sum that is not monotonic is a gauge", metric("a", "1", sum(false, 2)), &["a{k=v} 3 @7"]),
        (
            "deltas need the table",
            metric("a", "", sum(true, 1)),
            &[
                "needs_state: metric \"a\": delta temporality needs the table (STATE_TABLE); set the SDK to cumulative, with OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative",
            ],
        ),
        (
            "a temporality must be set",
            metric("a", "", sum(true, 0)),
            &["invalid_event: metric \"a\": the aggregation temporality is not set; expected cumulative"],
        ),
        ("exemplars are dropped", metric("a", "", gauge(vec![with_exemplar])), &["a{k=v} 1 @7"]),
        ("a metric without data points is nothing", metric("a", "", gauge(Vec::new())), &[]),
    ]
}

fn rules_of_distributions() -> Vec<Row> {
    let classic = HistogramDataPoint {
        time_unix_nano: 7 * MS,
        count: 6,
        explicit_bounds: vec![0.0, 0.25, 1000.0],
        bucket_counts: vec![1, 2, 3, 0],
        min: Some(0.1),
        ..HistogramDataPoint::default()
    };
    let with_sum = HistogramDataPoint { sum: Some(1.5), ..classic.clone() };
    let ended = HistogramDataPoint { flags: 1, ..with_sum.clone() };
    let quantile_values = vec![ValueAtQuantile { quantile: 0.5, value: 2.0 }];
    let summary =
        SummaryDataPoint { time_unix_nano: 7 * MS, count: 1, sum: 2.0, quantile_values, ..Default::default() };
    vec![
        (
            "buckets add up, and +Inf is the count; without a sum there is no _sum; minimum and maximum are dropped",
            metric("a", "", histogram(vec![classic])),
            &[
                "a_count{} 6 @7",
                "a_bucket{le=0} 1 @7",
                "a_bucket{le=0.25} 3 @7",
                "a_bucket{le=1000} 6 @7",
                "a_bucket{le=+Inf} 6 @7",
            ],
        ),
        (
            "a sum is _sum",
            metric("a", "", histogram(vec![with_sum])),
            &[
                "a_sum{} 1.5 @7",
                "a_count{} 6 @7",
                "a_bucket{le=0} 1 @7",
                "a_bucket{le=0.25} 3 @7",
                "a_bucket{le=1000} 6 @7",
                "a_bucket{le=+Inf} 6 @7",
            ],
        ),
        (
            "an exponential histogram is a native one, whose index is higher by one",
            metric("a", "", exponential_point(3, 0, &[1, 2])),
            &["a{} schema 3 count 3 zero 0 sum 0 [1, 1] @7"],
        ),
        (
            "a scale above 8 is made coarser",
            metric("a", "", exponential_point(9, 0, &[1, 2])),
            &["a{} schema 8 count 3 zero 0 sum 0 [3] @7"],
        ),
        (
            "a scale below -4 is an error",
            metric("a", "", exponential_point(-5, 0, &[1])),
            &["invalid_value: metric \"a\": the scale is -5, at least -4 is allowed"],
        ),
        (
            "a gap of two buckets is filled",
            metric("a", "", exponential_point(0, 0, &[1, 0, 0, 1])),
            &["a{} schema 0 count 2 zero 0 sum 0 [1, -1, 0, 1] @7"],
        ),
        (
            "a longer one is not",
            metric("a", "", exponential_point(0, 0, &[1, 0, 0, 0, 1])),
            &["a{} schema 0 count 2 zero 0 sum 0 [1, 0] @7"],
        ),
        (
            "a summary has quantiles",
            metric("a", "", Data::Summary(Summary { data_points: vec![summary] })),
            &["a_sum{} 2.0 @7", "a_count{} 1 @7", "a{quantile=0.5} 2.0 @7"],
        ),
        (
            "no recorded value is a stale marker, for each series",
            metric("a", "", histogram(vec![ended])),
            &[
                "a_sum{} stale marker @7",
                "a_count{} stale marker @7",
                "a_bucket{le=0} stale marker @7",
                "a_bucket{le=0.25} stale marker @7",
                "a_bucket{le=1000} stale marker @7",
                "a_bucket{le=+Inf} stale marker @7",
            ],
        ),
    ]
}

#[test]
fn each_rule_of_the_translation_holds() {
    for (rule, metric, expected) in rules_of_numbers().into_iter().chain(rules_of_distributions()) {
        assert_eq!(translated(&request(Vec::new(), vec![metric])), expected, "{rule}");
    }
}
