//! Reads any bytes as the state of a typed series, and counts any updates in it.
//!
//! The input is the length of the state (one byte), the state, and the updates. A byte that is no kind ends the updates.

#![no_main]

use amp_push_gateway::aggregate::{Aggregate, Applied, ExposedValue, SummaryWindow};
use amp_push_gateway::model::{
    ClassicCounts, Counts, KeyCount, Layout, MetricType, NativeCounts, NativeHistogram, Observation, Timestamp, Update,
    Value,
};
use amp_push_gateway_fuzz::NOW;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((len, input)) = input.split_first() else { return };
    let (mut state, mut rest) = input.split_at(usize::from(*len).min(input.len()));
    let mut aggregate = Aggregate::decode(&mut state).ok();
    while let Some(update) = update(&mut rest) {
        let time = Timestamp(i64::from_le_bytes(take(&mut rest)));
        // Some folds are near to each other, and some are at any time.
        let fold_time = if time.0 & 1 == 0 { time } else { Timestamp(NOW + time.0 % 1_000_000) };
        let window = SummaryWindow::from_millis(time.0);
        let series = aggregate.get_or_insert_with(|| Aggregate::new(&update));
        let before = series.clone();
        match series.apply(&update, time, fold_time, window) {
            Applied::Counted => {}
            Applied::BucketConflict => assert_eq!(series.metric_type(), MetricType::Histogram),
            Applied::TypeConflict => assert!(*series == before, "a conflict changes the state"),
        }
        check(series, fold_time, window);
        let mut other = Aggregate::new(&update);
        assert_ne!(other.apply(&update, time, fold_time, window), Applied::TypeConflict);
        let is_conflict = series.merge(&other) == Applied::TypeConflict;
        // A gauge is set or changed, and never both.
        assert!(is_conflict || series.metric_type() == other.metric_type());
        assert!(
            !is_conflict || series.metric_type() == MetricType::Gauge || series.metric_type() != other.metric_type()
        );
        check(series, fold_time, window);
    }
    if let Some(aggregate) = aggregate {
        check(&aggregate, Timestamp(NOW), SummaryWindow::default());
    }
});

/// Checks that a state shows consistent samples, and that its bytes are read as this state.
fn check(aggregate: &Aggregate, at: Timestamp, window: SummaryWindow) {
    let (mut last, mut count) = (None, None);
    let mut seen = Vec::new();
    aggregate.expose(at, window, &mut |exposed| {
        let bound = exposed.bound.map(|bound| (bound.name, bound.to_string()));
        assert!(!seen.contains(&(exposed.suffix, bound.clone())), "a sample stands twice");
        seen.push((exposed.suffix, bound));
        match (exposed.suffix, exposed.value) {
            ("_bucket", ExposedValue::Number(Value::Integer(bucket))) => {
                assert!(last.is_none_or(|last| last <= bucket), "a bucket is below the one before");
                last = Some(bucket);
            }
            ("_count", ExposedValue::Number(Value::Integer(total))) => count = Some(total),
            ("", ExposedValue::Histogram(histogram)) => check_histogram(&histogram),
            ("", ExposedValue::Number(_)) => {}
            ("_sum", ExposedValue::Number(Value::Float(sum))) => assert!(sum.is_finite()),
            other => panic!("{other:?}"),
        }
    });
    assert!(last.is_none() || last == count, "the last bucket is not the count");
    let mut bytes = Vec::new();
    aggregate.encode(&mut bytes);
    assert!(Aggregate::decode(&mut bytes.as_slice()).as_ref() == Ok(aggregate), "another state is read");
    let mut zeros = 0;
    aggregate.expose_zero(&mut |_| zeros += 1);
    assert!(zeros <= seen.len(), "more zeros than samples");
}

fn check_histogram(histogram: &NativeHistogram) {
    let Counts::Integer { count, zero, negative_deltas, positive_deltas } = &histogram.counts else {
        panic!("counts that are no integers")
    };
    let mut sum = *zero;
    for (spans, deltas) in [(&histogram.negative_spans, negative_deltas), (&histogram.positive_spans, positive_deltas)]
    {
        let lengths: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
        assert_eq!(lengths, deltas.len() as u64);
        assert!(spans.iter().skip(1).all(|span| span.offset > 0), "spans adjoin");
        let mut bucket = 0_i64;
        for delta in deltas {
            bucket += delta;
            assert!(bucket > 0, "an empty bucket");
            sum += bucket.cast_unsigned();
        }
    }
    assert_eq!(sum, *count);
    assert!(positive_deltas.len() + negative_deltas.len() + usize::from(*zero > 0) <= 160);
    assert!((-4..=8).contains(&histogram.schema) && histogram.sum.is_finite());
}

fn update(input: &mut &[u8]) -> Option<Update> {
    let (kind, rest) = input.split_first()?;
    *input = rest;
    match kind {
        0 => Some(Update::Counter(value(input))),
        1 => Some(Update::Gauge(value(input))),
        2 => {
            let layout = Layout::Classic(doubles(input));
            Some(Update::Histogram { layout, observations: observations(input) })
        }
        3 => Some(Update::Histogram { layout: Layout::Native, observations: observations(input) }),
        4 => Some(Update::Summary { quantiles: doubles(input), observations: observations(input) }),
        5 => Some(Update::GaugeIncrement(value(input))),
        6 => {
            let mut bounds = doubles(input);
            bounds.retain(|bound| bound.is_finite());
            bounds.sort_unstable_by(f64::total_cmp);
            bounds.dedup();
            let counts = (0..=bounds.len()).map(|_| u64::from_le_bytes(take(input)) >> 8).collect();
            let [has_sum] = take(input);
            let sum = Some(f64::from_le_bytes(take(input))).filter(|sum| sum.is_finite() && has_sum > 0);
            Some(Update::ClassicCounts(ClassicCounts { bounds, counts, sum }))
        }
        7 => {
            let [schema] = take(input);
            let zero = u64::from_le_bytes(take(input));
            let (positive, negative) = (buckets(input), buckets(input));
            let sum = Some(f64::from_le_bytes(take(input))).filter(|sum| sum.is_finite()).unwrap_or_default();
            Some(Update::NativeCounts(NativeCounts { schema: schema.cast_signed() % 9, zero, positive, negative, sum }))
        }
        _ => None,
    }
}

fn buckets(input: &mut &[u8]) -> Vec<KeyCount> {
    let [len] = take(input);
    let mut buckets: Vec<_> =
        (0..len).map(|_| (i32::from_le_bytes(take(input)), u64::from_le_bytes(take(input)))).collect();
    buckets.sort_unstable();
    buckets.dedup_by_key(|(key, _)| *key);
    buckets.retain(|(_, count)| *count > 0);
    buckets
}

fn value(input: &mut &[u8]) -> Value {
    match take::<1>(input) {
        [0] => Value::Integer(i64::from_le_bytes(take(input))),
        [1] => Value::StaleMarker,
        _ => Value::Float(f64::from_le_bytes(take(input))),
    }
}

fn observations(input: &mut &[u8]) -> Vec<Observation> {
    let values = doubles(input);
    values.into_iter().map(|value| Observation { value, count: u64::from_le_bytes(take(input)) }).collect()
}

fn doubles(input: &mut &[u8]) -> Vec<f64> {
    let [len] = take(input);
    (0..len).map(|_| f64::from_le_bytes(take(input))).collect()
}

/// Returns the next bytes. Zeros follow the end.
fn take<const N: usize>(input: &mut &[u8]) -> [u8; N] {
    let (first, rest) = input.split_at(N.min(input.len()));
    *input = rest;
    let mut bytes = [0; N];
    bytes[..first.len()].copy_from_slice(first);
    bytes
}
