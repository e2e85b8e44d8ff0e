//! Parses the body of one delivery into records.
//!
//! AWS adds types and fields, and not every environment sends every field. So every field may be missing, null or of
//! another type. Then the record is read without it.

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A record, with the fields that become metrics. Times are in seconds, sizes in bytes.
#[derive(Clone, PartialEq, Debug)]
pub enum Record<'a> {
    /// `platform.initStart`. `type` is that of the environment, such as `on-demand`.
    InitStart { kind: Option<Cow<'a, str>>, phase: Option<Cow<'a, str>> },
    /// `platform.initReport`.
    InitReport { phase: Option<Cow<'a, str>>, duration: Option<f64> },
    /// `platform.restoreStart`: an environment of `SnapStart`.
    RestoreStart,
    /// `platform.restoreReport`.
    RestoreReport { duration: Option<f64> },
    /// `platform.runtimeDone`: the function has answered.
    RuntimeDone { request_id: Option<Cow<'a, str>>, status: Status, produced_bytes: Option<f64>, spans: Vec<Span> },
    /// `platform.report`: the invocation has ended, also for the extensions.
    Report {
        request_id: Option<Cow<'a, str>>,
        status: Status,
        duration: Option<f64>,
        billed_duration: Option<f64>,
        memory_size: Option<f64>,
        max_memory_used: Option<f64>,
        spans: Vec<Span>,
    },
    /// `platform.logsDropped`: Lambda dropped these, because the listener was too slow.
    LogsDropped { records: u64, bytes: u64 },
    /// `function`: a line of the function's log. The level is known if the log is JSON.
    Log { level: Option<Cow<'a, str>> },
    /// A record of which only the type matters.
    Other,
}

/// How an invocation ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    Success,
    Error,
    Failure,
    Timeout,
    /// A status that this version does not know, or none.
    Unknown,
}

/// A part of an invocation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Span {
    pub kind: SpanKind,
    /// Seconds.
    pub duration: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanKind {
    ResponseLatency,
    ResponseDuration,
    RuntimeOverhead,
}

/// The body is not a JSON array. The records before the error were already passed on.
#[derive(Debug)]
pub struct InvalidBatch(serde_json::Error);

/// AWS measures memory in units of 2^20 bytes and calls them MB.
const BYTES_OF_MB: f64 = 1_048_576.0;

/// Calls `each` for every record of a delivery, in order, with its type. An element that is no record has the type "".
pub fn read_records<'a>(body: &'a [u8], each: &mut dyn FnMut(&str, Record<'a>)) -> Result<(), InvalidBatch> {
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_seq(Records(each)).map_err(InvalidBatch)?;
    json.end().map_err(InvalidBatch)
}

struct Records<'f, 'a>(&'f mut dyn FnMut(&str, Record<'a>));

impl<'a> Visitor<'a> for Records<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            match serde_json::from_str::<Envelope<'a>>(element.get()) {
                Ok(Envelope { kind, record }) => {
                    (self.0)(&kind.0, content(&kind.0, record.map_or("null", RawValue::get)));
                }
                Err(_) => (self.0)("", Record::Other),
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Word<'a>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
}

/// All fields that are read, of all types of records.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Content<'a> {
    #[serde(borrow)]
    initialization_type: Lenient<Word<'a>>,
    #[serde(borrow)]
    phase: Lenient<Word<'a>>,
    #[serde(borrow)]
    request_id: Lenient<Word<'a>>,
    #[serde(borrow)]
    status: Lenient<Word<'a>>,
    metrics: Lenient<Metrics>,
    #[serde(borrow)]
    spans: Lenient<Vec<Lenient<SpanContent<'a>>>>,
    dropped_records: Lenient<f64>,
    dropped_bytes: Lenient<f64>,
    #[serde(borrow)]
    level: Lenient<Word<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metrics {
    #[serde(rename = "durationMs")]
    duration: Lenient<f64>,
    #[serde(rename = "billedDurationMs")]
    billed_duration: Lenient<f64>,
    #[serde(rename = "memorySizeMB")]
    memory_size: Lenient<f64>,
    #[serde(rename = "maxMemoryUsedMB")]
    max_memory_used: Lenient<f64>,
    #[serde(rename = "producedBytes")]
    produced_bytes: Lenient<f64>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct SpanContent<'a> {
    #[serde(borrow)]
    name: Lenient<Word<'a>>,
    duration_ms: Lenient<f64>,
}

fn content<'a>(kind: &str, json: &'a str) -> Record<'a> {
    if kind == "function" {
        // A log of text is a string.
        let Content { level, .. } = serde_json::from_str(json).unwrap_or_default();
        return Record::Log { level: level.text() };
    }
    let Content {
        initialization_type, phase, request_id, status, metrics, spans, dropped_records, dropped_bytes, ..
    } = serde_json::from_str(json).unwrap_or_default();
    let metrics = metrics.0.unwrap_or_default();
    let duration = seconds(&metrics.duration);
    match kind {
        "platform.initStart" => Record::InitStart { kind: initialization_type.text(), phase: phase.text() },
        "platform.initReport" => Record::InitReport { phase: phase.text(), duration },
        "platform.restoreStart" => Record::RestoreStart,
        "platform.restoreReport" => Record::RestoreReport { duration },
        "platform.runtimeDone" => Record::RuntimeDone {
            request_id: request_id.text(),
            status: Status::of(&status),
            produced_bytes: number(&metrics.produced_bytes),
            spans: known_spans(spans),
        },
        "platform.report" => Record::Report {
            request_id: request_id.text(),
            status: Status::of(&status),
            duration,
            billed_duration: seconds(&metrics.billed_duration),
            memory_size: number(&metrics.memory_size).map(|mb| mb * BYTES_OF_MB),
            max_memory_used: number(&metrics.max_memory_used).map(|mb| mb * BYTES_OF_MB),
            spans: known_spans(spans),
        },
        "platform.logsDropped" => {
            Record::LogsDropped { records: whole(&dropped_records), bytes: whole(&dropped_bytes) }
        }
        _ => Record::Other,
    }
}

fn known_spans(spans: Lenient<Vec<Lenient<SpanContent<'_>>>>) -> Vec<Span> {
    let known = |span: SpanContent<'_>| {
        let kind = match span.name.0?.0.as_ref() {
            "responseLatency" => SpanKind::ResponseLatency,
            "responseDuration" => SpanKind::ResponseDuration,
            "runtimeOverhead" => SpanKind::RuntimeOverhead,
            _ => return None,
        };
        Some(Span { kind, duration: seconds(&span.duration_ms)? })
    };
    spans.0.unwrap_or_default().into_iter().filter_map(|span| known(span.0?)).collect()
}

/// Returns a number that can be observed.
fn number(field: &Lenient<f64>) -> Option<f64> {
    field.0.filter(|number| number.is_finite() && *number >= 0.0)
}

fn seconds(milliseconds: &Lenient<f64>) -> Option<f64> {
    number(milliseconds).map(|milliseconds| milliseconds / 1_000.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count; the cast saturates")]
fn whole(field: &Lenient<f64>) -> u64 {
    number(field).unwrap_or_default() as u64
}

impl Status {
    fn of(status: &Lenient<Word<'_>>) -> Self {
        match status.0.as_ref().map(|status| status.0.as_ref()) {
            Some("success") => Self::Success,
            Some("error") => Self::Error,
            Some("failure") => Self::Failure,
            Some("timeout") => Self::Timeout,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Unknown => "unknown",
        }
    }
}

/// A text that borrows if it has no escapes.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct Word<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Lenient<Word<'a>> {
    fn text(self) -> Option<Cow<'a, str>> {
        self.0.map(|word| word.0).filter(|word| !word.is_empty())
    }
}

/// A field of the expected kind, or nothing.
struct Lenient<T>(Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'de RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(json.get()).ok()))
    }
}

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a JSON array of records: {}", self.0)
    }
}

impl std::error::Error for InvalidBatch {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
