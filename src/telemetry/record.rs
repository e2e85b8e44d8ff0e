//! Parses the body of one delivery into records.
//!
//! AWS adds types and fields, and not every environment sends every field. So every field may be missing, null or of
//! another type. Then the record is read without it. If a field cannot be parsed at all, such as `1e999`, only the record's
//! type is read.

use super::lenient::{Lenient, OfJson, object};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
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
///
/// Nearly all deliveries can be read in one pass. Only one with an element that cannot be read is read again, from that element on.
pub fn read_records<'a>(body: &'a [u8], each: &mut dyn FnMut(&str, Record<'a>)) -> Result<(), InvalidBatch> {
    let mut read = 0;
    // The parser need not check each text if all is UTF-8.
    if let Ok(text) = std::str::from_utf8(body) {
        let mut json = serde_json::Deserializer::from_str(text);
        if json.deserialize_seq(Records { read: &mut read, each: &mut *each }).and_then(|()| json.end()).is_ok() {
            return Ok(());
        }
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    json.deserialize_seq(Elements { skip: read, each }).map_err(InvalidBatch)?;
    json.end().map_err(InvalidBatch)
}

/// Reads records up to one that cannot be read. Counts those in front of it.
struct Records<'f, 'a> {
    read: &'f mut usize,
    each: &'f mut dyn FnMut(&str, Record<'a>),
}

impl<'a> Visitor<'a> for Records<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(Envelope { kind, record }) = elements.next_element()? {
            (self.each)(&kind, record.0.unwrap_or_default().into_record(&kind));
            *self.read += 1;
        }
        Ok(())
    }
}

/// Reads the elements after the first `skip`. Each is delimited first, so one that cannot be read does not end the others.
struct Elements<'f, 'a> {
    skip: usize,
    each: &'f mut dyn FnMut(&str, Record<'a>),
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        for _ in 0..self.skip {
            elements.next_element::<IgnoredAny>()?;
        }
        while let Some(element) = elements.next_element::<&'a RawValue>()? {
            let json = element.get();
            if let Ok(Envelope { kind, record }) = serde_json::from_str(json) {
                (self.each)(&kind, record.0.unwrap_or_default().into_record(&kind));
            } else if let Ok(TypeAlone { kind, .. }) = serde_json::from_str(json) {
                (self.each)(&kind, Content::default().into_record(&kind));
            } else {
                (self.each)("", Record::Other);
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    /// The record of a log of text is a string.
    #[serde(borrow, default)]
    record: Lenient<Content<'a>>,
}

#[derive(Deserialize)]
struct TypeAlone<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default, rename = "record")]
    _record: IgnoredAny,
}

/// All fields that are read, of all types of records.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Content<'a> {
    #[serde(borrow)]
    initialization_type: Lenient<Cow<'a, str>>,
    #[serde(borrow)]
    phase: Lenient<Cow<'a, str>>,
    #[serde(borrow)]
    request_id: Lenient<Cow<'a, str>>,
    #[serde(borrow)]
    status: Lenient<Cow<'a, str>>,
    metrics: Lenient<Metrics>,
    #[serde(borrow)]
    spans: Lenient<Vec<SpanContent<'a>>>,
    dropped_records: Lenient<f64>,
    dropped_bytes: Lenient<f64>,
    #[serde(borrow)]
    level: Lenient<Cow<'a, str>>,
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
    name: Lenient<Cow<'a, str>>,
    duration_ms: Lenient<f64>,
}

impl<'de: 'a, 'a> OfJson<'de> for Content<'a> {
    fn of_object<A: MapAccess<'de>>(entries: A) -> Result<Option<Self>, A::Error> {
        object(entries)
    }
}

impl<'de> OfJson<'de> for Metrics {
    fn of_object<A: MapAccess<'de>>(entries: A) -> Result<Option<Self>, A::Error> {
        object(entries)
    }
}

impl<'de: 'a, 'a> OfJson<'de> for SpanContent<'a> {
    fn of_object<A: MapAccess<'de>>(entries: A) -> Result<Option<Self>, A::Error> {
        object(entries)
    }
}

impl<'a> Content<'a> {
    fn into_record(self, kind: &str) -> Record<'a> {
        let Self { initialization_type, phase, request_id, status, metrics, spans, .. } = self;
        let metrics = metrics.0.unwrap_or_default();
        let duration = seconds(&metrics.duration);
        match kind {
            "function" => Record::Log { level: text(self.level) },
            "platform.initStart" => Record::InitStart { kind: text(initialization_type), phase: text(phase) },
            "platform.initReport" => Record::InitReport { phase: text(phase), duration },
            "platform.restoreStart" => Record::RestoreStart,
            "platform.restoreReport" => Record::RestoreReport { duration },
            "platform.runtimeDone" => Record::RuntimeDone {
                request_id: text(request_id),
                status: Status::of(&status),
                produced_bytes: number(&metrics.produced_bytes),
                spans: known_spans(spans),
            },
            "platform.report" => Record::Report {
                request_id: text(request_id),
                status: Status::of(&status),
                duration,
                billed_duration: seconds(&metrics.billed_duration),
                memory_size: number(&metrics.memory_size).map(|mb| mb * BYTES_OF_MB),
                max_memory_used: number(&metrics.max_memory_used).map(|mb| mb * BYTES_OF_MB),
                spans: known_spans(spans),
            },
            "platform.logsDropped" => {
                Record::LogsDropped { records: whole(&self.dropped_records), bytes: whole(&self.dropped_bytes) }
            }
            _ => Record::Other,
        }
    }
}

fn text(field: Lenient<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    field.0.filter(|text| !text.is_empty())
}

fn known_spans(spans: Lenient<Vec<SpanContent<'_>>>) -> Vec<Span> {
    let known = |span: SpanContent<'_>| {
        let kind = match span.name.0?.as_ref() {
            "responseLatency" => SpanKind::ResponseLatency,
            "responseDuration" => SpanKind::ResponseDuration,
            "runtimeOverhead" => SpanKind::RuntimeOverhead,
            _ => return None,
        };
        Some(Span { kind, duration: seconds(&span.duration_ms)? })
    };
    spans.0.unwrap_or_default().into_iter().filter_map(known).collect()
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
    fn of(status: &Lenient<Cow<'_, str>>) -> Self {
        match status.0.as_deref() {
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
