//! The wrappers that AWS services put around a message. A new shape is added here, and nowhere else.
//!
//! * SNS, to SQS without raw delivery or over HTTP: `{"Type": …, "TopicArn": …, "Message": "…"}`.
//! * EventBridge: `{"detail-type": …, "source": …, "detail": …}`.
//! * `{"Records": […]}` of SQS and SNS: see [`super::records`].
//!
//! The times of SNS and EventBridge are not used: they say when the wrapper was made.

use super::entries::unquote;
use super::fields::Fields;
use super::path::excerpt;
use super::records::Record;
use crate::model::{Reason, Rejection};
use std::borrow::Cow;

/// The keys of all wrappers: [`Fields`] keeps their values.
pub(super) const KEYS: [&str; 7] = ["Type", "TopicArn", "Message", "detail-type", "source", "detail", "Records"];

/// The end of a detail about a message of an unknown shape.
pub(super) const EXPECTED: &str = "expected an event {\"metrics\": {…}}, an array of events, or Records of SQS or SNS";

pub(super) enum Wrapped<'a> {
    Message(Cow<'a, str>),
    /// Each has a message.
    Records(Vec<Record<'a>>),
}

/// Returns what a wrapper with these keys holds; `None` if it is no known wrapper.
pub(super) fn unwrap<'a>(fields: &Fields<'a>) -> Option<Result<Wrapped<'a>, Rejection>> {
    let has = |key| fields.other(key).is_some();
    let message = if has("Type") || has("TopicArn") {
        fields.other("Message").and_then(unquote)
    } else if has("detail-type") || has("source") {
        fields.other("detail").map(Cow::Borrowed)
    } else {
        None
    };
    match message {
        Some(message) => Some(Ok(Wrapped::Message(message))),
        None => fields.other("Records").map(|text| records(text).map(Wrapped::Records)),
    }
}

fn records(text: &str) -> Result<Vec<Record<'_>>, Rejection> {
    let records: Vec<Record<'_>> = serde_json::from_str(text).map_err(|error| {
        // The text of the error itself quotes what was found, whole.
        unknown(format_args!("not records of SQS or SNS (line {}, column {})", error.line(), error.column()))
    })?;
    match records.iter().find(|record| !record.has_message()) {
        None => Ok(records),
        Some(record) => Err(match record.event_source.as_ref() {
            "" => unknown(format_args!("without eventSource")),
            source @ ("aws:sqs" | "aws:sns") => unknown(format_args!("of {source}, but without a message")),
            source => unknown(format_args!("of {} cannot be taken", excerpt(source))),
        }),
    }
}

fn unknown(problem: std::fmt::Arguments<'_>) -> Rejection {
    Rejection::new(Reason::InvalidEvent, format!("Records: {problem}; {EXPECTED}"))
}
