use super::*;
use crate::model::{ItemId, Label, LabelName, LabelSet, MetricName, Timestamp, Value};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;

/// An item with one label `d`: its value, the time of all samples, and their names and values.
type Item<'i> = (&'i str, i64, &'i [(&'i str, f64)]);

fn labels(value: &str) -> LabelSet<'static> {
    let name = LabelName::translate(Cow::Borrowed("d")).unwrap();
    LabelSet::new(vec![Label { name, value: Cow::Owned(value.to_owned()) }]).unwrap()
}

fn samples(time: i64, metrics: &[(&str, f64)]) -> Vec<(MetricName<'static>, Timestamp, Value)> {
    let name = |name: &str| MetricName::translate(Cow::Owned(name.to_owned())).unwrap();
    metrics.iter().map(|(metric, value)| (name(metric), Timestamp(time), Value::Float(*value))).collect()
}

/// The table of these items, and the numbers of those that were rejected.
fn table(items: &[Item<'_>]) -> (SampleTable<'static>, Vec<u32>) {
    let mut builder = SampleTableBuilder::default();
    for (item, (label, time, metrics)) in (0..).map(ItemId).zip(items) {
        builder.add(item, labels(label), samples(*time, metrics));
    }
    finish(builder)
}

fn finish(builder: SampleTableBuilder<'static>) -> (SampleTable<'static>, Vec<u32>) {
    let mut rejected = Vec::new();
    let table = builder.finish(&mut |contradiction| rejected.push(contradiction.item.0));
    (table, rejected)
}

fn lines(table: &SampleTable<'_>) -> Vec<String> {
    let line = |sample: &Sample| {
        let (name, labels) = table.series(sample.series);
        format!(
            "{}{{{}}} {} {}",
            name.as_str(),
            labels.iter().next().unwrap().value,
            sample.timestamp,
            table.value(sample)
        )
    };
    table.samples().iter().map(line).collect()
}

#[test]
fn groups_samples_by_series_and_orders_them_by_time() {
    let (table, rejected) =
        table(&[("x", 3, &[("a", 1.0), ("b", 2.0)]), ("y", 1, &[("a", 3.0)]), ("x", 1, &[("a", 4.0)])]);
    assert_eq!(lines(&table), ["a{x} 1 4.0", "a{x} 3 1.0", "b{x} 3 2.0", "a{y} 1 3.0"]);
    assert!(rejected.is_empty());
}

#[test]
fn keeps_an_equal_sample_for_each_of_its_items_and_takes_all_nans_for_equal() {
    let other_nan = f64::from_bits(f64::NAN.to_bits() | 7);
    let (table, rejected) = table(&[("x", 1, &[("a", f64::NAN)]), ("x", 1, &[("a", other_nan)])]);
    assert_eq!(table.samples().len(), 2);
    assert!(table.samples()[0].is_same_sample(&table.samples()[1]));
    assert!(rejected.is_empty());
}

#[test]
fn rejects_the_later_of_two_contradicting_items_as_a_whole_and_forgets_its_samples() {
    let (table, rejected) =
        table(&[("x", 1, &[("a", 1.0)]), ("x", 1, &[("b", 5.0), ("a", 2.0)]), ("x", 1, &[("b", 6.0)])]);
    assert_eq!(lines(&table), ["a{x} 1 1.0", "b{x} 1 6.0"]);
    assert_eq!(rejected, [1]);
}

#[test]
fn takes_zero_and_negative_zero_for_a_contradiction() {
    let (_, rejected) = table(&[("x", 1, &[("a", 0.0)]), ("x", 1, &[("a", -0.0)])]);
    assert_eq!(rejected, [1]);
}

#[test]
fn takes_samples_of_several_times_from_one_item_and_rejects_one_that_contradicts_itself() {
    let mut builder = SampleTableBuilder::default();
    builder.add(ItemId(0), labels("x"), [samples(2, &[("a", 2.0)]), samples(1, &[("a", 1.0)])].concat());
    builder.add(ItemId(0), labels("y"), samples(3, &[("a", 3.0)]));
    builder.add(ItemId(1), labels("z"), [samples(1, &[("a", 1.0)]), samples(1, &[("a", 2.0)])].concat());
    let (table, rejected) = finish(builder);
    assert_eq!(lines(&table), ["a{x} 1 1.0", "a{x} 2 2.0", "a{y} 3 3.0"]);
    assert_eq!(rejected, [1]);
}

proptest! {
    /// Each item is either rejected or has a sample for each of its metrics. Samples are grouped and ordered. The accepted items are
    /// those that a plain map accepts, item by item.
    #[test]
    fn property_test_the_table_agrees_with_a_plain_map(
        items in proptest::collection::vec((0..3_u8, 0..3_i64, proptest::collection::btree_map(0..3_u8, 0..2_u8, 1..3)), 0..20),
    ) {
        let mut map: HashMap<(u8, i64, u8), u8> = HashMap::new();
        let mut expected_rejected = Vec::new();
        let mut expected_samples = 0;
        let mut builder = SampleTableBuilder::default();
        for (i, (label, time, metrics)) in (0_u32..).zip(&items) {
            let names: Vec<_> = metrics.iter().map(|(m, v)| (format!("m{m}"), f64::from(*v))).collect();
            let pairs: Vec<_> = names.iter().map(|(m, v)| (m.as_str(), *v)).collect();
            builder.add(ItemId(i), labels(&format!("l{label}")), samples(*time, &pairs));
            if metrics.iter().any(|(m, v)| map.get(&(*label, *time, *m)).is_some_and(|known| known != v)) {
                expected_rejected.push(i);
            } else {
                expected_samples += metrics.len();
                map.extend(metrics.iter().map(|(m, v)| ((*label, *time, *m), *v)));
            }
        }
        let (table, rejected) = finish(builder);
        prop_assert_eq!(rejected, expected_rejected);
        prop_assert_eq!(table.samples().len(), expected_samples);
        let keys: Vec<_> = table.samples().iter().map(|sample| (sample.series, sample.timestamp)).collect();
        prop_assert!(keys.is_sorted());
    }
}

/// Prints the labels of each sample.
fn label_lines(table: &SampleTable<'_>) -> Vec<String> {
    let line = |sample: &Sample| {
        let shown = |label: &Label<'_>| format!("{}={}", label.name.as_str(), label.value);
        table.series(sample.series).1.iter().map(shown).collect::<Vec<_>>().join(",")
    };
    table.samples().iter().map(line).collect()
}

#[test]
fn a_set_with_a_bound_is_one_however_it_is_given() {
    let pairs = |pairs: &[(&'static str, &'static str)]| {
        let label = |(name, value): &(&'static str, &'static str)| Label {
            name: LabelName::classic(name).unwrap(),
            value: Cow::Borrowed(*value),
        };
        LabelSet::new(pairs.iter().map(label).collect()).unwrap()
    };
    let name = MetricName::classic("m").unwrap();
    let common = pairs(&[("le", "9"), ("z", "0")]);
    let leaked: &'static LabelSet<'static> = Box::leak(Box::new(common));
    for (builder, also) in
        [(SampleTableBuilder::default(), ""), (SampleTableBuilder::default().with_common_labels(leaked), ",z=0")]
    {
        let mut builder = builder;
        let other = if also.is_empty() { "" } else { "le=9," };
        let whole = builder.labels_id(pairs(&[("d", "1"), ("le", "5"), ("m", "2")]));
        let without = builder.labels_id(pairs(&[("d", "1"), ("m", "2")]));
        assert_eq!(builder.with_bound(without, "5"), whole);
        let nine = builder.with_bound(without, "9");
        assert_eq!(nine == without, !also.is_empty());
        let bare = builder.labels_id(LabelSet::default());
        let bare_bound = builder.with_bound(bare, "5");
        for (item, labels) in (0..).map(ItemId).zip([whole, without, nine, bare_bound]) {
            builder.add_number(item, &name, labels, Timestamp(i64::from(item.0)), Value::Integer(1));
        }
        let (table, _) = finish(builder);
        let expected = [
            format!("d=1,{other}m=2{also}"),
            format!("d=1,le=9,m=2{also}"),
            format!("d=1,le=5,m=2{also}"),
            format!("le=5{also}"),
        ];
        let mut lines = label_lines(&table);
        lines.sort_unstable();
        let mut expected: Vec<_> = expected.into_iter().collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
}

proptest! {
    /// Labels that are kept once change no series, whether an event has them with the same value, with another, or not at all.
    #[test]
    fn property_test_common_labels_are_those_of_each_series(
        sets in proptest::collection::vec(proptest::collection::vec(("[A-Ca-c_]|le", "[xy]"), 0..5), 1..12),
        common in proptest::collection::vec(("[A-Ca-c_]|le", "[xy]"), 0..4),
    ) {
        let set = |pairs: &[(String, String)]| {
            let pairs: std::collections::BTreeMap<_, _> = pairs.iter().cloned().collect();
            let label = |(name, value): (String, String)| {
                Label { name: LabelName::as_is(Cow::Owned(name)).unwrap(), value: Cow::Owned(value) }
            };
            LabelSet::new(pairs.into_iter().map(label).collect()).unwrap()
        };
        let common = set(&common);
        let build = |mut builder: SampleTableBuilder<'static>| {
            for (item, pairs) in (0..).map(ItemId).zip(&sets) {
                let mut labels = set(pairs);
                labels.add_missing(&common);
                builder.add(item, labels.into_owned(), samples(i64::from(item.0), &[("m", 1.0)]));
            }
            let (table, _) = finish(builder);
            let series = |sample: &Sample| {
                let labels = table.series(sample.series).1.iter();
                labels.map(|label| (label.name.as_str().to_owned(), label.value.to_string())).collect::<Vec<_>>()
            };
            let mut all: Vec<_> = table.samples().iter().map(|sample| (sample.item, series(sample))).collect();
            all.sort_unstable();
            let mut distinct: Vec<_> = table.samples().iter().map(|sample| sample.series.labels).collect();
            distinct.sort_unstable();
            distinct.dedup();
            (all, distinct.len())
        };
        let leaked: &'static LabelSet<'static> = Box::leak(Box::new(common.clone().into_owned()));
        let plain = build(SampleTableBuilder::default());
        prop_assert_eq!(build(SampleTableBuilder::default().with_common_labels(leaked)), plain);
    }
}
