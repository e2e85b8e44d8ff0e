//! Properties of every aggregate: order, merging, bytes, and errors of quantiles.

use super::*;
use crate::model::{ClassicCounts, KeyCount, NativeCounts, Observation, Value};
use proptest::prelude::*;

/// An update of one type, with the times of its event and of its fold in seconds.
type Step = (Update, i64, i64);

/// Numbers whose sums are exact in any order.
fn exact() -> impl Strategy<Value = f64> {
    (-4_000_000..4_000_000_i32).prop_map(|number| f64::from(number) / 4.0)
}

fn any_finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => exact(),
        1 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
    ]
}

fn observations(values: BoxedStrategy<f64>) -> impl Strategy<Value = Vec<Observation>> {
    let observation = (values, 1..1_000_u64).prop_map(|(value, count)| Observation { value, count });
    proptest::collection::vec(observation, 0..20)
}

/// Updates of one type and one layout, with numbers of `values`.
fn updates(kind: usize, values: BoxedStrategy<f64>) -> BoxedStrategy<Update> {
    let value = prop_oneof![any::<i64>().prop_map(Value::Integer), values.clone().prop_map(Value::Float)];
    let bounds = vec![-1e3, -0.5, 0.0, 0.25, 1.0, 1e5, 1e6];
    let observations = observations(values.clone());
    match kind {
        0 => value.prop_map(Update::Counter).boxed(),
        1 => value.prop_map(Update::Gauge).boxed(),
        2 => observations
            .prop_map(move |observations| Update::Histogram { layout: Layout::Classic(bounds.clone()), observations })
            .boxed(),
        3 => observations.prop_map(|observations| Update::Histogram { layout: Layout::Native, observations }).boxed(),
        4 => value.prop_map(Update::GaugeIncrement).boxed(),
        5 => (proptest::collection::vec(0..1_000_u64, bounds.len() + 1), proptest::option::weighted(0.9, values))
            .prop_map(move |(counts, sum)| Update::ClassicCounts(ClassicCounts { bounds: bounds.clone(), counts, sum }))
            .boxed(),
        6 => native_counts(values).boxed(),
        _ => observations
            .prop_map(|observations| Update::Summary { quantiles: vec![0.0, 0.5, 0.99, 1.0], observations })
            .boxed(),
    }
}

/// Counts in buckets of all sizes, also beyond the doubles.
fn native_counts(sums: BoxedStrategy<f64>) -> impl Strategy<Value = Update> {
    let buckets = || {
        let key = prop_oneof![4 => -40..40_i32, 1 => any::<i32>()];
        proptest::collection::btree_map(key, 1..1_000_u64, 0..200)
            .prop_map(|buckets| buckets.into_iter().collect::<Vec<KeyCount>>())
    };
    (-4..=8_i8, 0..100_u64, buckets(), buckets(), sums).prop_map(|(schema, zero, positive, negative, sum)| {
        Update::NativeCounts(NativeCounts { schema, zero, positive, negative, sum })
    })
}

/// Steps within one window. No two have the same time, so that the order decides nothing.
fn steps(values: fn() -> BoxedStrategy<f64>) -> impl Strategy<Value = Vec<Step>> {
    (0..8_usize).prop_flat_map(move |kind| {
        let update = (updates(kind, values()), 0..600_i64);
        proptest::collection::vec(update, 1..30).prop_map(|updates| {
            (0..).zip(updates).map(|(time, (update, fold))| (update, time * 7 % 31, fold)).collect()
        })
    })
}

fn folded<'s>(first: &Update, steps: impl IntoIterator<Item = &'s Step>) -> Aggregate {
    let mut aggregate = Aggregate::new(first);
    for (update, time, fold_time) in steps {
        let fold_time = Timestamp(1_764_422_400_000 + fold_time * 1_000);
        assert_eq!(aggregate.apply(update, Timestamp(*time), fold_time, SummaryWindow::default()), Applied::Counted);
    }
    aggregate
}

fn encoded(aggregate: &Aggregate) -> Vec<u8> {
    let mut out = Vec::new();
    aggregate.encode(&mut out);
    out
}

/// Checks what every state shows: buckets that rise to the count, and finite numbers.
fn check_exposed(aggregate: &Aggregate) {
    let mut buckets: Vec<(f64, i64)> = Vec::new();
    let mut total = None;
    aggregate.expose(Timestamp(1_764_422_400_000), SummaryWindow::default(), &mut |exposed| {
        let Exposed { suffix, bound, value } = exposed;
        match (suffix, bound, value) {
            ("_bucket", Some(Bound { name: "le", value: bound }), ExposedValue::Number(Value::Integer(count))) => {
                buckets.push((bound, count));
            }
            ("_count", None, ExposedValue::Number(Value::Integer(count))) => total = Some(count),
            ("_sum", None, ExposedValue::Number(Value::Float(sum))) => assert!(sum.is_finite()),
            ("", Some(Bound { name: "quantile", value: bound }), ExposedValue::Number(Value::Float(value))) => {
                assert!(value.is_finite() && (0.0..=1.0).contains(&bound));
            }
            ("", None, ExposedValue::Number(Value::Integer(_) | Value::Float(_)) | ExposedValue::Histogram(_)) => {}
            other => panic!("{other:?}"),
        }
    });
    if let Some((bound, count)) = buckets.last() {
        assert!(bound.is_infinite() && Some(*count) == total, "{bound} {count} {total:?}");
        assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{buckets:?}");
    }
}

proptest! {
    /// Neither the order of updates nor any way of cutting them into states that are merged changes the result.
    #[test]
    fn property_test_any_order_and_any_merging_gives_the_same_state(
        (steps, shuffled) in steps(|| exact().boxed())
            .prop_flat_map(|steps| (Just(steps.clone()), Just(steps).prop_shuffle())),
        cuts in (0..30_usize, 0..30_usize),
    ) {
        let first = &steps[0].0;
        let whole = folded(first, &steps);
        prop_assert_eq!(&folded(first, &shuffled), &whole);
        let (a, b) = (cuts.0.min(cuts.1).min(steps.len()), cuts.0.max(cuts.1).min(steps.len()));
        let [a, b, c] = [&shuffled[..a], &shuffled[a..b], &shuffled[b..]].map(|part| folded(first, part));
        let merged = |one: &Aggregate, other: &Aggregate| {
            let mut merged = one.clone();
            assert_eq!(merged.merge(other), Applied::Counted);
            merged
        };
        prop_assert_eq!(&merged(&merged(&a, &b), &c), &whole);
        prop_assert_eq!(&merged(&a, &merged(&b, &c)), &whole);
        prop_assert_eq!(&merged(&merged(&c, &a), &b), &whole);
        prop_assert_eq!(&merged(&Aggregate::new(first), &whole), &whole);
    }

    /// Whatever finite numbers come: decoding is the inverse of encoding, and no shorter input decodes.
    #[test]
    fn property_test_decoding_gives_what_was_encoded(steps in steps(|| any_finite().boxed())) {
        let aggregate = folded(&steps[0].0, &steps);
        check_exposed(&aggregate);
        let bytes = encoded(&aggregate);
        let input = [bytes.as_slice(), &[7]].concat();
        let mut rest = input.as_slice();
        prop_assert_eq!(Aggregate::decode(&mut rest), Ok(aggregate));
        prop_assert_eq!(rest, &[7]);
        for len in 0..bytes.len() {
            prop_assert!(matches!(Aggregate::decode(&mut &bytes[..len]), Err(BlobError::Damaged(_))), "{}", len);
        }
    }

    /// A state with one other byte is an error, or a state that can go on.
    #[test]
    fn property_test_no_damaged_state_panics(
        steps in steps(|| any_finite().boxed()),
        place: proptest::sample::Index,
        byte: u8,
    ) {
        let mut bytes = encoded(&folded(&steps[0].0, &steps));
        // The first byte is the type.
        let place = 1 + place.index(bytes.len() - 1);
        bytes[place] = byte;
        if let Ok(mut aggregate) = Aggregate::decode(&mut bytes.as_slice()) {
            check_exposed(&aggregate);
            let other = folded(&steps[0].0, &steps);
            prop_assert_ne!(aggregate.merge(&other), Applied::TypeConflict);
            for (update, time, _) in &steps {
                let now = Timestamp(i64::MAX);
                let applied = aggregate.apply(update, Timestamp(*time), now, SummaryWindow::default());
                prop_assert_ne!(applied, Applied::TypeConflict);
            }
            check_exposed(&aggregate);
            prop_assert_eq!(Aggregate::decode(&mut encoded(&aggregate).as_slice()), Ok(aggregate));
        }
    }

    /// A quantile is within 1 % of the value that has its rank, and the least and the greatest values are exact.
    #[test]
    fn property_test_a_quantile_is_within_one_percent(
        values in proptest::collection::vec(prop_oneof![1e-6..1e6, -1e6..-1e-6, Just(0.0)], 1..200),
        middle in 0.0..1.0,
    ) {
        let observations = values.iter().map(|value| Observation { value: *value, count: 1 }).collect();
        let quantiles = vec![0.0, middle, 1.0];
        let aggregate = folded(&Update::Summary { quantiles: quantiles.clone(), observations: vec![] },
            &[(Update::Summary { quantiles, observations }, 0, 0)]);
        let mut sorted: Vec<f64> = values;
        sorted.sort_unstable_by(f64::total_cmp);
        let mut shown = Vec::new();
        aggregate.expose(Timestamp(1_764_422_400_000), SummaryWindow::default(), &mut |exposed| {
            if let (Some(bound), ExposedValue::Number(Value::Float(value))) = (exposed.bound, exposed.value) {
                shown.push((bound.value, value));
            }
        });
        for (quantile, value) in shown {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a rank")]
            let exact = sorted[(quantile * (sorted.len() - 1) as f64) as usize];
            let most = if [0.0, 1.0].contains(&quantile) { 0.0 } else { 0.01 };
            prop_assert!((value - exact).abs() <= most * exact.abs(), "{quantile}: {value}, exactly {exact}");
        }
    }
}
