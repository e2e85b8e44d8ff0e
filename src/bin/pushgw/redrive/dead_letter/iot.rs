//! Messages of the error action of an IoT rule: <https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html>.
//! Pure.

use super::{DeadLetter, Message, Origin};
use amp_push_gateway::aws::sqs::ReceivedMessage;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The reason of all of them; which action failed is in the detail.
pub(super) const ACTION_FAILED: &str = "iot_action_failed";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    rule_name: String,
    #[serde(default)]
    topic: String,
    base64_original_payload: String,
    #[serde(default)]
    failures: Vec<Failure>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    failed_action: String,
    failed_resource: String,
    error_message: String,
}

/// Returns the dead letter if `text` is such a message.
pub(super) fn record(received: &ReceivedMessage, text: &str) -> Option<DeadLetter> {
    let record: Record = serde_json::from_str(text).ok()?;
    let payload = STANDARD.decode(&record.base64_original_payload).ok();
    // Bytes that are no text cannot be a line of a file, but their record can.
    let original = payload.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned());
    Some(DeadLetter {
        reason: ACTION_FAILED.to_owned(),
        detail: detail(&record),
        message: Message::ForAFile(original),
        ..DeadLetter::of(received, Origin::Iot)
    })
}

fn detail(record: &Record) -> String {
    let place = format!("rule {}, topic {}", record.rule_name, record.topic);
    let Some(first) = record.failures.first() else { return format!("{place}: no failure is named") };
    let more = match record.failures.len() {
        1 => String::new(),
        all => format!("; and {} more", all - 1),
    };
    format!("{place}: {} on {}: {}{more}", first.failed_action, first.failed_resource, first.error_message)
}
