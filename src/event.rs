//! JSON text to [`Event`]: the producers' contract.
//!
//! In comes the text of one message as its trigger handed it over; out comes, for each event in it, either an
//! [`Event`] that borrows from that text or a [`Rejection`] that names the place. Nothing here reads a clock: the time
//! of the invocation is part of [`EventTimes`].
//!
//! Each number and dimension is looked at as the text it was sent as (`serde_json`'s `RawValue`), never as the
//! parser's opinion of it: `12` and `12.0`, `-0` and `-0.0`, and `1e309` stay apart, and doubles are rounded by the
//! standard library, exactly.

mod entries;
mod fields;
mod message;
mod path;
pub mod records;
mod timestamp;
mod value;

use crate::model::{LabelSet, MetricName, Rejection, Timestamp, Value};
use std::borrow::Cow;

pub use fields::{MAX_LABEL_VALUE_BYTES, MAX_LABELS};
pub use message::{MAX_WRAPPERS, Shape, read_message};
pub(crate) use message::{foreign_records, into_text};

/// One event: samples of one time that share their labels.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Dimensions and external labels.
    pub labels: LabelSet<'a>,
    /// When it was measured.
    pub timestamp: Timestamp,
    /// At least one; no name twice.
    pub metrics: Vec<(MetricName<'a>, Value)>,
}

/// One event of a message, good or refused, with its own text as it stood.
#[derive(Clone, Debug)]
pub struct ParsedEvent<'a> {
    /// The text of the event; of the whole message where no event could be told apart in it.
    pub text: Cow<'a, str>,
    /// When the queue took it, as far as the record around it knows.
    pub sent: Option<Timestamp>,
    /// The event, or why it is refused.
    pub event: Result<Event<'a>, Rejection>,
}

/// The times that an event is judged by.
#[derive(Clone, Copy, Debug)]
pub struct EventTimes {
    /// The start of the invocation: ages are measured from here.
    pub now: Timestamp,
    /// When the queue took the message: the time of an event that brings none.
    pub sent: Option<Timestamp>,
}

/// What the operator decided about events.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Samples older than this many milliseconds are `too_old`.
    pub max_sample_age_ms: i64,
    /// Samples further ahead than this many milliseconds are `in_future`.
    pub max_sample_lead_ms: i64,
    /// Labels that each event gets where it has none of that name.
    pub external_labels: LabelSet<'static>,
}

// === impl Event ===

impl Event<'_> {
    /// The same event, free of the text it was read from.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            labels: self.labels.into_owned(),
            timestamp: self.timestamp,
            metrics: self.metrics.into_iter().map(|(name, value)| (name.into_owned(), value)).collect(),
        }
    }
}

// === impl ParsedEvent ===

impl ParsedEvent<'_> {
    /// The same, free of the text it was read from.
    #[must_use]
    pub fn into_owned(self) -> ParsedEvent<'static> {
        ParsedEvent {
            text: Cow::Owned(self.text.into_owned()),
            sent: self.sent,
            event: self.event.map(Event::into_owned),
        }
    }
}

// === impl Rules ===

impl Default for Rules {
    /// AMP's hour, ten seconds ahead, no external labels.
    fn default() -> Self {
        Self { max_sample_age_ms: 3_600_000, max_sample_lead_ms: 10_000, external_labels: LabelSet::default() }
    }
}
