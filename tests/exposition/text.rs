//! The text format and OpenMetrics: each body as both.

use crate::oracle::{Answer, Body, Format, collected_bytes, theirs};
use crate::rules::{RULES, check};

/// Returns each text in both formats, and with the end that OpenMetrics demands.
fn bodies(texts: &[Vec<u8>]) -> Vec<Body> {
    let of = |text: &Vec<u8>| {
        let with_end = [text.strip_suffix(b"\n").unwrap_or(text), b"\n# EOF\n"].concat();
        [(Format::Text, text.clone()), (Format::OpenMetrics, text.clone()), (Format::OpenMetrics, with_end)]
    };
    texts.iter().flat_map(of).map(|(format, bytes)| Body { format, bytes }).collect()
}

/// Returns the texts of the tests of Prometheus, of its text format, of OpenMetrics, and of the client library for Python.
fn texts_of_other_parsers() -> Vec<Vec<u8>> {
    let mut texts = collected_bytes("bodies.jsonl");
    assert!(texts.len() > 500, "{} texts", texts.len());
    let of_python = collected_bytes("client_python.jsonl");
    assert!(of_python.len() > 100, "{} texts", of_python.len());
    texts.extend(of_python);
    texts.extend(crate::openmetrics::vectors().into_iter().map(|vector| vector.bytes));
    texts
}

/// Returns a setting of a test.
pub(crate) fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().ok().expect("a number"))
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
    let mut texts = texts_of_other_parsers();
    texts.extend(UGLY.iter().map(|text| text.as_bytes().to_vec()));
    texts.extend(NOT_UTF8.iter().map(|text| text.to_vec()));
    texts.push(
        ["a{", &(0..151).map(|i| format!("x{i}=\"y\",")).collect::<Vec<_>>().concat(), "} 1\n"].concat().into_bytes(),
    );
    let used = check(&bodies(&texts));
    for rule in RULES.iter().filter(|rule| !rule.why.starts_with("protobuf")) {
        assert!(used.contains_key(rule.why), "no body needs the rule: {}", rule.why);
    }
}

/// The seed is fixed: two runs try the same bodies. `EXPOSITION_SEED` and `EXPOSITION_MUTATIONS` try others, and more.
#[test]
#[ignore = "needs the parser of Prometheus, which `bash tests/run` builds"]
fn answers_as_prometheus_does_to_mutated_bodies() {
    let mut random = fastrand::Rng::with_seed(number("EXPOSITION_SEED", 1));
    let mut texts = texts_of_other_parsers();
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
