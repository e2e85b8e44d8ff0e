use super::*;
use crate::aggregate::series_key::tests::{labels, name};
use crate::aggregate::{Identity, SeriesKey};
use crate::blob::{BlobError, open, seal};
use crate::model::{ClassicCounts, Layout, NativeCounts, Observation, Timestamp, TypedMetric, Update, Value};
use proptest::prelude::*;
use std::borrow::Cow;

fn metric(metric: &str, pairs: &[(&str, &str)], update: Update, time: i64) -> TypedMetric<'static> {
    let (name, labels) = (name(metric), labels(pairs));
    TypedMetric { name, labels, update, help: None, time: Timestamp(time), id: None }
}

fn counter(metric_name: &str, value: i64) -> TypedMetric<'static> {
    metric(metric_name, &[("a", "b")], Update::Counter(Value::Integer(value)), 5)
}

fn observations(count: usize) -> Vec<Observation> {
    vec![Observation { value: 0.5, count: 1 }; count]
}

/// Returns what an entry says as text.
fn shown(entry: &Entry<'_, '_>) -> String {
    let labels: Vec<_> = entry.key.labels().collect();
    let Entry { identity, key, help, update, time, sent, .. } = entry;
    format!("{identity} {} {labels:?} {help:?} {update:?} {time} {sent}", key.name())
}

fn all(items: &[JournalItem]) -> Vec<String> {
    let mut shown_entries = Vec::new();
    for item in items {
        let journal = Journal::open(&item.blob).unwrap();
        let mut reader = journal.reader().unwrap();
        while let Some(entry) = reader.next_entry().unwrap() {
            shown_entries.push(shown(&entry));
        }
    }
    shown_entries
}

#[test]
fn cuts_items_before_they_are_larger_than_allowed_and_keeps_the_order() {
    let mut builder = JournalBuilder::default();
    let mut numbers = Vec::new();
    for i in 0..40_u32 {
        let update = Update::Histogram { layout: Layout::Native, observations: observations(4_000) };
        let metric = metric("x", &[], update, i64::from(i));
        numbers.push(builder.add(0, Identity::of_event("m", u64::from(i)), &metric, Timestamp(i64::from(i))).unwrap());
    }
    let items = builder.finish().unwrap();
    assert_eq!(items.iter().map(|item| item.events).collect::<Vec<_>>(), [9, 9, 9, 9, 4]);
    assert_eq!(numbers, (0..40).map(|i: usize| i / 9).collect::<Vec<_>>());
    for item in &items {
        assert!(open(&item.blob, 1, MAX_ITEM_BYTES).is_ok());
    }
    assert_eq!(all(&items).len(), 40);
}

#[test]
fn keeps_the_shards_apart() {
    let mut builder = JournalBuilder::default();
    let mut add = |shard, i| builder.add(shard, Identity::of_event("m", i), &counter("x", 1), Timestamp(0)).unwrap();
    assert_eq!([add(3, 0), add(0, 1), add(3, 2)], [0, 1, 0]);
    let items = builder.finish().unwrap();
    assert_eq!(items.iter().map(|item| (item.shard, item.events)).collect::<Vec<_>>(), [(3, 2), (0, 1)]);
}

#[test]
fn an_event_of_300_000_bytes_is_taken_and_a_larger_one_is_not() {
    let sizes = |count: usize| {
        let update = Update::Histogram { layout: Layout::Native, observations: observations(count) };
        JournalBuilder::default().add(0, Identity::of_event("m", 0), &metric("x", &[], update, 0), Timestamp(0))
    };
    assert_eq!(sizes(33_000), Ok(0));
    let error = sizes(33_400).unwrap_err();
    assert!(error.bytes > MAX_EVENT_BYTES && error.to_string().ends_with("at most 300000 are allowed"));
}

#[test]
fn a_series_with_another_layout_or_help_stands_beside_the_first() {
    let bounds =
        |bounds: &[f64]| Update::Histogram { layout: Layout::Classic(bounds.to_vec()), observations: observations(1) };
    let mut helped = metric("x", &[], bounds(&[1.0]), 0);
    helped.help = Some(Cow::Borrowed("text"));
    let mut builder = JournalBuilder::default();
    for (i, metric) in
        [metric("x", &[], bounds(&[1.0]), 0), metric("x", &[], bounds(&[2.0]), 0), helped].iter().enumerate()
    {
        builder.add(0, Identity::of_event("m", i as u64), metric, Timestamp(0)).unwrap();
    }
    let items = builder.finish().unwrap();
    let journal = Journal::open(&items[0].blob).unwrap();
    let mut reader = journal.reader().unwrap();
    let mut seen = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        seen.push((entry.series, entry.help.is_some()));
    }
    assert_eq!(seen, [(0, false), (1, false), (2, true)]);
}

/// Items lie in tables of operators: the bytes of version 1 never change.
#[test]
fn an_item_of_version_1_has_these_bytes() {
    let mut builder = JournalBuilder::default();
    builder.add(0, Identity([7; 16]), &counter("x", 3), Timestamp(4)).unwrap();
    let item = builder.finish().unwrap().remove(0);
    let mut expected = vec![1, 1, b'x', 1, 1, b'a', 1, b'b', 1, 0, 1];
    expected.extend_from_slice(&[7; 16]);
    expected.extend_from_slice(&[0, 8, 2, 0, 6]);
    assert_eq!(open(&item.blob, 1, 100).unwrap(), expected);
}

/// The bytes of version 2 never change. An item without what is new in it is written in version 1.
#[test]
fn an_item_with_counts_is_of_version_2() {
    let mut builder = JournalBuilder::default();
    let classic = ClassicCounts { bounds: vec![0.5], counts: vec![300, 1], sum: Some(0.25) };
    let native =
        NativeCounts { schema: -1, zero: 1, positive: vec![(-2, 3), (0, 4)], negative: vec![(1, 2)], sum: 0.0 };
    let updates =
        [Update::GaugeIncrement(Value::Integer(-2)), Update::ClassicCounts(classic), Update::NativeCounts(native)];
    let names = ["g", "c", "n"];
    for (i, (name, update)) in (0..).zip(names.into_iter().zip(updates)) {
        builder.add(0, Identity([i; 16]), &metric(name, &[], update, 0), Timestamp(0)).unwrap();
    }
    let item = builder.finish().unwrap().remove(0);
    let half = 0.5_f64.to_bits().to_le_bytes();
    let expected = [
        &[3, 1, b'g', 0, 6, 0, 1, b'c', 0, 7, 1][..],
        &half,
        &[0, 1, b'n', 0, 8, 0, 3],
        &[0; 16],
        &[0, 0, 0, 0, 3],
        &[1; 16],
        &[1, 0, 0, 0xac, 2, 1, 1],
        &0.25_f64.to_bits().to_le_bytes(),
        &[2; 16],
        &[2, 0, 0, 1, 1, 2, 3, 3, 4, 4, 1, 2, 2],
        &[0; 8],
    ];
    assert_eq!(item.blob[0], 2);
    assert_eq!(open(&item.blob, 2, 300).unwrap(), expected.concat());
}

#[test]
fn rejects_a_body_that_no_builder_writes() {
    const BUCKETS: &str = "the buckets of a native histogram do not ascend, or one is empty";
    let key = [1, b'x', 0];
    let entry = |series: u8, value: &[u8]| [&[0; 16][..], &[series, 0, 0], value].concat();
    let item = |kind: &[u8], entry: &[u8]| [&[1], &key[..], kind, &[0, 1], entry].concat();
    let table: [(&str, Vec<u8>); 13] = [
        ("the body ends inside of a value", vec![]),
        ("a count is larger than the rest of the body", vec![100]),
        ("a series has an unknown kind", item(&[9], &entry(0, &[0, 0]))),
        ("an entry names a series that is not in the dictionary", item(&[1], &entry(1, &[0, 0]))),
        ("a value is neither an integer nor a double", item(&[1], &entry(0, &[2, 0]))),
        ("an increment is negative", item(&[1], &entry(0, &[0, 1]))),
        ("a value is not finite", item(&[2], &entry(0, &[1, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f]))),
        ("an observation counts nothing", item(&[4], &entry(0, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]))),
        ("a histogram has neither a sum nor none", item(&[7, 0], &entry(0, &[1, 2]))),
        ("a native histogram has an unknown schema", item(&[8], &entry(0, &[18]))),
        (BUCKETS, item(&[8], &entry(0, &[0, 0, 2, 2, 1, 0, 1]))),
        (BUCKETS, item(&[8], &entry(0, &[0, 0, 1, 2, 0]))),
        ("the item has more bytes than its entries", item(&[1], &entry(0, &[0, 0, 0]))),
    ];
    for (expected, body) in table {
        let error = Journal::open(&seal(1, &body).unwrap()).map(|_| ()).unwrap_err();
        assert_eq!(error, BlobError::Damaged(expected), "{body:?}");
    }
    let newer = seal(3, &[]).unwrap();
    assert!(matches!(Journal::open(&newer), Err(BlobError::NewerVersion { found: 3, known: 2 })));
}

fn any_update() -> impl Strategy<Value = Update> {
    let number = || -1e300..1e300_f64;
    let observation = (number(), 1..u64::MAX).prop_map(|(value, count)| Observation { value, count });
    let observations = || proptest::collection::vec(observation.clone(), 0..4);
    let bounds = proptest::collection::vec(number(), 0..4).prop_map(|mut bounds| {
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    });
    let buckets = || {
        proptest::collection::btree_map(any::<i32>(), 1..u64::MAX, 0..4).prop_map(|b| b.into_iter().collect::<Vec<_>>())
    };
    prop_oneof![
        (0..i64::MAX).prop_map(|value| Update::Counter(Value::Integer(value))),
        (0.0..1e300).prop_map(|value| Update::Counter(Value::Float(value))),
        any::<i64>().prop_map(|value| Update::Gauge(Value::Integer(value))),
        number().prop_map(|value| Update::Gauge(Value::Float(value))),
        (bounds.clone(), observations())
            .prop_map(|(bounds, observations)| Update::Histogram { layout: Layout::Classic(bounds), observations }),
        observations().prop_map(|observations| Update::Histogram { layout: Layout::Native, observations }),
        any::<i64>().prop_map(|value| Update::GaugeIncrement(Value::Integer(value))),
        (bounds.clone(), proptest::collection::vec(any::<u64>(), 5), proptest::option::of(number())).prop_map(
            |(bounds, mut counts, sum)| {
                counts.truncate(bounds.len() + 1);
                Update::ClassicCounts(ClassicCounts { bounds, counts, sum })
            }
        ),
        (-4..=8_i8, any::<u64>(), buckets(), buckets(), number()).prop_map(
            |(schema, zero, positive, negative, sum)| {
                Update::NativeCounts(NativeCounts { schema, zero, positive, negative, sum })
            }
        ),
        (proptest::collection::vec(0.0..1.0, 0..3), observations())
            .prop_map(|(quantiles, observations)| Update::Summary { quantiles, observations }),
    ]
}

proptest! {
    #[test]
    fn property_test_entries_are_read_as_they_were_added(
        events in proptest::collection::vec(
            ("[ab]{1,2}", "[xy]?", any_update(), "[hé]{0,2}", any::<i64>(), any::<i64>(), any::<[u8; 16]>()),
            0..12,
        ),
    ) {
        let mut builder = JournalBuilder::default();
        let mut expected = Vec::new();
        for (metric_name, label, update, help, time, sent, identity) in events {
            let mut metric = metric(&metric_name, &[("l", &label)], update, time);
            metric.help = Some(Cow::Owned(help.clone()));
            builder.add(0, Identity(identity), &metric, Timestamp(sent)).unwrap();
            let mut key = Vec::new();
            SeriesKey::write(&metric.name, &metric.labels, &mut key);
            let entry = Entry {
                identity: Identity(identity),
                key: SeriesKey::take(&mut key.as_slice()).unwrap(),
                help: Some(help.as_str()).filter(|help| !help.is_empty()),
                update: &metric.update,
                time: Timestamp(time),
                sent: Timestamp(sent),
                series: 0,
            };
            expected.push(shown(&entry));
        }
        prop_assert_eq!(all(&builder.finish().unwrap()), expected);
    }

    #[test]
    fn property_test_any_body_is_read_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _any = Journal::open(&seal(1, &body).unwrap());
    }
}
