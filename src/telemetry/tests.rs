use super::*;
use crate::limits::{MAX_PENDING_SERIES, MAX_TELEMETRY_TYPES};
use crate::model::{
    Label, LabelName, LabelSet, Layout, MetricName, Observation, Timestamp, TypedMetric, Update, Value,
};
use proptest::prelude::*;
use std::borrow::Cow;

fn label(name: &str, value: &str) -> Label<'static> {
    Label { name: LabelName::as_is(Cow::Owned(name.to_owned())).unwrap(), value: Cow::Owned(value.to_owned()) }
}

fn rules() -> PlatformRules {
    let labels = LabelSet::new(vec![label("function_name", "f")]).unwrap();
    PlatformRules { labels, layout: Layout::Native, logs: true }
}

/// Returns the pending series as sorted lines: name, labels without that of the function, and the sum or `value x count`.
fn shown(pending: &mut Pending) -> Vec<String> {
    let line = |series: PendingSeries| {
        let labels: Vec<_> =
            series.labels.as_slice().iter().filter(|label| label.name.as_str() != "function_name").collect();
        let labels: Vec<_> = labels.iter().map(|label| format!("{}={}", label.name.as_str(), label.value)).collect();
        let updates = series.total.updates();
        let total: Vec<_> = updates
            .iter()
            .flat_map(|update| match update {
                Update::Counter(value) | Update::Gauge(value) => vec![value.to_string()],
                Update::Histogram { observations, .. } | Update::Summary { observations, .. } => {
                    observations.iter().map(|one| format!("{}x{}", one.value, one.count)).collect()
                }
                other => panic!("telemetry has none: {other:?}"),
            })
            .collect();
        format!("{}{{{}}} {}", series.name.as_str(), labels.join(","), total.join(" "))
    };
    let mut lines: Vec<_> = pending.take().into_iter().map(line).collect();
    lines.sort();
    lines
}

/// Returns what the deliveries add, without the counts of types.
fn platform(deliveries: &[&str]) -> Vec<String> {
    let (mut platform, mut pending) = (Platform::new(rules()), Pending::default());
    for body in deliveries {
        read_records(body.as_bytes(), &mut |kind, record| platform.observe(kind, &record, Timestamp(1), &mut pending))
            .unwrap();
    }
    let mut lines = shown(&mut pending);
    lines.retain(|line| !line.starts_with("lambda_telemetry_events_total"));
    lines
}

const RUNTIME_DONE: &str = r#"{"time":"2026-11-29T12:00:00.000Z","type":"platform.runtimeDone","record":{"requestId":"r1","status":"success",
    "spans":[{"name":"responseLatency","start":"x","durationMs":23.5},{"name":"responseDuration","durationMs":0.5},{"name":"new","durationMs":1},
    {"name":"runtimeOverhead","durationMs":"x"}],"metrics":{"durationMs":140.5,"producedBytes":16}}}"#;

const REPORT: &str = r#"{"time":"x","type":"platform.report","record":{"requestId":"r1","metrics":{"durationMs":220.25,"billedDurationMs":221,
    "memorySizeMB":128,"maxMemoryUsedMB":90,"initDurationMs":200},"tracing":{},"status":"success"}}"#;

#[test]
fn turns_the_records_of_an_invocation_into_metrics_that_have_no_id() {
    let expected = [
        "lambda_billed_duration_seconds{} 0.221x1",
        "lambda_duration_seconds{} 0.22025x1",
        "lambda_invocations_total{status=success} 1",
        "lambda_max_memory_used_bytes{} 94371840x1",
        "lambda_memory_size_bytes{} 134217728.0",
        "lambda_produced_bytes{} 16x1",
        "lambda_response_duration_seconds{} 0.0005x1",
        "lambda_response_latency_seconds{} 0.0235x1",
    ];
    assert_eq!(platform(&[&format!("[{RUNTIME_DONE},{REPORT}]")]), expected);
    assert_eq!(platform(&[&format!("[{REPORT}]"), &format!("[{RUNTIME_DONE}]")]), expected, "in the other order");
}

#[test]
fn counts_an_invocation_by_its_first_record_and_each_request_once() {
    let done = |id: usize, status: &str| {
        format!(r#"{{"type":"platform.runtimeDone","record":{{"requestId":"r{id}","status":"{status}"}}}}"#)
    };
    let all: Vec<_> = (0..300).map(|id| done(id, ["success", "error", "failure", "timeout", "odd"][id % 5])).collect();
    let again: Vec<_> = (201..300).map(|id| done(id, "success")).collect();
    let expected = ["error", "failure", "success", "timeout", "unknown"];
    let expected: Vec<_> =
        expected.iter().map(|status| format!("lambda_invocations_total{{status={status}}} 60")).collect();
    assert_eq!(platform(&[&format!("[{}]", all.join(",")), &format!("[{}]", again.join(","))]), expected);
}

#[test]
fn remembers_the_last_hundred_invocations() {
    let done =
        |id: u32| format!(r#"[{{"type":"platform.runtimeDone","record":{{"requestId":"r{id}","status":"success"}}}}]"#);
    let deliveries: Vec<_> = (0..101).chain([1, 100, 0]).map(done).collect();
    let deliveries: Vec<_> = deliveries.iter().map(String::as_str).collect();
    // The 101st id took the place of the first, which then counts again.
    assert_eq!(platform(&deliveries), ["lambda_invocations_total{status=success} 102"]);
}

/// Records of every type as AWS's pages about the schemas 2022-07-01 and 2022-12-13 have them: with other fields, and without some.
const OLDER_SCHEMAS: &str = r#"[
    {"time":"2022-10-12T00:00:15.064Z","type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"nodejs-14.v3","runtimeVersionArn":"arn"}},
    {"time":"2022-10-12T00:01:15.000Z","type":"platform.initRuntimeDone","record":{"initializationType":"on-demand","status":"success","spans":[{"name":"someTimeSpan","start":"2022-06-02T12:02:33.913Z","durationMs":70.5}]}},
    {"time":"2022-10-12T00:01:15.000Z","type":"platform.initReport","record":{"initializationType":"on-demand","metrics":{"durationMs":125.33}}},
    {"time":"2022-10-12T00:00:15.064Z","type":"platform.start","record":{"requestId":"6d68ca91","version":"$LATEST","tracing":{"spanId":"54565fb41ac79632","type":"X-Amzn-Trace-Id","value":"Root=1"}}},
    {"time":"2022-10-12T00:01:15.000Z","type":"platform.runtimeDone","record":{"requestId":"6d68ca91","status":"success","tracing":{},"spans":[{"name":"responseLatency","start":"x","durationMs":8}],"metrics":{"durationMs":140.0,"producedBytes":16}}},
    {"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":{"metrics":{"billedDurationMs":694,"durationMs":500,"initDurationMs":397.68,"maxMemoryUsedMB":84,"memorySizeMB":128},"requestId":"6d68ca91"}},
    {"time":"2022-10-12T00:01:15.000Z","type":"platform.report","record":{"metrics":{"billedDurationMs":700},"requestId":"another"}},
    {"time":"2022-10-12T00:02:15.000Z","type":"platform.extension","record":{"events":["INVOKE","SHUTDOWN"],"name":"my-telemetry-extension","state":"Ready"}},
    {"time":"2022-10-12T00:02:35.000Z","type":"platform.telemetrySubscription","record":{"name":"my-telemetry-extension","state":"Subscribed","types":["platform","function"]}},
    {"time":"2022-10-12T00:02:35.000Z","type":"platform.logsDropped","record":{"droppedBytes":12345,"droppedRecords":123,"reason":"Some logs were dropped"}},
    {"time":"2022-10-12T00:02:35.000Z","type":"platform.fault","record":"RequestId: d783b35e Error: Runtime exited with error"},
    {"time":"2022-10-12T00:02:35.000Z","type":"extension","record":"[extension] Telemetry API: a line of its own"}
]"#;

#[test]
fn reads_the_records_of_older_schemas_and_counts_no_line_of_an_extension() {
    let expected = [
        "lambda_billed_duration_seconds{} 0.694x1 0.7x1",
        "lambda_cold_starts_total{type=on-demand} 1",
        "lambda_duration_seconds{} 0.5x1",
        "lambda_init_duration_seconds{phase=unknown} 0.12533x1",
        "lambda_invocations_total{status=success} 1",
        "lambda_invocations_total{status=unknown} 1",
        "lambda_max_memory_used_bytes{} 88080384x1",
        "lambda_memory_size_bytes{} 134217728.0",
        "lambda_produced_bytes{} 16x1",
        "lambda_response_latency_seconds{} 0.008x1",
        "lambda_telemetry_dropped_bytes_total{} 12345",
        "lambda_telemetry_dropped_records_total{} 123",
    ];
    assert_eq!(platform(&[OLDER_SCHEMAS]), expected);
    let (mut platform, mut pending) = (Platform::new(rules()), Pending::default());
    read_records(OLDER_SCHEMAS.as_bytes(), &mut |kind, record| {
        platform.observe(kind, &record, Timestamp(1), &mut pending);
    })
    .unwrap();
    let counts =
        shown(&mut pending).into_iter().filter(|line| line.starts_with("lambda_telemetry_events_total")).count();
    assert_eq!(counts, 11, "one for each type");
}

#[test]
fn a_series_is_the_same_in_front_of_and_after_each_dispatch() {
    let (mut platform, mut pending) = (Platform::new(rules()), Pending::default());
    let invoke = |platform: &mut Platform, pending: &mut Pending, id: &str| {
        let body = format!("[{RUNTIME_DONE},{REPORT}]").replace("r1", id);
        read_records(body.as_bytes(), &mut |kind, record| platform.observe(kind, &record, Timestamp(1), pending))
            .unwrap();
    };
    invoke(&mut platform, &mut pending, "a");
    let one = shown(&mut pending);
    for (first, second) in [("b", "c"), ("d", "e")] {
        invoke(&mut platform, &mut pending, first);
        invoke(&mut platform, &mut pending, second);
        let two = shown(&mut pending);
        assert_eq!(two.len(), one.len());
        assert!(two.contains(&"lambda_invocations_total{status=success} 2".to_owned()), "{two:?}");
        assert!(two.contains(&"lambda_duration_seconds{} 0.22025x2".to_owned()), "{two:?}");
    }
    invoke(&mut platform, &mut pending, "f");
    assert_eq!(shown(&mut pending), one);
    // The function itself has a metric of the same name, and another type.
    let mut own = metric("lambda_produced_bytes", Update::Counter(Value::Integer(1)), 1);
    own.labels = LabelSet::new(vec![label("function_name", "f")]).unwrap();
    pending.add(&own);
    invoke(&mut platform, &mut pending, "g");
    invoke(&mut platform, &mut pending, "h");
    assert_eq!(pending.take_dropped(), 2);
    assert!(shown(&mut pending).contains(&"lambda_produced_bytes{} 1".to_owned()));
}

#[test]
fn tells_the_kinds_of_cold_starts_apart() {
    let table = [
        (
            r#"{"type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init"}}"#,
            vec!["lambda_cold_starts_total{type=on-demand} 1"],
        ),
        (r#"{"type":"platform.initStart","record":{"initializationType":"on-demand","phase":"invoke"}}"#, vec![]),
        (
            r#"{"type":"platform.initStart","record":{"initializationType":"provisioned-concurrency"}}"#,
            vec!["lambda_cold_starts_total{type=provisioned-concurrency} 1"],
        ),
        (
            r#"{"type":"platform.initStart","record":{"initializationType":"lambda-managed-instances","instanceMaxMemory":1}}"#,
            vec!["lambda_cold_starts_total{type=lambda-managed-instances} 1"],
        ),
        (r#"{"type":"platform.initStart","record":{"initializationType":"snap-start","phase":"init"}}"#, vec![]),
        (
            r#"{"type":"platform.restoreStart","record":{"functionName":"f"}}"#,
            vec!["lambda_cold_starts_total{type=snap-start} 1"],
        ),
        (
            r#"{"type":"platform.initReport","record":{"phase":"init","metrics":{"durationMs":125.5}}}"#,
            vec!["lambda_init_duration_seconds{phase=init} 0.1255x1"],
        ),
        (
            r#"{"type":"platform.restoreReport","record":{"metrics":{"durationMs":50}}}"#,
            vec!["lambda_restore_duration_seconds{} 0.05x1"],
        ),
        (
            r#"{"type":"platform.logsDropped","record":{"reason":"slow","droppedRecords":7,"droppedBytes":4096}}"#,
            vec!["lambda_telemetry_dropped_bytes_total{} 4096", "lambda_telemetry_dropped_records_total{} 7"],
        ),
        (r#"{"type":"function","record":"a line of text"}"#, vec!["lambda_log_records_total{type=function} 1"]),
        (
            r#"{"type":"function","record":{"level":"WARN","message":"x"}}"#,
            vec!["lambda_log_records_total{level=warn,type=function} 1"],
        ),
        (
            r#"{"type":"function","record":{"level":"user-4711"}}"#,
            vec!["lambda_log_records_total{level=other,type=function} 1"],
        ),
    ];
    for (record, expected) in table {
        assert_eq!(platform(&[&format!("[{record}]")]), expected, "{record}");
    }
}

#[test]
fn counts_and_skips_records_and_fields_that_it_does_not_know() {
    let (mut platform, mut pending) = (Platform::new(rules()), Pending::default());
    let body = r#"[{"type":"platform.new","record":{"a":[1,{"b":null}]}},{"type":"platform.report","record":null},
        {"type":"platform.report","record":{"requestId":7,"status":{},"metrics":[],"spans":{"x":1}}},
        {"type":"platform.report","record":{"requestId":"r","metrics":{"durationMs":null,"billedDurationMs":-1,"memorySizeMB":"128"}}},
        {"type":"platform.report","record":{"requestId":"r2","metrics":{"durationMs":1e999}}},
        {"type":"function","record":{"level":"\ud800"}}, {"type":"function","record":{"level":"WARN","more":"\ud800"}},
        7, null, "x", [], {"record":{}}, {"type":5}]"#;
    read_records(body.as_bytes(), &mut |kind, record| platform.observe(kind, &record, Timestamp(1), &mut pending))
        .unwrap();
    let expected = [
        "lambda_invocations_total{status=unknown} 1",
        "lambda_log_records_total{level=warn,type=function} 1",
        "lambda_log_records_total{type=function} 1",
        "lambda_telemetry_events_total{type=function} 2",
        "lambda_telemetry_events_total{type=platform.new} 1",
        "lambda_telemetry_events_total{type=platform.report} 4",
        "lambda_telemetry_events_total{type=unreadable} 6",
    ];
    assert_eq!(shown(&mut pending), expected);
    for body in ["", "{}", "[{}", "[1] x", "nonsense"] {
        let error = read_records(body.as_bytes(), &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.starts_with("expected a JSON array of records"), "{error}");
    }
}

#[test]
fn reads_each_record_once_wherever_one_is_that_cannot_be_read() {
    let good = |id: usize| format!(r#"{{"type":"t{id}","record":{{"a":[{id},"\u00e9"]}}}}"#);
    let kinds = |body: &str| {
        let mut kinds = Vec::new();
        let result = read_records(body.as_bytes(), &mut |kind, _| kinds.push(kind.to_owned()));
        (kinds, result.is_ok())
    };
    for bad in
        [r#"{"type":"bad","record":{"level":"\ud800"}}"#, r#"{"type":"bad","record":{"metrics":{"durationMs":1e999}}}"#]
    {
        for place in 0..4 {
            let mut elements: Vec<_> = (0..3).map(good).collect();
            let mut expected: Vec<_> = (0..3).map(|id| format!("t{id}")).collect();
            elements.insert(place, bad.to_owned());
            expected.insert(place, "bad".to_owned());
            let all = elements.join(" , ");
            assert_eq!(kinds(&format!("[{all}]")), (expected.clone(), true), "{bad} at {place}");
            assert_eq!(kinds(&format!("[{all}")), (expected.clone(), false), "{bad} at {place}, without an end");
            assert_eq!(kinds(&format!("[{all}] x")), (expected, false), "{bad} at {place}, with more behind it");
        }
    }
}

#[test]
fn keeps_the_types_of_records_to_a_bound() {
    let (mut platform, mut pending) = (Platform::new(rules()), Pending::default());
    for i in 0..1_000 {
        platform.observe(&format!("type-{i}"), &Record::Other, Timestamp(1), &mut pending);
    }
    let lines = shown(&mut pending);
    assert_eq!(lines.len(), MAX_TELEMETRY_TYPES + 1);
    assert!(lines.contains(&format!("lambda_telemetry_events_total{{type=other}} {}", 1_000 - MAX_TELEMETRY_TYPES)));
}

#[test]
fn reads_lines_of_statsd() {
    let table = [
        ("page.views:1|c", vec!["page_views{} 1"]),
        ("hits:3|c|@0.1", vec!["hits{} 30.0"]),
        ("hits:2.5|c", vec!["hits{} 2.5"]),
        ("fuel:0.5|g", vec!["fuel{} 0.5"]),
        ("fuel:12|g|#a:b", vec!["fuel{a=b} 12"]),
        ("fuel:-3|g", vec!["fuel{} change -3"]),
        ("fuel:+3|g", vec!["fuel{} change 3"]),
        ("song:240|ms|@0.5", vec!["song{} 0.24x2"]),
        ("song:240|h", vec!["song{} 240x1"]),
        (
            "song:1:2:3|d|#genre:pop,live,genre:rock",
            vec!["song{genre=rock,live=true} 1x1", "song{genre=rock,live=true} 2x1", "song{genre=rock,live=true} 3x1"],
        ),
        ("a:1|c|c:abc|T1656581400|#url:http://x:1/", vec!["a{url=http://x:1/} 1"]),
        ("a:1|c\nb:2|c\r\n\n", vec!["a{} 1", "b{} 2"]),
        ("a:1:x|c", vec!["the value \"x\" is not a number that its type takes"]),
        ("a:-1|c", vec!["the value \"-1\" is not a number that its type takes"]),
        ("a:nan|g", vec!["the value \"nan\" is not a number that its type takes"]),
        ("a:1|c|@0", vec!["the sample rate \"0\" is not above 0 and at most 1"]),
        ("a:1|c|@1e-320", vec!["the value \"1\" is not a number that its type takes"]),
        ("a:1|s", vec!["a set cannot be added up"]),
        ("a:1|q", vec!["the type \"q\" is not one of c, g, ms, h, d"]),
        ("a:1", vec!["expected name:value|type"]),
        ("a|c", vec!["expected name:value|type"]),
        (":1|c", vec!["the name of the metric: the name is empty"]),
        ("a:1|c|#__x:1", vec!["tags: __x: names that begin with \"__\" are reserved"]),
        ("_e{5,4}:title|text", vec!["an event cannot be added up"]),
        ("_sc|name|0", vec!["a service check cannot be added up"]),
    ];
    for (text, expected) in table {
        let mut lines = Vec::new();
        read_lines(text.as_bytes(), &Layout::Native, &mut |line| lines.push(shown_line(line)));
        assert_eq!(lines, expected, "{text}");
    }
}

#[test]
fn drops_a_line_of_odd_bytes_and_keeps_its_neighbours() {
    let mut lines = Vec::new();
    read_lines(b"a:1|c\nb:1|c|#t:\xff\n\xfe\nc:1|c|#t:\x00\x1b,\xc3\xa9:\xe2\x82\xac", &Layout::Native, &mut |line| {
        lines.push(shown_line(line));
    });
    let odd = "the line is not UTF-8";
    assert_eq!(lines, ["a{} 1", odd, odd, "c{U___e9_=€,t=\0\u{1b}} 1"]);
}

fn shown_line(line: Result<Line<'_>, InvalidLine>) -> String {
    let Line { name, labels, update } = match line {
        Ok(line) => line,
        Err(error) => return error.to_string(),
    };
    let labels: Vec<_> =
        labels.as_slice().iter().map(|label| format!("{}={}", label.name.as_str(), label.value)).collect();
    let update = match update {
        LineUpdate::GaugeChange(change) => format!("change {change}"),
        LineUpdate::Typed(Update::Counter(value) | Update::Gauge(value)) => value.to_string(),
        LineUpdate::Typed(Update::Histogram { observations, .. } | Update::Summary { observations, .. }) => {
            format!("{}x{}", observations[0].value, observations[0].count)
        }
        LineUpdate::Typed(other) => panic!("no line is one: {other:?}"),
    };
    format!("{}{{{}}} {update}", name.as_str(), labels.join(","))
}

fn metric(name: &str, update: Update, time: i64) -> TypedMetric<'static> {
    let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
    TypedMetric { name, labels: LabelSet::default(), update, help: None, time: Timestamp(time), id: None }
}

fn observed(value: f64) -> Update {
    Update::Histogram { layout: Layout::Native, observations: vec![Observation { value, count: 1 }] }
}

#[test]
fn keeps_integers_of_any_sum_and_the_newest_gauge() {
    let mut pending = Pending::default();
    for _ in 0..3 {
        pending.add(&metric("c", Update::Counter(Value::Integer(i64::MAX)), 1));
        pending.add(&metric("c", Update::Counter(Value::Float(0.5)), 1));
    }
    for (value, time) in [(1, 5), (2, 7), (3, 6)] {
        pending.add(&metric("g", Update::Gauge(Value::Integer(value)), time));
    }
    let max = i64::MAX;
    assert_eq!(shown(&mut pending), [format!("c{{}} {max} {max} {max} 1.5"), "g{} 2".to_owned()]);
    assert!(pending.is_empty() && pending.take_dropped() == 0);
}

#[test]
fn drops_increments_beyond_what_a_message_can_tell() {
    let mut pending = Pending::default();
    for _ in 0..1_000 {
        pending.add(&metric("integers", Update::Counter(Value::Integer(i64::MAX)), 1));
        pending.add(&metric("floats", Update::Counter(Value::Float(f64::MAX)), 1));
    }
    for count in [u64::MAX, i64::MAX.unsigned_abs(), 1] {
        let observations = vec![Observation { value: 0.5, count }];
        pending.add(&metric("counts", Update::Histogram { layout: Layout::Native, observations }, 1));
    }
    assert_eq!(pending.take_dropped(), 992 + 999 + 2);
    let max = i64::MAX;
    let expected = [
        format!("counts{{}} 0.5x{max}"),
        format!("floats{{}} {}", Value::Float(f64::MAX)),
        format!("integers{{}}{}", format!(" {max}").repeat(8)),
    ];
    assert_eq!(shown(&mut pending), expected);
}

#[test]
fn drops_and_counts_what_does_not_fit() {
    let mut pending = Pending::default();
    for i in 0..1_005_u32 {
        pending.add(&metric("h", observed(f64::from(i)), 1));
    }
    assert_eq!(pending.add(&metric("h", observed(0.0), 1)), Added::Yes, "a value that is there");
    assert_eq!(pending.add(&metric("h", Update::Counter(Value::Integer(1)), 1)), Added::Dropped, "another type");
    assert_eq!(pending.take_dropped(), 6);
    for i in 0..MAX_PENDING_SERIES + 5 {
        pending.add(&metric(&format!("c{i}"), Update::Counter(Value::Integer(1)), 1));
    }
    assert_eq!((pending.take_dropped(), pending.take().len()), (6, MAX_PENDING_SERIES));
}

proptest! {
    #[test]
    fn property_test_no_body_and_no_line_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _any = read_records(&bytes, &mut |_, _| {});
        read_lines(&bytes, &Layout::Native, &mut |_| {});
    }

    #[test]
    fn property_test_pending_holds_exactly_the_sums_of_what_was_added(values in proptest::collection::vec((0..20_i32, 0..5_u8), 0..100)) {
        let mut pending = Pending::default();
        for (value, _) in &values {
            pending.add(&metric("c", Update::Counter(Value::Integer(i64::from(*value))), 1));
            pending.add(&metric("h", observed(f64::from(*value)), 1));
        }
        let (mut sum, mut count) = (0, 0);
        for series in pending.take() {
            for update in series.total.updates() {
                match update {
                    Update::Counter(Value::Integer(part)) => sum += part,
                    Update::Histogram { observations, .. } => count += observations.iter().map(|one| one.count).sum::<u64>(),
                    other => prop_assert!(values.is_empty() || matches!(other, Update::Counter(_)), "{:?}", other),
                }
            }
        }
        prop_assert_eq!((sum, count), (values.iter().map(|(value, _)| i64::from(*value)).sum(), values.len() as u64));
    }
}
