//! Parses the text of a message into its events.
//!
//! * An array is checked before the first event is passed on. If it is not JSON, none of its events is passed on.
//! * If an event causes a panic, only that event is rejected, and the others continue. Otherwise the panic would repeat at
//!   every delivery.

use super::fields::Fields;
use super::path::kind;
use super::text::{BYTE_ORDER_MARK, because, invalid_json, reject_lone_surrogates};
use super::texts::{self, Text, Texts};
use super::wrappers::{self, EXPECTED, Wrapped};
use super::{Event, EventTimes, ParsedEvent, Rules, bare_tokens, base64, entries, foreign, records, typed};
use crate::limits::MAX_WRAPPERS;
use crate::model::{Reason, Rejection};
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One event or several. This decides which answer a direct caller gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One event, or a message that is not readable.
    Single,
    /// An array of any length, several texts, or more than one record.
    Many,
}

/// Reads the events of a message and passes each to `sink`, valid or rejected, in order.
///
/// A message that is not JSON, or of no known shape, is one rejected event. Events borrow from `text` and `rules`, except
/// those that were unwrapped from a string with escapes.
pub fn read_message<'a>(
    text: &'a str,
    times: &EventTimes,
    rules: &'a Rules,
    sink: &mut dyn FnMut(ParsedEvent<'a>),
) -> Shape {
    let reader =
        Reader { times: *times, rules, next_index: &Cell::new(0), is_one_of_many: false, is_read_again: false };
    reader.message(text, 0, sink)
}

#[derive(Clone, Copy)]
struct Reader<'r, 'a> {
    times: EventTimes,
    rules: &'a Rules,
    /// The index of the next event in the message.
    next_index: &'r Cell<usize>,
    /// If true, details name the index of the event.
    is_one_of_many: bool,
    /// Bare tokens have quotes already.
    is_read_again: bool,
}

type Sink<'s, 'a> = &'s mut dyn FnMut(ParsedEvent<'a>);

impl<'a> Reader<'_, 'a> {
    /// `wrappers` is the number of wrappers around `text`.
    fn message(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        if wrappers > MAX_WRAPPERS {
            let detail = format!("the wrappers nest more than {MAX_WRAPPERS} deep; {EXPECTED}");
            return self.reject(text, Rejection::new(Reason::InvalidEvent, detail), sink);
        }
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'{') => self.object(text, wrappers, sink),
            Some(b'[') => self.array(text, wrappers, sink),
            _ => self.unusual(text, wrappers, sink),
        }
    }

    fn object(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let fields = match reject_lone_surrogates(text).and_then(|()| fields(text)) {
            Ok(fields) => fields,
            Err(rejection) => return self.read_again(text, rejection, wrappers, sink),
        };
        if !fields.others.is_empty() && !fields.has_event_keys() && !fields.is_typed() {
            match wrappers::unwrap(&fields, text) {
                Some(Ok(Wrapped::Message(inner))) => return self.unwrapped(inner, wrappers, sink),
                Some(Ok(Wrapped::Records(records))) => return self.records(records, wrappers, sink),
                Some(Err(rejection)) => return self.reject(text, rejection, sink),
                None => {}
            }
        }
        self.read_fields(text, fields, sink);
        Shape::Single
    }

    fn unwrapped(&self, inner: Cow<'a, str>, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        match inner {
            Cow::Borrowed(inner) => self.message(inner, wrappers + 1, sink),
            Cow::Owned(inner) => self.message(&inner, wrappers + 1, &mut |parsed| sink(parsed.into_owned())),
        }
    }

    fn records(&self, records: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let mut count = 0;
        records::for_each_message(records, |_| count += 1);
        let mut shape = if count == 1 { Shape::Single } else { Shape::Many };
        let reader = Reader { is_one_of_many: self.is_one_of_many || shape == Shape::Many, ..*self };
        records::for_each_message(records, |inner| {
            if reader.unwrapped(inner, wrappers, sink) == Shape::Many {
                shape = Shape::Many;
            }
        });
        shape
    }

    fn array(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let checked =
            reject_lone_surrogates(text).and_then(|()| serde_json::from_str::<IgnoredAny>(text).map_err(invalid_json));
        if let Err(rejection) = checked {
            return self.read_again(text, rejection, wrappers, sink);
        }
        if let Some(sentence) = foreign::array(text) {
            let detail = format!("the message is {sentence}");
            return self.reject(text, Rejection::new(Reason::InvalidEvent, detail), sink);
        }
        let reader = Reader { is_one_of_many: true, ..*self };
        let walked = entries::for_each_element(text, |element| reader.element(element, wrappers, sink));
        debug_assert!(walked.is_ok(), "checked above");
        Shape::Many
    }

    /// Reads one of several events.
    fn element(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) {
        if text.starts_with('{') {
            match fields(text) {
                Ok(fields) => self.read_fields(text, fields, sink),
                Err(rejection) => self.emit(text, Err(rejection), sink),
            }
        } else if let Some(inner) = quoted_message(text) {
            self.unwrapped(inner, wrappers, sink);
        } else {
            let detail = format!("the event is {}, expected an object {{\"metrics\": {{…}}}}", kind(text));
            self.emit(text, Err(Rejection::new(Reason::InvalidEvent, detail)), sink);
        }
    }

    /// Reads a message that begins neither with an object nor with an array.
    fn unusual(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        if let Some(rest) = text.trim_ascii_start().strip_prefix(BYTE_ORDER_MARK) {
            // Further marks are removed at once: each takes a level of the stack.
            return self.message(rest.trim_start_matches(BYTE_ORDER_MARK), wrappers, sink);
        }
        let Err(error) = serde_json::from_str::<IgnoredAny>(text) else {
            if let Some(inner) = quoted_message(text.trim_ascii()) {
                return self.unwrapped(inner, wrappers, sink);
            }
            let detail = format!("the message is {}; {EXPECTED}", kind(text.trim_ascii_start()));
            return self.reject(text, Rejection::new(Reason::InvalidEvent, detail), sink);
        };
        let Some(bytes) = base64::decode(text) else {
            return self.read_again(text, invalid_json(error), wrappers, sink);
        };
        let inner = match base64::unpack(bytes).map(String::from_utf8) {
            Ok(Ok(inner)) => return self.unwrapped(Cow::Owned(inner), wrappers, sink),
            Ok(Err(_)) => format!("the message is neither JSON ({error}) nor base64 of UTF-8 text"),
            Err(error) => format!("the message is base64, but {error}"),
        };
        self.reject(text, Rejection::new(Reason::InvalidJson, inner), sink)
    }

    /// Reads a message that is not one JSON text: it may be several, or have bare tokens such as NaN.
    fn read_again(&self, text: &'a str, rejection: Rejection, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        if !self.is_read_again
            && let Some(quoted) = bare_tokens::quote(text)
        {
            let reader = Reader { is_read_again: true, ..*self };
            return reader.message(&quoted.text, wrappers, &mut |parsed| {
                let original = quoted.original(&parsed.text);
                sink(ParsedEvent { text: Cow::Owned(original), ..parsed.into_owned() });
            });
        }
        if !texts::is_several(text) {
            let rejection = match foreign::not_json(text) {
                Some(sentence) => because(sentence, &rejection),
                None => rejection,
            };
            return self.reject(text, rejection, sink);
        }
        let reader = Reader { is_one_of_many: true, ..*self };
        for part in Texts::of(text) {
            match part {
                Text::Json(json) => match reject_lone_surrogates(json) {
                    Ok(()) if json.starts_with('[') => _ = reader.array(json, wrappers, sink),
                    Ok(()) => reader.element(json, wrappers, sink),
                    Err(rejection) => reader.emit(json, Err(rejection), sink),
                },
                Text::Broken(broken, error) => reader.emit(broken, Err(invalid_json(error)), sink),
            }
        }
        Shape::Many
    }

    /// Passes on the event of an object.
    fn read_fields(&self, text: &'a str, fields: Fields<'a>, sink: Sink<'_, 'a>) {
        let is_typed = fields.may_be_typed();
        let event = without_panic(|| {
            if is_typed {
                return typed::read(text, &self.times, self.rules).map(|metric| Event::Typed(Box::new(metric)));
            }
            fields.into_event(&self.times, self.rules).map(Event::Plain)
        });
        self.pass_on(text, is_typed, event, sink);
    }

    fn reject(&self, text: &'a str, rejection: Rejection, sink: Sink<'_, 'a>) -> Shape {
        self.emit(text, Err(rejection), sink);
        Shape::Single
    }

    fn emit(&self, text: &'a str, event: Result<Event<'a>, Rejection>, sink: Sink<'_, 'a>) {
        self.pass_on(text, false, event, sink);
    }

    fn pass_on(&self, text: &'a str, is_typed: bool, event: Result<Event<'a>, Rejection>, sink: Sink<'_, 'a>) {
        let index = self.next_index.replace(self.next_index.get() + 1);
        let at_index = |rejection: Rejection| if self.is_one_of_many { rejection.at_index(index) } else { rejection };
        sink(ParsedEvent {
            text: Cow::Borrowed(text),
            sent: self.times.sent,
            index: self.is_one_of_many.then_some(index),
            is_typed,
            event: event.map_err(at_index),
        });
    }
}

/// Returns the message that the JSON string `literal` holds.
fn quoted_message(literal: &str) -> Option<Cow<'_, str>> {
    let inner = entries::unquote(literal)?;
    let start = inner.trim_ascii_start();
    let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
    let is_json = |start: &[u8]| matches!(start.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'));
    let is_base64 =
        || base64::decode(start).is_some_and(|bytes| is_json(&bytes) || bytes.starts_with(&base64::GZIP_MAGIC));
    (is_json(start.as_bytes()) || is_base64()).then_some(inner)
}

fn fields(text: &str) -> Result<Fields<'_>, Rejection> {
    without_panic(|| Fields::read(text).map_err(invalid_json))
}

fn without_panic<T>(read: impl FnOnce() -> Result<T, Rejection>) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Rejection::new(Reason::InvalidEvent, "the event met a defect of the gateway; see its log"))
    })
}
