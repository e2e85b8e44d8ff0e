//! Messages in the shapes in which AWS hands them over.

use super::random::Random;
use super::{Expected, PlannedEvent, QUEUE_DELAY_MS, Sending, Trigger};
use crate::model::Timestamp;
use serde_json::json;

const REGION: &str = "eu-central-1";
const QUEUE_ARN: &str = "arn:aws:sqs:eu-central-1:000000000000:water-sensors";

/// A message and what must become of its events.
pub(super) struct Message {
    pub(super) body: String,
    pub(super) expected: Vec<Expected>,
    pub(super) at: Timestamp,
}

/// Which way a message takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    ByQueue,
    Directly,
}

/// A batch as the SQS event source hands it to a function.
pub(super) fn queue_batch(messages: Vec<Message>, random: &mut Random) -> Sending {
    let mut records = Vec::with_capacity(messages.len());
    let mut events = Vec::new();
    for message in messages {
        let id = message_id(random);
        let sent = (message.at.0 + QUEUE_DELAY_MS).to_string();
        records.push(json!({
            "messageId": id,
            "receiptHandle": format!("AQEB{:016x}", random.next()),
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": sent,
                "SenderId": "AROAEXAMPLE:water-sensors",
                "ApproximateFirstReceiveTimestamp": sent,
            },
            "messageAttributes": {},
            // Not the body's: nothing here checks it, and a real queue has.
            "md5OfBody": format!("{:016x}{:016x}", random.next(), random.next()),
            "eventSource": "aws:sqs",
            "eventSourceARN": QUEUE_ARN,
            "awsRegion": REGION,
        }));
        let planned = |expected| PlannedEvent { message_id: Some(id.clone()), expected };
        events.extend(message.expected.into_iter().map(planned));
    }
    Sending { trigger: Trigger::Queue, payload: json!({ "Records": records }).to_string(), events }
}

/// A message as the payload itself.
pub(super) fn direct(message: Message) -> Sending {
    let planned = |expected| PlannedEvent { message_id: None, expected };
    let events = message.expected.into_iter().map(planned).collect();
    Sending { trigger: Trigger::Direct, payload: message.body, events }
}

fn message_id(random: &mut Random) -> String {
    let (high, low) = (random.next(), random.next());
    let (first, second, third) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!("{first:08x}-{second:04x}-4{third:03x}-a{:03x}-{:012x}", (low >> 48) & 0xfff, low & 0xffff_ffff_ffff)
}
