//! Data points with delta temporality become increments.

use super::*;

/// Returns the lines of a metric, if there is a table for deltas.
fn with_table(metric: messages::Metric) -> Vec<String> {
    let deltas = Some(DeltaRules { max_age_ms: 3_000, max_lead_ms: 1_000 });
    let setting = Setting { deltas, ..Setting::new() };
    let lines = setting.read(&request(service(), vec![metric]).encode_to_vec()).unwrap();
    assert!(lines.families.is_empty(), "the tick sends the metadata: {:?}", lines.families);
    lines.samples
}

fn delta_sum(is_monotonic: bool, value: Option<messages::Number>, attributes: Vec<KeyValue>) -> messages::Metric {
    let point = NumberDataPoint {
        start_time_unix_nano: 4_000 * MS,
        time_unix_nano: 4_500 * MS + 1,
        value,
        attributes,
        ..NumberDataPoint::default()
    };
    metric("a.b", "s", Data::Sum(Sum { data_points: vec![point], aggregation_temporality: 1, is_monotonic }))
}

#[test]
fn a_sum_with_delta_temporality_is_an_increment_with_the_names_of_cumulative_data() {
    let end = "\"\" Some((4000000000, 4500000001)) @4500";
    let table = [
        (true, Some(AsInt(3)), format!("a_b_seconds_total{{job=shop}} Counter(Integer(3)) {end}")),
        (true, Some(AsDouble(-0.0)), format!("a_b_seconds_total{{job=shop}} Counter(Float(0.0)) {end}")),
        (false, Some(AsDouble(-2.5)), format!("a_b_seconds{{job=shop}} GaugeIncrement(Float(-2.5)) {end}")),
        (
            true,
            Some(AsInt(-1)),
            "invalid_value: metric \"a.b\": -1 is negative, and a monotonic sum only grows".to_owned(),
        ),
        (
            true,
            Some(AsDouble(f64::NAN)),
            "invalid_value: metric \"a.b\": its value is NaN, which cannot be added up".to_owned(),
        ),
        (false, None, "invalid_value: metric \"a.b\": a data point has no value".to_owned()),
    ];
    for (is_monotonic, value, expected) in table {
        assert_eq!(with_table(delta_sum(is_monotonic, value, Vec::new())), [expected]);
    }
    // A label that an increment shares with cumulative data.
    let lines = with_table(delta_sum(true, Some(AsInt(1)), vec![attribute("le", "x"), attribute("k.v", "y")]));
    assert_eq!(lines, [format!("a_b_seconds_total{{job=shop,k_v=y,le=x}} Counter(Integer(1)) {end}")]);
}

#[test]
fn an_increment_has_the_time_of_its_interval_and_must_be_young() {
    let at = |start: u64, time: u64, flags| {
        let value = Some(AsInt(1));
        let point = NumberDataPoint {
            start_time_unix_nano: start * MS,
            time_unix_nano: time * MS,
            value,
            flags,
            ..NumberDataPoint::default()
        };
        with_table(metric(
            "a",
            "",
            Data::Sum(Sum { data_points: vec![point], aggregation_temporality: 1, is_monotonic: true }),
        ))
    };
    let table = [
        (0, 2_000, 0, "a_total{job=shop} Counter(Integer(1)) \"\" Some((0, 2000000000)) @2000"),
        (1_000, 0, 0, "a_total{job=shop} Counter(Integer(1)) \"\" None @5000"),
        (
            1_000,
            1_999,
            0,
            "too_old: metric \"a\": its time 1999 is 3001 ms ago, at most 3000 ms are accepted of a delta",
        ),
        (
            1_000,
            6_001,
            0,
            "in_future: metric \"a\": its time 6001 is 1001 ms ahead, at most 1000 ms are accepted of a delta",
        ),
    ];
    for (start, time, flags, expected) in table {
        assert_eq!(at(start, time, flags), [expected]);
    }
    // Nothing was recorded: nothing changes, whatever the time.
    assert_eq!(at(1_000, 1_000, 1), Vec::<String>::new());
}

fn delta_histogram(bounds: &[f64], counts: &[u64], count: u64, sum: Option<f64>) -> Vec<String> {
    let point = HistogramDataPoint {
        time_unix_nano: 4_500 * MS,
        count,
        sum,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        min: Some(0.5),
        ..HistogramDataPoint::default()
    };
    let data = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 });
    with_table(messages::Metric { description: "Help.".to_owned(), ..metric("t", "s", data) })
}

#[test]
fn a_histogram_with_delta_temporality_is_counts_of_buckets() {
    let taken = |expected: &str| {
        format!(
            "t_seconds{{job=shop}} ClassicCounts(ClassicCounts {{ {expected} }}) \"Help.\" Some((0, 4500000000)) @4500"
        )
    };
    let rejected = |expected: &str| format!("invalid_value: metric \"t\": {expected}");
    let infinite = f64::INFINITY;
    let table = [
        (
            &[-0.0, 2.0][..],
            &[1, 0, 2][..],
            3,
            Some(1.5),
            taken("bounds: [0.0, 2.0], counts: [1, 0, 2], sum: Some(1.5)"),
        ),
        // The count counts, as for cumulative data.
        (&[1.0], &[1, 0], 3, None, taken("bounds: [1.0], counts: [1, 2], sum: None")),
        (&[1.0, infinite], &[1, 2, 0], 3, None, taken("bounds: [1.0], counts: [1, 2], sum: None")),
        (&[], &[], 3, None, taken("bounds: [], counts: [3], sum: None")),
        (&[], &[3], 3, None, taken("bounds: [], counts: [3], sum: None")),
        (&[1.0], &[1], 1, None, rejected("it has 1 counts for 1 bounds, expected one count more than bounds")),
        (&[1.0], &[4, 0], 3, None, rejected("its buckets count more values than its count, 3")),
        (&[1.0, 1.0], &[1, 0, 0], 3, None, rejected("its bounds do not ascend at 1")),
        (&[f64::NAN], &[1, 0], 3, None, rejected("its bounds do not ascend at NaN")),
        (&[], &[], 1 << 63, None, rejected("its count is 9223372036854775808, at most 9223372036854775807 is allowed")),
        (&[], &[], 1, Some(infinite), rejected("its sum is inf, which cannot be added up")),
    ];
    for (bounds, counts, count, sum, expected) in table {
        assert_eq!(delta_histogram(bounds, counts, count, sum), [expected]);
    }
    let many: Vec<f64> = (0..201).map(f64::from).collect();
    let lines = delta_histogram(&many, &[0; 202], 0, None);
    assert_eq!(lines, ["too_large: metric \"t\": it has 201 bounds, at most 200 are allowed in the table"]);
    let with_le = HistogramDataPoint {
        time_unix_nano: 4_500 * MS,
        attributes: vec![attribute("le", "1")],
        ..HistogramDataPoint::default()
    };
    let data = Data::Histogram(Histogram { data_points: vec![with_le], aggregation_temporality: 1 });
    let expected = "invalid_label_name: metric \"t\": the attribute le: the gateway sets this label of a histogram";
    assert_eq!(with_table(metric("t", "", data)), [expected]);
}

#[test]
fn an_exponential_histogram_with_delta_temporality_is_counts_of_a_native_one() {
    let of = |scale, positive: &[u64], negative: &[u64], count| {
        let buckets = |offset, counts: &[u64]| Some(messages::Buckets { offset, bucket_counts: counts.to_vec() });
        let point = messages::ExponentialHistogramDataPoint {
            time_unix_nano: 4_500 * MS,
            count,
            scale,
            zero_count: 1,
            positive: buckets(-1, positive),
            negative: buckets(i32::MAX, negative),
            ..Default::default()
        };
        let data_points = vec![point];
        let data = messages::ExponentialHistogram { data_points, aggregation_temporality: 1 };
        with_table(metric("t", "", Data::ExponentialHistogram(data)))
    };
    let taken = |expected: &str| {
        let end = "\"\" Some((0, 4500000000)) @4500";
        [format!("t{{job=shop}} NativeCounts(NativeCounts {{ {expected}, sum: 0.0 }}) {end}")]
    };
    let expected = taken("schema: 3, zero: 1, positive: [(0, 2), (2, 3)], negative: []");
    assert_eq!(of(3, &[2, 0, 3], &[], 6), expected);
    // Two neighbours of scale 9 are one bucket of schema 8.
    let expected = taken("schema: 8, zero: 1, positive: [(0, 2), (1, 7)], negative: [(1073741824, 5)]");
    assert_eq!(of(9, &[2, 3, 4], &[5], 15), expected);
    let expected = taken("schema: -4, zero: 1, positive: [(0, 1)], negative: [(2147483647, 1)]");
    assert_eq!(of(-4, &[1], &[1], 3), expected);
    let rejected = |expected: &str| [format!("invalid_value: metric \"t\": {expected}")];
    assert_eq!(of(-5, &[1], &[], 2), rejected("the scale is -5, at least -4 is allowed"));
    assert_eq!(of(0, &[1, 2], &[], 9), rejected("its buckets count 4 values, and its count is 9"));
}
