use super::*;
use crate::model::{ClassicCounts, Counts, NativeCounts, Observation, Span, Value};

mod properties;

const T: Timestamp = Timestamp(1_764_422_400_000);

fn window() -> SummaryWindow {
    SummaryWindow::default()
}

fn apply(aggregate: &mut Aggregate, update: &Update) -> Applied {
    aggregate.apply(update, T, T, window())
}

fn observations(values: &[f64]) -> Vec<Observation> {
    values.iter().map(|value| Observation { value: *value, count: 1 }).collect()
}

fn classic(bounds: &[f64], values: &[f64]) -> Update {
    Update::Histogram { layout: Layout::Classic(bounds.to_vec()), observations: observations(values) }
}

fn native(values: &[f64]) -> Update {
    Update::Histogram { layout: Layout::Native, observations: observations(values) }
}

fn summary(quantiles: &[f64], values: &[f64]) -> Update {
    Update::Summary { quantiles: quantiles.to_vec(), observations: observations(values) }
}

fn after(updates: &[Update]) -> Aggregate {
    let mut aggregate = Aggregate::new(&updates[0]);
    for update in updates {
        assert_eq!(apply(&mut aggregate, update), Applied::Counted);
    }
    aggregate
}

/// One sample a line: suffix, bound, value.
fn lines(expose: impl FnOnce(&mut dyn FnMut(Exposed))) -> Vec<String> {
    let mut lines = Vec::new();
    expose(&mut |Exposed { suffix, bound, value }: Exposed| {
        let bound = bound.map_or(String::new(), |bound| format!("{{{}=\"{bound}\"}}", bound.name));
        let value = match value {
            ExposedValue::Number(value) => value.to_string(),
            ExposedValue::Histogram(histogram) => format!("{:?}", histogram.counts),
        };
        lines.push(format!("{suffix}{bound} {value}"));
    });
    lines
}

fn exposed(aggregate: &Aggregate) -> Vec<String> {
    lines(|out| aggregate.expose(T, window(), out))
}

fn zeros(aggregate: &Aggregate) -> Vec<String> {
    lines(|out| aggregate.expose_zero(out))
}

#[test]
fn a_counter_adds_integers_exactly_beyond_what_a_double_holds() {
    let big = Update::Counter(Value::Integer(1 << 53));
    let one = Update::Counter(Value::Integer(1));
    assert_eq!(exposed(&after(&[big.clone(), one.clone(), one.clone()])), [" 9007199254740994"]);
    let half = Update::Counter(Value::Float(0.5));
    assert_eq!(exposed(&after(&[one.clone(), half.clone()])), [" 1.5"]);
    assert_eq!(exposed(&after(&[half.clone(), half])), [" 1.0"]);
    let most = Update::Counter(Value::Integer(i64::MAX));
    assert_eq!(exposed(&after(&[most, one])), [" 9.223372036854776e18"]);
}

#[test]
fn a_gauge_keeps_the_value_with_the_greatest_time_and_of_equal_times_the_last() {
    let mut gauge = Aggregate::new(&Update::Gauge(Value::Integer(0)));
    assert!(exposed(&gauge).is_empty());
    for (value, time, expected) in [(1, 10, " 1"), (2, 9, " 1"), (3, 10, " 3"), (4, 11, " 4"), (5, 10, " 4")] {
        let update = Update::Gauge(Value::Integer(value));
        assert_eq!(gauge.apply(&update, Timestamp(time), T, window()), Applied::Counted);
        assert_eq!(exposed(&gauge), [expected]);
    }
}

#[test]
fn a_classic_histogram_is_cumulative_and_ends_in_infinity() {
    let histogram = after(&[classic(&[0.1, 1.0, 1e6], &[0.05, 0.1, 0.5]), classic(&[0.1, 1.0, 1e6], &[1.0, 1.5, 2e6])]);
    let expected = [
        "_bucket{le=\"0.1\"} 2",
        "_bucket{le=\"1.0\"} 4",
        "_bucket{le=\"1e+06\"} 5",
        "_bucket{le=\"+Inf\"} 6",
        "_sum 2000003.15",
        "_count 6",
    ];
    assert_eq!(exposed(&histogram), expected);
}

#[test]
fn the_first_type_and_the_first_layout_win() {
    let mut histogram = after(&[classic(&[1.0, 2.0], &[1.5])]);
    assert_eq!(apply(&mut histogram, &classic(&[1.0, 3.0], &[2.5])), Applied::BucketConflict);
    assert_eq!(apply(&mut histogram, &native(&[1.0])), Applied::BucketConflict);
    let expected = ["_bucket{le=\"1.0\"} 1", "_bucket{le=\"2.0\"} 2", "_bucket{le=\"+Inf\"} 3", "_sum 5.0", "_count 3"];
    assert_eq!(exposed(&histogram), expected);

    let mut exponential = after(&[native(&[1.0])]);
    assert_eq!(apply(&mut exponential, &classic(&[1.0], &[1.0])), Applied::BucketConflict);
    assert_eq!(exponential, after(&[native(&[1.0, 1.0])]));

    let mut quantiles = after(&[summary(&[0.5], &[1.0])]);
    assert_eq!(apply(&mut quantiles, &summary(&[0.9], &[1.0])), Applied::Counted);
    assert_eq!(exposed(&quantiles), ["{quantile=\"0.5\"} 1.0", "_sum 2.0", "_count 2"]);

    let updates =
        [Update::Counter(Value::Integer(1)), Update::Gauge(Value::Integer(1)), native(&[1.0]), summary(&[0.5], &[1.0])];
    for (i, first) in updates.iter().enumerate() {
        let mut aggregate = after(std::slice::from_ref(first));
        let before = aggregate.clone();
        for (_, other) in updates.iter().enumerate().filter(|(other, _)| *other != i) {
            assert_eq!(apply(&mut aggregate, other), Applied::TypeConflict);
            assert_eq!(aggregate.merge(&after(std::slice::from_ref(other))), Applied::TypeConflict);
        }
        assert_eq!(aggregate, before);
    }
}

fn classic_counts(bounds: &[f64], counts: &[u64], sum: Option<f64>) -> Update {
    Update::ClassicCounts(ClassicCounts { bounds: bounds.to_vec(), counts: counts.to_vec(), sum })
}

fn native_counts(schema: i8, zero: u64, positive: &[(i32, u64)], negative: &[(i32, u64)]) -> Update {
    let (positive, negative) = (positive.to_vec(), negative.to_vec());
    Update::NativeCounts(NativeCounts { schema, zero, positive, negative, sum: 2.0 })
}

/// Indexes and counts of buckets.
type Indexed = Vec<(i32, i64)>;

/// Returns the schema, the count, the zero count, and the index of each positive and negative bucket with its count.
fn buckets(aggregate: &Aggregate) -> (i32, u64, u64, Indexed, Indexed) {
    let mut found = None;
    aggregate.expose(T, window(), &mut |exposed| {
        let ExposedValue::Histogram(histogram) = exposed.value else { panic!("{exposed:?}") };
        let Counts::Integer { count, zero, negative_deltas, positive_deltas } = histogram.counts else {
            panic!("floats")
        };
        let keys = |spans: &[Span], deltas: &[i64]| {
            let (mut next, mut count, mut deltas) = (0, 0, deltas.iter());
            let mut buckets = Vec::new();
            for span in spans {
                next += span.offset;
                for _ in 0..span.length {
                    count += deltas.next().unwrap();
                    buckets.push((next, count));
                    next += 1;
                }
            }
            buckets
        };
        let positive = keys(&histogram.positive_spans, &positive_deltas);
        found = Some((histogram.schema, count, zero, positive, keys(&histogram.negative_spans, &negative_deltas)));
    });
    found.unwrap()
}

#[test]
fn counts_of_a_sender_are_added_bucket_by_bucket() {
    let histogram = after(&[
        classic_counts(&[1.0, 2.0], &[1, 0, 2], Some(9.5)),
        classic(&[1.0, 2.0], &[1.5]),
        classic_counts(&[1.0, 2.0], &[0, 3, 1], Some(-0.5)),
    ]);
    let buckets = ["_bucket{le=\"1.0\"} 1", "_bucket{le=\"2.0\"} 5", "_bucket{le=\"+Inf\"} 8"];
    assert_eq!(exposed(&histogram), [&buckets[..], &["_sum 10.5", "_count 8"]].concat());
    // A sum that one sender does not tell is not known any more.
    let mut without = histogram.clone();
    assert_eq!(apply(&mut without, &classic_counts(&[1.0, 2.0], &[0, 0, 0], None)), Applied::Counted);
    assert_eq!(exposed(&without), [&buckets[..], &["_count 8"]].concat());
    assert_eq!(apply(&mut without, &classic(&[1.0, 2.0], &[])), Applied::Counted);
    assert_eq!(exposed(&without), [&buckets[..], &["_count 8"]].concat());
    assert_eq!(zeros(&without).len(), 4);
    // No bounds are one bucket.
    assert_eq!(exposed(&after(&[classic_counts(&[], &[4], None)])), ["_bucket{le=\"+Inf\"} 4", "_count 4"]);
}

#[test]
fn a_native_histogram_has_the_coarsest_schema_of_all_that_came() {
    let mut native = after(&[native_counts(8, 1, &[(1, 2), (256, 3)], &[(0, 4)])]);
    assert_eq!(buckets(&native), (8, 10, 1, vec![(1, 2), (256, 3)], vec![(0, 4)]));
    assert_eq!(zeros(&native), [" Integer { count: 0, zero: 0, negative_deltas: [], positive_deltas: [] }"]);
    assert_eq!(apply(&mut native, &native_counts(0, 0, &[(1, 5)], &[])), Applied::Counted);
    assert_eq!(buckets(&native), (0, 15, 1, vec![(1, 10)], vec![(0, 4)]));
    // A finer one is made coarser, and observations have the schema 3.
    assert_eq!(apply(&mut native, &native_counts(8, 0, &[(256, 1)], &[])), Applied::Counted);
    assert_eq!(buckets(&native).3, [(1, 11)]);
    let mut observed = after(&[native_counts(8, 0, &[(256, 1)], &[])]);
    assert_eq!(apply(&mut observed, &native_counts(3, 0, &[], &[])), Applied::Counted);
    assert_eq!(observed, after(&[native_counts(3, 0, &[(8, 1)], &[]), native_counts(5, 0, &[], &[])]));
    // Buckets below the threshold 2^-128 are zero, and above the doubles there are none.
    let far = after(&[native_counts(0, 1, &[(i32::MIN, 1), (-128, 1), (-127, 1), (1_024, 1), (i32::MAX, 1)], &[])]);
    assert_eq!(buckets(&far), (0, 5 + 1, 3, vec![(-127, 1), (1_024, 2)], vec![]));
    // More than 160 buckets become coarser ones.
    let many: Vec<_> = (1..=320).map(|key| (key, 1)).collect();
    assert_eq!(
        buckets(&after(&[native_counts(8, 0, &many, &[])])),
        (7, 320, 0, (1..=160).map(|key| (key, 2)).collect(), vec![])
    );
}

#[test]
fn counts_with_another_layout_are_counted_in_that_of_the_series() {
    let mut classic = after(&[classic(&[1.0, 2.0], &[1.5])]);
    assert_eq!(apply(&mut classic, &classic_counts(&[1.5], &[2, 1], Some(6.0))), Applied::BucketConflict);
    assert_eq!(apply(&mut classic, &native_counts(0, 0, &[(0, 1), (2, 1)], &[])), Applied::BucketConflict);
    let expected = ["_bucket{le=\"1.0\"} 1", "_bucket{le=\"2.0\"} 4", "_bucket{le=\"+Inf\"} 6", "_sum 9.5", "_count 6"];
    assert_eq!(exposed(&classic), expected);
    let mut native = after(&[native_counts(0, 0, &[(1, 1)], &[])]);
    assert_eq!(apply(&mut native, &classic_counts(&[2.0], &[2, 1], Some(6.0))), Applied::BucketConflict);
    assert_eq!(buckets(&native), (0, 4, 0, vec![(1, 4)], vec![]));
}

#[test]
fn a_gauge_is_set_or_changed_and_never_both() {
    let change = |value| Update::GaugeIncrement(Value::Integer(value));
    let mut sum = after(&[change(5), change(-7)]);
    assert_eq!((exposed(&sum), zeros(&sum).len()), (vec![" -2".to_owned()], 0));
    assert_eq!(apply(&mut sum, &Update::Gauge(Value::Integer(1))), Applied::TypeConflict);
    assert_eq!(apply(&mut sum, &Update::Counter(Value::Integer(1))), Applied::TypeConflict);
    assert_eq!(apply(&mut after(&[Update::Gauge(Value::Integer(1))]), &change(1)), Applied::TypeConflict);
}

#[test]
fn a_newborn_series_is_preceded_by_zeros() {
    let table: [(Update, &[&str]); 5] = [
        (Update::Counter(Value::Float(2.5)), &[" 0"]),
        (Update::Gauge(Value::Float(2.5)), &[]),
        (classic(&[1.0], &[5.0]), &["_bucket{le=\"1.0\"} 0", "_bucket{le=\"+Inf\"} 0", "_sum 0.0", "_count 0"]),
        (native(&[5.0]), &[" Integer { count: 0, zero: 0, negative_deltas: [], positive_deltas: [] }"]),
        (summary(&[0.5], &[5.0]), &["_sum 0.0", "_count 0"]),
    ];
    for (update, expected) in table {
        assert_eq!(zeros(&after(&[update])), expected);
    }
}

#[test]
fn a_summary_forgets_what_is_older_than_its_window_but_not_its_sum_and_count() {
    let at = |minutes: i64| Timestamp(T.0 + minutes * 60_000);
    let quantiles = |aggregate: &Aggregate, minutes: i64| {
        let lines = lines(|out| aggregate.expose(at(minutes), window(), out));
        lines.into_iter().filter(|line| line.contains("quantile")).collect::<Vec<_>>()
    };
    let mut aggregate = Aggregate::new(&summary(&[0.5], &[]));
    assert_eq!(lines(|out| aggregate.expose(at(0), window(), out)), ["_sum 0.0", "_count 0"]);
    assert_eq!(aggregate.apply(&summary(&[0.5], &[1.0]), T, at(1), window()), Applied::Counted);
    assert_eq!(aggregate.apply(&summary(&[0.5], &[3.0, 3.0]), T, at(5), window()), Applied::Counted);
    // A slot has two minutes, and five of them are taken.
    let table =
        [(0, None), (1, None), (2, Some("1.0")), (4, Some("3.0")), (9, Some("3.0")), (13, Some("3.0")), (14, None)];
    for (minutes, expected) in table {
        // The first slot begins at minute 0, before its value came.
        let expected = if minutes <= 1 { Some("1.0") } else { expected };
        let expected: Vec<_> = expected.map(|value| format!("{{quantile=\"0.5\"}} {value}")).into_iter().collect();
        assert_eq!(quantiles(&aggregate, minutes), expected, "minute {minutes}");
    }
    assert_eq!(lines(|out| aggregate.expose(at(14), window(), out)), ["_sum 7.0", "_count 3"]);
    // A summary that shows quantiles again has no values of the time before.
    assert_eq!(aggregate.apply(&summary(&[0.5], &[9.0]), T, at(60), window()), Applied::Counted);
    assert_eq!(quantiles(&aggregate, 60), ["{quantile=\"0.5\"} 9.0"]);
    assert_eq!(quantiles(&aggregate, 5), Vec::<String>::new());

    let mut full = Aggregate::new(&summary(&[0.0, 1.0], &[]));
    for (minutes, value) in [(0, 1.0), (2, 2.0), (4, 3.0), (6, 4.0), (8, 5.0)] {
        assert_eq!(full.apply(&summary(&[0.0], &[value]), T, at(minutes), window()), Applied::Counted);
    }
    assert_eq!(quantiles(&full, 9), ["{quantile=\"0.0\"} 1.0", "{quantile=\"1.0\"} 5.0"]);
    assert_eq!(quantiles(&full, 10), ["{quantile=\"0.0\"} 2.0", "{quantile=\"1.0\"} 5.0"]);
}

#[test]
fn a_state_with_another_layout_is_merged_by_the_upper_bounds_of_its_buckets() {
    let mut narrow = after(&[classic(&[1.0, 2.0], &[0.5, 9.0])]);
    assert_eq!(narrow.merge(&after(&[classic(&[1.5, 3.0], &[0.5, 2.5, 9.0])])), Applied::BucketConflict);
    let expected =
        ["_bucket{le=\"1.0\"} 1", "_bucket{le=\"2.0\"} 2", "_bucket{le=\"+Inf\"} 5", "_sum 21.5", "_count 5"];
    assert_eq!(exposed(&narrow), expected);
    assert_eq!(narrow.merge(&after(&[native(&[1.0, 2.0, -4.0])])), Applied::BucketConflict);
    let expected =
        ["_bucket{le=\"1.0\"} 3", "_bucket{le=\"2.0\"} 5", "_bucket{le=\"+Inf\"} 8", "_sum 20.5", "_count 8"];
    assert_eq!(exposed(&narrow), expected);

    // Values above the last bound count as this bound, as in `histogram_quantile`.
    let mut exponential = after(&[native(&[2.0])]);
    assert_eq!(exponential.merge(&after(&[classic(&[1.0, 2.0], &[0.5, 1.5, 1e9])])), Applied::BucketConflict);
    let expected = " Integer { count: 4, zero: 0, negative_deltas: [], positive_deltas: [1, 2] }";
    assert_eq!(exposed(&exponential), [expected]);
}

#[test]
fn one_hundred_thousand_counters_take_about_a_megabyte() {
    let mut bytes = Vec::new();
    let mut number = 1_u64;
    for _ in 0..100_000 {
        // Totals of all sizes up to 2^40.
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let total = (number >> 24) >> (number % 40);
        after(&[Update::Counter(Value::Integer(total.cast_signed()))]).encode(&mut bytes);
    }
    let packed = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
    assert!(packed.len() < 1_000_000 && bytes.len() < 1_000_000, "{} {}", packed.len(), bytes.len());
    assert!(size_of::<Aggregate>() <= 48, "{}", size_of::<Aggregate>());
}

#[test]
fn a_state_of_a_newer_version_is_a_clear_error() {
    for (bytes, expected) in [
        (&[9, 0, 0][..], BlobError::NewerVersion { found: 9, known: 8 }),
        (&[0], BlobError::Damaged("an aggregate has the kind 0, expected 1 to 8")),
        (&[GAUGE, 9], BlobError::Damaged("the value of a gauge is neither an integer nor a double")),
        (
            &[HISTOGRAM, 2, 2, 0x3f, 0xf0, 2, 0x3f, 0xf0, 0, 0, 0, 0],
            BlobError::Damaged("the bounds of a histogram do not ascend"),
        ),
        (&[NATIVE, 8, 0, 0, 0, 0], BlobError::Damaged("the schema of exponential buckets is out of range")),
        (&[FINE_NATIVE, 18, 0, 0, 0, 0], BlobError::Damaged("the schema of exponential buckets is out of range")),
        (&[NATIVE, 6, 0, 1, 2, 0, 0, 0], BlobError::Damaged("an exponential bucket is empty")),
    ] {
        assert_eq!(Aggregate::decode(&mut &bytes[..]), Err(expected));
    }
}
