use super::*;
use crate::limits::MAX_UNREAD_BYTES;

const NOW: Timestamp = Timestamp(1_764_436_088_000);

fn buffer(skips_initialisation: bool) -> Buffer {
    let label = Label { name: LabelName::classic("function_name").unwrap(), value: Cow::Borrowed("f") };
    let labels = LabelSet::new(vec![label]).unwrap();
    Buffer::new(PlatformRules { labels, layout: Layout::Native, logs: false }, skips_initialisation)
}

/// Returns the pending series as sorted lines, without the label of the function, which each must have.
fn taken(buffer: &Buffer) -> Vec<String> {
    let line = |mut series: PendingSeries| {
        assert_eq!(series.labels.get("function_name"), Some("f"), "{series:?}");
        series.labels.remove("function_name");
        let labels: Vec<_> =
            series.labels.as_slice().iter().map(|label| format!("{}={}", label.name.as_str(), label.value)).collect();
        let values = series.total.updates().into_iter().map(|update| match update {
            Update::Counter(value) | Update::Gauge(value) => value.to_string(),
            Update::Histogram { observations, .. } | Update::Summary { observations, .. } => {
                observations.iter().map(|one| format!("{}x{}", one.value, one.count)).collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?}"),
        });
        format!("{}{{{}}} {}", series.name.as_str(), labels.join(","), values.collect::<Vec<_>>().join(" "))
    };
    let mut lines: Vec<_> = buffer.take(&[], NOW).into_iter().map(line).collect();
    lines.sort();
    lines
}

const INIT: &str = r#"{"type":"platform.initReport","record":{"phase":"init","metrics":{"durationMs":125}}}"#;
const DONE: &str = r#"{"type":"platform.runtimeDone","record":{"requestId":"r1","status":"success"}}"#;

#[test]
fn counts_records_and_leaves_those_of_a_snapshot_to_nobody() {
    let own = buffer(false);
    own.add_delivery(format!("[{INIT},{DONE}]").as_bytes(), NOW);
    assert_eq!(own.waiting().records, 2);
    let events = "lambda_telemetry_events_total";
    let expected = [
        "lambda_init_duration_seconds{phase=init} 0.125x1".to_owned(),
        "lambda_invocations_total{status=success} 1".to_owned(),
        format!("{events}{{type=platform.initReport}} 1"),
        format!("{events}{{type=platform.runtimeDone}} 1"),
    ];
    assert_eq!(taken(&own), expected);
    assert!(own.waiting().records == 0 && own.waiting().since.is_none() && taken(&own).is_empty());
    let restored = buffer(true);
    restored.add_delivery(format!("[{INIT},{DONE}]").as_bytes(), NOW);
    assert_eq!(taken(&restored), [expected[1].clone(), expected[3].clone()]);
}

#[test]
fn reads_deliveries_together_and_none_late() {
    let buffer = buffer(false);
    let body = format!("[{DONE},{INIT}]");
    let came = Timestamp(NOW.0 - 60_000);
    buffer.add_delivery(body.as_bytes(), came);
    let unread = |buffer: &Buffer| buffer.lock().unread.most_records();
    assert_eq!((unread(&buffer), buffer.most_waiting().records), (2, 2));
    let since = buffer.most_waiting().since;
    assert!(since.is_some(), "its age counts from its arrival");
    assert_eq!((buffer.waiting().records, unread(&buffer)), (2, 0));
    // Up to the bound they wait. Then all are read, also one that is larger.
    for _ in 0..1_000 {
        buffer.add_delivery(body.as_bytes(), came);
        assert!(buffer.lock().unread.most_records() as usize * body.len() / 2 <= MAX_UNREAD_BYTES);
    }
    buffer.add_delivery(format!("[{DONE}{}]", " ".repeat(MAX_UNREAD_BYTES)).as_bytes(), came);
    assert_eq!((unread(&buffer), buffer.most_waiting().records), (0, 2_003));
    assert_eq!(buffer.most_waiting().since, since);
    buffer.add_delivery(body.as_bytes(), NOW);
    let taken = buffer.take(&[], NOW);
    let duration = taken.iter().find(|series| series.name.as_str() == "lambda_init_duration_seconds").unwrap();
    assert_eq!(duration.time, NOW, "the time is that of the delivery");
    let updates = duration.total.updates();
    let [Update::Histogram { observations, .. }] = updates.as_slice() else { panic!("{updates:?}") };
    assert_eq!(observations[0].count, 1_002);
}

#[test]
fn a_delivery_of_which_nothing_is_counted_does_not_wait() {
    let restored = buffer(true);
    restored.add_delivery(format!("[{INIT}]").as_bytes(), NOW);
    let waiting = restored.waiting();
    assert!(waiting.records == 0 && waiting.since.is_none());
}

#[test]
fn keeps_the_records_in_front_of_an_error() {
    let buffer = buffer(false);
    buffer.add_delivery(format!("[{DONE},{{").as_bytes(), NOW);
    assert!(taken(&buffer).contains(&"lambda_invocations_total{status=success} 1".to_owned()));
}

#[test]
fn adds_lines_of_statsd_and_counts_those_that_nobody_can_keep() {
    let buffer = buffer(false);
    let long = "x".repeat(MAX_NAME_BYTES - 3);
    let lines = format!(
        "hits:1|c\nhits:2|c\nfuel:5|g\nfuel:-2|g\nfuel:+1|g\nh:1|h|#le:2\n{long}:1|h\n{long}:1|c\nbad\nown:1|c|#function_name:f,a:b"
    );
    buffer.add_datagram(lines.as_bytes(), NOW);
    let expected = [
        "fuel{} 4.0".to_owned(),
        "hits{} 3".to_owned(),
        "lambda_extension_dropped_metrics_total{} 3".to_owned(),
        "own{a=b} 1".to_owned(),
        format!("{long}{{}} 1"),
    ];
    assert_eq!(taken(&buffer), expected);
    buffer.add_datagram(b"fuel:+1|g", NOW);
    assert_eq!(taken(&buffer), ["fuel{} 5.0"], "a gauge is remembered over a dispatch");
}

#[test]
fn takes_typed_metrics_and_reports_each_that_it_rejects() {
    let buffer = buffer(false);
    let report = buffer.add_events(
        r#"[{"type":"counter","name":"orders_total","value":2,"labels":{"shop":"north"},"id":"o1"},
            {"type":"histogram","name":"took_seconds","value":[0.5,0.5]},
            {"metrics":{"ph":7}}, {"type":"counter","name":"orders_total","value":-1},
            {"type":"gauge","name":"orders_total","value":1,"labels":{"shop":"north"}}]"#,
        NOW,
    );
    assert_eq!((report.accepted, report.typed, report.rejected_count), (2, 2, 3));
    let reasons: Vec<_> = report.rejected.iter().map(|event| (event.index, event.reason.as_ref())).collect();
    assert_eq!(reasons, [(2, "invalid_event"), (3, "invalid_value"), (4, "series_limit")]);
    let expected = ["lambda_extension_dropped_metrics_total{} 1", "orders_total{shop=north} 2", "took_seconds{} 0.5x2"];
    assert_eq!(taken(&buffer), expected);
    let report = buffer.add_events("nonsense", NOW);
    assert_eq!((report.accepted, report.rejected[0].reason.as_ref()), (0, "invalid_json"));
}

#[test]
fn sends_its_own_counts_only_beside_others() {
    let buffer = buffer(false);
    let own = OwnCount { name: "lambda_extension_dispatches_total", help: "h", outcome: Some("success"), count: 3 };
    assert!(buffer.take(&[own], NOW).is_empty());
    buffer.count_dropped(2);
    let taken: Vec<_> = buffer.take(&[own, OwnCount { count: 0, outcome: Some("failure"), ..own }], NOW);
    let mut names: Vec<_> = taken.iter().map(|series| series.name.as_str().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["lambda_extension_dispatches_total", "lambda_extension_dropped_metrics_total"]);
}

#[tokio::test]
async fn tells_when_the_function_has_answered_and_when_its_report_is_here() {
    let buffer = buffer(false);
    let within = std::time::Duration::from_millis(50);
    buffer.add_delivery(format!("[{DONE}]").as_bytes(), NOW);
    assert!(tokio::time::timeout(within, buffer.answered("r1")).await.is_ok());
    assert!(tokio::time::timeout(within, buffer.answered("r2")).await.is_err());
    assert!(tokio::time::timeout(within, buffer.reported("r1")).await.is_err());
    let later = async {
        tokio::task::yield_now().await;
        let report = r#"[{"type":"platform.report","record":{"requestId":"r2","status":"timeout"}}]"#;
        buffer.add_delivery(report.as_bytes(), NOW);
    };
    let waited = async { tokio::join!(buffer.answered("r2"), buffer.reported("r2"), later) };
    assert!(tokio::time::timeout(within, waited).await.is_ok());
}
