//! Ticks over a table in memory, and a receiver that keeps the rules of Prometheus.

use super::*;
use crate::aggregate::Identity;
use crate::aggregate::head::Settled;
use crate::aggregate::journal::JournalBuilder;
use crate::blob::BlobError;
use crate::dead_letter::DeadLetter;
use crate::model::{
    FamilySeries, FamilyValue, Layout, MetricFamily, MetricName, MetricType, Observation, STALE_MARKER, TypedMetric,
    Update, Value,
};
use crate::push_group::{Group, GroupingKey, PushMode};
use crate::store::{Item, Key, MemoryStore, Range, StoreError};
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use prost::Message as _;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;

mod dynamodb;
#[cfg(feature = "cli")]
mod ended;
mod hanging;
mod model;
mod order;
mod owed;
mod rig;
mod sends;
mod shown;
mod writers;

use rig::*;

#[tokio::test(start_paused = true)]
async fn a_newborn_counter_has_its_zero_one_millisecond_behind_the_tick_before() {
    let mut rig = Rig::new();
    rig.event(NOW - 5_000, count("a", 3)).await;
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.acknowledged && summary.sum.error.is_none(), "{summary:?}");
    assert_eq!((summary.sum.series, summary.sum.folded.births, summary.sum.samples), (1, 1, 2));
    rig.event(NOW + 5_000, count("a", 4)).await;
    rig.tick(NOW + MINUTE).await;
    rig.tick(NOW + 2 * MINUTE).await;
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3", "60000: 7", "120000: 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_changes_its_series_once() {
    let mut rig = Rig::new();
    let identity = Identity::of_event("m", 1);
    let times = [-5_000, -4_000, 30_000, 50 * MINUTE - 1_000, 59 * MINUTE - 1_000];
    let mut duplicates = BTreeMap::new();
    for minute in 0..61 {
        let tick = minute * MINUTE;
        for at in times.into_iter().filter(|at| (tick - MINUTE..tick).contains(at)) {
            rig.journal(NOW + at, identity, count("a", 3)).await;
            rig.events += 1;
        }
        duplicates.insert(minute, rig.tick(NOW + tick).await.sum.folded.duplicates);
    }
    assert_eq!(rig.samples("a").last().unwrap(), "3600000: 3");
    // Each repetition is one duplicate, although the ticks behind it read it again.
    duplicates.retain(|_, duplicates| *duplicates > 0);
    assert_eq!(duplicates, [(0, 1), (1, 1), (50, 1), (59, 1)].into());
}

#[tokio::test(start_paused = true)]
async fn a_repeat_of_a_tick_sends_nothing_if_it_was_acknowledged_and_else_the_same() {
    let mut rig = Rig::new();
    rig.event(NOW - 5_000, count("a", 3)).await;
    rig.answer(&[503; 5]);
    let summary = rig.tick(NOW).await;
    assert!(!summary.sum.acknowledged && matches!(summary.sum.error, Some(TickError::NotSent(_))), "{summary:?}");
    rig.answer(&[]);
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.repeated && summary.sum.acknowledged);
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3"]);
    let requests = rig.requests();
    assert!(rig.tick(NOW).await.sum.repeated);
    assert!(rig.tick(NOW - MINUTE).await.sum.overtaken);
    assert_eq!(rig.requests(), requests);
}

#[tokio::test(start_paused = true)]
async fn values_of_newborn_series_wait_for_their_zeros_and_others_do_not() {
    let mut rig = Rig::new();
    rig.event(NOW - 5_000, count("old", 1)).await;
    rig.tick(NOW).await;
    rig.event(NOW + 1, count("new", 2)).await;
    // Every try to send the zeros fails.
    rig.answer(&[503, 503, 503, 503, 503]);
    let summary = rig.tick(NOW + MINUTE).await;
    assert!(summary.sum.error.is_some(), "{summary:?}");
    assert!(rig.samples("new").is_empty());
    assert_eq!(rig.samples("old"), ["-59999: 0", "0: 1", "60000: 1"]);
    rig.answer(&[]);
    rig.tick(NOW + 2 * MINUTE).await;
    assert_eq!(rig.samples("new"), ["1: 0", "120000: 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_that_expires_gets_one_marker_and_begins_at_zero_again() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(2 * MINUTE);
    rig.event(NOW - 5_000, count("a", 3)).await;
    let expired: Vec<u64> = {
        let mut expired = Vec::new();
        for minute in 0..4 {
            expired.push(rig.tick(NOW + minute * MINUTE).await.sum.expired);
        }
        expired
    };
    assert_eq!(expired, [0, 0, 1, 0]);
    rig.event(NOW + 3 * MINUTE + 1, count("a", 7)).await;
    rig.tick(NOW + 4 * MINUTE).await;
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3", "60000: 3", "120000: stale", "180001: 0", "240000: 7"]);
}

#[tokio::test(start_paused = true)]
async fn a_series_reborn_before_its_marker_is_settled_gets_marker_zero_and_value_in_this_order() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(MINUTE);
    rig.event(NOW - 5_000, count("a", 3)).await;
    rig.tick(NOW).await;
    rig.answer(&[503; 5]);
    assert_eq!(rig.tick(NOW + MINUTE).await.sum.expired, 1);
    rig.event(NOW + MINUTE + 1, count("a", 7)).await;
    rig.answer(&[503; 5]);
    rig.tick(NOW + 2 * MINUTE).await;
    rig.answer(&[]);
    rig.event(NOW + 2 * MINUTE + 1, count("a", 1)).await;
    let summary = rig.tick(NOW + 3 * MINUTE).await;
    assert!(summary.sum.acknowledged, "{summary:?}");
    assert_eq!(rig.samples("a"), ["-59999: 0", "0: 3", "60000: stale", "60001: 0", "180000: 8"]);
}

#[tokio::test(start_paused = true)]
async fn each_type_has_its_zeros_and_markers() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(11 * MINUTE);
    let observations = vec![Observation { value: 0.5, count: 2 }];
    let histogram = |layout| Update::Histogram { layout, observations: observations.clone() };
    rig.event(NOW - 5, metric("c", histogram(Layout::Classic(vec![1.0])))).await;
    rig.event(NOW - 5, metric("n", histogram(Layout::Native))).await;
    rig.event(NOW - 5, metric("s", Update::Summary { quantiles: vec![0.5], observations })).await;
    rig.event(NOW - 5, gauge("g", 4)).await;
    for minute in 0..12 {
        let summary = rig.tick(NOW + minute * MINUTE).await;
        assert!(summary.sum.acknowledged, "{summary:?}");
    }
    let first_and_last = |series: &str| {
        let samples = rig.samples(series);
        [samples[0].clone(), samples[samples.len() - 1].clone()]
    };
    for series in ["c_bucket\", le=\"1.0", "c_bucket\", le=\"+Inf", "c_sum", "c_count", "\"n\"", "s_sum", "s_count"] {
        assert_eq!(first_and_last(series), ["-59999: 0", "660000: stale"], "{series}");
    }
    assert_eq!(first_and_last("\"g\""), ["0: 4", "660000: stale"]);
    // Its window is empty before the series ends.
    assert_eq!(first_and_last("quantile"), ["0: 0.5", "600000: stale"]);
    let database = rig.receiver.0.lock().unwrap();
    assert_eq!(database.refused, 0);
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_too_early_or_too_late_is_refused_before_anything_is_read() {
    let rig = Rig::new();
    let call = |ahead: i64, shard| TickCall {
        tick: Timestamp(NOW + ahead),
        shard,
        started: Timestamp(NOW),
        request_id: "r",
        deadline: Instant::now() + Duration::from_mins(1),
    };
    for (ahead, shard, expected) in [
        (10_001, None, TickError::Ahead(10_001)),
        (-600_001, None, TickError::Behind(600_001)),
        (0, Some(1), TickError::NoShard { shard: 1, shards: 1 }),
    ] {
        let error = rig.gateway.tick_in(&rig.store, &rig.rules, &call(ahead, shard)).await.unwrap_err();
        assert_eq!(error, expected);
    }
    for ahead in [10_000, -600_000] {
        // The second one is overtaken by the first.
        rig.gateway.tick_in(&rig.store, &rig.rules, &call(ahead, Some(0))).await.unwrap();
    }
    assert_eq!(rig.requests(), 0, "nothing is exposed");
}

#[tokio::test(start_paused = true)]
async fn a_conflict_becomes_a_dead_letter_after_the_commit_and_only_once() {
    let mut rig = Rig::new();
    rig.event(NOW - 9, count("a", 3)).await;
    rig.event(NOW - 8, gauge("a", 1)).await;
    rig.event(NOW - 7, gauge("a", 2)).await;
    let summary = rig.tick(NOW).await;
    assert_eq!((summary.sum.folded.type_conflicts, summary.sum.dead_lettered, summary.sum.owed), (2, 2, 0));
    rig.tick(NOW + MINUTE).await;
    let letters = rig.letters.0.lock().unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].body.starts_with('[') && letters[0].body.contains(r#""value":2"#));
    let source = format!("{}:type_conflict", Identity::of_event("m", 2));
    assert_eq!((letters[0].reason.as_str(), letters[0].source_message_id.as_str()), ("type_conflict", source.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_journal_item_is_skipped_and_a_newer_one_stops_the_tick() {
    let mut rig = Rig::new();
    rig.put(Key::new("j#0", format!("{:013}#0", NOW - 9)), Bytes::from_static(b"\x01damaged")).await;
    rig.event(NOW - 8, count("a", 3)).await;
    let summary = rig.tick(NOW).await;
    assert_eq!((summary.sum.damaged, summary.sum.folded.entries), (1, 1));
    rig.put(Key::new("j#0", format!("{:013}#0", NOW + 9)), Bytes::from_static(b"\x09newer")).await;
    let error = rig.tick(NOW + MINUTE).await.sum.error.unwrap();
    assert!(matches!(error, TickError::Blob { what: "a journal item", error: BlobError::NewerVersion { .. } }));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_or_missing_snapshot_stops_the_tick() {
    for is_missing in [false, true] {
        let mut rig = Rig::new();
        rig.event(NOW - 8, count("a", 3)).await;
        rig.tick(NOW).await;
        let page = rig.store.query(&Range::prefix("s#0", "b#"), None).await.unwrap();
        let key = page.items[0].key.clone();
        if is_missing {
            rig.store.delete(&key, None).await.unwrap();
        } else {
            rig.put(key, Bytes::from_static(b"\x01damaged")).await;
        }
        let error = rig.tick(NOW + MINUTE).await.sum.error.unwrap();
        match error {
            TickError::Missing(_) => assert!(is_missing),
            TickError::Blob { error: BlobError::Damaged(_), .. } => assert!(!is_missing),
            other => panic!("{other}"),
        }
    }
}

/// The base and its delta expire after 14 days. The table may delete either of them first, or only one.
#[tokio::test(start_paused = true)]
async fn a_tick_after_14_days_begins_at_zero_if_a_part_of_the_snapshot_is_gone_and_a_tick_before_stops() {
    let day = 24 * 60 * MINUTE;
    for (gone, days, may_be_gone) in [(0, 14, true), (1, 14, true), (0, 13, false), (1, 13, false)] {
        let mut rig = Rig::new();
        for i in 0..9 {
            rig.event(NOW - 9, count(&format!("a{i}"), 3)).await;
        }
        rig.tick(NOW).await;
        rig.event(NOW + 9, count("a0", 4)).await;
        rig.tick(NOW + MINUTE).await;
        let parts = rig.store.query(&Range::prefix("s#0", "b#"), None).await.unwrap().items;
        assert_eq!(parts.len(), 2, "a base and a delta");
        rig.store.delete(&parts[gone].key, None).await.unwrap();
        let now = NOW + MINUTE + days * day;
        rig.event(now - 9, count("a0", 5)).await;
        let sum = rig.tick(now).await.sum;
        if may_be_gone {
            assert_eq!((sum.error, sum.series, sum.folded.births), (None, 1, 1), "part {gone}");
        } else {
            assert_eq!(sum.error, Some(TickError::Missing("a part of the snapshot")), "part {gone}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_exposed_as_pushed_and_get_a_marker_when_they_expire() {
    let rig = Rig::new();
    rig.group(&mut group("j", &[("x", 2.5)], NOW - 5_000, Some(MINUTE + 10_000))).await;
    for minute in 0..4 {
        rig.tick(NOW + minute * MINUTE).await;
    }
    assert_eq!(rig.samples("\"x\""), ["0: 2.5", "60000: 2.5", "65000: stale"]);
    assert_eq!(rig.samples("push_time_seconds").len(), 3);
    // Its markers are settled: nothing is left of it.
    let page = rig.store.query(&Range::all("g#0"), None).await.unwrap();
    assert!(page.items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_refused_in_three_ticks_is_tried_alone_once_an_hour() {
    let mut rig = Rig::new();
    rig.event(NOW - 9, gauge("good", 1)).await;
    rig.event(NOW - 9, gauge("bad", 1)).await;
    // Somebody else writes the series, far ahead.
    let series = r#"__name__="bad""#.to_owned();
    rig.receiver.0.lock().unwrap().series.insert(series, vec![(NOW + 1_000 * MINUTE, 0)]);
    let mut refused = Vec::new();
    for minute in 0..70 {
        let summary = rig.tick(NOW + minute * MINUTE).await;
        assert!(summary.sum.acknowledged, "{minute} {summary:?}");
        if summary.sum.refused > 0 {
            refused.push(minute);
        }
    }
    assert_eq!(refused, [0, 1, 2, 62]);
    assert_eq!(rig.samples("good").len(), 70);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_exposed_no_request_is_made() {
    let rig = Rig::new();
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.acknowledged && rig.requests() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_journal_is_read_by_several_ticks_and_nothing_is_read_for_ever() {
    let mut rig = Rig::new();
    // A backlog, and then events at one time: more than one tick reads, all within the margin.
    for i in 0..40 {
        rig.event(NOW - 100 * MINUTE + i, count("a", 1)).await;
    }
    for i in 0..40 {
        rig.event(NOW + i, count("a", 1)).await;
    }
    let store = &rig.store;
    let (writer, letters) = (&rig.gateway.writer, Some(&rig.letters));
    let ticker = Ticker { store, writer, dead_letters: letters, rules: &rig.rules };
    let mut head = None;
    let mut entries = Vec::new();
    for minute in 0..16 {
        let begun = Instant::now();
        let tick = Timestamp(NOW + minute * MINUTE);
        let deadline = begun + LONGEST;
        let turn = Turn { tick, shard: 0, started: tick, begun, deadline, request_id: "r" };
        let mut summary = ShardSummary::default();
        let mut state = snapshot(store.as_ref(), 0, head.as_ref().map(|(head, _)| head), tick).await.unwrap();
        let limits = (usize::MAX, 10);
        ticker
            .fold_and_commit_within(limits, &turn, head, &Settled::default(), &mut state, &mut summary)
            .await
            .unwrap();
        head = super::head(store.as_ref(), 0).await.unwrap();
        entries.push(summary.folded.increments);
    }
    assert_eq!(entries.iter().sum::<u64>(), 80);
    assert_eq!(entries[..4], [10, 9, 9, 9]);
}
