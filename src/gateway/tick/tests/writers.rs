//! Series that several writers have: a typed series, and groups. They can be in different shards.

use super::*;
use crate::model::{Label, LabelName};
use crate::store::BoxFuture;
use crate::store::intercepted::{Call, Intercept, InterceptedStore};

/// Returns a gauge with the labels of the group `job/a`.
fn typed(value: i64) -> TypedMetric<'static> {
    TypedMetric { labels: labels(&[("job", "a")]), ..gauge("x", value) }
}

fn labels(pairs: &[(&'static str, &'static str)]) -> LabelSet<'static> {
    let label = |&(name, value): &(&'static str, &'static str)| Label {
        name: LabelName::classic(name).unwrap(),
        value: Cow::Borrowed(value),
    };
    LabelSet::new(pairs.iter().map(label).collect()).unwrap()
}

/// Returns one of two groups that have the series `shared{job="b",k="v"}`.
fn shared(path: &str, value: f64, pushed: i64) -> Group<'static> {
    let mut group = Group::new(GroupingKey::parse(path).unwrap());
    let labels = if path == "job/b" { labels(&[("k", "v")]) } else { LabelSet::default() };
    let name = MetricName::classic("shared").unwrap();
    let series = vec![FamilySeries { name: name.clone(), labels, value: FamilyValue::Float(value) }];
    let family = MetricFamily { name, metric_type: MetricType::Gauge, help: None, unit: None, series };
    group.push(PushMode::Replace, vec![family], Timestamp(pushed), None);
    group
}

/// The table does not answer queries of one partition. They fail, or never end.
struct WithoutPartition {
    partition: &'static str,
    fails: bool,
}

impl Intercept for WithoutPartition {
    fn before<'c>(&'c self, _: &'c dyn Store, call: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async move {
            match call {
                Call::Query(range) if range.partition == self.partition && self.fails => Err(StoreError::Timeout),
                Call::Query(range) if range.partition == self.partition => std::future::pending().await,
                _ => Ok(()),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn typed_series_win_over_groups_and_the_youngest_push_over_older_ones_in_any_shards() {
    for (typed_shard, group_shard, older_shard) in [(0, 0, 0), (0, 1, 1), (1, 0, 0), (0, 0, 1), (1, 1, 0)] {
        let mut rig = Rig::new();
        rig.rules.shards = 2;
        rig.event_in(typed_shard, NOW - 9, typed(1)).await;
        rig.group_in(group_shard, &mut group("a", &[("x", 2.0), ("own", 3.0)], NOW - 10_000, None)).await;
        rig.group_in(older_shard, &mut shared("job/b/k/v", 7.0, NOW - 2_000)).await;
        rig.group_in(group_shard, &mut shared("job/b", 8.0, NOW - 1_000)).await;
        for minute in 0..2 {
            let sum = rig.tick(NOW + minute * MINUTE).await.sum;
            assert_eq!((sum.groups, sum.series_conflicts, sum.refused), (3, 2, 0));
        }
        assert_eq!(rig.samples("shared"), ["0: 8", "60000: 8"]);
        assert_eq!(rig.samples("\"x\""), ["0: 1", "60000: 1"]);
        assert_eq!(rig.samples("\"own\""), ["0: 3", "60000: 3"]);
        assert_eq!(rig.receiver.0.lock().unwrap().contradictions, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_series_that_ends_gets_no_marker_if_another_shard_has_it() {
    for (typed_shard, group_shard) in [(0, 0), (0, 1), (1, 0)] {
        let mut rig = Rig::new();
        (rig.rules.shards, rig.rules.series_ttl_ms) = (2, Some(2 * MINUTE));
        rig.event_in(typed_shard, NOW - 9, typed(1)).await;
        rig.group_in(group_shard, &mut group("a", &[("x", 2.0)], NOW - 5_000, None)).await;
        for minute in 0..4 {
            let summary = rig.tick(NOW + minute * MINUTE).await;
            assert_eq!((summary.sum.refused, summary.sum.expired), (0, u64::from(minute == 2)), "{minute}");
        }
        assert_eq!(rig.samples("\"x\""), ["0: 1", "60000: 1", "120000: 2", "180000: 2"]);

        let mut rig = Rig::new();
        rig.rules.shards = 2;
        let mut pushed = group("a", &[("x", 2.0), ("own", 3.0)], NOW - 5_000, Some(MINUTE + 10_000));
        rig.group_in(group_shard, &mut pushed).await;
        rig.tick(NOW).await;
        rig.event_in(typed_shard, NOW + 9, typed(1)).await;
        for minute in 1..4 {
            rig.tick(NOW + minute * MINUTE).await;
        }
        assert_eq!(rig.samples("\"x\""), ["0: 2", "60000: 1", "120000: 1", "180000: 1"]);
        assert_eq!(rig.samples("\"own\""), ["0: 3", "60000: 3", "65000: stale"]);
        let database = rig.receiver.0.lock().unwrap();
        assert_eq!((database.contradictions, database.refused), (0, 0));
    }
}

/// The failed shard may have the typed series, or the group with the youngest push.
#[tokio::test(start_paused = true)]
async fn if_the_table_fails_for_one_shard_the_groups_of_all_wait_and_typed_series_do_not() {
    for (partition, fails) in [("g#0", true), ("j#0", true), ("g#0", false)] {
        let mut rig = Rig::new();
        rig.rules.shards = 2;
        rig.event_in(0, NOW - 9, count("zero", 1)).await;
        rig.event_in(1, NOW - 9, count("one", 1)).await;
        let mut pushed = group("a", &[("gone", 1.0)], NOW - 5_000, None);
        rig.group_in(1, &mut pushed).await;
        assert!(rig.tick(NOW).await.sum.acknowledged);
        push(&mut pushed, &[("here", 1.0)], NOW + 9, None);
        rig.group_in(1, &mut pushed).await;
        let whole = Arc::clone(&rig.store);
        let intercept = WithoutPartition { partition, fails };
        rig.store = Arc::new(InterceptedStore { table: Arc::clone(&whole), intercept });
        let summary = rig.tick(NOW + MINUTE).await;
        assert_eq!((summary.failed, summary.sum.acknowledged), (2, false), "{summary:?}");
        rig.store = whole;
        assert!(rig.tick(NOW + 2 * MINUTE).await.sum.acknowledged);
        // Without an answer the tick waits for the groups no longer.
        let expected: &[&str] = if fails { &[] } else { &["60000: 1"] };
        assert_eq!(rig.samples("\"zero\""), [&["-59999: 0", "0: 1"], expected, &["120000: 1"]].concat());
        assert_eq!(rig.samples("\"one\""), ["-59999: 0", "0: 1", "60000: 1", "120000: 1"]);
        assert_eq!(
            (rig.samples("\"gone\""), rig.samples("\"here\"")),
            (vec!["0: 1".to_owned(), "9: stale".to_owned()], vec!["120000: 1".to_owned()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_cannot_be_read_at_all_stops_the_groups_of_no_other() {
    let mut rig = Rig::new();
    rig.rules.shards = 2;
    rig.put(Key::new("s#0", "head"), Bytes::from_static(b"\x01damaged")).await;
    rig.group_in(1, &mut group("a", &[("x", 1.0)], NOW - 5_000, None)).await;
    let summary = rig.tick(NOW).await;
    assert_eq!((summary.failed, rig.samples("\"x\"")), (1, vec!["0: 1".to_owned()]));
}

/// More groups than stay in memory are read from the table again.
#[tokio::test(start_paused = true)]
async fn many_groups_are_sent_once_each_with_markers_before_their_values() {
    let mut rig = Rig::new();
    rig.rules.shards = 2;
    let mut groups: Vec<_> =
        (0..500).map(|i| group(&format!("g{i}"), &[("old", f64::from(i))], NOW - 5_000, None)).collect();
    // The first shard has more than stays in memory, so nothing of the second one stays.
    let shard = |i: usize| u16::from(i >= 300);
    for (i, group) in groups.iter_mut().enumerate() {
        rig.group_in(shard(i), group).await;
    }
    let sum = rig.tick(NOW).await.sum;
    assert_eq!((sum.groups, sum.samples, sum.acknowledged), (500, 3 * 500, true));
    for (i, group) in groups.iter_mut().enumerate().step_by(2) {
        push(group, &[("new", 1.0)], NOW + 5, None);
        rig.group_in(shard(i), group).await;
    }
    let sum = rig.tick(NOW + MINUTE).await.sum;
    assert_eq!((sum.stale, sum.samples, sum.refused), (250, 250 + 3 * 500, 0));
    assert_eq!(rig.samples("job=\"g0\"").len(), 2 + 1 + 2 * 2);
    assert_eq!(rig.samples("job=\"g1\"").len(), 3 * 2);
}
