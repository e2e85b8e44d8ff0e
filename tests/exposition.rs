//! Compares the parsers of pushes with Prometheus' own, which tests/contract/oracles/textparse runs.
//!
//! The bodies are those that the tests of Prometheus and of its text format parse, a table of ugly ones, and mutations of both.
//! [`RULES`] says how the gateway may differ, and why.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests; clippy knows only the tests themselves"
)]

use amp_push_gateway::exposition::{Exposition, ParseError, Problem, SampleValue, parse_openmetrics, parse_text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Format {
    Text,
    OpenMetrics,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Body {
    format: Format,
    bytes: Vec<u8>,
}

/// The answer of a parser: the series in their order, each with its sorted labels, bits and time.
#[derive(Clone, PartialEq, Debug)]
enum Answer {
    Taken { series: BTreeSet<Series>, metadata: BTreeMap<(String, String), String> },
    Error(String),
}

type Series = (BTreeMap<String, String>, String, Option<i64>);

#[derive(Deserialize)]
struct Parsed {
    series: Vec<ParsedSeries>,
    metadata: Vec<ParsedMetadata>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct ParsedSeries {
    labels: Vec<[String; 2]>,
    bits: String,
    timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct ParsedMetadata {
    kind: String,
    name: String,
    text: String,
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.format, String::from_utf8_lossy(&self.bytes))
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/.env/oracles")
}

fn decoded(base64: &str) -> String {
    String::from_utf8_lossy(&STANDARD.decode(base64).expect("base64")).into_owned()
}

/// Returns the answers of Prometheus.
fn theirs(bodies: &[Body]) -> Vec<Answer> {
    let mut oracle = Command::new(folder().join("textparse"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the parser of Prometheus, which `bash tests/run` builds");
    let mut input = oracle.stdin.take().unwrap();
    let lines: String = bodies.iter().map(request).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let answers: Vec<Answer> = String::from_utf8(output.stdout).unwrap().lines().map(their_answer).collect();
    assert_eq!(answers.len(), bodies.len());
    answers
}

fn request(body: &Body) -> String {
    let content_type = match body.format {
        Format::Text => "text/plain",
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0",
    };
    format!("{{\"content_type\":\"{content_type}\",\"bytes\":\"{}\"}}\n", STANDARD.encode(&body.bytes))
}

fn their_answer(line: &str) -> Answer {
    let parsed: Parsed = serde_json::from_str(line).unwrap();
    if let Some(error) = parsed.error {
        return Answer::Error(error);
    }
    let series = parsed.series.into_iter().map(|series| {
        let labels = series.labels.iter().map(|[name, value]| (decoded(name), decoded(value)));
        (labels.filter(|(_, value)| !value.is_empty()).collect(), series.bits, series.timestamp)
    });
    let metadata = parsed.metadata.into_iter().map(|one| ((one.kind, decoded(&one.name)), decoded(&one.text)));
    Answer::Taken { series: series.collect(), metadata: metadata.collect() }
}

fn parsed(body: &Body) -> Result<Exposition<'_>, ParseError> {
    match body.format {
        Format::Text => parse_text(&body.bytes),
        Format::OpenMetrics => parse_openmetrics(&body.bytes),
    }
}

fn our_answer(exposition: &Exposition<'_>) -> Answer {
    let (mut all, mut metadata) = (BTreeSet::new(), BTreeMap::new());
    for family in exposition.families() {
        let mut add = |kind: &str, text: &str| {
            metadata.insert((kind.to_owned(), family.name().to_owned()), text.to_owned());
        };
        add("type", family.metric_type().as_str());
        family.help().into_iter().for_each(|help| add("help", help));
        family.unit().into_iter().for_each(|unit| add("unit", unit));
        for series in family.series() {
            let SampleValue::Float(value) = series.value() else { panic!("a native histogram in text") };
            let bits = if value.is_nan() { 0x7ff8_0000_0000_0001 } else { value.to_bits() };
            let labels = series.labels().filter(|(_, value)| !value.is_empty()).chain([("__name__", series.name())]);
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            all.insert((labels, format!("{bits:016x}"), series.timestamp().map(|timestamp| timestamp.0)));
        }
    }
    Answer::Taken { series: all, metadata }
}

// --- how the gateway may differ --------------------------------------------------------------------------------------

/// Why the answers may differ.
struct Rule {
    why: &'static str,
    /// True if the gateway may reject the body with this error although Prometheus takes it.
    rejects: fn(&Problem, &Body) -> bool,
    /// True if the gateway may take the body otherwise than Prometheus.
    takes: fn(&Body) -> bool,
}

const NEVER: fn(&Body) -> bool = |_| false;
const NONE: fn(&Problem, &Body) -> bool = |_, _| false;

/// Each difference has one of these reasons. `src/exposition.rs` lists them, too.
const RULES: &[Rule] = &[
    Rule { why: "lines of Windows end with CR LF", rejects: NONE, takes: |body| body.bytes.contains(&b'\r') },
    Rule {
        why: "a byte-order mark is skipped",
        rejects: NONE,
        takes: |body| body.bytes.starts_with("\u{feff}".as_bytes()),
    },
    Rule {
        why: "Prometheus makes a blank before a name a part of the name",
        rejects: NONE,
        takes: |body| has_line(body, |line| line.starts_with([' ', '\t'])),
    },
    Rule {
        why: "Prometheus reads nothing behind a NUL byte at the beginning of a line or in a comment",
        rejects: |_, body| body.bytes.contains(&0),
        takes: |body| body.bytes.contains(&0),
    },
    Rule {
        why: "Pushgateway takes a type in any case and with blanks behind it, and gauge histograms",
        rejects: NONE,
        takes: |body| body.format == Format::Text && has_line(body, has_type_of_pushgateway),
    },
    Rule {
        why: "Prometheus leaves out one byte behind the name of HELP, even if it is no blank",
        rejects: NONE,
        takes: |body| has_line(body, has_help_beside_the_name),
    },
    Rule {
        why: "Prometheus leaves out `_created` behind the TYPE of another family",
        rejects: NONE,
        takes: |body| body.format == Format::OpenMetrics && has_line(body, |line| line.contains("_created")),
    },
    Rule {
        why: "a blank stands between name and type",
        rejects: |problem, _| matches!(problem, Problem::UnknownType { .. }),
        takes: NEVER,
    },
    Rule {
        why: "no body that is not UTF-8 throughout; Prometheus looks at values and HELP only",
        rejects: |problem, _| matches!(problem, Problem::NotUtf8),
        takes: NEVER,
    },
    Rule {
        why: "each name once in the labels of a series",
        rejects: |problem, _| matches!(problem, Problem::DuplicateLabel { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a series has a name, which `__name__` in braces can be",
        rejects: |problem, _| matches!(problem, Problem::NoName),
        takes: |body| has_line(body, |line| line.contains("__name__")),
    },
    Rule {
        why: "a family has one type",
        rejects: |problem, _| matches!(problem, Problem::TypeConflict { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a series has one value at a time",
        rejects: |problem, _| matches!(problem, Problem::SeriesTwice { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a bucket has a number in `le`",
        rejects: |problem, _| matches!(problem, Problem::InvalidBound { .. }),
        takes: NEVER,
    },
    Rule {
        why: "a hexadecimal bound is no number",
        rejects: NONE,
        takes: |body| has_line(body, |line| line.contains("=\"0x")),
    },
    Rule { why: "at most 150 labels", rejects: |problem, _| matches!(problem, Problem::TooManyLabels), takes: NEVER },
    Rule {
        why: "the seconds of OpenMetrics fit into 64 bits of milliseconds",
        rejects: |problem, _| matches!(problem, Problem::InvalidTimestamp { .. }),
        takes: NEVER,
    },
];

fn has_line(body: &Body, is_it: fn(&str) -> bool) -> bool {
    String::from_utf8_lossy(&body.bytes).split('\n').any(is_it)
}

fn has_type_of_pushgateway(line: &str) -> bool {
    let Some((_, words)) = line.split_once("TYPE") else { return false };
    let word = words.split_ascii_whitespace().last().unwrap_or_default();
    words.ends_with([' ', '\t'])
        || words.contains("  ")
        || word != word.to_ascii_lowercase()
        || word == "gaugehistogram"
}

fn has_help_beside_the_name(line: &str) -> bool {
    let Some((_, rest)) = line.split_once("HELP") else { return false };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let after = rest.trim_start_matches([' ', '\t']).trim_start_matches(is_name);
    !after.is_empty() && !after.starts_with([' ', '\t'])
}

/// Returns an error if the answers differ and no rule says why; else how many rules were needed.
fn compare(body: &Body, theirs: &Answer) -> Result<Option<&'static str>, String> {
    let ours = parsed(body);
    match (&ours, theirs) {
        (Err(_), Answer::Error(_)) => Ok(None),
        (Err(error), Answer::Taken { .. }) => {
            let rule = RULES.iter().find(|rule| (rule.rejects)(&error.problem, body));
            rule.map(|rule| Some(rule.why)).ok_or(format!("{body:?}\n  Prometheus takes it; we say {error}"))
        }
        (Ok(exposition), _) => {
            let ours = our_answer(exposition);
            match difference(&ours, theirs) {
                None => Ok(None),
                Some(difference) => {
                    let rule = RULES.iter().find(|rule| (rule.takes)(body));
                    rule.map(|rule| Some(rule.why)).ok_or(format!("{body:?}\n  {difference}"))
                }
            }
        }
    }
}

/// Bounds are written anew for the series of a family, by Prometheus for all series behind a TYPE of a histogram or a summary.
fn with_equal_bounds(series: &BTreeSet<Series>) -> BTreeSet<Series> {
    let mut series: Vec<Series> = series.iter().cloned().collect();
    for (labels, ..) in &mut series {
        for name in ["le", "quantile"] {
            if let Some(value) = labels.get_mut(name)
                && let Ok(number) = value.parse::<f64>()
            {
                *value = if number == 0.0 { "0".to_owned() } else { number.to_string() };
            }
        }
    }
    series.into_iter().collect()
}

fn difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let (Answer::Taken { series, metadata }, Answer::Taken { series: their_series, metadata: their_metadata }) =
        (ours, theirs)
    else {
        return Some(format!("Prometheus: {theirs:?}; we take it"));
    };
    let (our_bounds, their_bounds) = (with_equal_bounds(series), with_equal_bounds(their_series));
    if our_bounds != their_bounds {
        let only_ours: Vec<_> = our_bounds.difference(&their_bounds).collect();
        let only_theirs: Vec<_> = their_bounds.difference(&our_bounds).collect();
        return Some(format!("only ours: {only_ours:?}\n  only theirs: {only_theirs:?}"));
    }
    let differs = |((kind, name), text): (&(String, String), &String)| {
        // Metadata of families without series is left out. A quoted name is shown as it is written.
        let key = (kind.clone(), name.clone());
        match their_metadata.get(&key) {
            Some(theirs) => theirs.trim_start() != text.trim_start(),
            None => !(kind == "type" && text == "unknown" || name.contains(['\\', '"', '\n'])),
        }
    };
    metadata.iter().find(|one| differs(*one)).map(|one| format!("ours: {one:?}, theirs: {their_metadata:?}"))
}

// --- the bodies ------------------------------------------------------------------------------------------------------

/// Returns each text in both formats, and with the end that OpenMetrics demands.
fn bodies(texts: &[Vec<u8>]) -> Vec<Body> {
    let of = |text: &Vec<u8>| {
        let with_end = [text.strip_suffix(b"\n").unwrap_or(text), b"\n# EOF\n"].concat();
        [(Format::Text, text.clone()), (Format::OpenMetrics, text.clone()), (Format::OpenMetrics, with_end)]
    };
    texts.iter().flat_map(of).map(|(format, bytes)| Body { format, bytes }).collect()
}

fn texts_of_prometheus() -> Vec<Vec<u8>> {
    let lines =
        std::fs::read_to_string(folder().join("bodies.jsonl")).expect("the bodies that `bash tests/run` collects");
    let texts: Vec<String> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    texts.iter().map(|text| STANDARD.decode(text).unwrap()).collect()
}

const UGLY: &[&str] = &[
    "# HELP aé\na 1\n",
    "# TYPE a counter\nb_created 1\n",
    "",
    "\n",
    " ",
    "#",
    "# ",
    "# EOF",
    "# EOF\n",
    "# EOF\n\n",
    "# EOF\na 1\n",
    "#EOF\n",
    "# EOF \n",
    "a 1",
    "a 1\n",
    "a 1\r\n",
    " a 1\n",
    "a 1 \n",
    "a\t1\n",
    "a  1\n",
    "a{} 1\n",
    "a{}1\n",
    "a {} 1\n",
    "a{ } 1\n",
    "a+1\n",
    "a-1\n",
    "a.5\n",
    "a 1 2\n",
    "a 1 -2\n",
    "a 1 2.5\n",
    "a 1 1e3\n",
    "a 1 NaN\n",
    "a 1 Inf\n",
    "a 1 9223372036854775807\n",
    "a 1 9223372036854775808\n",
    "a 1 1e300\n",
    "a 1 007\n",
    "a 1 2 3\n",
    "a 1 2\t\n",
    "a 1 2#\n",
    "a 1 # {} 1\n",
    "a 1 # {x=\"y\"} 1 2\n",
    "a 1 # {\"x\"=\"y\"} 1 2\n",
    "a 1 # {\"x\"} 1\n",
    "a 1 # {x=\"y\",} 1\n",
    "a 1 # {x=\"y\"}\n",
    "a 1 # {x=\"y\"} 1 2 3\n",
    "a 1 #\n",
    "a 1 # {__name__=\"y\"} 1\n",
    "a 1 2 # {x=\"y\"} 1\n",
    "a 1 # {x=\"y\"} x\n",
    "a 1 # {x=\"y\"} 1 Inf\n",
    "a 0x1p3\n",
    "a 0x1\n",
    "a 0X1P3\n",
    "a 1_000\n",
    "a 1e309\n",
    "a -1e309\n",
    "a 1e-400\n",
    "a +1\n",
    "a 1.\n",
    "a .5\n",
    "a .\n",
    "a 1e\n",
    "a e1\n",
    "a Inf\n",
    "a +inf\n",
    "a -INFINITY\n",
    "a infinit\n",
    "a NaN\n",
    "a nan\n",
    "a +nan\n",
    "a -NaN\n",
    "a --1\n",
    "a 1,5\n",
    "a 1f\n",
    "a 1d\n",
    "a 0b1\n",
    "a 0o7\n",
    "a \u{661}\n",
    "a 1\u{a0}\n",
    "a 123456789012345678901234567890\n",
    "a 0.1000000000000000055511151231257827021181583404541015625\n",
    "a 2.2250738585072011e-308\n",
    "a 9007199254740993\n",
    "a{x=\"y\"} 1\n",
    "a{x=\"y\",} 1\n",
    "a{x=\"y\",,} 1\n",
    "a{,} 1\n",
    "a{x=\"y\" z=\"1\"} 1\n",
    "a{x=\"y\"z=\"1\"} 1\n",
    "a{x=\"y\" , z=\"1\"} 1\n",
    "a{x = \"y\"} 1\n",
    "a{ x=\"y\"} 1\n",
    "a{x=\"y\" } 1\n",
    "a{x=\"y\"}\t1\n",
    "a{x=y} 1\n",
    "a{x=} 1\n",
    "a{x} 1\n",
    "a{=\"y\"} 1\n",
    "a{x=\"y} 1\n",
    "a{x=\"y\"\n",
    "a{x=\"y\"} \n",
    "a{x=\"\"} 1\n",
    "a{x=\"a\nb\"} 1\n",
    "a{\"x\ny\"=\"z\"} 1\n",
    "a{x=\"\\\n\"} 1\n",
    "a{x=\"\\\\\\\"\\n\\q\\\"} 1\n",
    "a{x=\"\\\\\\\"\\n\\q\"} 1\n",
    "a{x=\"{},= #\"} 1\n",
    "a{1x=\"y\"} 1\n",
    "a{x:y=\"z\"} 1\n",
    "a{é=\"y\"} 1\n",
    "a{\"é\"=\"y\"} 1\n",
    "a{x=\"é\u{1f600}\"} 1\n",
    "a{le=\"1\"} 1\n",
    "1a 1\n",
    "é 1\n",
    "a.b 1\n",
    "a-b 1\n",
    ":a 1\n",
    "a: 1\n",
    "_ 1\n",
    "\"a\" 1\n",
    "{} 1\n",
    "{\"a\"} 1\n",
    "{\"a\",} 1\n",
    "{\"a\" } 1\n",
    "{ \"a\"} 1\n",
    "{\"a.b\",x=\"y\"} 1\n",
    "{x=\"y\",\"a\"} 1\n",
    "{\"a\"x=\"y\"} 1\n",
    "{\"a\",\"b\"} 1\n",
    "a{\"b\"} 1\n",
    "{\"a\\\"b\\\\c\"} 1\n",
    "{\"\"} 1\n",
    "{\"a\"=\"b\"} 1\n",
    "{x=\"y\"} 1\n",
    "{\"a\"} 1 2\n",
    "{\"a\"}{} 1\n",
    "{\"a\"}1\n",
    "a{__name__=\"b\"} 1\n",
    "{__name__=\"b\"} 1\n",
    "{\"a\",__name__=\"b\"} 1\n",
    "a{x=\"1\",x=\"1\"} 1\n",
    "a{__name__=\"b\",__name__=\"c\"} 1\n",
    "# HELP a\na 1\n",
    "# HELP a \na 1\n",
    "# HELP a  b \na 1\n",
    "# HELP a b\\nc\\\\d\\\"e\\q\na 1\n",
    "# HELP a-b c\na 1\n",
    "# HELP 1a c\n",
    "# HELP \"a b\" c\n{\"a b\"} 1\n",
    "# HELP \"a b c\n",
    "# HELP\ta\tb\na 1\n",
    "#\tHELP a b\na 1\n",
    "#HELP a b\n",
    "#  HELP a b\na 1\n",
    "# HELPa b\n",
    "# HELP\n",
    "# HELP \n",
    "# HELP a b\n# HELP a c\na 1\n",
    "# help a b\n",
    "# TYPE a counter\na 1\n",
    "# TYPE a counter\na_total 1\n",
    "# TYPE a counter\na_total 1\na_created 2\n",
    "# TYPE a gauge \na 1\n",
    "# TYPE a  gauge\na 1\n",
    "# TYPE a\tgauge\na 1\n",
    "# TYPE a Gauge\na 1\n",
    "# TYPE a untyped\na 1\n",
    "# TYPE a unknown\na 1\n",
    "# TYPE a info\na_info 1\n",
    "# TYPE a stateset\na{a=\"x\"} 1\n",
    "# TYPE a gaugehistogram\na_bucket{le=\"1\"} 1\na_gsum 2\na_gcount 1\n",
    "# TYPE a foo\n",
    "# TYPE a\n",
    "# TYPE a \n",
    "# TYPE\n",
    "# TYPE \n",
    "# TYPE a,counter\n",
    "# TYPE a gauge\n# TYPE a gauge\na 1\n",
    "# TYPE a gauge\n# TYPE a counter\na 1\n",
    "a 1\n# TYPE a gauge\n",
    "# TYPE \"a b\" gauge\n{\"a b\"} 1\n",
    "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n",
    "# TYPE a histogram\na_bucket{le=\"0.10\"} 1\na_bucket{le=\"1e6\"} 1\na_bucket{le=\"1e-7\"} 1\na_bucket{le=\"-0\"} 1\na_bucket{le=\"inf\"} 1\n",
    "# TYPE a histogram\na_bucket 1\n",
    "# TYPE a histogram\na_bucket{le=\"x\"} 1\n",
    "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 1\n",
    "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1.0\"} 2\n",
    "# TYPE a summary\na{quantile=\"0.50\"} 1\na{quantile=\"1\"} 1\na_sum 1\na_count 1\n",
    "# TYPE a summary\na{quantile=\"x\"} 1\n",
    "# TYPE a summary\na 1\nb{quantile=\"1\"} 2\n",
    "a_bucket{le=\"1\"} 1\n# TYPE a histogram\n",
    "# UNIT a s\na 1\n",
    "# UNIT a_s s\na_s 1\n",
    "# UNIT s s\n",
    "# UNIT a_s \na_s 1\n",
    "# UNIT a_s\n",
    "# UNIT as s\n",
    "a 1\na 1\n",
    "a 1\na 2\n",
    "a 1 1\na 1 2\n",
    "a 1 1\na 2 1\n",
    "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n",
    "a 1\n\nb 2\n",
    "a 1\n \nb 2\n",
    "\u{feff}a 1\n",
    "a\0b 1\n",
    "a 1\n\0b 2\n",
    "a{x=\"\0\"} 1\n",
    "# a\0b\nb 2\n",
    "# HELP a b\0c\na 1\n",
    "a 1\0\n",
    "a 1\r2\n",
    "a 1\r",
    "a\r 1\n",
    "# comment\na 1\n",
    "# comment {\" \\\na 1\n",
    "#comment\na 1\n",
    "a 1 # comment\n",
    "a 1\n# EOF\nb 2\n",
    " # TYPE a gauge\na 1\n",
];

const NOT_UTF8: &[&[u8]] =
    &[b"# \xff\na 1\n", b"a{x=\"\xff\"} 1\n", b"# HELP a \xff\na 1\n", b"{\"\xff\"} 1\n", b"a\xff 1\n", b"\xff"];

#[test]
#[ignore = "needs the parser of Prometheus, which `bash tests/run` builds"]
fn answers_as_prometheus_does_to_the_bodies_of_its_tests_and_to_ugly_ones() {
    let mut texts = texts_of_prometheus();
    assert!(texts.len() > 500, "{} texts", texts.len());
    texts.extend(UGLY.iter().map(|text| text.as_bytes().to_vec()));
    texts.extend(NOT_UTF8.iter().map(|text| text.to_vec()));
    texts.push(
        ["a{", &(0..151).map(|i| format!("x{i}=\"y\",")).collect::<Vec<_>>().concat(), "} 1\n"].concat().into_bytes(),
    );
    let used = check(&bodies(&texts));
    for rule in RULES {
        assert!(used.contains_key(rule.why), "no body needs the rule: {}", rule.why);
    }
}

/// The seed is fixed: two runs try the same bodies. `EXPOSITION_SEED` and `EXPOSITION_MUTATIONS` try others, and more.
#[test]
#[ignore = "needs the parser of Prometheus, which `bash tests/run` builds"]
fn answers_as_prometheus_does_to_mutated_bodies() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let mut random = fastrand::Rng::with_seed(number("EXPOSITION_SEED", 1));
    let mut texts = texts_of_prometheus();
    texts.retain(|text| (1..400).contains(&text.len()));
    texts.extend(UGLY.iter().map(|text| text.as_bytes().to_vec()));
    // Most texts in the tests are no bodies. A text is three bodies.
    let answers = theirs(&bodies(&texts));
    let mut answers = answers.chunks(3).map(|three| three.iter().any(|one| matches!(one, Answer::Taken { .. })));
    texts.retain(|_| answers.next().is_some_and(|is_taken| is_taken));
    let mutate = |_| {
        let mut text = random.choice(&texts).unwrap().clone();
        for _ in 0..random.usize(1..4) {
            mutate(&mut text, &texts, &mut random);
        }
        text
    };
    let mutated: Vec<Vec<u8>> = (0..number("EXPOSITION_MUTATIONS", 20_000)).map(mutate).collect();
    check(&bodies(&mutated));
}

/// Returns how often each rule was needed.
fn check(bodies: &[Body]) -> BTreeMap<&'static str, usize> {
    let theirs = theirs(bodies);
    let taken = theirs.iter().filter(|answer| matches!(answer, Answer::Taken { .. })).count();
    assert!(taken > bodies.len() / 20, "Prometheus takes only {taken} of {} bodies", bodies.len());
    let (mut used, mut errors) = (BTreeMap::new(), Vec::new());
    for (body, theirs) in bodies.iter().zip(&theirs) {
        match compare(body, theirs) {
            Ok(None) => {}
            Ok(Some(why)) => *used.entry(why).or_default() += 1,
            Err(error) => errors.push(error),
        }
    }
    println!("{} bodies, of which Prometheus takes {taken}; rules: {used:#?}", bodies.len());
    errors.sort_by_key(String::len);
    let shown = errors.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(errors.is_empty(), "{} bodies:\n{shown}", errors.len());
    used
}

fn mutate(text: &mut Vec<u8>, texts: &[Vec<u8>], random: &mut fastrand::Rng) {
    const PIECES: [&str; 24] = [
        "{",
        "}",
        "\"",
        "\\",
        ",",
        "=",
        " ",
        "\n",
        "#",
        "# ",
        "# TYPE a histogram\n",
        "# TYPE a counter\n",
        "a_bucket",
        "le=\"1\"",
        "__name__",
        "_total",
        "_created",
        "1",
        "e",
        ".",
        "NaN",
        "\t",
        "# {",
        "é",
    ];
    let at = random.usize(0..=text.len());
    let end = at + random.usize(0..=4).min(text.len() - at);
    match random.u8(0..4) {
        0 => drop(text.drain(at..end)),
        1 => {
            let copy = text[at..end].to_vec();
            let to = random.usize(0..=text.len());
            text.splice(to..to, copy);
        }
        2 => {
            let piece = random.choice(PIECES).unwrap_or_default();
            text.splice(at..end, piece.bytes());
        }
        _ => {
            let other = random.choice(texts).unwrap();
            let from = random.usize(0..=other.len());
            text.splice(at..end, other[from..].iter().copied().take(40));
        }
    }
}
