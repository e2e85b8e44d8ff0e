//! The text of a message to the events in it: what shape is it, and what is wrapped in it.

use super::fields::Fields;
use super::path::kind;
use super::records::Record;
use super::{Event, EventTimes, ParsedEvent, Rules, entries};
use crate::model::{Reason, Rejection};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How deep wrappers (SNS, EventBridge, records, base64) may nest.
pub const MAX_WRAPPERS: u8 = 4;

const EXPECTED: &str = "expected an event {\"metrics\": {…}}, an array of events, or Records of SQS or SNS";

/// Standard alphabet, padding or not: the IoT rule's SQS action pads, other senders may not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a message is one event or several; it decides how a direct caller hears of a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One event, or what could not be read at all.
    Single,
    /// An array, of any length, or more than one record.
    Many,
}

/// Reads the events of a message and hands each to `sink`, good or refused, in order.
///
/// A message that cannot be told apart into events (it is not JSON, or of another shape) is one refused event.
/// Events borrow from `text` and `rules`, except those that had to be unwrapped from an escaped string.
pub fn read_message<'a>(
    text: &'a str,
    clock: &EventTimes,
    rules: &'a Rules,
    sink: &mut dyn FnMut(ParsedEvent<'a>),
) -> Shape {
    Reader { clock: *clock, rules, next: &Cell::new(0), is_one_of_many: false }.message(text, 0, sink)
}

#[derive(Clone, Copy)]
struct Reader<'r, 'a> {
    clock: EventTimes,
    rules: &'a Rules,
    /// The number of the next event in the message.
    next: &'r Cell<usize>,
    /// Whether details are to name the event's number.
    is_one_of_many: bool,
}

type Sink<'s, 'a> = &'s mut dyn FnMut(ParsedEvent<'a>);

impl<'a> Reader<'_, 'a> {
    fn message(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        if wrappers > MAX_WRAPPERS {
            let detail = format!("the wrappers nest more than {MAX_WRAPPERS} deep; {EXPECTED}");
            return self.refuse(text, Rejection::new(Reason::InvalidEvent, detail), sink);
        }
        let trimmed = text.trim_ascii_start();
        match trimmed.as_bytes().first() {
            Some(b'{') => self.object(text, wrappers, sink),
            Some(b'[') => self.array(text, sink),
            _ => self.neither(text, wrappers, sink),
        }
    }

    fn object(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let fields = match checked(text).and_then(|()| fields(text)) {
            Ok(fields) => fields,
            Err(refusal) => return self.refuse(text, refusal, sink),
        };
        if !fields.others.is_empty() && !fields.has_event_keys() {
            if let Some(inner) = wrapped(&fields) {
                return self.unwrap(inner, wrappers, sink);
            }
            if let Some(records) = fields.other("Records") {
                return self.records(text, records, wrappers, sink);
            }
        }
        self.found(text, self.event(fields), sink);
        Shape::Single
    }

    fn unwrap(&self, inner: Cow<'a, str>, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        match inner {
            Cow::Borrowed(inner) => self.message(inner, wrappers + 1, sink),
            Cow::Owned(inner) => self.message(&inner, wrappers + 1, &mut |found| sink(found.into_owned())),
        }
    }

    fn array(&self, text: &'a str, sink: Sink<'_, 'a>) -> Shape {
        // Looked through before its first event goes on: should it not be JSON, nothing of it does.
        if let Err(refusal) = checked(text).and_then(|()| from_str::<IgnoredAny>(text)) {
            return self.refuse(text, refusal, sink);
        }
        let reader = Reader { is_one_of_many: true, ..*self };
        let walked = entries::for_each_element(text, |element| reader.found(element, reader.element(element), sink));
        debug_assert!(walked.is_ok(), "it was looked through");
        Shape::Many
    }

    fn element(&self, text: &'a str) -> Result<Event<'a>, Rejection> {
        if !text.starts_with('{') {
            let detail = format!("the event is {}, expected an object {{\"metrics\": {{…}}}}", kind(text));
            return Err(Rejection::new(Reason::InvalidEvent, detail));
        }
        self.event(fields(text)?)
    }

    fn found(&self, text: &'a str, event: Result<Event<'a>, Rejection>, sink: Sink<'_, 'a>) {
        let index = self.next.replace(self.next.get() + 1);
        let at_index = |rejection: Rejection| if self.is_one_of_many { rejection.at_index(index) } else { rejection };
        sink(ParsedEvent { text: Cow::Borrowed(text), sent: self.clock.sent, event: event.map_err(at_index) });
    }

    fn refuse(&self, text: &'a str, refusal: Rejection, sink: Sink<'_, 'a>) -> Shape {
        self.found(text, Err(refusal), sink);
        Shape::Single
    }

    fn event(&self, fields: Fields<'a>) -> Result<Event<'a>, Rejection> {
        without_panic(|| fields.into_event(&self.clock, self.rules))
    }

    fn records(&self, text: &'a str, records: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let records: Vec<Record<'a>> = match serde_json::from_str(records) {
            Ok(records) => records,
            Err(error) => {
                return self.refuse(text, Rejection::new(Reason::InvalidEvent, unknown_records(&error)), sink);
            }
        };
        if let Some(refusal) = foreign_records(&records) {
            return self.refuse(text, refusal, sink);
        }
        let mut shape = if records.len() == 1 { Shape::Single } else { Shape::Many };
        for record in records {
            let clock = EventTimes { sent: record.sent().or(self.clock.sent), ..self.clock };
            let inner = match (record.sns, record.body) {
                (Some(sns), _) => sns.message,
                (None, Some(body)) => match into_text(body.0) {
                    Ok(inner) => inner,
                    Err(refusal) => {
                        self.refuse(text, refusal, sink);
                        continue;
                    }
                },
                (None, None) => Cow::Borrowed(""),
            };
            let reader = Reader { clock, is_one_of_many: self.is_one_of_many || shape == Shape::Many, ..*self };
            if reader.unwrap(inner, wrappers, sink) == Shape::Many {
                shape = Shape::Many;
            }
        }
        shape
    }

    fn neither(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let Err(error) = serde_json::from_str::<IgnoredAny>(text) else {
            let detail = format!("the message is {}; {EXPECTED}", kind(text.trim_ascii_start()));
            return self.refuse(text, Rejection::new(Reason::InvalidEvent, detail), sink);
        };
        let decoded = BASE64.decode(text.trim_ascii()).ok().filter(|bytes| !bytes.is_empty());
        match decoded.map(String::from_utf8) {
            Some(Ok(inner)) => self.unwrap(Cow::Owned(inner), wrappers, sink),
            Some(Err(_)) => {
                let detail = format!("the message is neither JSON ({error}) nor base64 of UTF-8 text");
                self.refuse(text, Rejection::new(Reason::InvalidJson, detail), sink)
            }
            None => self.refuse(text, invalid_json(&error), sink),
        }
    }
}

/// What an SNS notification (to SQS without raw delivery, or HTTP) or an EventBridge event has wrapped up. Their own
/// times are not used: they say when the wrapper was made.
fn wrapped<'a>(fields: &Fields<'a>) -> Option<Cow<'a, str>> {
    if fields.other("Type").is_some() || fields.other("TopicArn").is_some() {
        return fields.other("Message").and_then(entries::unquote);
    }
    if fields.other("detail-type").is_some() || fields.other("source").is_some() {
        return fields.other("detail").map(Cow::Borrowed);
    }
    None
}

/// The refusal of records that are of another service than SQS and SNS.
pub(crate) fn foreign_records(records: &[Record<'_>]) -> Option<Rejection> {
    let foreign = records.iter().find(|record| match record.event_source.as_ref() {
        "aws:sqs" => record.body.is_none(),
        "aws:sns" => record.sns.is_none(),
        _ => true,
    })?;
    let detail = match foreign.event_source.as_ref() {
        "" => format!("Records: without eventSource; {EXPECTED}"),
        source @ ("aws:sqs" | "aws:sns") => format!("Records: of {source}, but without a message; {EXPECTED}"),
        source => format!("Records: of {} cannot be taken; {EXPECTED}", super::path::excerpt(source)),
    };
    Some(Rejection::new(Reason::InvalidEvent, detail))
}

/// The words for records that cannot be read. Not `serde_json`'s own: they quote what they found, whole.
fn unknown_records(error: &serde_json::Error) -> String {
    format!("Records: not records of SQS or SNS (line {}, column {}); {EXPECTED}", error.line(), error.column())
}

/// The refusal of text that is not JSON.
fn invalid_json(error: &serde_json::Error) -> Rejection {
    Rejection::new(Reason::InvalidJson, format!("the message is not JSON: {error}"))
}

/// Bytes of a body to text.
///
/// # Errors
/// `invalid_json` where they are not UTF-8.
pub(crate) fn into_text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Rejection> {
    let refused = |error: &dyn std::fmt::Display| {
        Rejection::new(Reason::InvalidJson, format!("the message is not JSON: {error}"))
    };
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| refused(&error)),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| refused(&error.utf8_error())),
    }
}

fn fields(text: &str) -> Result<Fields<'_>, Rejection> {
    without_panic(|| Fields::read(text).map_err(|error| invalid_json(&error)))
}

/// A panic here would be a defect of ours, and the same event would meet it at every delivery: it is put aside and the rest of
/// its batch goes on.
fn without_panic<T>(read: impl FnOnce() -> Result<T, Rejection>) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Rejection::new(Reason::InvalidEvent, "the event met a defect of the gateway; its log has the place"))
    })
}

fn from_str<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, Rejection> {
    serde_json::from_str(text).map_err(|error| invalid_json(&error))
}

/// Refuses escapes of half a surrogate pair, wherever they stand: `serde_json` looks at those only in strings that it
/// unescapes, and one that passes would be half a character in a dead letter.
fn checked(text: &str) -> Result<(), Rejection> {
    if !text.contains("\\u") {
        return Ok(());
    }
    match lone_surrogate(text.as_bytes()) {
        None => Ok(()),
        Some(place) => {
            let detail = format!("the message is not JSON: lone surrogate escape at byte {place}");
            Err(Rejection::new(Reason::InvalidJson, detail))
        }
    }
}

fn lone_surrogate(text: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i < text.len() {
        if text[i] != b'\\' {
            i += 1;
            continue;
        }
        match escape(text, i) {
            Some(0xD800..=0xDBFF) if matches!(escape(text, i + 6), Some(0xDC00..=0xDFFF)) => i += 12,
            Some(0xD800..=0xDFFF) => return Some(i),
            Some(_) => i += 6,
            None => i += 2,
        }
    }
    None
}

/// The code unit of the `\uXXXX` that stands at `at`.
fn escape(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
