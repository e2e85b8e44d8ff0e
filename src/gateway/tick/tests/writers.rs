//! One series with two writers, of which one ends: the other one goes on, and there is no stale marker.

use super::*;
use crate::model::{Label, LabelName};

/// Returns a gauge with the labels of the group `job/a`.
fn typed(value: i64) -> TypedMetric<'static> {
    let label = Label { name: LabelName::classic("job").unwrap(), value: Cow::Borrowed("a") };
    TypedMetric { labels: LabelSet::new(vec![label]).unwrap(), ..gauge("x", value) }
}

#[tokio::test(start_paused = true)]
async fn a_typed_series_that_expires_gets_no_marker_if_a_group_has_it() {
    let mut rig = Rig::new();
    rig.rules.series_ttl_ms = Some(2 * MINUTE);
    rig.event(NOW - 9, typed(1)).await;
    rig.group(&mut group("a", &[("x", 2.0)], NOW - 5_000, None)).await;
    for minute in 0..4 {
        let summary = rig.tick(NOW + minute * MINUTE).await;
        assert_eq!((summary.sum.refused, summary.sum.expired), (0, u64::from(minute == 2)), "{minute}");
    }
    assert_eq!(rig.samples("\"x\""), ["0: 1", "60000: 1", "120000: 2", "180000: 2"]);
    assert_eq!(rig.receiver.0.lock().unwrap().contradictions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_series_of_a_group_that_expires_gets_no_marker_if_a_typed_series_is_equal() {
    let mut rig = Rig::new();
    rig.group(&mut group("a", &[("x", 2.0), ("own", 3.0)], NOW - 5_000, Some(MINUTE + 10_000))).await;
    rig.tick(NOW).await;
    rig.event(NOW + 9, typed(1)).await;
    for minute in 1..4 {
        rig.tick(NOW + minute * MINUTE).await;
    }
    assert_eq!(rig.samples("\"x\""), ["0: 2", "60000: 1", "120000: 1", "180000: 1"]);
    assert_eq!(rig.samples("\"own\""), ["0: 3", "60000: 3", "65000: stale"]);
    let database = rig.receiver.0.lock().unwrap();
    assert_eq!((database.contradictions, database.refused), (0, 0));
}
