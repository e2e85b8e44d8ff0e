//! Messages of Lambda about asynchronous invocations that failed for good. Pure.
//!
//! An on-failure destination gets a record around the event:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>. The older dead-letter queue of a
//! function gets the event itself with attributes:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>.

use super::{DELIVERY_FAILED, DeadLetter, Message, Origin, Received, is_known, reason_word};
use amp_push_gateway::model::{Reason, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The condition of a record of an on-success destination.
const SUCCESS: &str = "Success";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    #[serde(default)]
    timestamp: Option<String>,
    request_context: RequestContext,
    #[serde(borrow, default)]
    request_payload: Option<&'a RawValue>,
    #[serde(default)]
    response_payload: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    /// `RetriesExhausted`, `EventAgeExceeded`.
    condition: String,
    #[serde(default)]
    approximate_invoke_count: Option<u64>,
}

/// Returns the dead letter if `text` is an invocation record.
pub(super) fn record(received: &Received, text: &str) -> Option<DeadLetter> {
    if !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    let record: Record<'_> = serde_json::from_str(text).ok()?;
    let (condition, tries) = (&record.request_context.condition, record.request_context.approximate_invoke_count);
    let field = |name: &str| record.response_payload.get(name).and_then(Value::as_str).unwrap_or_default();
    let (error_type, error_message) = (field("errorType"), field("errorMessage"));
    let reason = reason_word(error_type).unwrap_or_else(|| DELIVERY_FAILED.to_owned());
    let tries = tries.map_or(String::new(), |tries| format!(" after {tries} tries"));
    let detail = match error_message {
        "" => format!("{condition}{tries}; the record has no error text of the function"),
        text => format!("{text} ({condition}{tries})"),
    };
    let message = match record.request_payload {
        _ if condition == SUCCESS => Message::Missing { why: "the invocation succeeded: nothing is to be sent again" },
        Some(payload) => Message::Whole(payload.get().to_owned()),
        None => Message::Missing {
            why: "Lambda left the event out of its record, as it does when event and answer are too large together",
        },
    };
    Some(DeadLetter {
        id: received.id.clone(),
        origin: Origin::Lambda,
        maybe_stored: is_maybe_stored(&reason),
        reason,
        detail,
        message,
        sent: record.timestamp.as_deref().and_then(utc).or(received.sent),
        group: None,
    })
}

/// Returns the dead letter if `received` comes from the dead-letter queue of a function: the body is the event, attributes
/// hold the error.
pub(super) fn of_a_function_queue(received: &Received) -> Option<DeadLetter> {
    let attribute = |name: &str| received.attributes.get(name);
    let (Some(_), Some(_), Some(text)) = (attribute("RequestID"), attribute("ErrorCode"), attribute("ErrorMessage"))
    else {
        return None;
    };
    Some(DeadLetter {
        id: received.id.clone(),
        origin: Origin::Lambda,
        reason: DELIVERY_FAILED.to_owned(),
        detail: text.clone(),
        message: Message::Whole(received.body.clone()),
        sent: received.sent,
        maybe_stored: false,
        group: None,
    })
}

/// In a single event, only the receiver finds a sample out of order or a duplicate. It may hold this very event, from an
/// earlier try.
fn is_maybe_stored(reason: &str) -> bool {
    let of_the_receiver = [Reason::OutOfOrder, Reason::DuplicateTimestamp];
    is_known(reason) && of_the_receiver.iter().any(|known| known.as_str() == reason)
}

fn utc(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}
