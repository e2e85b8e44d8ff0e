//! Deletions of typed series between ticks, and beside a tick that runs.

use super::*;
use crate::aggregate::SeriesKey;
use crate::store::BoxFuture;
use crate::store::intercepted::{Call, Intercept, InterceptedStore};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

fn keys(names: &[&str]) -> HashSet<Box<[u8]>> {
    let key = |name: &&str| {
        let mut key = Vec::new();
        SeriesKey::write(&MetricName::as_is(Cow::Borrowed(*name)).unwrap(), &LabelSet::default(), &mut key);
        key.into_boxed_slice()
    };
    names.iter().map(key).collect()
}

async fn end(store: &dyn Store, names: &[&str]) -> usize {
    let deadline = Instant::now() + Duration::from_mins(1);
    end_series(store, 0, &keys(names), Timestamp(NOW), deadline).await.unwrap()
}

/// Somebody deletes series before a call about the head.
struct Meddled {
    /// The call is a replacement, or else a get.
    before_replace: bool,
    /// Such calls that are left alone first.
    spared: AtomicU32,
    /// Deletions that are still to come.
    left: AtomicU32,
    names: &'static [&'static str],
}

impl Intercept for Meddled {
    fn before<'c>(&'c self, table: &'c dyn Store, call: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        let is_it = match call {
            Call::Get(key) => !self.before_replace && key.sort == "head",
            Call::Replace(item) => self.before_replace && item.key.sort == "head",
            _ => false,
        };
        let decrease =
            |number: &AtomicU32| number.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        Box::pin(async move {
            if is_it && decrease(&self.spared).is_err() && decrease(&self.left).is_ok() {
                end(table, self.names).await;
            }
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_series_ends_behind_the_last_tick_and_begins_at_zero_again() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 3)).await;
    rig.event(NOW - 5, count("b", 4)).await;
    rig.tick(NOW).await;
    assert_eq!(end(rig.store.as_ref(), &["a", "missing"]).await, 1);
    assert_eq!(end(rig.store.as_ref(), &["a"]).await, 0);
    rig.event(NOW + 5, count("b", 1)).await;
    rig.tick(NOW + MINUTE).await;
    rig.event(NOW + MINUTE + 5, count("a", 7)).await;
    rig.tick(NOW + 2 * MINUTE).await;
    rig.tick(NOW + 3 * MINUTE).await;
    assert_eq!(rig.samples("\"a\""), ["-59999: 0", "0: 3", "1: stale", "60001: 0", "120000: 7", "180000: 7"]);
    assert_eq!(rig.samples("\"b\""), ["-59999: 0", "0: 4", "60000: 5", "120000: 5", "180000: 5"]);
    assert_eq!(rig.receiver.0.lock().unwrap().refused, 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_no_tick_has_counted_yet_begins_a_deleted_series_again() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 3)).await;
    rig.tick(NOW).await;
    rig.event(NOW + 5, count("a", 7)).await;
    assert_eq!(end(rig.store.as_ref(), &["a"]).await, 1);
    rig.tick(NOW + MINUTE).await;
    assert_eq!(rig.samples("\"a\""), ["-59999: 0", "0: 3", "1: stale", "2: 0", "60000: 7"]);
    assert_eq!(rig.receiver.0.lock().unwrap().refused, 0);
}

/// Each deletion writes a delta, until the deltas are larger than the base: all must be read in their order.
#[tokio::test(start_paused = true)]
async fn several_deletions_between_two_ticks_all_stay() {
    let mut rig = Rig::new();
    let names: Vec<String> = (0..40).map(|i| format!("series_{i:02}")).collect();
    for name in &names {
        rig.event(NOW - 5, count(name, 3)).await;
    }
    rig.tick(NOW).await;
    for name in &names[..39] {
        assert_eq!(end(rig.store.as_ref(), &[name]).await, 1, "{name}");
    }
    let summary = rig.tick(NOW + MINUTE).await;
    assert_eq!((summary.sum.series, summary.sum.stale, summary.sum.error), (1, 39, None));
    assert_eq!(rig.samples("series_17"), ["-59999: 0", "0: 3", "1: stale"]);
    assert_eq!(rig.samples("series_39"), ["-59999: 0", "0: 3", "60000: 3"]);
}

/// Runs a tick in which a deletion comes before a replacement of the head, or before a get of it.
async fn tick_beside_a_deletion(before_replace: bool, spared: u32) -> (Rig, TickSummary) {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 3)).await;
    rig.event(NOW - 5, count("b", 4)).await;
    rig.tick(NOW).await;
    rig.event(NOW + 5, count("b", 1)).await;
    let table = Arc::clone(&rig.store);
    let intercept = Meddled { before_replace, spared: spared.into(), left: 1.into(), names: &["a"] };
    rig.store = Arc::new(InterceptedStore { table, intercept });
    let summary = rig.tick(NOW + MINUTE).await;
    (rig, summary)
}

#[tokio::test(start_paused = true)]
async fn a_tick_whose_head_a_deletion_replaced_folds_again_and_loses_no_count_and_no_scrape() {
    let (rig, summary) = tick_beside_a_deletion(true, 0).await;
    assert!(summary.sum.acknowledged && !summary.sum.overtaken, "{summary:?}");
    assert_eq!((summary.sum.series, summary.sum.folded.increments), (1, 1));
    assert_eq!(rig.samples("\"a\""), ["-59999: 0", "0: 3", "1: stale"]);
    assert_eq!(rig.samples("\"b\""), ["-59999: 0", "0: 4", "60000: 5"]);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_while_a_tick_sends_stops_nothing_and_its_markers_come_behind() {
    // The head is read once before the fold, and then before each table.
    let (rig, summary) = tick_beside_a_deletion(false, 1).await;
    assert!(summary.sum.acknowledged && !summary.sum.overtaken, "{summary:?}");
    rig.tick(NOW + 2 * MINUTE).await;
    assert_eq!(rig.samples("\"a\""), ["-59999: 0", "0: 3", "60000: 3", "60001: stale"]);
    assert_eq!(rig.samples("\"b\""), ["-59999: 0", "0: 4", "60000: 5", "120000: 5"]);
    assert_eq!(rig.receiver.0.lock().unwrap().refused, 0);
}
