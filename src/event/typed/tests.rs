use super::update::as_double;
use super::*;
use crate::event::{Event, ParsedEvent, Shape, read_message};
use crate::model::{Label, LabelName, Layout, Observation, Update};
use proptest::prelude::*;

const NOW: i64 = 1_676_398_020_000;
const TIMES: EventTimes = EventTimes { now: Timestamp(NOW), sent: None };

fn rules(external: &[(&'static str, &'static str)]) -> Rules {
    let label = |(name, value): &(&'static str, &'static str)| Label {
        name: LabelName::translate(Cow::Borrowed(*name)).unwrap(),
        value: Cow::Borrowed(*value),
    };
    Rules { external_labels: LabelSet::new(external.iter().map(label).collect()).unwrap(), ..Rules::default() }
}

fn shown_with(text: &str, times: &EventTimes, rules: &Rules) -> String {
    match read(text, times, rules) {
        Ok(TypedMetric { name, labels, update, help, time, id }) => {
            let labels: Vec<_> =
                labels.as_slice().iter().map(|label| format!("{}={}", label.name.as_str(), label.value)).collect();
            let mut shown = format!("{}{{{}}} {update:?}", name.as_str(), labels.join(","));
            shown.extend(help.map(|help| format!(" help {help:?}")));
            shown.extend(id.map(|id| format!(" id {id:?}")));
            if time.0 != NOW {
                shown.extend([" @", &time.to_string()]);
            }
            shown
        }
        Err(rejection) => rejection.to_string(),
    }
}

fn shown(text: &str) -> String {
    shown_with(text, &TIMES, &rules(&[]))
}

/// Puts fields into a metric of this type.
fn of_type(of_type: &str, fields: &str) -> String {
    format!(r#"{{"type":"{of_type}","name":"m",{fields}}}"#)
}

#[test]
fn reads_the_documents_of_prom_stream_gateway() {
    let table = [
        (
            r#"{"type": "counter", "name": "http_requests_total", "help": "Total number of HTTP requests", "value": 1,
                "labels": {"method": "GET", "status": "200"}}"#,
            r#"http_requests_total{method=GET,status=200} Counter(Integer(1)) help "Total number of HTTP requests""#,
        ),
        (
            r#"{"type": "gauge", "name": "memory_usage_bytes", "help": "h", "unit": "bytes", "value": 1.5e6, "labels": {}}"#,
            r#"memory_usage_bytes{} Gauge(Float(1500000.0)) help "h""#,
        ),
        (
            r#"{"type": "histogram", "name": "request_duration_seconds", "value": 0.75, "buckets": [0.1, 0.5, 1, 5, 10],
                "labels": {"endpoint": "/api/data"}}"#,
            "request_duration_seconds{endpoint=/api/data} Histogram { layout: Classic([0.1, 0.5, 1.0, 5.0, 10.0]), \
             observations: [Observation { value: 0.75, count: 1 }] }",
        ),
        (
            r#"{"type": "summary", "name": "s", "value": "2", "quantiles": [0.99, 0.5], "epsilons": [0.001, 0.05]}"#,
            "s{} Summary { quantiles: [0.5, 0.99], observations: [Observation { value: 2.0, count: 1 }] }",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn accepts_the_liberties_of_the_contract() {
    let table = [
        ("counter", r#""value":"3""#, "m{} Counter(Integer(3))"),
        ("counter", r#""value":0"#, "m{} Counter(Integer(0))"),
        ("counter", r#""value":"-0""#, "m{} Counter(Integer(0))"),
        ("counter", r#""value":2.0"#, "m{} Counter(Float(2.0))"),
        ("gauge", r#""value":-1.5"#, "m{} Gauge(Float(-1.5))"),
        ("gauge", r#""value":1,"labels":[]"#, "m{} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"labels":[ ]"#, "m{} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"labels":null,"buckets":null,"counts":[],"quantiles":[]"#, "m{} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"dimensions":{"a":1,"b":true,"c":null,"d":""}"#, "m{a=1,b=true} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"labels":null,"dimensions":{"a-b":"x"}"#, "m{a_b=x} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"labels":{"le":"x","quantile":"y"}"#, "m{le=x,quantile=y} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"unit":{"any":["thing"]}"#, "m{} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"help":"","id":"a\u0062""#, r#"m{} Gauge(Integer(1)) id "ab""#),
        ("gauge", r#""value":1,"help":null,"id":12.50"#, r#"m{} Gauge(Integer(1)) id "12.50""#),
        ("gauge", r#""value":1,"id":null,"timestamp":null"#, "m{} Gauge(Integer(1))"),
        ("gauge", r#""value":1,"timestamp":"1676398019""#, "m{} Gauge(Integer(1)) @1676398019000"),
        ("g\\u0061uge", r#""value":1"#, "m{} Gauge(Integer(1))"),
    ];
    for (metric_type, fields, expected) in table {
        assert_eq!(shown(&of_type(metric_type, fields)), expected, "{fields}");
    }
}

#[test]
fn reads_values_with_their_counts() {
    let observed = |list: &[(f64, u64)]| {
        let list: Vec<_> = list.iter().map(|&(value, count)| Observation { value, count }).collect();
        format!("m{{}} Histogram {{ layout: Native, observations: {list:?} }}")
    };
    let table = [
        (r#""value":1"#, observed(&[(1.0, 1)])),
        (r#""value":[1,"-2.5"]"#, observed(&[(1.0, 1), (-2.5, 1)])),
        (r#""value":[1,2],"counts":[3,"4"],"buckets":[]"#, observed(&[(1.0, 3), (2.0, 4)])),
        (r#""value":1,"counts":[9223372036854775807],"buckets":null"#, observed(&[(1.0, 9_223_372_036_854_775_807)])),
        (r#""value":[1],"counts":null"#, observed(&[(1.0, 1)])),
        (r#""value":[1,2,3],"counts":[2.0,"3e0",1E2]"#, observed(&[(1.0, 2), (2.0, 3), (3.0, 100)])),
    ];
    for (fields, expected) in table {
        assert_eq!(shown(&of_type("histogram", fields)), expected, "{fields}");
    }
}

#[test]
fn reads_bounds_and_quantiles() {
    let many = |count: usize| (0..count).map(|bound| bound.to_string()).collect::<Vec<_>>().join(",");
    let layout = |text: &str| match read(text, &TIMES, &rules(&[])) {
        Ok(TypedMetric { update: Update::Histogram { layout, .. }, .. }) => format!("{layout:?}"),
        Ok(TypedMetric { update: Update::Summary { quantiles, .. }, .. }) => format!("{quantiles:?}"),
        Ok(other) => panic!("{other:?}"),
        Err(rejection) => rejection.to_string(),
    };
    let histogram = [
        (r"[-1,-0.0,0.5]".to_owned(), "Classic([-1.0, 0.0, 0.5])"),
        (r#"["0.1",1,"+Inf"]"#.to_owned(), "Classic([0.1, 1.0])"),
        (r#"["Infinity"]"#.to_owned(), "Classic([])"),
        (r"[1,1]".to_owned(), "invalid_event: buckets[1]: 1 is not above 1; bounds must ascend"),
        (r"[0,-0.0]".to_owned(), "invalid_event: buckets[1]: 0 is not above 0; bounds must ascend"),
        (
            r#"[1,"inf",2]"#.to_owned(),
            "invalid_event: buckets[1]: only the last bound may be infinite, and not negative",
        ),
        (
            r#"["-inf",2]"#.to_owned(),
            "invalid_event: buckets[0]: only the last bound may be infinite, and not negative",
        ),
        (r#"["nan"]"#.to_owned(), "invalid_event: buckets[0]: \"nan\" is not a bound"),
        (r"[1,null]".to_owned(), "invalid_event: buckets[1]: null is not a bound"),
        (r#"[1,"x"]"#.to_owned(), "invalid_event: buckets[1]: \"x\" is not a number"),
        (r"{}".to_owned(), "invalid_event: buckets: {} is not a list, it is an object"),
        (format!("[{}]", many(201)), "invalid_event: buckets: more than 200"),
        (format!("[{}]", many(20_000)), "invalid_event: buckets: more than 201"),
    ];
    for (buckets, expected) in histogram {
        assert_eq!(layout(&of_type("histogram", &format!(r#""value":1,"buckets":{buckets}"#))), expected, "{buckets}");
    }
    let full = layout(&of_type("histogram", &format!(r#""value":1,"buckets":[{},"+Inf"]"#, many(200))));
    assert!(full.starts_with("Classic([0.0") && full.ends_with("199.0])"), "{full}");
    let summary = [
        ("null", "[0.5, 0.9, 0.99]"),
        ("[]", "[0.5, 0.9, 0.99]"),
        (r#"[1,"0",0.5,0.5,-0.0]"#, "[0.0, 0.5, 1.0]"),
        ("[0.5,1.1]", "invalid_event: quantiles[1]: 1.1 is not in 0..1"),
        (r#"["nan"]"#, "invalid_event: quantiles[0]: \"nan\" is not in 0..1"),
        ("0.5", "invalid_event: quantiles: 0.5 is not a list, it is a number"),
    ];
    for (quantiles, expected) in summary {
        assert_eq!(
            layout(&of_type("summary", &format!(r#""value":1,"quantiles":{quantiles}"#))),
            expected,
            "{quantiles}"
        );
    }
    let many = format!(r#""value":1,"quantiles":[{}]"#, vec!["0.5"; 21].join(","));
    assert_eq!(layout(&of_type("summary", &many)), "invalid_event: quantiles: more than 20");
}

#[test]
fn rejects_what_cannot_be_counted_and_names_the_part() {
    let long = |bytes: usize| "x".repeat(bytes);
    let table = [
        ("counter", r#""value":-1"#.to_owned(), "invalid_value: value: -1 is negative, and a counter only grows"),
        ("counter", r#""value":[1]"#.to_owned(), "invalid_value: value: [1] is not a number, it is an array"),
        ("gauge", r#""value":"NaN""#.to_owned(), "invalid_value: value: \"NaN\" is not finite"),
        ("gauge", r#""value":"-inf""#.to_owned(), "invalid_value: value: \"-inf\" is not finite"),
        ("gauge", r#""value":true"#.to_owned(), "invalid_value: value: true is not a number, it is a boolean"),
        ("gauge", r#""value":"""#.to_owned(), "invalid_value: value: \"\" is not a number, it is blank"),
        ("gauge", r#""value":1e309"#.to_owned(), "invalid_value: value: 1e309 is beyond the range of a double"),
        ("gauge", r#""value":null"#.to_owned(), "invalid_event: value: missing; "),
        ("gauge", r#""help":"x""#.to_owned(), "invalid_event: value: missing; "),
        ("summary", r#""value":[1,null]"#.to_owned(), "invalid_value: value[1]: null is not a number, it is null"),
        ("summary", r#""value":[1,[2]]"#.to_owned(), "invalid_value: value[1]: [2] is not a number, it is an array"),
        ("summary", r#""value":[]"#.to_owned(), "invalid_event: value: empty; a list has at least one value"),
        ("summary", r#""value":[1,2],"counts":[1]"#.to_owned(), "invalid_event: counts: 1 for 2 values"),
        ("summary", r#""value":[1],"counts":[1,2]"#.to_owned(), "invalid_event: counts: more than 1"),
        (
            "summary",
            r#""value":1,"counts":[0]"#.to_owned(),
            "invalid_event: counts[0]: 0 is not a whole number of at least 1",
        ),
        ("summary", r#""value":1,"counts":[true]"#.to_owned(), "invalid_event: counts[0]: true is not a whole"),
        ("summary", r#""value":1,"counts":[1.5]"#.to_owned(), "invalid_event: counts[0]: 1.5 is not a whole"),
        ("summary", r#""value":1,"counts":2"#.to_owned(), "invalid_event: counts: 2 is not a list, it is a number"),
        ("counter", r#""value":1,"counts":[1]"#.to_owned(), "invalid_event: counts: a counter has none"),
        ("summary", r#""value":1,"buckets":[1]"#.to_owned(), "invalid_event: buckets: a summary has none"),
        ("histogram", r#""value":1,"quantiles":[1]"#.to_owned(), "invalid_event: quantiles: a histogram has none"),
        ("gauge", r#""value":1,"epsilons":[1]"#.to_owned(), "invalid_event: epsilons: a gauge has none"),
        ("histogram", r#""value":1,"labels":{"le":"1"}"#.to_owned(), "invalid_label_name: labels.le: the gateway sets"),
        (
            "summary",
            r#""value":1,"dimensions":{"quantile":"1"}"#.to_owned(),
            "invalid_label_name: dimensions.quantile: the gateway sets this label of a summary",
        ),
        ("gauge", r#""value":1,"labels":{"__a":"1"}"#.to_owned(), "invalid_label_name: labels.__a: "),
        ("gauge", r#""value":1,"labels":{"a":{}}"#.to_owned(), "invalid_event: labels.a: the value is an object"),
        ("gauge", r#""value":1,"labels":{"a-":"1","a_":"2"}"#.to_owned(), "label_collision: labels: more than one"),
        (
            "gauge",
            r#""value":1,"labels":[1]"#.to_owned(),
            "invalid_event: labels: [1] is not an object, it is an array",
        ),
        (
            "gauge",
            r#""value":1,"labels":{},"dimensions":{}"#.to_owned(),
            "invalid_event: dimensions: labels is given, too",
        ),
        ("gauge", format!(r#""value":1,"labels":{{"a":"{}"}}"#, long(2_049)), "too_large: labels.a: "),
        ("gauge", r#""value":1,"help":5"#.to_owned(), "invalid_event: help: 5 is not a string, it is a number"),
        ("gauge", format!(r#""value":1,"help":"{}""#, long(1_025)), "too_large: help: it has 1025 bytes"),
        ("gauge", r#""value":1,"id":"""#.to_owned(), "invalid_event: id: empty"),
        ("gauge", r#""value":1,"id":[1]"#.to_owned(), "invalid_event: id: [1] is not a string, it is an array"),
        ("gauge", format!(r#""value":1,"id":"{}""#, long(129)), "too_large: id: it has 129 bytes"),
        ("gauge", r#""value":1,"timestamp":"soon""#.to_owned(), "invalid_event: timestamp: \"soon\" is not a time"),
        ("gauge", r#""value":1,"timestamp":1676390000"#.to_owned(), "too_old: timestamp: "),
        ("gauge", r#""value":1,"timestamp":1676399000"#.to_owned(), "in_future: timestamp: "),
        ("gauge", r#""value":1,"value":2"#.to_owned(), "invalid_event: value: the key is given twice"),
        ("gauge", r#""value":1,"type":"gauge""#.to_owned(), "invalid_event: type: the key is given twice"),
        ("gauge", r#""values":1"#.to_owned(), "invalid_event: values: unknown key; did you mean value?"),
        ("gauge", r#""value":1,"lables":{}"#.to_owned(), "invalid_event: lables: unknown key; did you mean labels?"),
        ("gauge", r#""value":1,"tags":{}"#.to_owned(), "invalid_event: tags: unknown key; did you mean labels?"),
        (
            "gauge",
            r#""metrics":{"a":1}"#.to_owned(),
            "invalid_event: metrics: unknown key; a typed metric has type, name and value; an event with metrics has no type",
        ),
        ("meter", r#""value":1"#.to_owned(), "invalid_event: type: \"meter\" is none of counter, gauge, histogram and"),
        ("Counter", r#""value":1"#.to_owned(), "invalid_event: type: \"Counter\" is none of "),
    ];
    for (metric_type, fields, expected) in table {
        let shown = shown(&of_type(metric_type, &fields));
        assert!(shown.starts_with(expected), "{metric_type} {fields}: {shown}");
    }
    let names = [
        (r#"{"type":"gauge","value":1}"#.to_owned(), "invalid_event: name: missing"),
        (r#"{"type":"gauge","name":null,"value":1}"#.to_owned(), "invalid_event: name: missing"),
        (r#"{"type":"gauge","name":1,"value":1}"#.to_owned(), "invalid_event: name: 1 is not a string"),
        (r#"{"type":"gauge","name":"","value":1}"#.to_owned(), "invalid_metric_name: name: \"\": the name is empty"),
        (r#"{"type":"gauge","name":"__a","value":1}"#.to_owned(), "invalid_metric_name: name: "),
        (r#"{"type":null,"name":"a","value":1}"#.to_owned(), "invalid_event: type: missing"),
        (r#"{"type":7,"name":"a","value":1}"#.to_owned(), "invalid_event: type: 7 is none of"),
    ];
    for (text, expected) in names {
        let shown = shown(&text);
        assert!(shown.starts_with(expected), "{text}: {shown}");
    }
}

#[test]
fn rejects_counts_and_parameters_that_are_no_numbers() {
    let table = [
        ("summary", r#""value":1,"counts":["NaN"]"#, "invalid_event: counts[0]: \"NaN\" is not a whole"),
        ("summary", r#""value":1,"counts":[-1]"#, "invalid_event: counts[0]: -1 is not a whole"),
        ("summary", r#""value":1,"counts":[0.0]"#, "invalid_event: counts[0]: 0.0 is not a whole"),
        (
            "summary",
            r#""value":1,"counts":[9223372036854775808]"#,
            "invalid_event: counts[0]: 9223372036854775808 is not a whole number of at least 1, and below 2^63",
        ),
        ("histogram", r#""value":1,"buckets":[true]"#, "invalid_event: buckets[0]: true is not a number, it is"),
        ("histogram", r#""value":1,"buckets":[null]"#, "invalid_event: buckets[0]: null is not a bound"),
        ("summary", r#""value":1,"quantiles":[true]"#, "invalid_event: quantiles[0]: true is not a number, it"),
    ];
    for (metric_type, fields, expected) in table {
        let shown = shown(&of_type(metric_type, fields));
        assert!(shown.starts_with(expected), "{metric_type} {fields}: {shown}");
    }
}

#[test]
fn counts_the_labels_and_the_suffix_that_are_exposed() {
    let labels = |count: usize| (0..count).map(|label| format!(r#""l{label}":"x""#)).collect::<Vec<_>>().join(",");
    let table = [
        ("gauge", 149, true),
        ("gauge", 150, false),
        ("counter", 149, true),
        ("histogram", 148, true),
        ("histogram", 149, false),
        ("summary", 148, true),
        ("summary", 149, false),
    ];
    for (metric_type, count, accepted) in table {
        let shown = shown(&of_type(metric_type, &format!(r#""value":1,"labels":{{{}}}"#, labels(count))));
        assert_eq!(
            !shown.starts_with("too_many_labels: labels: 151 labels with __name__"),
            accepted,
            "{metric_type}: {shown}"
        );
    }
    let table = [
        ("gauge", 1_024, true),
        ("gauge", 1_025, false),
        ("histogram", 1_017, true),
        ("histogram", 1_018, false),
        ("summary", 1_018, true),
        ("summary", 1_019, false),
    ];
    for (metric_type, bytes, accepted) in table {
        let shown = shown(&format!(r#"{{"type":"{metric_type}","name":"{}","value":1}}"#, "n".repeat(bytes)));
        assert_eq!(!shown.starts_with("too_large: name: "), accepted, "{metric_type} {bytes}: {shown}");
    }
}

#[test]
fn adds_external_labels_and_never_a_reserved_one() {
    let rules = rules(&[("env", "prod"), ("le", "x"), ("quantile", "y")]);
    let table = [
        ("gauge", r#""value":1,"labels":{"env":"test"}"#, "m{env=test,le=x,quantile=y} "),
        ("histogram", r#""value":1"#, "m{env=prod,quantile=y} "),
        ("summary", r#""value":1"#, "m{env=prod,le=x} "),
    ];
    for (metric_type, fields, expected) in table {
        let shown = shown_with(&of_type(metric_type, fields), &TIMES, &rules);
        assert!(shown.starts_with(expected), "{metric_type}: {shown}");
    }
}

#[test]
fn the_sent_time_is_the_time_and_its_age_counts_beside_an_own_time() {
    let hour = 3_600_000;
    let sent = |age: i64| EventTimes { now: Timestamp(NOW), sent: Some(Timestamp(NOW - age)) };
    let own = format!(r#""value":1,"timestamp":{}"#, NOW - 1);
    let table = [
        (r#""value":1"#, 5, "m{} Gauge(Integer(1)) @1676398019995"),
        (r#""value":1"#, -5, "m{} Gauge(Integer(1))"),
        (r#""value":1"#, hour + 1, "too_old: timestamp: "),
        (own.as_str(), hour, "m{} Gauge(Integer(1)) @1676398019999"),
        (
            own.as_str(),
            hour + 1,
            "too_old: the message of the typed metric was sent 1 h ago (3600001 ms), at most 1 h are",
        ),
    ];
    for (fields, age, expected) in table {
        let shown = shown_with(&of_type("gauge", fields), &sent(age), &rules(&[]));
        assert!(shown.starts_with(expected), "{fields} {age}: {shown}");
    }
}

fn read_all(text: &str) -> (Shape, Vec<(bool, String)>) {
    let rules = Rules::default();
    let mut read = Vec::new();
    let shape = read_message(text, &TIMES, &rules, &mut |ParsedEvent { is_typed, event, .. }| {
        read.push((
            is_typed,
            match event {
                Ok(Event::Typed(metric)) => metric.name.as_str().to_owned(),
                Ok(Event::Plain(event)) => event.metrics[0].0.as_str().to_owned(),
                Err(rejection) => rejection.to_string(),
            },
        ));
    });
    (shape, read)
}

#[test]
fn stands_wherever_an_event_may_stand() {
    const C: &str = r#"{"type":"counter","name":"c","value":1}"#;
    let one: &[(bool, &str)] = &[(true, "c")];
    let two: &[(bool, &str)] = &[(true, "c"), (false, "p")];
    let table = [
        (C.to_owned(), Shape::Single, one),
        (format!("\u{feff} {C}"), Shape::Single, one),
        (r#"{"value":1,"name":"c","type":"counter"}"#.to_owned(), Shape::Single, one),
        (
            r#"{"timestamp":1676398019,"dimensions":{"a":"b"},"type":"counter","name":"c","value":1}"#.to_owned(),
            Shape::Single,
            one,
        ),
        (format!(r#"[{C},{{"metrics":{{"p":1}}}}]"#), Shape::Many, two),
        (format!("{C}\n{{\"metrics\":{{\"p\":1}}}}\n"), Shape::Many, two),
        (serde_json::Value::from(C).to_string(), Shape::Single, one),
        (serde_json::json!([C, {"metrics": {"p": 1}}]).to_string(), Shape::Many, two),
        ("eyJ0eXBlIjoiY291bnRlciIsIm5hbWUiOiJjIiwidmFsdWUiOjF9".to_owned(), Shape::Single, one),
        (serde_json::json!({"Type": "Notification", "TopicArn": "t", "Message": C}).to_string(), Shape::Single, one),
        (format!(r#"{{"detail-type":"x","source":"y","detail":{C}}}"#), Shape::Single, one),
        (
            serde_json::json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": C}}]}).to_string(),
            Shape::Single,
            one,
        ),
    ];
    for (text, shape, expected) in table {
        let (read_shape, read) = read_all(&text);
        let read: Vec<_> = read.iter().map(|(is_typed, shown)| (*is_typed, shown.as_str())).collect();
        assert_eq!((read_shape, read.as_slice()), (shape, expected), "{text}");
    }
}

#[test]
fn tells_foreign_objects_with_a_type_from_typed_metrics() {
    let table = [
        (
            r#"{"specversion":"1.0","type":"com.example.x","source":"/s","id":"1","data":{}}"#,
            (false, "invalid_event: the message is a CloudEvent, which is not unwrapped; send its data alone"),
        ),
        (r#"{"type":"x","alerts":[]}"#, (false, "invalid_event: the message is a notification of Alertmanager")),
        (r#"{"type":"Feature","geometry":{}}"#, (true, "invalid_event: geometry: unknown key; a typed metric has")),
        (r#"{"type":"sensor","metrics":{"a":1}}"#, (false, "invalid_event: type: unknown key; an event has only")),
        (r#"{"metrics":{"a":1},"type":"counter"}"#, (true, "invalid_event: metrics: unknown key; a typed metric has")),
        (r#"{"type":"counter","name":"c","value":1} x"#, (false, "invalid_json: ")),
        (r#"{"type":"counter","name":"c","value":}"#, (false, "invalid_json: ")),
        (r#"{"type":"counter","name":"c","value":1,"help":"\ud800"}"#, (false, "invalid_json: ")),
        (
            r#"{"Type":"SubscriptionConfirmation","type":"x"}"#,
            (false, "invalid_event: the message is an SNS subscription"),
        ),
    ];
    for (text, (is_typed, expected)) in table {
        let (_, read) = read_all(text);
        assert!(read.len() == 1 && read[0].0 == is_typed && read[0].1.starts_with(expected), "{text}: {read:?}");
    }
}

#[test]
fn takes_bare_tokens_as_values_and_bounds() {
    let table = [
        (r#"{"type":"gauge","name":"g","value":NaN}"#, vec![(true, "invalid_value: value: \"NaN\" is not finite")]),
        (
            r#"[{"type":"summary","name":"s","value":[1, Infinity]},{"metrics":{"p":1}}]"#,
            vec![(true, "invalid_value: [0].value[1]: \"Infinity\" is not finite"), (false, "p")],
        ),
        (r#"{"type":"histogram","name":"h","value":1,"buckets":[0.5, Infinity]}"#, vec![(true, "h")]),
    ];
    for (text, expected) in table {
        let (_, read) = read_all(text);
        let read: Vec<_> = read.iter().map(|(is_typed, shown)| (*is_typed, shown.as_str())).collect();
        assert_eq!(read, expected, "{text}");
    }
}

proptest! {
    /// Whatever the parts are, the metric is read in its bounds, or a rejection names one of its parts.
    #[test]
    fn property_test_an_accepted_metric_can_be_exposed(
        metric_type in "counter|gauge|histogram|summary|x",
        name in "[a-z_:é.]{0,3}",
        parts in proptest::collection::vec(
            (
                "value|labels|dimensions|counts|buckets|quantiles|epsilons|help|unit|timestamp|id|metrics",
                "-?[1-9][0-9]?|0|1e9|null|true|\"\"|\"[a-z]{1,2}\"|\"-?[0-9]\"|\\[\\]|\\[-?[0-9],[1-9]\\]|\\[0\\.[1-9]\\]|\\{\\}|\\{\"(le|quantile|a)\":\"1\"\\}",
            ),
            0..5,
        ),
    ) {
        let parts: Vec<_> = parts.iter().map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
        let text = format!(r#"{{"type":"{metric_type}","name":"{name}"{}}}"#, parts.concat());
        match read(&text, &TIMES, &Rules::default()) {
            Ok(TypedMetric { labels, update, .. }) => match update {
                Update::Counter(value) => prop_assert!(as_double(value) >= 0.0),
                Update::Gauge(value) => prop_assert!(as_double(value).is_finite()),
                Update::Histogram { layout, observations } => {
                    prop_assert!(labels.get("le").is_none() && !observations.is_empty());
                    if let Layout::Classic(bounds) = layout {
                        prop_assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
                    }
                }
                Update::Summary { quantiles, observations } => {
                    prop_assert!(labels.get("quantile").is_none() && !quantiles.is_empty());
                    prop_assert!(observations.iter().all(|one| one.value.is_finite() && one.count >= 1));
                }
                other => panic!("no event is one: {other:?}"),
            },
            Err(rejection) => {
                let part = rejection.detail.split([':', '.', '[']).next().unwrap_or_default();
                prop_assert!(KEYS.contains(&part) || part == "metrics", "{}", rejection);
            }
        }
    }
}
