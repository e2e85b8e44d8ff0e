//! Parses the JSON of producers into [`Event`]s.
//!
//! The input is the text of one message, as its trigger delivered it. For each event in it there is an [`Event`] that
//! borrows from the text, or a [`Rejection`]. This module reads no clock: the time of the invocation is in [`EventTimes`].
//!
//! Numbers and dimensions are parsed from the original text (`serde_json`'s `RawValue`). So `12` and `12.0` stay different,
//! and so do `-0` and `-0.0`. `1e309` is noticed, and the standard library rounds doubles exactly.

mod bare_tokens;
mod base64;
mod date_time;
mod duration;
mod entries;
mod fields;
mod foreign;
mod message;
mod path;
mod records;
mod text;
mod texts;
mod timestamp;
mod typed;
mod unknown_key;
mod value;
mod wrappers;

use crate::model::{LabelSet, MetricName, Rejection, Timestamp, TypedMetric, Value};
use std::borrow::Cow;

pub use message::{Shape, read_message};
pub(crate) use text::{BYTE_ORDER_MARK, from_utf8};

/// One event, which the key `type` tells apart.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    Plain(PlainEvent<'a>),
    /// For the table.
    Typed(Box<TypedMetric<'a>>),
}

/// Samples of one time that share their labels.
#[derive(Clone, Debug)]
pub struct PlainEvent<'a> {
    /// Dimensions and external labels.
    pub labels: LabelSet<'a>,
    pub timestamp: Timestamp,
    /// At least one; each name once.
    pub metrics: Vec<(MetricName<'a>, Value)>,
    /// Metrics that were null, and are left out.
    pub null_values: u32,
}

/// One event of a message, valid or rejected.
#[derive(Clone, Debug)]
pub struct ParsedEvent<'a> {
    /// The text of the event as it was sent; the text of the whole message if it has no separate events.
    pub text: Cow<'a, str>,
    /// When the message was sent first, if its record says it.
    pub sent: Option<Timestamp>,
    /// Its position in the message, if details name it.
    pub index: Option<usize>,
    /// It has the key `type`, even if it is rejected.
    pub is_typed: bool,
    pub event: Result<Event<'a>, Rejection>,
}

/// The times that decide about an event's timestamp.
#[derive(Clone, Copy, Debug)]
pub struct EventTimes {
    /// The start of the invocation: ages are measured from here.
    pub now: Timestamp,
    /// When the message was sent first: the time of an event without a timestamp.
    pub sent: Option<Timestamp>,
}

/// The operator's settings for events.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Older samples are `too_old`.
    pub max_sample_age_ms: i64,
    /// Samples further ahead are `in_future`.
    pub max_sample_lead_ms: i64,
    /// Labels for events that have none of that name.
    pub external_labels: LabelSet<'static>,
}

/// Returns the time in the literal of an event's `timestamp`, whatever its age; `None` if it is not a time.
pub fn read_timestamp(literal: &str) -> Option<Timestamp> {
    timestamp::time(literal).ok()
}

impl<'a> Event<'a> {
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Self::Plain(event) => Event::Plain(event.into_owned()),
            Self::Typed(metric) => Event::Typed(Box::new(metric.into_owned())),
        }
    }

    /// Returns the plain event that it is.
    pub fn plain(self) -> Option<PlainEvent<'a>> {
        match self {
            Self::Plain(event) => Some(event),
            Self::Typed(_) => None,
        }
    }

    pub fn timestamp(&self) -> Timestamp {
        match self {
            Self::Plain(event) => event.timestamp,
            Self::Typed(metric) => metric.time,
        }
    }
}

impl PlainEvent<'_> {
    pub fn into_owned(self) -> PlainEvent<'static> {
        PlainEvent {
            labels: self.labels.into_owned(),
            timestamp: self.timestamp,
            metrics: self.metrics.into_iter().map(|(name, value)| (name.into_owned(), value)).collect(),
            null_values: self.null_values,
        }
    }
}

impl ParsedEvent<'_> {
    /// Returns the one event of a message that has no text.
    pub fn rejected(rejection: Rejection) -> Self {
        Self { text: Cow::Borrowed(""), sent: None, index: None, is_typed: false, event: Err(rejection) }
    }

    pub fn into_owned(self) -> ParsedEvent<'static> {
        ParsedEvent {
            text: Cow::Owned(self.text.into_owned()),
            sent: self.sent,
            index: self.index,
            is_typed: self.is_typed,
            event: self.event.map(Event::into_owned),
        }
    }
}

impl Default for Rules {
    /// AMP takes samples of the last hour.
    fn default() -> Self {
        Self { max_sample_age_ms: 3_600_000, max_sample_lead_ms: 10_000, external_labels: LabelSet::default() }
    }
}
