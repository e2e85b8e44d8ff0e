//! A scrape shows the state that ticks committed.

use super::*;
use crate::exposition::{parse_protobuf, render_protobuf, render_text};
use crate::gateway::typed::{TypedError, TypedSeries};
use crate::push_group::exposed;

async fn read_shards(store: &Arc<dyn Store>, shards: u16) -> Result<TypedSeries, TypedError> {
    let deadline = Instant::now() + Duration::from_secs(5);
    TypedSeries::read(store.as_ref(), shards, SummaryWindow::default(), Timestamp(NOW), deadline).await
}

async fn read(rig: &Rig) -> TypedSeries {
    read_shards(&rig.store, rig.rules.shards).await.unwrap()
}

fn text(typed: &TypedSeries) -> String {
    render_text(typed.families(Vec::new()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_increment_is_shown_once_a_tick_has_folded_it() {
    let mut rig = Rig::new();
    let help = Some(Cow::Borrowed("Orders."));
    rig.event(NOW - 5, TypedMetric { help, ..count("orders_total", 3) }).await;
    assert_eq!(text(&read(&rig).await), "", "nothing is committed yet");
    rig.tick(NOW).await;
    rig.event(NOW + 5, count("orders_total", 4)).await;
    let typed = read(&rig).await;
    let expected = "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total{instance=\"\"} 3\n";
    assert_eq!(text(&typed), expected);
    assert_eq!((typed.len(), typed.last_ticks()), (1, Some((Timestamp(NOW), Timestamp(NOW)))));
    rig.tick(NOW + MINUTE).await;
    assert!(text(&read(&rig).await).ends_with("orders_total{instance=\"\"} 7\n"));
}

#[tokio::test(start_paused = true)]
async fn shards_without_a_head_show_the_groups_alone() {
    let mut rig = Rig::new();
    let empty = read_shards(&rig.store, 3).await.unwrap();
    assert!(empty.is_empty() && empty.last_ticks().is_none());
    rig.event(NOW - 5, count("a_total", 3)).await;
    rig.tick(NOW).await;
    let typed = read_shards(&rig.store, 3).await.unwrap();
    let (groups, external) = ([group("j", &[("x", 1.0)], NOW, None)], LabelSet::default());
    let families = |typed: &TypedSeries| {
        render_text(typed.families(exposed(&groups, &external, Timestamp(NOW)).families).unwrap())
    };
    let shown = families(&empty);
    assert!(shown.contains("\nx{instance=\"\",job=\"j\"} 1\n") && !shown.contains("a_total"), "{shown}");
    let shown = families(&typed);
    assert!(
        shown.contains("\nx{instance=\"\",job=\"j\"} 1\n") && shown.contains("\na_total{instance=\"\"} 3\n"),
        "{shown}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_typed_series_wins_over_the_equal_one_of_a_group() {
    let mut rig = Rig::new();
    let label =
        crate::model::Label { name: crate::model::LabelName::classic("job").unwrap(), value: Cow::Borrowed("j") };
    let labels = LabelSet::new(vec![label]).unwrap();
    rig.event(NOW - 5, TypedMetric { labels, ..count("x", 5) }).await;
    rig.tick(NOW).await;
    let typed = read(&rig).await;
    let (groups, external) = ([group("j", &[("x", 1.0), ("y", 2.0)], NOW, None)], LabelSet::default());
    let groups = exposed(&groups, &external, Timestamp(NOW)).families;
    let shown = render_text(typed.families(groups).unwrap());
    assert!(shown.contains("# TYPE x counter\nx{instance=\"\",job=\"j\"} 5\n# TYPE y gauge\n"), "{shown}");
    assert!(shown.contains("y{instance=\"\",job=\"j\"} 2\n"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn types_of_typed_series_and_groups_that_disagree_are_untyped() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("x", 5)).await;
    rig.tick(NOW).await;
    let typed = read(&rig).await;
    let (groups, external) = ([group("j", &[("x", 1.0)], NOW, None)], LabelSet::default());
    let shown = render_text(typed.families(exposed(&groups, &external, Timestamp(NOW)).families).unwrap());
    let expected = "# TYPE x untyped\nx{instance=\"\"} 5\nx{instance=\"\",job=\"j\"} 1\n";
    assert!(shown.contains(expected), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn histograms_and_summaries_are_whole_in_text_and_in_protobuf() {
    let mut rig = Rig::new();
    let observations = vec![Observation { value: 0.5, count: 2 }];
    let histogram = |layout| Update::Histogram { layout, observations: observations.clone() };
    rig.event(NOW - 5, metric("c", histogram(Layout::Classic(vec![0.25, 1.0])))).await;
    rig.event(NOW - 5, metric("n", histogram(Layout::Native))).await;
    rig.event(NOW - 5, metric("s", Update::Summary { quantiles: vec![0.5], observations })).await;
    rig.tick(NOW).await;
    let typed = read(&rig).await;
    let shown = text(&typed);
    for line in [
        "# TYPE c histogram",
        "c_bucket{instance=\"\",le=\"0.25\"} 0",
        "c_bucket{instance=\"\",le=\"1.0\"} 2",
        "c_bucket{instance=\"\",le=\"+Inf\"} 2",
        "c_sum{instance=\"\"} 1",
        "c_count{instance=\"\"} 2",
        "n_count{instance=\"\"} 2",
        "s_sum{instance=\"\"} 1",
        "s_count{instance=\"\"} 2",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} is missing:\n{shown}");
    }
    assert!(shown.contains("\ns{instance=\"\",quantile=\"0.5\"} 0."), "{shown}");
    let body = render_protobuf(typed.families(Vec::new()).unwrap());
    let parsed = parse_protobuf(&body).unwrap();
    let found: Vec<_> = parsed.families().map(|family| (family.name().to_owned(), family.metric_type())).collect();
    let expected = [("c", MetricType::Histogram), ("n", MetricType::Histogram), ("s", MetricType::Summary)];
    assert_eq!(found, expected.map(|(name, of)| (name.to_owned(), of)));
    let native = parsed.families().flat_map(|family| family.series().collect::<Vec<_>>());
    let native = native.filter(|series| matches!(series.value(), crate::exposition::SampleValue::Histogram(_)));
    assert_eq!(native.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_cannot_be_read_is_an_error_that_names_it() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 3)).await;
    rig.tick(NOW).await;
    let blobs = rig.store.query(&Range::all("s#0".to_owned()), None).await.unwrap().items;
    let snapshot = blobs.iter().find(|item| item.key.sort.starts_with("b#")).unwrap();
    for (body, expected) in [
        (
            &b"\x01damaged"[..],
            "the typed series of shard 0 cannot be shown: a snapshot in the table: the blob is damaged",
        ),
        (b"\xffnewer", "the typed series of shard 0 cannot be shown: a snapshot in the table: a newer release wrote"),
    ] {
        rig.put(snapshot.key.clone(), Bytes::from_static(body)).await;
        let error = read_shards(&rig.store, 1).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    rig.store.delete(&snapshot.key, None).await.unwrap();
    let error = read_shards(&rig.store, 1).await.unwrap_err().error;
    assert_eq!(error, TickError::Missing("a part of the snapshot"));
    rig.put(Key::new("s#0", "head"), Bytes::from_static(b"\x01damaged")).await;
    let error = read_shards(&rig.store, 1).await.unwrap_err().to_string();
    assert!(error.contains("the head in the table: the blob is damaged"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_first_families_are_the_first_series_by_name() {
    let mut rig = Rig::new();
    for name in ["zebra", "b", "aa"] {
        rig.event(NOW - 5, count(name, 1)).await;
    }
    rig.tick(NOW).await;
    let typed = read(&rig).await;
    let names = |most| {
        let families = typed.first_families(most);
        families.iter().map(|family| family.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(2), ["aa", "b"]);
    assert_eq!(names(9), ["aa", "b", "zebra"]);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_does_not_answer_is_an_error() {
    let rig = Rig::new();
    let faults = crate::store::faulty::Faults { without_effect: 1.0, ..Default::default() };
    let store: Arc<dyn Store> = Arc::new(crate::store::faulty::FaultyStore::new(rig.store.clone(), faults, 1));
    let error = read_shards(&store, 1).await.unwrap_err().error;
    assert!(matches!(error, TickError::Store(_)), "{error:?}");
}
