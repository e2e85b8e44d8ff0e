//! Bodies to families, as tables: what is taken, and the sentence about what is not.

use super::{Exposition, Family, ParseError, Place, SampleValue, parse_openmetrics, parse_text};
use proptest::prelude::*;

/// Returns a line for each family and for each series.
fn shown(exposition: &Exposition<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for family in exposition.families() {
        let mut line = format!("# {} {}", family.name(), family.metric_type());
        line.extend(family.help().map(|help| format!(" help={help:?}")));
        line.extend(family.unit().map(|unit| format!(" unit={unit:?}")));
        lines.push(line);
        for series in family.series() {
            let labels: Vec<_> = series.labels().map(|(name, value)| format!("{name}={value:?}")).collect();
            let SampleValue::Float(value) = series.value() else { panic!("text has no native histograms") };
            let timestamp = series.timestamp().map(|timestamp| format!(" @{timestamp}")).unwrap_or_default();
            let (Place::Line(place) | Place::Family(place)) = series.place();
            lines.push(format!("{place}: {}{{{}}} {value:?}{timestamp}", series.name(), labels.join(",")));
        }
    }
    lines
}

fn text(body: &str) -> Vec<String> {
    parse_text(body.as_bytes()).map_or_else(|error| vec![error.to_string()], |exposition| shown(&exposition))
}

/// Returns the lines of OpenMetrics to which `# EOF` is added.
fn openmetrics(body: &str) -> Vec<String> {
    let body = format!("{body}# EOF\n");
    parse_openmetrics(body.as_bytes()).map_or_else(|error| vec![error.to_string()], |exposition| shown(&exposition))
}

fn error(result: Result<Exposition<'_>, ParseError>) -> String {
    result.err().map_or_else(|| "no error".to_owned(), |error| error.to_string())
}

#[test]
fn reads_a_family_of_each_type() {
    let body = "\
# HELP requests_total Requests so far.
# TYPE requests_total counter
requests_total{code=\"200\"} 1027 1395066363000
requests_total{code=\"400\"} 3
# TYPE latency histogram
latency_bucket{le=\"0.1\"} 1
latency_bucket{le=\"+Inf\"} 2
latency_sum 0.3
latency_count 2
# TYPE size summary
size{quantile=\"0.5\"} 7
size_sum 21
size_count 3
# TYPE old untyped
old 1
bare 2
";
    let expected = [
        "# requests_total counter help=\"Requests so far.\"",
        "3: requests_total{code=\"200\"} 1027.0 @1395066363000",
        "4: requests_total{code=\"400\"} 3.0",
        "# latency histogram",
        "6: latency_bucket{le=\"0.1\"} 1.0",
        "7: latency_bucket{le=\"+Inf\"} 2.0",
        "8: latency_sum{} 0.3",
        "9: latency_count{} 2.0",
        "# size summary",
        "11: size{quantile=\"0.5\"} 7.0",
        "12: size_sum{} 21.0",
        "13: size_count{} 3.0",
        "# old unknown",
        "15: old{} 1.0",
        "# bare unknown",
        "16: bare{} 2.0",
    ];
    assert_eq!(text(body), expected);
}

#[test]
fn takes_one_series_in_many_spellings() {
    let table = [
        ("a 1", "1: a{} 1.0"),
        ("a 1\n", "1: a{} 1.0"),
        ("a 1\r\n", "1: a{} 1.0"),
        ("a 1\r", "1: a{} 1.0"),
        ("\u{feff}a 1", "1: a{} 1.0"),
        ("\n\n \t\na 1", "4: a{} 1.0"),
        (" \ta\t 1 \t", "1: a{} 1.0"),
        ("a{}1", "1: a{} 1.0"),
        ("a+1", "1: a{} 1.0"),
        ("a { } 1", "1: a{} 1.0"),
        ("a{x=\"y\"} 1", "1: a{x=\"y\"} 1.0"),
        ("a{x=\"y\",} 1", "1: a{x=\"y\"} 1.0"),
        ("a { x = \"y\" , } 1 2 ", "1: a{x=\"y\"} 1.0 @2"),
        ("a{x=\"y\" z=\"1\"} 1", "1: a{x=\"y\",z=\"1\"} 1.0"),
        ("a{x=\"\"} 1", "1: a{x=\"\"} 1.0"),
        ("a{x=\"}{,= #\"} 1", "1: a{x=\"}{,= #\"} 1.0"),
        (r#"a{x="\\ \" \n \t"} 1"#, r#"1: a{x="\\ \" \n \\t"} 1.0"#),
        ("a{x=\"1\n2\"} 1", "1: a{x=\"1\\n2\"} 1.0"),
        ("{\"a\"} 1", "1: a{} 1.0"),
        ("{\"a.b\",\"x y\"=\"z\"} 1", "1: a.b{x y=\"z\"} 1.0"),
        ("{x=\"y\",\"a\",} 1", "1: a{x=\"y\"} 1.0"),
        (r#"{"a\"b"} 1"#, "1: a\"b{} 1.0"),
        ("{__name__=\"a\"} 1", "1: a{} 1.0"),
        ("b{__name__=\"a\",x=\"y\"} 1", "1: a{x=\"y\"} 1.0"),
        ("a:b_1 1", "1: a:b_1{} 1.0"),
        ("a{x=\"é日\"} 1", "1: a{x=\"é日\"} 1.0"),
        ("a{x=\"\0\"} 1", "1: a{x=\"\\0\"} 1.0"),
        ("a NaN", "1: a{} NaN"),
        ("a -Infinity 0", "1: a{} -inf @0"),
    ];
    for (body, expected) in table {
        assert_eq!(text(body).get(1).map_or("", String::as_str), expected, "{body:?}");
    }
}

#[test]
fn rejects_with_a_sentence_that_names_line_and_series() {
    let table = [
        ("a", "line 1: a: expected a value, found the end of the body"),
        ("a\nb 1", "line 1: a: expected a value, found the end of the line"),
        ("b 1\na x", "line 2: a: expected a number that a double holds, found x"),
        ("a{x=\"y\"} 1e309", "line 1: a{x=\"y\"}: expected a number that a double holds, found 1e309"),
        ("a 0x1p3", "line 1: a: expected a number that a double holds, found 0x1p3"),
        ("a 1_000", "line 1: a: expected a number that a double holds, found 1_000"),
        ("a 1 -2", "line 1: a: expected a timestamp, found -2"),
        ("a 1 2.5", "line 1: a: expected a timestamp, found 2.5"),
        ("a 1 2 3", "line 1: a: expected the end of the line, found 3"),
        ("a 1 # {x=\"y\"} 1", "line 1: a: expected a timestamp, found #"),
        ("a 1\r2", "line 1: a: expected a timestamp, found nothing"),
        ("1a 1", "line 1: expected the name of a metric, a brace or #, found 1a 1"),
        ("\"a\" 1", "line 1: expected the name of a metric, a brace or #, found \"a\" 1"),
        ("\0", "line 1: expected the name of a metric, a brace or #, found \\u{0}"),
        ("a{,} 1", "line 1: a: expected the name of a label, found ,} 1"),
        ("a{x=\"y\",,} 1", "line 1: a: expected the name of a label, found ,} 1"),
        ("a{é=\"y\"} 1", "line 1: a: expected the name of a label, found é=\"y\"} 1"),
        ("a{x} 1", "line 1: a: expected = behind the name of a label, found } 1"),
        ("a{x=y} 1", "line 1: a: expected the value of a label in quotes, found y} 1"),
        ("a{x=\"y} 1\n", "line 1: a: expected a quote at the end of a quoted text, found y} 1\\n"),
        ("a{x=\"y\\", "line 1: a: expected a quote at the end of a quoted text, found y\\"),
        ("a{x=\"y\"", "line 1: a: expected the name of a label, found the end of the body"),
        ("a{x=\"1\",y=\"2\",x=\"3\"} 1", "line 1: a{x=\"1\",y=\"2\",x=\"3\"}: the label x occurs twice"),
        ("a{x=\"1\",\"x\"=\"1\"} 1", "line 1: a{x=\"1\",\"x\"=\"1\"}: the label x occurs twice"),
        ("{__name__=\"a\",__name__=\"b\"} 1", "line 1: the label __name__ occurs twice"),
        ("a{\"b\"} 1", "line 1: a: the series has a second name, b"),
        ("{x=\"y\"} 1", "line 1: {x=\"y\"}: the series has no name"),
        ("{\"\"} 1", "line 1: {\"\"}: the series has no name"),
        ("{__name__=\"\"} 1", "line 1: {__name__=\"\"}: the series has no name"),
        ("# TYPE a b", "line 1: a: expected a type such as counter, found b"),
        ("# TYPE a\na 1", "line 1: a: expected a type such as counter, found nothing"),
        ("# TYPE 1a counter", "line 1: expected the name of a metric, found 1a counter"),
        ("# TYPE a counter\n# TYPE a gauge", "line 2: a: the type is gauge, but it was counter before"),
        ("# TYPE a untyped\na 1\n# TYPE a gauge", "line 3: a: the type is gauge, but it was unknown before"),
        ("# TYPE a histogram\na_bucket 1", "line 2: a_bucket: a bucket has no label le"),
        (
            "a_bucket{x=\"y\",le=\"z\"} 1\n# TYPE a histogram",
            "line 1: a_bucket{x=\"y\",le=\"z\"}: expected a number in the label le of a bucket, found z",
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"NaN\"} 1",
            "line 2: a_bucket{le=\"NaN\"}: expected a number in the label le of a bucket, found NaN",
        ),
    ];
    for (body, expected) in table {
        assert_eq!(text(body), [expected], "{body:?}");
    }
}

#[test]
fn names_the_line_that_is_not_utf8() {
    assert_eq!(error(parse_text(b"a 1\nb{x=\"\xe9\"} 1")), "line 2: the line is not UTF-8");
}

#[test]
fn cuts_foreign_text_short() {
    let long = "é".repeat(10_000);
    let (a, short) = ("a".repeat(10_000), "é".repeat(64));
    let table = [
        (format!("a {long}"), format!("line 1: a: expected a number that a double holds, found {short}…")),
        (format!("a{{x={long}"), format!("line 1: a: expected the value of a label in quotes, found {short}…")),
        (format!("{a} x"), format!("line 1: {}…: expected a number that a double holds, found x", "a".repeat(64))),
        (format!("# TYPE a {long}"), format!("line 1: a: expected a type such as counter, found {short}…")),
    ];
    for (body, expected) in table {
        assert_eq!(text(&body), [expected]);
    }
}

#[test]
fn reads_comments_and_metadata() {
    let table: [(&str, &[&str]); 14] = [
        (
            "# EOF\n# UNIT a s\n#\n# \n#HELP a b\n# HELP\n# TYPE\n# HELPa\n# comment {\" \r\n #\na 1",
            &["# a unknown", "11: a{} 1.0"],
        ),
        ("# HELP a", &[]),
        ("# HELP a \na 1", &["# a unknown help=\"\"", "2: a{} 1.0"]),
        ("#\tHELP\t a  b\\nc \\\\ \\\" \r\na 1", &["# a unknown help=\"b\\nc \\\\ \\\\\\\" \"", "2: a{} 1.0"]),
        ("# HELP \"a b\" c\n{\"a b\"} 1", &["# a b unknown help=\"c\"", "2: a b{} 1.0"]),
        ("# TYPE \"a b\" gauge\n{\"a b\"} 1", &["# a b gauge", "2: a b{} 1.0"]),
        (" # TYPE a  Gauge \t\na 1", &["# a gauge", "2: a{} 1.0"]),
        ("a 1\n# TYPE a gauge", &["# a gauge", "1: a{} 1.0"]),
        ("# TYPE a gauge\na 1\n# TYPE a gauge\n# HELP a b", &["# a gauge help=\"b\"", "2: a{} 1.0"]),
        ("# HELP a b\n# HELP c d\nc 1", &["# c unknown help=\"d\"", "3: c{} 1.0"]),
        (
            "# TYPE a histogram\n# TYPE a_sum gauge\na_sum 1\na_count 2\na 3",
            &["# a histogram", "4: a_count{} 2.0", "5: a{} 3.0", "# a_sum gauge", "3: a_sum{} 1.0"],
        ),
        (
            "# HELP a_sum b\na_sum 1\na_bucket{} 2\na_total 3\n# TYPE a summary",
            &["# a_bucket unknown", "3: a_bucket{} 2.0", "# a_total unknown", "4: a_total{} 3.0"],
        ),
        (
            "# TYPE a counter\na_created 1\na 2",
            &["# a counter", "3: a{} 2.0", "# a_created unknown", "2: a_created{} 1.0"],
        ),
        ("b 1\na 2\nb{x=\"y\"} 3", &["# b unknown", "1: b{} 1.0", "3: b{x=\"y\"} 3.0", "# a unknown", "2: a{} 2.0"]),
    ];
    for (body, expected) in table {
        let lines = text(body);
        assert!(expected.iter().all(|line| lines.iter().any(|other| other == line)), "{body:?}: {lines:?}");
        assert!(expected.is_empty() == lines.is_empty(), "{body:?}: {lines:?}");
    }
}

#[test]
fn writes_bounds_of_histograms_and_summaries_as_prometheus_3_does() {
    let table = [
        ("a_bucket{le=\"1\"} 2\n# TYPE a histogram", "1: a_bucket{le=\"1.0\"} 2.0"),
        ("a_bucket{le=\"1e6\",x=\"1\"} 2\n# TYPE a histogram", "1: a_bucket{le=\"1e+06\",x=\"1\"} 2.0"),
        ("a_bucket{le=\"inf\"} 2\n# TYPE a histogram", "1: a_bucket{le=\"+Inf\"} 2.0"),
        ("a_sum{le=\"1\"} 2\n# TYPE a histogram", "1: a_sum{le=\"1.0\"} 2.0"),
        ("a_sum{le=\"x\",quantile=\"1\"} 2\n# TYPE a histogram", "1: a_sum{le=\"x\",quantile=\"1\"} 2.0"),
        ("a{quantile=\"1\"} 2\n# TYPE a summary", "1: a{quantile=\"1.0\"} 2.0"),
        ("a{quantile=\"x\",le=\"1\"} 2\n# TYPE a summary", "1: a{quantile=\"x\",le=\"1\"} 2.0"),
        ("a_bucket{le=\"1\"} 2\n# TYPE a gaugehistogram", "1: a_bucket{le=\"1\"} 2.0"),
        ("a_bucket{le=\"1\"} 2\n# TYPE a_bucket gauge", "1: a_bucket{le=\"1\"} 2.0"),
        ("a_bucket{le=\"1\"} 2", "1: a_bucket{le=\"1\"} 2.0"),
    ];
    for (body, expected) in table {
        assert_eq!(text(body)[1], expected, "{body:?}");
    }
}

#[test]
fn keeps_equal_series_once_and_rejects_different_ones() {
    let once = [
        "a 1\na 1",
        "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1.0",
        "a{x=\"\"} 1\na 1",
        "a NaN\na nan",
        "a 1 7\na 1 007",
        "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1",
        "a 1\n{\"a\"} 1",
    ];
    for body in once {
        assert_eq!(text(body).len(), 2, "{body:?}");
    }
    let twice = [
        "a 1 7\na 1 8",
        "a 1\na 1 8",
        "a{x=\"1\"} 1\na{x=\"2\"} 1",
        "a{x=\"y\"} 1\na{y=\"x\"} 2",
        "a{xy=\"z\"} 1\na{x=\"yz\"} 2",
    ];
    for body in twice {
        assert_eq!(text(body).len(), 3, "{body:?}");
    }
    let errors = [
        ("a 1\na 2", "line 2: a: the series has another value on line 1"),
        ("a 0\na -0", "line 2: a: the series has another value on line 1"),
        ("b 1\na 1 7\na 2 7", "line 3: a: the series has another value on line 2 for the same time, 7"),
        (
            "a{x=\"1\",y=\"2\"} 1\n\na{y=\"2\",z=\"\",x=\"1\"} 2",
            "line 3: a{y=\"2\",z=\"\",x=\"1\"}: the series has another value on line 1",
        ),
    ];
    for (body, expected) in errors {
        assert_eq!(text(body), [expected], "{body:?}");
    }
}

#[test]
fn reads_openmetrics() {
    let body = "\
# TYPE requests counter
# UNIT requests 
# HELP requests Requests \\\"so\\\" far.
requests_total{code=\"200\"} 17 1.5 # {trace_id=\"a\",\"b\"=\"c\"} 0.5 1.25
requests_created{code=\"200\"} 1605281325.0
# TYPE latency_seconds gaugehistogram
# UNIT latency_seconds seconds
latency_seconds_bucket{le=\"1\"} 1 # {} 1
latency_seconds_gsum 2
# TYPE build info
build_info{version=\"1\"} 1
# TYPE state stateset
state{state=\"on\"} 1
# TYPE other unknown
other{x=\"y\",} -1 -0.0005
late_total 3
# TYPE late counter
";
    let expected = [
        "# requests counter help=\"Requests \\\"so\\\" far.\"",
        "4: requests_total{code=\"200\"} 17.0 @1500",
        "# latency_seconds gaugehistogram unit=\"seconds\"",
        "8: latency_seconds_bucket{le=\"1\"} 1.0",
        "9: latency_seconds_gsum{} 2.0",
        "# build info",
        "11: build_info{version=\"1\"} 1.0",
        "# state stateset",
        "13: state{state=\"on\"} 1.0",
        "# other unknown",
        "15: other{x=\"y\"} -1.0 @0",
        "# late counter",
        "16: late_total{} 3.0",
    ];
    assert_eq!(openmetrics(body), expected);
    assert_eq!(openmetrics(&body.replace('\n', "\r\n")), expected);
}

#[test]
fn rejects_what_openmetrics_has_not() {
    let table = [
        ("\n", "line 1: expected the name of a metric, a brace or #, found the end of the line"),
        (" a 1\n", "line 1: expected the name of a metric, a brace or #, found  a 1"),
        ("# comment\n", "line 1: expected HELP, TYPE, UNIT or EOF behind # and a space, found # comment"),
        ("#  TYPE a gauge\n", "line 1: expected HELP, TYPE, UNIT or EOF behind # and a space, found #  TYPE a gauge"),
        ("# TYPE a untyped\n", "line 1: a: expected a type such as counter, found untyped"),
        ("# TYPE a  gauge\n", "line 1: a: expected a type such as counter, found  gauge"),
        ("# TYPE a Gauge\n", "line 1: a: expected a type such as counter, found Gauge"),
        ("# TYPE a\n", "line 1: a: expected a space, found the end of the line"),
        ("# UNIT a_seconds s\n", "line 1: a_seconds: the name does not end with an underscore and the unit s"),
        ("# UNIT seconds seconds\n", "line 1: seconds: the name does not end with an underscore and the unit seconds"),
        ("a  1\n", "line 1: a: expected a value, found  1"),
        ("a\t1\n", "line 1: a: expected a space and a value, found \\t1"),
        ("a 1 \n", "line 1: a: expected a timestamp, found nothing"),
        ("a 1 NaN\n", "line 1: a: expected a timestamp, found NaN"),
        ("a{x=\"y\" } 1\n", "line 1: a: expected a comma or a closing brace behind a label, found  } 1"),
        ("a{x=\"y\"z=\"1\"} 1\n", "line 1: a: expected a comma or a closing brace behind a label, found z=\"1\"} 1"),
        ("a{x=\"y\n\"} 1\n", "line 1: a: expected a quote at the end of a quoted text, found y\\n\"} 1\\n# EOF\\n"),
        ("a 1 # {x=\"y\"}\n", "line 1: a: expected a space and a value, found the end of the line"),
        ("a 1 # {\"x\"} 1\n", "line 1: a: expected = behind the name of a label, found } 1"),
        ("a 1 # {} 1 2 3\n", "line 1: a: expected the end of the line, found  3"),
        ("a 1 #\n", "line 1: a: expected a timestamp, found #"),
        ("# EOF\n", "line 2: expected nothing after # EOF"),
        ("# EOF \n", "line 1: expected nothing after # EOF"),
    ];
    for (body, expected) in table {
        assert_eq!(openmetrics(body), [expected], "{body:?}");
    }
    for body in ["", "a 1", "a 1\n", "# EOf"] {
        assert!(error(parse_openmetrics(body.as_bytes())).contains("# EOF") || body == "# EOf", "{body:?}");
    }
    assert_eq!(error(parse_openmetrics(b"# EOF")), "no error");
    assert_eq!(error(parse_openmetrics(b"a 1\n")), "line 2: expected # EOF at the end, as OpenMetrics demands");
}

#[test]
fn rejects_more_than_the_bounds() {
    let labels = (0..151).map(|i| format!("x{i}=\"\"")).collect::<Vec<_>>().join(",");
    assert_eq!(
        error(parse_text(format!("a{{{labels}}} 1").as_bytes())).split(": ").last(),
        Some("the series has more than 150 labels")
    );
    let twice = format!("a{{{}}} 1", (0..100).map(|i| format!("x{}=\"\"", i % 99)).collect::<Vec<_>>().join(","));
    assert_eq!(error(parse_text(twice.as_bytes())).split(": ").last(), Some("the label x0 occurs twice"));
    let large = " ".repeat((16 << 20) + 1);
    let expected = "the body has 16777217 bytes unpacked, at most 16777216 are taken";
    assert_eq!(error(parse_text(large.as_bytes())), expected);
    assert!(parse_text(large.as_bytes()).err().is_some_and(|error| error.is_size()));
    let names = |count: usize| (0..count).flat_map(|i| ["a".to_owned(), i.to_string(), " 1\n".to_owned()]).collect();
    let (enough, too_many): (String, String) = (names(100_000), names(100_002));
    assert!(parse_text(enough.as_bytes()).is_ok());
    let too_many = parse_text(too_many.as_bytes()).unwrap_err();
    assert!(too_many.is_size() && too_many.to_string().contains("more than 100000 names"), "{too_many}");
}

proptest! {
    /// Any body is taken or rejected; what is taken has one series for each line that is kept.
    #[test]
    fn property_test_no_body_panics(body in "[a-b{}\",=# 1e\\.\\\\\n\r]{0,40}") {
        for result in [parse_text(body.as_bytes()), parse_openmetrics(body.as_bytes())] {
            match result {
                Ok(exposition) => {
                    let series: usize = exposition.families().map(|family| family.series().len()).sum();
                    prop_assert_eq!(series, exposition.series_count());
                }
                Err(error) => prop_assert!(error.to_string().starts_with("line ")),
            }
        }
    }

    /// Labels are read as they were written with escapes.
    #[test]
    fn property_test_labels_make_the_round_trip(labels in proptest::collection::btree_map("[a-z.é\"\\\\]{1,5}", "[ -~\né]{0,20}", 0..6)) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let written: Vec<_> = labels.iter().map(|(n, v)| format!("\"{}\"=\"{}\"", escaped(n), escaped(v))).collect();
        let text = format!("a{{{}}} 1\n", written.join(","));
        let openmetrics = format!("{text}# EOF");
        for result in [parse_text(text.as_bytes()), parse_openmetrics(openmetrics.as_bytes())] {
            let exposition = result.unwrap();
            let series = exposition.families().flat_map(Family::series).next().unwrap();
            let read: Vec<_> = series.labels().collect();
            prop_assert_eq!(read, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>());
        }
    }
}
