use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Prometheus' bounds of schema 3 from 0.5 to 1, as its source has them.
const SCHEMA_3: [f64; 8] = [
    0.5,
    0.545_253_866_332_628_8,
    0.594_603_557_501_360_5,
    0.648_419_777_325_504_8,
    0.707_106_781_186_547_5,
    0.771_105_412_703_970_4,
    0.840_896_415_253_714_4,
    0.917_004_043_204_671_1,
];

const LIMIT: usize = 160;

/// All bounds of schema 3, from 2^-128 to the last double, slowly but exactly: doubling a double is exact.
static BOUNDS_OF_SCHEMA_3: LazyLock<BTreeMap<i32, f64>> = LazyLock::new(|| {
    let mut bounds = BTreeMap::new();
    for (fraction, bound) in (0..).zip(SCHEMA_3) {
        let (mut up, mut down) = (2.0 * bound, 2.0 * bound);
        for octave in 0..1_024 {
            bounds.insert(fraction + 8 * octave, up);
            up *= 2.0;
        }
        for octave in 0..=128 {
            bounds.insert(fraction - 8 * octave, down);
            down /= 2.0;
        }
    }
    bounds.insert(8 * 1_024, f64::INFINITY);
    bounds
});

fn of(values: &[f64], schema: i8, limit: usize) -> Exponential {
    let mut buckets = Exponential::new(schema);
    for value in values {
        buckets.add(*value, 1, limit);
    }
    buckets
}

fn buckets(exponential: &Exponential) -> Vec<(f64, f64, u64)> {
    let mut buckets = Vec::new();
    exponential.for_each_bucket(|lower, upper, count| buckets.push((lower, upper, count)));
    buckets
}

/// Any finite double, with many near to bounds and many of usual sizes.
fn value() -> impl Strategy<Value = f64> {
    let near_bound = (-1_024..8_192_i32, -1..=1_i8, any::<bool>()).prop_map(|(key, step, negative)| {
        let bound = upper_bound(key, 3).min(f64::MAX);
        let near = match step {
            -1 => bound.next_down(),
            0 => bound,
            _ => bound.next_up().min(f64::MAX),
        };
        if negative { -near } else { near }
    });
    prop_oneof![
        3 => near_bound,
        3 => -1e3..1e3,
        1 => Just(0.0),
        1 => any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
    ]
}

#[test]
fn has_the_bounds_of_prometheus() {
    for (&key, bound) in &*BOUNDS_OF_SCHEMA_3 {
        assert_eq!(upper_bound(key, 3).to_bits(), bound.to_bits(), "{key}");
    }
    // A few of schema 6, two of them with the greatest distance to the nearest double.
    let table = [(0, 0.5), (1, 0.505_444_643_025_850_2), (33, 0.714_806_669_195_984_9), (63, 0.989_228_013_193_975_2)];
    for (bound, expected) in table {
        assert_eq!(FINEST_BOUNDS[bound].to_bits(), f64::to_bits(expected), "{bound}");
    }
    assert!(FINEST_BOUNDS.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn counts_a_value_on_a_bound_in_the_bucket_below_it() {
    let next = 1.0_f64.next_up();
    // Value, and the schema, the offset of the only span, and the count of the zero bucket.
    let table = [
        (1.0, 3, Some(0), 0),
        (next, 3, Some(1), 0),
        (2.0, 3, Some(8), 0),
        (2.0_f64.next_down(), 3, Some(8), 0),
        (0.5, 3, Some(-8), 0),
        (1_024.0, 3, Some(80), 0),
        (1_024.0_f64.next_up(), 3, Some(81), 0),
        (f64::MAX, 3, Some(8_192), 0),
        (f64::INFINITY, 3, Some(8_192), 0),
        (ZERO_THRESHOLD, 3, None, 1),
        (ZERO_THRESHOLD.next_up(), 3, Some(-1_023), 0),
        (f64::MIN_POSITIVE / 4.0, 3, None, 1),
        (0.0, 3, None, 1),
        (4.0, 0, Some(2), 0),
        (4.0, -1, Some(1), 0),
        (16.0_f64.next_up(), -2, Some(2), 0),
        (65_536.0, -4, Some(1), 0),
        (65_537.0, -4, Some(2), 0),
        (1.0, -4, Some(0), 0),
    ];
    for (value, schema, offset, zero) in table {
        for sign in [1.0, -1.0] {
            let buckets = of(&[sign * value], schema, LIMIT);
            let (spans, others) = (buckets.positive_spans().0, buckets.negative_spans().0);
            let (spans, others) = if sign > 0.0 { (spans, others) } else { (others, spans) };
            assert_eq!(spans.first().map(|span| span.offset), offset, "{value}");
            assert_eq!(
                (spans.len(), others.len(), buckets.zero()),
                (usize::from(offset.is_some()), 0, zero),
                "{value}"
            );
        }
    }
}

#[test]
fn the_spans_have_no_empty_bucket_and_never_adjoin() {
    let mut buckets = Exponential::new(0);
    for (value, count) in [(2.0, 3), (4.0, 5), (8.0, 1), (64.0, 2), (0.25, 7)] {
        buckets.add(value, count, LIMIT);
    }
    let (spans, deltas) = buckets.positive_spans();
    let expected = [(-2, 1), (2, 3), (2, 1)].map(|(offset, length)| Span { offset, length });
    assert_eq!(spans, expected);
    assert_eq!(deltas, [7, -4, 2, -4, 1]);
    assert_eq!(buckets.negative_spans(), (vec![], vec![]));
}

#[test]
fn halves_the_resolution_when_there_are_too_many_buckets() {
    // The bounds of 20 octaves of schema 3 are 160 buckets.
    let values: Vec<f64> = (1..=160).map(|key| upper_bound(key, 3)).collect();
    let mut buckets = of(&values, 3, LIMIT);
    assert_eq!((buckets.schema(), buckets.buckets()), (3, 160));
    buckets.add(0.0, 1, LIMIT);
    assert_eq!((buckets.schema(), buckets.buckets(), buckets.total()), (2, 81, 161));
    assert_eq!(buckets.positive_spans().1, [[2_i64].as_slice(), &[0; 79]].concat());
    // The coarsest schema has room for all doubles.
    for octave in -127..1_024 {
        for sign in [1.0, -1.0] {
            buckets.add(sign * 2.0_f64.powi(octave), 1, LIMIT);
        }
    }
    assert_eq!((buckets.schema(), buckets.buckets()), (-4, 145));
}

#[test]
fn a_count_stops_at_the_largest_one() {
    let mut buckets = of(&[1.0], 3, LIMIT);
    buckets.add(2.0, u64::MAX, LIMIT);
    buckets.add(3.0, 1, LIMIT);
    assert_eq!((buckets.total(), buckets.buckets()), (MAX_COUNT, 2));
    let mut other = of(&[-1.0, 0.0], 3, LIMIT);
    other.merge(&buckets, LIMIT);
    assert_eq!(other.total(), MAX_COUNT);
    let sum: u64 = self::buckets(&other).iter().map(|(_, _, count)| count).sum();
    assert_eq!(sum, MAX_COUNT);
}

proptest! {
    /// Each bucket holds as many of the values as lie between its bounds in Prometheus' table, whatever the schema has become.
    #[test]
    fn property_test_every_bucket_has_the_values_between_its_bounds(
        values in proptest::collection::vec(value(), 0..300),
    ) {
        let exponential = of(&values, 3, LIMIT);
        prop_assert!(exponential.buckets() <= LIMIT);
        let all: Vec<f64> = BOUNDS_OF_SCHEMA_3
            .iter()
            .filter(|(key, _)| key.rem_euclid(1 << (3 - exponential.schema())) == 0)
            .map(|(_, bound)| *bound)
            .collect();
        let mut expected: BTreeMap<i32, (f64, f64, u64)> = BTreeMap::new();
        for value in &values {
            let upper = all.partition_point(|bound| *bound < value.abs());
            let (place, bounds) = if value.abs() <= ZERO_THRESHOLD {
                (0, (-ZERO_THRESHOLD, ZERO_THRESHOLD))
            } else if *value > 0.0 {
                (i32::try_from(upper).unwrap(), (all[upper - 1], all[upper]))
            } else {
                (-i32::try_from(upper).unwrap(), (-all[upper], -all[upper - 1]))
            };
            expected.entry(place).or_insert((bounds.0, bounds.1, 0)).2 += 1;
        }
        let expected: Vec<_> = expected.into_values().collect();
        prop_assert_eq!(buckets(&exponential), expected);
        prop_assert_eq!(exponential.total(), values.len() as u64);
    }

    /// The buckets, and so the schema, depend neither on the order of the values nor on how states were merged.
    #[test]
    fn property_test_any_order_and_any_merging_gives_the_same_buckets(
        (values, shuffled) in proptest::collection::vec(value(), 0..400)
            .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        cuts in (0.0..=1.0, 0.0..=1.0),
        limit in prop_oneof![Just(160_usize), 150..400_usize],
    ) {
        let whole = of(&values, 3, limit);
        prop_assert_eq!(&of(&shuffled, 3, limit), &whole);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
        let place = |share: f64| (share * shuffled.len() as f64) as usize;
        let (first, second): (f64, f64) = cuts;
        let (first, second) = (place(first.min(second)), place(first.max(second)));
        let [a, b, c] = [&shuffled[..first], &shuffled[first..second], &shuffled[second..]].map(|part| of(part, 3, limit));
        let merged = |parts: [&Exponential; 2]| {
            let mut merged = parts[0].clone();
            merged.merge(parts[1], limit);
            merged
        };
        prop_assert_eq!(&merged([&merged([&a, &b]), &c]), &whole);
        prop_assert_eq!(&merged([&a, &merged([&b, &c])]), &whole);
        prop_assert_eq!(&merged([&merged([&c, &a]), &b]), &whole);
    }

    #[test]
    fn property_test_decoding_gives_what_was_encoded(values in proptest::collection::vec(value(), 0..400)) {
        let exponential = of(&values, 3, LIMIT);
        let mut out = Vec::new();
        exponential.encode(&mut out);
        let input = &mut out.as_slice();
        prop_assert_eq!(Exponential::decode(input, 3, LIMIT), Ok(exponential));
        prop_assert!(input.is_empty());
    }

    /// The number for a rank is within 0.55 % of the value that has this rank.
    #[test]
    fn property_test_a_rank_is_within_the_bound_of_error(values in proptest::collection::vec(value(), 1..300)) {
        let exponential = of(&values, FINEST_SCHEMA, 4_096);
        let mut sorted = values;
        sorted.sort_unstable_by(f64::total_cmp);
        for (rank, exact) in (0..).zip(&sorted) {
            let estimate = exponential.at_rank(rank).unwrap();
            let error = (estimate - exact).abs();
            prop_assert!(error <= 0.0055 * exact.abs() || exact.abs() <= ZERO_THRESHOLD, "{exact}: {estimate}");
        }
        prop_assert_eq!(exponential.at_rank(sorted.len() as u64), None);
    }
}
