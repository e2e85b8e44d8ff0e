//! Messages of Lambda about asynchronous invocations that it does not try again. Pure.
//!
//! An on-failure destination gets a record around the event:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>. The older dead-letter queue of a
//! function gets the event itself with attributes:
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>.

use super::{DELIVERY_FAILED, DeadLetter, Message, Origin, attribute, reason_word};
use amp_push_gateway::aws::sqs::ReceivedMessage;
use amp_push_gateway::model::{Reason, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    timestamp: Option<String>,
    request_context: RequestContext,
    #[serde(borrow)]
    request_payload: Option<&'a RawValue>,
    #[serde(default)]
    response_payload: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext {
    /// `RetriesExhausted`, `EventAgeExceeded`.
    condition: String,
    request_id: Option<String>,
    approximate_invoke_count: Option<u64>,
}

/// Returns the dead letter if `text` is an invocation record.
pub(super) fn record(received: &ReceivedMessage, text: &str) -> Option<DeadLetter> {
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
        // A record of an on-success destination.
        _ if condition == "Success" => Message::Missing("the invocation succeeded: nothing is to be sent again"),
        Some(payload) => Message::Whole(payload.get().to_owned()),
        None => Message::Missing(
            "Lambda left the event out of its record, as it does when event and answer are too large together",
        ),
    };
    let rest = DeadLetter::of(received, Origin::Lambda);
    Some(DeadLetter {
        // In a single event, only the receiver finds a sample out of order or a duplicate. It may hold this very event,
        // from an earlier try.
        maybe_stored: [Reason::OutOfOrder, Reason::DuplicateTimestamp].iter().any(|of_it| of_it.as_str() == reason),
        reason,
        detail,
        message,
        sent: record.timestamp.as_deref().and_then(utc).or(rest.sent),
        source_message_id: record.request_context.request_id,
        ..rest
    })
}

/// Returns the dead letter if `received` comes from the dead-letter queue of a function: the body is the event, attributes
/// hold the error.
pub(super) fn of_a_function_queue(received: &ReceivedMessage) -> Option<DeadLetter> {
    let request_id = attribute(received, "RequestID");
    request_id.and(attribute(received, "ErrorCode"))?;
    Some(DeadLetter {
        source_message_id: request_id.map(ToOwned::to_owned),
        reason: DELIVERY_FAILED.to_owned(),
        detail: attribute(received, "ErrorMessage")?.to_owned(),
        ..DeadLetter::of(received, Origin::Lambda)
    })
}

fn utc(text: &str) -> Option<Timestamp> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp)
}
