//! The payload of an invocation to messages.

use crate::aws::sqs::is_fifo;
use crate::event::{Record, from_utf8};
use crate::gateway::{Message, Trigger};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow, default, rename = "Records")]
    records: Option<Vec<Record<'a>>>,
    // Records beside a key of an event are a mistake of the sender: the reader of messages rejects them.
    metrics: Option<IgnoredAny>,
    dimensions: Option<IgnoredAny>,
    timestamp: Option<IgnoredAny>,
}

/// Returns the messages of an SQS batch, or else the payload as the one message of a direct caller. The payload alone
/// decides which, so one function serves all triggers.
pub(super) fn read<'a>(payload: &'a [u8], request_id: &'a str) -> (Trigger, Vec<Message<'a>>) {
    if let Some(records) = sqs_records(payload) {
        let fifo = records.iter().any(|record| is_fifo(&record.event_source_arn));
        return (Trigger::Sqs { fifo }, records.into_iter().map(message).collect());
    }
    let body = from_utf8(Cow::Borrowed(payload));
    let message = Message { id: Cow::Borrowed(request_id), body, sent: None, group: None, receive_count: 1 };
    (Trigger::Direct, vec![message])
}

fn sqs_records(payload: &[u8]) -> Option<Vec<Record<'_>>> {
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    // Checked for UTF-8 at once if possible, and else string by string: one body that is not UTF-8 must not fail its batch.
    let payload: serde_json::Result<Payload<'_>> = match std::str::from_utf8(payload) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(payload),
    };
    let payload = payload.ok()?;
    let event_keys = [&payload.metrics, &payload.dimensions, &payload.timestamp];
    let records = payload.records.filter(|_| event_keys.iter().all(|key| key.is_none()))?;
    records.iter().all(|record| record.is_of_sqs() && record.has_message()).then_some(records)
}

fn message(mut record: Record<'_>) -> Message<'_> {
    Message {
        id: std::mem::take(&mut record.message_id),
        sent: record.sent(),
        group: record.take_group(),
        receive_count: record.receive_count(),
        body: record.into_message(),
    }
}
