//! The bookkeeping without a network: a receiver that is a function of the samples in a request.

use super::*;
use crate::aws::{Answer, TransportError};
use crate::model::{Label, LabelName, LabelSet, MetricName, Timestamp, Value};
use crate::series::{Sample, SampleTableBuilder, SeriesId};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// One item of samples `(series, time)`; the series is a label's value.
type Item = Vec<(u8, i64)>;

fn table(items: &[Item]) -> SampleTable<'static> {
    let name = |name: &'static str| LabelName::translate(Cow::Borrowed(name)).unwrap();
    let mut builder = SampleTableBuilder::default();
    for (id, item) in (0..).map(ItemId).zip(items) {
        for &(series, time) in item {
            let label = Label { name: name("s"), value: Cow::Owned(series.to_string()) };
            let metric = MetricName::translate(Cow::Borrowed("m")).unwrap();
            let sample = (metric, Timestamp(time), Value::Integer(i64::from(series)));
            builder.add(id, LabelSet::new(vec![label]).unwrap(), [sample]);
        }
    }
    builder.finish(&mut |contradiction| panic!("{contradiction:?}"))
}

#[expect(clippy::unnecessary_wraps, reason = "as a receiver answers")]
fn status(status: u16, text: &str) -> Answered {
    Ok(Answer { status, body: text.to_owned().into(), ..Answer::default() })
}

fn key(sample: &Sample) -> (SeriesId, Timestamp) {
    (sample.series, sample.timestamp)
}

/// Delivers the whole table as one request. Returns the outcomes and the samples of each request.
fn deliver(
    table: &SampleTable<'_>,
    mut receiver: impl FnMut(&[Sample]) -> Answered,
) -> (Vec<(u32, &'static str)>, Vec<Vec<Sample>>) {
    let mut delivery = Delivery::new(table, &[ItemId(0)]);
    let mut requests = Vec::new();
    delivery.begin(0..table.samples().len());
    while let Some(part) = delivery.next_part() {
        let samples: Vec<Sample> = part.iter().map(|&sample| table.samples()[sample]).collect();
        delivery.answered(&receiver(&samples));
        requests.push(samples);
    }
    let outcomes = delivery.outcomes(|_| false);
    let word = |outcome| match outcome {
        ItemOutcome::Delivered => "delivered",
        ItemOutcome::Errored => "errored",
        ItemOutcome::Rejected { maybe_stored: true, .. } => "maybe stored",
        ItemOutcome::Rejected { .. } => "rejected",
    };
    (outcomes.iter().map(|(item, outcome)| (item.0, word(outcome))).collect(), requests)
}

#[test]
fn delivers_an_item_of_several_times_and_asks_for_the_oldest_items_first() {
    // Item 0 has the newest and the oldest sample.
    let table = table(&[vec![(0, 9), (1, 1)], vec![(2, 5)], vec![(3, 3)]]);
    let (outcomes, requests) = deliver(&table, |samples| status(if samples.len() > 2 { 413 } else { 204 }, ""));
    assert_eq!(outcomes, [(0, "delivered"), (1, "delivered"), (2, "delivered")]);
    let items: Vec<Vec<u32>> = requests.iter().map(|part| part.iter().map(|sample| sample.item.0).collect()).collect();
    assert_eq!(items, [vec![0, 0, 1, 2], vec![0, 0], vec![1, 2]]);
}

#[test]
fn skips_a_request_that_would_overtake_an_unsettled_sample() {
    let table = table(&[vec![(0, 1)], vec![(0, 2)]]);
    let mut delivery = Delivery::new(&table, &[ItemId(0)]);
    delivery.begin(0..1);
    assert!(delivery.next_part().is_some());
    assert!(delivery.answered(&Err(TransportError::Timeout)));
    assert_eq!(delivery.next_part(), None);
    delivery.begin(1..2);
    assert_eq!(delivery.next_part(), None);
    let outcomes = delivery.outcomes(|_| false);
    assert!(outcomes.iter().all(|(_, outcome)| outcome == ItemOutcome::Errored));
    assert_eq!(outcomes.failure.as_deref(), Some("no answer in time"));
}

#[test]
fn marks_a_refused_item_that_an_earlier_delivery_may_have_sent() {
    let table = table(&[vec![(0, 1)]]);
    for (text, sent_before, expected) in
        [("out of order sample", true, true), ("out of order sample", false, false), ("invalid label", true, false)]
    {
        let mut delivery = Delivery::new(&table, &[ItemId(0)]);
        delivery.begin(0..1);
        assert!(delivery.next_part().is_some() && delivery.answered(&status(400, text)));
        let outcomes = delivery.outcomes(|_| sent_before);
        let (_, outcome) = outcomes.iter().next().unwrap();
        assert!(matches!(outcome, ItemOutcome::Rejected { maybe_stored, .. } if maybe_stored == expected), "{text}");
    }
}

proptest! {
    /// The receiver refuses some samples and stores the rest of a request, or none of it. Every item gets one outcome. Exactly the
    /// items with a refused sample are rejected, all others are stored, and no sample is sent again after a 2xx.
    #[test]
    fn property_test_every_item_gets_the_outcome_of_its_samples(
        items in proptest::collection::vec(proptest::collection::vec((0..6_u8, 0..4_i64), 1..4), 1..12),
        bad in proptest::collection::btree_set((0..6_u8, 0..4_i64), 0..5),
        stores_the_rest: bool, largest in 1..30_usize,
    ) {
        let table = table(&items);
        let is_bad: BTreeSet<_> = table.samples().iter().filter(|sample| {
            let series: u8 = table.series(sample.series).1.iter().next().unwrap().value.parse().unwrap();
            bad.contains(&(series, sample.timestamp.0))
        }).map(key).collect();
        let (mut stored, mut acknowledged) = (BTreeSet::new(), BTreeSet::new());
        let (outcomes, _) = deliver(&table, |samples| {
            assert!(samples.iter().all(|sample| !acknowledged.contains(&key(sample))), "sent again after a 2xx");
            let keys: BTreeSet<_> = samples.iter().map(key).collect();
            let good: BTreeSet<_> = keys.difference(&is_bad).copied().collect();
            if keys.len() > largest && samples.iter().any(|sample| sample.item != samples[0].item) {
                return status(413, "");
            }
            if good.len() == keys.len() {
                stored.extend(&good);
                acknowledged.extend(good);
                return status(204, "");
            }
            if stores_the_rest {
                stored.extend(good);
            }
            status(400, "")
        });
        let mut expected = Vec::new();
        for (id, _) in (0_u32..).zip(&items) {
            let has_bad = table.samples().iter().any(|sample| sample.item.0 == id && is_bad.contains(&key(sample)));
            expected.push((id, if has_bad { "rejected" } else { "delivered" }));
        }
        prop_assert_eq!(&outcomes, &expected);
        let delivered = |sample: &&Sample| expected[sample.item.0 as usize].1 == "delivered";
        prop_assert!(table.samples().iter().filter(delivered).all(|sample| stored.contains(&key(sample))));
    }
}
