//! Ticks over DynamoDB: the stand-in in the process of the tests, by HTTP and with the requests of the function.

use super::*;
use crate::store::testing::dynamodb_table;

fn rig() -> Rig {
    Rig { store: Arc::new(dynamodb_table()), ..Rig::new() }
}

#[tokio::test]
async fn counts_expires_and_bears_again() {
    let mut rig = rig();
    rig.rules.series_ttl_ms = Some(2 * MINUTE);
    let identity = Identity::of_event("m", 100);
    for at in [-5_000, 30_000, 90_000] {
        rig.events += 1;
        rig.journal(NOW + at, identity, count("a", 3)).await;
    }
    rig.group(&mut group("j", &[("x", 2.5)], NOW - 5_000, Some(MINUTE + 10_000))).await;
    for minute in 0..4 {
        let summary = rig.tick(NOW + minute * MINUTE).await;
        assert!(summary.sum.acknowledged && summary.sum.error.is_none(), "{summary:?}");
    }
    rig.event(NOW + 3 * MINUTE + 1, count("a", 7)).await;
    rig.tick(NOW + 4 * MINUTE).await;
    assert_eq!(rig.samples("\"a\""), ["-59999: 0", "0: 3", "60000: 3", "120000: stale", "180001: 0", "240000: 7"]);
    assert_eq!(rig.samples("\"x\""), ["0: 2.5", "60000: 2.5", "65000: stale"]);
    let groups = rig.store.query(&Range::all("g#0"), None).await.unwrap();
    assert!(groups.items.is_empty(), "the tick deletes an emptied group");
    // Only the head and what is settled stay for ever.
    let items = rig.store.query(&Range::all("s#0"), None).await.unwrap().items;
    let for_ever: Vec<_> =
        items.iter().filter(|item| item.expires.is_none()).map(|item| item.key.sort.as_str()).collect();
    assert_eq!(for_ever, ["head", "sent"]);
}

#[tokio::test]
async fn a_state_of_many_items_is_read_as_it_was_written() {
    let mut rig = rig();
    let mut builder = JournalBuilder::default();
    // Labels that are not compressed: the snapshot takes several items, and the identities one.
    let label = |i: u64| {
        let value: String = (0..12).map(|part| Identity::of_event("l", 20 * i + part).to_string()).collect();
        crate::model::Label { name: crate::model::LabelName::classic("l").unwrap(), value: Cow::Owned(value) }
    };
    for i in 0..3_000 {
        let metric = TypedMetric { labels: LabelSet::new(vec![label(i)]).unwrap(), ..count("large", 1) };
        builder.add(0, Identity::of_event("large", i), &metric, Timestamp(NOW)).unwrap();
    }
    let items = builder.finish().unwrap();
    for round in 0..2 {
        for (number, item) in items.iter().enumerate() {
            // The second round is a repetition.
            let key = Key::new("j#0", format!("{:013}#{number:016x}", NOW - 9 + round * 60_000));
            rig.put(key, item.blob.clone()).await;
        }
        let summary = rig.tick(NOW + round * MINUTE).await;
        assert!(summary.sum.acknowledged, "{summary:?}");
        assert_eq!((summary.sum.series, summary.sum.folded.increments), (3_000, if round == 0 { 3_000 } else { 0 }));
    }
    let parts = rig.store.query(&Range::prefix("s#0", "b#"), None).await.unwrap().items;
    assert!(parts.len() > 2, "{} parts", parts.len());
    rig.event(NOW + 70_000, count("small", 1)).await;
    assert_eq!(rig.tick(NOW + 2 * MINUTE).await.sum.series, 3_001);
    assert!(
        rig.samples("large").iter().filter(|sample| sample.starts_with("120000")).all(|sample| sample.ends_with(" 1"))
    );
}

#[tokio::test]
async fn one_of_many_equal_ticks_at_once_commits() {
    let mut rig = rig();
    for round in 0..5 {
        rig.event(NOW + round * MINUTE - 5_000, count("a", 3)).await;
        let at = NOW + round * MINUTE;
        let all = tokio::join!(rig.tick(at), rig.tick(at), rig.tick(at), rig.tick(at));
        let all = [all.0, all.1, all.2, all.3];
        let counted: u64 = all.iter().filter(|tick| !tick.sum.overtaken).map(|tick| tick.sum.folded.increments).sum();
        assert_eq!(counted, 1, "{all:#?}");
    }
    assert_eq!(rig.samples("\"a\"").last().unwrap(), "240000: 15");
    let database = rig.receiver.0.lock().unwrap();
    assert_eq!(database.contradictions, 0);
}
