//! Compares the translation of OTLP with Prometheus' own, which tests/contract/oracles/otlp runs.
//!
//! Random requests have the names, units and values that make a difference. Others are mutations of such ones. The rest are the inputs of
//! the fuzz targets: their seeds, their findings, and the corpus that their last run left in this folder. The rules say how the gateway
//! may differ, and why.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests; clippy knows only the tests themselves"
)]

use amp_push_gateway::limits::MAX_TARGET_INFO_SAMPLES;
use amp_push_gateway::model::{
    Counts, Label, LabelName, LabelSet, MetricName, NativeHistogram, Rejection, Span, Timestamp, Value,
};
use amp_push_gateway::otlp::{
    Family, Increment, Item, Promoted, ReadError, Rules, Sink, Texts, Translator, read_json, read_protobuf,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use generator::Generator;
use messages::Request;
use prost::Message as _;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[path = "otlp/corpus.rs"]
mod corpus;
#[path = "otlp/generator.rs"]
#[allow(unreachable_pub, reason = "the tests of src/otlp use it, too")]
mod generator;
#[path = "otlp/json.rs"]
#[allow(unreachable_pub, reason = "the tests of src/otlp use it, too")]
mod json;
#[path = "otlp/messages.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of src/otlp use it, too")]
mod messages;

const STALE: &str = "7ff0000000000002";

/// A request and the settings of its translation.
struct Case {
    bytes: Vec<u8>,
    is_json: bool,
    promote: Vec<String>,
    scope: bool,
}

/// A sample with its sorted labels, its time, and its value as text.
type Sample = (BTreeMap<String, String>, i64, String);

/// Family, type, unit and help.
type Metadata = [String; 4];

#[derive(Default, Debug)]
struct Translated {
    samples: BTreeSet<Sample>,
    metadata: BTreeSet<Metadata>,
    /// The sentences of all rejections.
    rejections: Vec<String>,
    labels: LabelSet<'static>,
}

#[derive(Deserialize)]
struct Answer {
    samples: Vec<AnswerSample>,
    #[serde(default)]
    unreadable: String,
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct AnswerSample {
    labels: BTreeMap<String, String>,
    timestamp: i64,
    #[serde(default)]
    bits: String,
    #[serde(default)]
    histogram: String,
    family: String,
    r#type: String,
    unit: String,
    help: String,
}

impl<'a> Sink<'a> for Translated {
    fn begin(&mut self, _: Item) -> bool {
        true
    }

    fn family(&mut self, Family { name, metric_type, help, unit }: &Family<'a>) {
        self.metadata.insert([name.as_str().to_owned(), metric_type.to_string(), unit.clone(), help.to_string()]);
    }

    fn labels(&mut self, labels: LabelSet<'a>) {
        self.labels = labels.into_owned();
    }

    fn number(&mut self, name: &MetricName<'a>, bound: Option<&str>, time: Timestamp, value: Value) {
        self.add(name, &self.labels_with(bound), time, format!("{:016x}", value.wire_bits()));
    }

    fn histogram(&mut self, name: &MetricName<'a>, time: Timestamp, value: NativeHistogram) {
        self.add(name, &self.labels_with(None), time, shown(&value));
    }

    fn increment(&mut self, increment: Increment<'_, 'a>) -> Result<(), Rejection> {
        panic!("no deltas are taken: {increment:?}");
    }

    fn reject(&mut self, rejection: Rejection) {
        self.rejections.push(rejection.to_string());
    }
}

impl Translated {
    /// Returns the labels of a sample.
    fn labels_with(&self, bound: Option<&str>) -> LabelSet<'static> {
        match bound {
            Some(bound) => self.labels.with(Label { name: LabelName::BOUND, value: bound.to_owned().into() }),
            None => self.labels.clone(),
        }
    }

    fn add(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>, time: Timestamp, value: String) {
        let labels = labels.as_slice().iter().map(|label| (label.name.as_str().to_owned(), label.value.to_string()));
        let labels = labels.chain([("__name__".to_owned(), name.as_str().to_owned())]).collect();
        self.samples.insert((labels, time.0, value));
    }
}

/// Returns a histogram as Go prints it; the marker of an ended series is its sum alone.
fn shown(histogram: &NativeHistogram) -> String {
    let NativeHistogram { sum, schema, zero_threshold, counts, negative_spans, positive_spans, reset_hint, .. } =
        histogram;
    let sum = format!("{:016x}", sum.to_bits());
    if sum == STALE {
        return STALE.to_owned();
    }
    let Counts::Integer { count, zero, negative_deltas, positive_deltas } = counts else { panic!("floats") };
    let list = |items: Vec<String>| format!("[{}]", items.join(" "));
    let spans =
        |spans: &[Span]| list(spans.iter().map(|span| format!("{{{} {}}}", span.offset, span.length)).collect());
    let deltas = |deltas: &[i64]| list(deltas.iter().map(i64::to_string).collect());
    format!(
        "schema {schema} zero {:016x}:{zero} count {count} sum {sum} hint {} + {} {} - {} {}",
        zero_threshold.to_bits(),
        *reset_hint as u8,
        spans(positive_spans),
        deltas(positive_deltas),
        spans(negative_spans),
        deltas(negative_deltas),
    )
}

fn ours(case: &Case) -> Result<Translated, ReadError> {
    let promoted: Vec<_> = case.promote.iter().filter_map(|key| Promoted::new(key)).collect();
    // Prometheus takes the time 0 for 1970.
    let rules = Rules {
        promoted: &promoted,
        scope_labels: case.scope,
        external: &LabelSet::default(),
        now: Timestamp(0),
        deltas: None,
    };
    let texts = Texts::default();
    let mut translator = Translator::new(rules, &texts, Translated::default());
    if case.is_json {
        read_json(&case.bytes, &mut translator)?;
    } else {
        read_protobuf(&case.bytes, &mut translator)?;
    }
    Ok(translator.into_sink())
}

/// Returns the answers of Prometheus.
fn theirs(cases: &[Case]) -> Vec<Answer> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/.env/oracles");
    let mut oracle = Command::new(folder.join("otlp"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the translator of Prometheus, which `bash tests/run` builds");
    let mut input = oracle.stdin.take().unwrap();
    let line = |Case { bytes, is_json, promote, scope }: &Case| {
        let bytes = STANDARD.encode(bytes);
        serde_json::json!({"is_json": is_json, "bytes": bytes, "promote": promote, "scope": scope}).to_string() + "\n"
    };
    let lines: String = cases.iter().map(line).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = oracle.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Answer> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());
    answers
}

/// Returns their samples with every NaN that is no marker in one form.
fn samples_of(answer: &Answer) -> BTreeSet<Sample> {
    let nan = |text: &str| {
        let bits = u64::from_str_radix(text, 16).unwrap();
        if f64::from_bits(bits).is_nan() && text != STALE { "7ff8000000000001".to_owned() } else { text.to_owned() }
    };
    let value = |sample: &AnswerSample| {
        if sample.histogram.is_empty() {
            return nan(&sample.bits);
        }
        let (before, rest) = sample.histogram.split_once(" sum ").unwrap();
        let (sum, behind) = rest.split_once(' ').unwrap();
        if sum == STALE { STALE.to_owned() } else { format!("{before} sum {} {behind}", nan(sum)) }
    };
    answer.samples.iter().map(|sample| (sample.labels.clone(), sample.timestamp, value(sample))).collect()
}

fn metadata_of(answer: &Answer) -> BTreeSet<Metadata> {
    let of = |sample: &AnswerSample| {
        let AnswerSample { family, r#type, unit, help, .. } = sample;
        [family.clone(), r#type.clone(), unit.clone(), help.clone()]
    };
    answer.samples.iter().map(of).collect()
}

// --- how the gateway may differ --------------------------------------------------------------------------------------

/// A sentence of a rejection, or of an error, that Prometheus does not have; and why.
const RULES: &[(&str, &str)] = &[
    ("a data point has no value", "Prometheus stores 0 for a value that is not there"),
    ("expected text in UTF-8", "protobuf demands it; Prometheus looks at no text"),
    ("nested more than", "the depth of values is bounded"),
    ("the offset of the buckets is too large", "Prometheus begins at the other end of 32 bits"),
    ("expected a field of wire type", "no message of OTLP has groups; Prometheus skips them"),
    ("expected a field number", "protobuf has no such number of a field; Prometheus skips it"),
    ("expected a varint of at most 64 bits", "Prometheus drops the bits of a number beyond 64"),
    ("expected a whole number", "the reader of the Collector lets a number of more than 64 bits overflow"),
    ("expected struct Buckets", "the gateway reads buckets in every kind of data point, Prometheus in one kind"),
    ("duplicate field", "JSON gives no meaning to a member that stands twice; Prometheus takes the last one"),
];

/// A part of an error of Prometheus that the gateway does not have; and why.
const THEIR_RULES: &[(&str, &str)] = &[
    ("wrong wireType", SKIPPED),
    ("illegal wireType", SKIPPED),
    ("illegal tag", SKIPPED),
    ("unexpected EOF", SKIPPED),
    ("integer overflow", SKIPPED),
    ("too many samples", NO_BOUND),
    ("illegal base64 data", "the gateway takes base64 with any padding"),
    ("ReadEnumValue: unknown string value", "the gateway rejects the points of an unknown temporality, and no others"),
    ("can not decode float as int", "in protobuf's JSON a whole number may have an exponent"),
    ("expect [ or , or ] or n", "an empty key ends an object for the reader of the Collector"),
    ("expect } or , or \"", "an empty key ends an object for the reader of the Collector"),
];

const SKIPPED: &str = "the gateway looks at no field that it skips, and of several values of one attribute at the last";
const NO_JSON: &str = "it is no JSON; the reader of the Collector overlooks some of the errors";
const NO_BOUND: &str = "Prometheus has no bound of target_info, of which it writes a sample for each 2.5 minutes";
const TOO_LATE: &str = "Prometheus takes a time of more than 63 bits for one before 1970";

/// The last millisecond whose nanoseconds have 63 bits.
const LAST_TIME: i64 = i64::MAX / 1_000_000;

/// Returns an error if the answers differ and no rule says why; else the rule that was needed.
fn compare(case: &Case, answer: &Answer) -> Result<Option<&'static str>, String> {
    let ours = match ours(case) {
        Ok(ours) => ours,
        Err(_) if !answer.unreadable.is_empty() => return Ok(None),
        Err(_) if case.is_json && serde_json::from_slice::<IgnoredAny>(&case.bytes).is_err() => {
            return Ok(Some(NO_JSON));
        }
        Err(error) => {
            let rule = RULES.iter().find(|(sentence, _)| error.to_string().contains(sentence));
            return rule.map(|(_, why)| Some(*why)).ok_or(format!("Prometheus reads it; we say {error}"));
        }
    };
    let is_theirs =
        |part: &str| [&answer.unreadable].into_iter().chain(&answer.errors).any(|error| error.contains(part));
    if let Some((_, why)) = THEIR_RULES.iter().find(|(part, _)| is_theirs(part)) {
        return Ok(Some(why));
    }
    if !answer.unreadable.is_empty() {
        return Err(format!("we read it; Prometheus says {}", answer.unreadable));
    }
    if ours.samples.iter().any(|(_, time, _)| *time > LAST_TIME) {
        return Ok(Some(TOO_LATE));
    }
    let theirs = samples_of(answer);
    let rule = ours.rejections.iter().find_map(|rejection| RULES.iter().find(|(part, _)| rejection.contains(part)));
    let (only_ours, only_theirs): (Vec<_>, Vec<_>) =
        (ours.samples.difference(&theirs).collect(), theirs.difference(&ours.samples).collect());
    let is_taken = match (ours.rejections.is_empty(), answer.errors.is_empty()) {
        (true, true) => only_ours.is_empty() && only_theirs.is_empty() && ours.metadata == metadata_of(answer),
        // They complain of a metric without data points, too.
        (true, false) => only_ours.is_empty() && only_theirs.is_empty(),
        // They leave out all of a metric from its first error on.
        (false, false) => only_theirs.is_empty(),
        (false, true) => rule.is_some(),
    };
    let of_target = |sample: &&Sample| sample.0.get("__name__").is_some_and(|name| name == "target_info");
    let is_bound = ours.samples.iter().filter(of_target).count() as u64 >= MAX_TARGET_INFO_SAMPLES;
    if is_bound && only_ours.is_empty() && only_theirs.iter().all(of_target) {
        return Ok(Some(NO_BOUND));
    }
    if is_taken || rule.is_some() {
        return Ok(rule.map(|(_, why)| *why));
    }
    let (rejections, errors) = (&ours.rejections, &answer.errors);
    let metadata = format!("{:?}\n  {:?}", ours.metadata, metadata_of(answer));
    Err(format!(
        "only ours: {only_ours:?}\n  only theirs: {only_theirs:?}\n  rejections: {rejections:?}\n  errors: {errors:?}\n  metadata: {metadata}"
    ))
}

/// Returns how many of the cases Prometheus stores something of.
fn check(cases: &[Case]) -> usize {
    let (mut used, mut errors, mut taken) = (BTreeMap::<_, usize>::new(), Vec::new(), 0);
    for (case, answer) in cases.iter().zip(&theirs(cases)) {
        taken += usize::from(!answer.samples.is_empty());
        match compare(case, answer) {
            Ok(None) => {}
            Ok(Some(why)) => *used.entry(why).or_default() += 1,
            Err(error) => {
                let request = match Request::decode(case.bytes.as_slice()) {
                    Ok(request) if !case.is_json => format!("{request:?}"),
                    _ => String::from_utf8_lossy(&case.bytes).into_owned(),
                };
                errors.push(format!("{request} promote {:?} scope {}\n  {error}", case.promote, case.scope));
            }
        }
    }
    println!("{} requests, of which Prometheus stores something of {taken}; rules: {used:#?}", cases.len());
    errors.sort_by_key(String::len);
    // The shortest request of each kind of difference.
    let sentence = |error: &str| {
        error.rsplit("\n  ").next().and_then(|last| last.split(", error found").next()).map(str::to_owned)
    };
    let kind = |error: &String| sentence(error).map(|sentence| sentence.replace(|c: char| c.is_ascii_digit(), ""));
    let mut kinds = BTreeSet::new();
    errors.retain(|error| kinds.insert(kind(error)));
    let shown = errors.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(errors.is_empty(), "{} kinds of differences:\n{shown}", errors.len());
    taken
}

// --- the requests ----------------------------------------------------------------------------------------------------

fn case(generator: &mut Generator) -> Case {
    let request = generator.request();
    let promote = generator.some(2, |own| own.text(&["os.type", "os_type", "a", "service.name"]));
    let promote = promote.into_iter().filter(|key| Promoted::new(key).is_some()).collect();
    let is_json = generator.is(30);
    let bytes = if is_json { json::of(&request, generator, false).into_bytes() } else { request.encode_to_vec() };
    Case { bytes, is_json, promote, scope: generator.is(50) }
}

/// The seed is fixed: two runs try the same requests. `OTLP_SEED` and `OTLP_REQUESTS` try others, and more.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "needs the translator of Prometheus, which `bash tests/run` builds"]
fn translates_requests_as_prometheus_does() {
    let mut generator = Generator::new(number("OTLP_SEED", 1));
    let cases: Vec<_> = (0..number("OTLP_REQUESTS", 20_000)).map(|_| case(&mut generator)).collect();
    assert!(check(&cases) > cases.len() / 10);
}

#[test]
#[ignore = "needs the translator of Prometheus, which `bash tests/run` builds"]
fn translates_mutated_requests_as_prometheus_does() {
    let mut generator = Generator::new(number("OTLP_SEED", 2));
    let mutated = |_| {
        let mut case = case(&mut generator);
        corpus::mutate(&mut case, &mut generator);
        case
    };
    let cases: Vec<_> = (0..number("OTLP_REQUESTS", 20_000)).map(mutated).collect();
    assert!(check(&cases) > cases.len() / 20);
}

#[test]
#[ignore = "needs the translator of Prometheus, which `bash tests/run` builds"]
fn translates_the_corpus_of_the_fuzz_targets_as_prometheus_does() {
    assert!(check(&corpus::of_fuzz_targets()) > 5);
}
