//! The text of a message to the events in it.
//!
//! * An array is checked before its first event is passed on: if it is not JSON, no event of it is.
//! * A panic would meet the same event at every delivery. So it rejects this event alone, and the others go on.

use super::fields::Fields;
use super::path::kind;
use super::records::Record;
use super::text::{invalid_json, reject_lone_surrogates};
use super::wrappers::{self, EXPECTED, Wrapped};
use super::{Event, EventTimes, ParsedEvent, Rules, base64, entries};
use crate::limits::MAX_WRAPPERS;
use crate::model::{Reason, Rejection};
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One event or several: it decides which answer a direct caller gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// One event, or a message that is not readable.
    Single,
    /// An array of any length, or more than one record.
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
    Reader { times: *times, rules, next_index: &Cell::new(0), is_one_of_many: false }.message(text, 0, sink)
}

#[derive(Clone, Copy)]
struct Reader<'r, 'a> {
    times: EventTimes,
    rules: &'a Rules,
    /// The index of the next event in the message.
    next_index: &'r Cell<usize>,
    /// If true, details name the index of the event.
    is_one_of_many: bool,
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
            Some(b'[') => self.array(text, sink),
            _ => self.scalar_or_base64(text, wrappers, sink),
        }
    }

    fn object(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let fields = match reject_lone_surrogates(text).and_then(|()| fields(text)) {
            Ok(fields) => fields,
            Err(rejection) => return self.reject(text, rejection, sink),
        };
        if !fields.others.is_empty() && !fields.has_event_keys() {
            match wrappers::unwrap(&fields) {
                Some(Ok(Wrapped::Message(inner))) => return self.unwrapped(inner, wrappers, sink),
                Some(Ok(Wrapped::Records(records))) => return self.records(text, records, wrappers, sink),
                Some(Err(rejection)) => return self.reject(text, rejection, sink),
                None => {}
            }
        }
        self.emit(text, self.event(fields), sink);
        Shape::Single
    }

    fn unwrapped(&self, inner: Cow<'a, str>, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        match inner {
            Cow::Borrowed(inner) => self.message(inner, wrappers + 1, sink),
            Cow::Owned(inner) => self.message(&inner, wrappers + 1, &mut |parsed| sink(parsed.into_owned())),
        }
    }

    fn records(&self, text: &'a str, records: Vec<Record<'a>>, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let mut shape = if records.len() == 1 { Shape::Single } else { Shape::Many };
        for record in records {
            let times = EventTimes { sent: record.sent().or(self.times.sent), ..self.times };
            let reader = Reader { times, is_one_of_many: self.is_one_of_many || shape == Shape::Many, ..*self };
            let inner_shape = match record.into_message() {
                Ok(inner) => reader.unwrapped(inner, wrappers, sink),
                Err(rejection) => self.reject(text, rejection, sink),
            };
            if inner_shape == Shape::Many {
                shape = Shape::Many;
            }
        }
        shape
    }

    fn array(&self, text: &'a str, sink: Sink<'_, 'a>) -> Shape {
        let checked =
            reject_lone_surrogates(text).and_then(|()| serde_json::from_str::<IgnoredAny>(text).map_err(invalid_json));
        if let Err(rejection) = checked {
            return self.reject(text, rejection, sink);
        }
        let reader = Reader { is_one_of_many: true, ..*self };
        let walked = entries::for_each_element(text, |element| reader.emit(element, reader.element(element), sink));
        debug_assert!(walked.is_ok(), "checked above");
        Shape::Many
    }

    fn element(&self, text: &'a str) -> Result<Event<'a>, Rejection> {
        if !text.starts_with('{') {
            let detail = format!("the event is {}, expected an object {{\"metrics\": {{…}}}}", kind(text));
            return Err(Rejection::new(Reason::InvalidEvent, detail));
        }
        self.event(fields(text)?)
    }

    fn scalar_or_base64(&self, text: &'a str, wrappers: u8, sink: Sink<'_, 'a>) -> Shape {
        let Err(error) = serde_json::from_str::<IgnoredAny>(text) else {
            let detail = format!("the message is {}; {EXPECTED}", kind(text.trim_ascii_start()));
            return self.reject(text, Rejection::new(Reason::InvalidEvent, detail), sink);
        };
        match base64::decode(text).map(String::from_utf8) {
            Some(Ok(inner)) => self.unwrapped(Cow::Owned(inner), wrappers, sink),
            Some(Err(_)) => {
                let detail = format!("the message is neither JSON ({error}) nor base64 of UTF-8 text");
                self.reject(text, Rejection::new(Reason::InvalidJson, detail), sink)
            }
            None => self.reject(text, invalid_json(error), sink),
        }
    }

    fn event(&self, fields: Fields<'a>) -> Result<Event<'a>, Rejection> {
        without_panic(|| fields.into_event(&self.times, self.rules))
    }

    fn reject(&self, text: &'a str, rejection: Rejection, sink: Sink<'_, 'a>) -> Shape {
        self.emit(text, Err(rejection), sink);
        Shape::Single
    }

    fn emit(&self, text: &'a str, event: Result<Event<'a>, Rejection>, sink: Sink<'_, 'a>) {
        let index = self.next_index.replace(self.next_index.get() + 1);
        let at_index = |rejection: Rejection| if self.is_one_of_many { rejection.at_index(index) } else { rejection };
        sink(ParsedEvent { text: Cow::Borrowed(text), sent: self.times.sent, event: event.map_err(at_index) });
    }
}

fn fields(text: &str) -> Result<Fields<'_>, Rejection> {
    without_panic(|| Fields::read(text).map_err(invalid_json))
}

fn without_panic<T>(read: impl FnOnce() -> Result<T, Rejection>) -> Result<T, Rejection> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        Err(Rejection::new(Reason::InvalidEvent, "the event met a defect of the gateway; see its log"))
    })
}
