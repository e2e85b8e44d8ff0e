//! The payload of an invocation to messages.

use crate::aws::sqs::is_fifo;
use crate::event::records::Record;
use crate::event::{foreign_records, into_text};
use crate::gateway::{Message, Trigger};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default, rename = "Records")]
    records: Option<Vec<Record<'a>>>,
    // With a key of an event beside them, records are a mistake of the sender, to be told as such.
    metrics: Option<IgnoredAny>,
    dimensions: Option<IgnoredAny>,
    timestamp: Option<IgnoredAny>,
}

/// Records of SQS are its batch; everything else is the one message of a direct caller, whose shape is found where
/// messages are read. Told apart by what the payload looks like, so one function serves all triggers.
pub(super) fn read<'a>(payload: &'a [u8], request_id: &'a str) -> (Trigger, Vec<Message<'a>>) {
    if let Some(records) = sqs_records(payload) {
        let fifo = records.iter().any(|record| is_fifo(&record.event_source_arn));
        return (Trigger::Sqs { fifo }, records.into_iter().map(message).collect());
    }
    let body = into_text(Cow::Borrowed(payload));
    let message = Message { id: Cow::Borrowed(request_id), body, sent: None, group: None, receive_count: 1 };
    (Trigger::Direct, vec![message])
}

fn sqs_records(payload: &[u8]) -> Option<Vec<Record<'_>>> {
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    // Looked through for UTF-8 as a whole where that will do, and else string by string: the one body that is not UTF-8 must
    // not take its batch down.
    let envelope: serde_json::Result<Envelope<'_>> = match std::str::from_utf8(payload) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(payload),
    };
    let envelope = envelope.ok()?;
    let event_keys = [&envelope.metrics, &envelope.dimensions, &envelope.timestamp];
    let records = envelope.records.filter(|_| event_keys.iter().all(|key| key.is_none()))?;
    let of_sqs = records.iter().all(|record| record.event_source == "aws:sqs") && foreign_records(&records).is_none();
    of_sqs.then_some(records)
}

fn message(record: Record<'_>) -> Message<'_> {
    let sent = record.sent();
    let receive_count = record.receive_count();
    let group = record.attributes.map(|attributes| attributes.group_id).filter(|group| !group.is_empty());
    let body = record.body.map_or(Ok(Cow::Borrowed("")), |body| into_text(body.0));
    Message { id: record.message_id, body, sent, group, receive_count }
}
