//! Reads requests in JSON.

use super::*;

/// The body has what JavaScript, Python and the Collector send.
#[test]
fn reads_json_of_every_sender() {
    let body = r#" {"resourceMetrics":[null,{"scopeMetrics":[{"metrics":[
        {"name":"a","sum":{"dataPoints":[{"attributes":[{"key":"k","value":{"stringValue":"\u00e9"}}],"asDouble":5,
            "startTimeUnixNano":"1700000000000000000","timeUnixNano":"7000000"}],"isMonotonic":true,
            "aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE"},"unit":"s","metadata":[{}]},
        {"name":"b","gauge":{"dataPoints":[{"asInt":"-3","timeUnixNano":7000000,"flags":null},{"asDouble":"-Infinity"},
            {"as_double":"1.5"}]},"sum":null},
        {"name":"t","histogram":{"data_points":[{"count":1,"sum":"0.5","bucketCounts":[0,"1"],"explicitBounds":["0.25"],
            "timeUnixNano":7e6}],"aggregationTemporality":2}},
        {"name":"l","gauge":{"dataPoints":[{"asInt":1,"attributes":[{"key":"l","value":{"arrayValue":{"values":[
            {"intValue":"1"},{"bytesValue":"_-8"},null,{"kvlistValue":{"values":[{"key":"b","value":{"boolValue":true}},
            {"key":"a"}]}},{"arrayValue":{}}]}}}]}]}},
        {"name":"none"}
        ]}],"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}],"droppedAttributesCount":0}}]}"#;
    let lines = Setting::new().read_json(body.as_bytes()).unwrap().samples;
    let expected = [
        "a_seconds_total{job=shop,k=é} 5.0 @7",
        "b{job=shop} -3 @7",
        "b{job=shop} -Inf @5000",
        "b{job=shop} 1.5 @5000",
        "t_sum{job=shop} 0.5 @7",
        "t_count{job=shop} 1 @7",
        "t_bucket{job=shop,le=0.25} 0 @7",
        "t_bucket{job=shop,le=+Inf} 1 @7",
        r#"l{job=shop,l=[1,"/+8=",null,{"a":null,"b":true},[]]} 1 @5000"#,
    ];
    assert_eq!(lines, expected);
    for empty in ["{}", "null", r#"{"resourceMetrics":null}"#, r#"{"resourceMetrics":[{}]}"#, r#"{"other":1}"#] {
        assert_eq!(Setting::new().read_json(empty.as_bytes()), Ok(Lines::default()), "{empty}");
    }
}

/// JavaScript writes half of a pair when it cuts a text in two. Go's reader replaces it.
#[test]
fn replaces_half_of_a_surrogate_pair_in_json() {
    let table = [
        (r"x\ud83d", "x\u{fffd}"),
        (r"\ude00x", "\u{fffd}x"),
        (r"\ud83d\ude00", "\u{1f600}"),
        (r"\ud83dx\ude00\n", "\u{fffd}x\u{fffd}\n"),
        (r"\ud83d\ud83d", "\u{fffd}\u{fffd}"),
        ("\u{1f600}", "\u{1f600}"),
    ];
    for (text, expected) in table {
        let point = format!(r#"{{"asInt":1,"attributes":[{{"key":"k","value":{{"stringValue":"{text}"}}}}]}}"#);
        let body = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"a","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
        );
        let lines = Setting::new().read_json(body.as_bytes()).unwrap().samples;
        assert_eq!(lines, [format!("a{{k={expected}}} 1 @5000")], "{text}");
    }
}

/// Each number is the nearest double of its digits, as in Go.
#[test]
fn reads_a_double_in_json_to_the_last_bit() {
    for text in [
        "1e298",
        "2.2250738585072011e-308",
        "123456789.123456789e-3",
        "\"0.1\"",
        "-1.5e-7",
        "9007199254740993",
        "1.7976931348623157e308",
    ] {
        let point = format!(r#"{{"asDouble":{text}}}"#);
        let body = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"a","gauge":{{"dataPoints":[{point}]}}}}]}}]}}]}}"#
        );
        let lines = Setting::new().read_json(body.as_bytes()).unwrap().samples;
        let expected: f64 = text.trim_matches('"').parse().unwrap();
        assert_eq!(lines, [format!("a{{}} {} @5000", Value::Float(expected))], "{text}");
    }
}

#[test]
fn says_where_json_is_wrong() {
    let table = [
        ("", "byte 0: EOF while parsing a value"),
        ("{\"resourceMetrics\":[}", "byte 20: expected value"),
        ("{\"resourceMetrics\":[{}],\n}", "byte 25: trailing comma"),
        (" []", "byte 1: expected an object, not a list"),
        (r#"{"resourceMetrics":5}"#, "byte 18: invalid type: integer `5`, expected a list"),
        (
            "{\"resourceMetrics\":[{\"scopeMetrics\":[\n{\"metrics\":[{\"name\":5}]}]}]}",
            "byte 59: invalid type: integer `5`, expected a text",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asInt":"x"}]}}]}]}]}"#,
            "byte 85: expected a whole number",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"flags":-1}]}}]}]}]}"#,
            "byte 83: expected a whole number of at least 0",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asDouble":1e309}]}}]}]}]}"#,
            "byte 89: expected a number that a double can hold",
        ),
    ];
    for (body, expected) in table {
        let error = Setting::new().read_json(body.as_bytes()).unwrap_err();
        let (position, sentence) = expected.split_once(": ").unwrap();
        let position: usize = position.strip_prefix("byte ").unwrap().parse().unwrap();
        assert_eq!(error.to_string().split_once(": ").unwrap().1, sentence, "{body}");
        // serde names the end of a value, or its beginning.
        assert!(error.offset.abs_diff(position) <= 3, "{body}: {error}");
    }
    let of = |counts: usize| {
        let counts = vec!["1"; counts].join(",");
        let point = format!("{{\"bucketCounts\":[{counts}]}}");
        format!(
            "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"histogram\":{{\"dataPoints\":[{point}]}}}}]}}]}}]}}"
        )
    };
    assert!(Setting::new().read_json(of(MAX_OTLP_BUCKETS).as_bytes()).is_ok());
    let error = Setting::new().read_json(of(MAX_OTLP_BUCKETS + 1).as_bytes()).unwrap_err().to_string();
    assert!(error.ends_with("at most 4096 buckets are allowed in one place"), "{error}");
    let deep = ["{\"resourceMetrics\":", &"[".repeat(100_000)].concat();
    assert!(Setting::new().read_json(deep.as_bytes()).is_err());
}
