//! The parsers, and their answers in the same form.

use amp_push_gateway::exposition::{
    Exposition, ParseError, SampleValue, parse_openmetrics, parse_protobuf, parse_text,
};
use amp_push_gateway::model::{Counts, NativeHistogram, Span};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
    Protobuf,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Body {
    pub(crate) format: Format,
    pub(crate) bytes: Vec<u8>,
}

/// The answer of a parser: the series in their order, each with its sorted labels, bits and time.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answer {
    Taken { series: BTreeSet<Series>, metadata: BTreeMap<(String, String), String> },
    Error(String),
}

pub(crate) type Series = (BTreeMap<String, String>, String, Option<i64>);

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
        let text = String::from_utf8_lossy(&self.bytes);
        write!(f, "{:?} {text:?}", self.format)?;
        if self.format == Format::Protobuf { write!(f, " {}", STANDARD.encode(&self.bytes)) } else { Ok(()) }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/.env/oracles")
}

pub(crate) fn decoded(base64: &str) -> String {
    String::from_utf8_lossy(&STANDARD.decode(base64).expect("base64")).into_owned()
}

/// Returns the answers of Prometheus.
pub(crate) fn theirs(bodies: &[Body]) -> Vec<Answer> {
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
        Format::Protobuf => {
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
        }
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

pub(crate) fn parsed(body: &Body) -> Result<Exposition<'_>, ParseError> {
    match body.format {
        Format::Text => parse_text(&body.bytes),
        Format::OpenMetrics => parse_openmetrics(&body.bytes),
        Format::Protobuf => parse_protobuf(&body.bytes),
    }
}

pub(crate) fn our_answer(exposition: &Exposition<'_>) -> Answer {
    let (mut all, mut metadata) = (BTreeSet::new(), BTreeMap::new());
    for family in exposition.families() {
        let mut add = |kind: &str, text: &str| {
            metadata.insert((kind.to_owned(), family.name().to_owned()), text.to_owned());
        };
        add("type", family.metric_type().as_str());
        family.help().into_iter().for_each(|help| add("help", help));
        family.unit().into_iter().for_each(|unit| add("unit", unit));
        for series in family.series() {
            let value = match series.value() {
                SampleValue::Float(value) => bits(value),
                SampleValue::Histogram(histogram) => native(histogram),
            };
            let labels = series.labels().filter(|(_, value)| !value.is_empty()).chain([("__name__", series.name())]);
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            all.insert((labels, value, series.timestamp().map(|timestamp| timestamp.0)));
        }
    }
    Answer::Taken { series: all, metadata }
}

fn bits(value: f64) -> String {
    format!("{:016x}", if value.is_nan() { 0x7ff8_0000_0000_0001 } else { value.to_bits() })
}

/// Returns all that a histogram holds, as the oracle writes it.
fn native(histogram: &NativeHistogram) -> String {
    let NativeHistogram { sum, schema, zero_threshold, counts, negative_spans, positive_spans, reset_hint, .. } =
        histogram;
    let facts = |kind: &str| {
        let hint = *reset_hint as u8;
        format!("{kind} schema={schema} threshold={} hint={hint} sum={}", bits(*zero_threshold), bits(*sum))
    };
    let shown = |counts: &[f64]| -> Vec<String> {
        counts.iter().map(|count| if *count == 0.0 { "0".to_owned() } else { bits(*count) }).collect()
    };
    match counts {
        Counts::Integer { count, zero, negative_deltas, positive_deltas } => format!(
            "{} count={count} zero={zero} negative={} positive={}",
            facts("integers"),
            buckets(negative_spans, absolute(negative_deltas)),
            buckets(positive_spans, absolute(positive_deltas))
        ),
        Counts::Float { count, zero, negative, positive } => format!(
            "{} count={} zero={} negative={} positive={}",
            facts("floats"),
            bits(*count),
            bits(*zero),
            buckets(negative_spans, shown(negative)),
            buckets(positive_spans, shown(positive))
        ),
    }
}

fn absolute(deltas: &[i64]) -> Vec<String> {
    let mut count = 0_i64;
    let mut add = |delta: &i64| {
        count = count.wrapping_add(*delta);
        count.to_string()
    };
    deltas.iter().map(&mut add).collect()
}

fn buckets(spans: &[Span], counts: Vec<String>) -> String {
    let (mut index, mut counts, mut all) = (0_i64, counts.into_iter(), String::new());
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if count != "0" {
                all.extend([&index.to_string(), ":", &count, ","]);
            }
            index += 1;
        }
    }
    all
}

/// Returns the values of a file that `bash tests/run` collects, one a line.
pub(crate) fn collected<T: serde::de::DeserializeOwned>(name: &str) -> Vec<T> {
    let lines = std::fs::read_to_string(folder().join(name)).expect("a file that `bash tests/run` collects");
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns bodies that are collected as base64.
pub(crate) fn collected_bytes(name: &str) -> Vec<Vec<u8>> {
    collected::<String>(name).iter().map(|text| STANDARD.decode(text).unwrap()).collect()
}
