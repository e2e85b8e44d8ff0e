//! The wrappers that AWS services put around a message. Add a new form only here.
//!
//! * SNS, to SQS without raw delivery or over HTTP: `{"Type": …, "TopicArn": …, "Message": "…"}`.
//! * EventBridge: `{"detail-type": …, "source": …, "detail": …}`.
//! * `{"Records": […]}` of SNS: see [`super::records`]. Records of SQS are the payload of an invocation, and no message.
//!
//! The times of SNS and EventBridge are not used, because they are those of the wrapper.

use super::entries::unquote;
use super::fields::Fields;
use super::{foreign, records};
use crate::model::{Reason, Rejection};
use std::borrow::Cow;

/// The keys of all wrappers: [`Fields`] keeps their values.
pub(super) const KEYS: [&str; 7] = ["Type", "TopicArn", "Message", "detail-type", "source", "detail", "Records"];

/// The end of a detail about a message of an unknown shape.
pub(super) const EXPECTED: &str = "expected an event {\"metrics\": {…}}, an array of events, or Records of SQS or SNS";

pub(super) enum Wrapped<'a> {
    Message(Cow<'a, str>),
    /// Records of SNS, each with a message.
    Records(&'a str),
}

/// Returns what a wrapper with these keys holds; `None` if it is no known wrapper. `text` is the whole object.
pub(super) fn unwrap<'a>(fields: &Fields<'a>, text: &str) -> Option<Result<Wrapped<'a>, Rejection>> {
    let has = |key| fields.other(key).is_some();
    if let Some("\"SubscriptionConfirmation\"" | "\"UnsubscribeConfirmation\"") = fields.other("Type") {
        let problem =
            "the message is an SNS subscription confirmation and holds no event; open its SubscribeURL to confirm it";
        return Some(Err(Rejection::new(Reason::InvalidEvent, problem)));
    }
    let message = if has("Type") || has("TopicArn") {
        fields.other("Message").and_then(unquote)
    } else if has("detail-type") || has("source") {
        fields.other("detail").map(Cow::Borrowed)
    } else {
        None
    };
    if let Some(message) = message {
        return Some(Ok(Wrapped::Message(message)));
    }
    if let Some(text) = fields.other("Records") {
        return Some(records::check(text).map(|()| Wrapped::Records(text)));
    }
    let sentence = foreign::object(text)?;
    Some(Err(Rejection::new(Reason::InvalidEvent, format!("the message is {sentence}"))))
}
