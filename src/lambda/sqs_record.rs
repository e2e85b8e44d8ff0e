//! Reads a record of SQS: only the fields that the gateway uses, and without copies. The format:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>.

use crate::event::from_utf8;
use crate::gateway::Message;
use crate::model::{Reason, Rejection, Timestamp};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub(super) struct SqsRecord<'a> {
    /// The id that a partial batch response names.
    #[serde(borrow, rename = "messageId")]
    message_id: Cow<'a, str>,
    #[serde(borrow, rename = "receiptHandle")]
    receipt_handle: Cow<'a, str>,
    #[serde(borrow)]
    body: Body<'a>,
    #[serde(borrow)]
    attributes: Option<Attributes<'a>>,
    #[serde(borrow, rename = "messageAttributes")]
    message_attributes: Option<MessageAttributes<'a>>,
    #[serde(borrow, rename = "eventSource")]
    event_source: Cow<'a, str>,
    /// The queue.
    #[serde(borrow, rename = "eventSourceARN")]
    event_source_arn: Cow<'a, str>,
}

/// The readable parts of a record that cannot be read completely.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Remains<'a> {
    #[serde(borrow, rename = "messageId")]
    message_id: Cow<'a, str>,
    #[serde(borrow, rename = "receiptHandle")]
    receipt_handle: Cow<'a, str>,
    #[serde(borrow, rename = "eventSource")]
    event_source: Cow<'a, str>,
    #[serde(borrow, rename = "eventSourceARN")]
    event_source_arn: Cow<'a, str>,
}

/// The body of a message as bytes, because a body that is not UTF-8 must not fail its batch. `None` if there is none.
#[derive(Default, Debug)]
struct Body<'a>(Option<Cow<'a, [u8]>>);

/// System attributes of a message: numbers, as strings.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Attributes<'a> {
    /// Milliseconds since the epoch.
    #[serde(borrow, rename = "SentTimestamp")]
    sent_timestamp: Cow<'a, str>,
    #[serde(borrow, rename = "ApproximateReceiveCount")]
    receive_count: Cow<'a, str>,
    #[serde(borrow, rename = "MessageGroupId")]
    group_id: Cow<'a, str>,
}

/// The attributes of a message that was redriven. They have the id and the time of its first sending.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct MessageAttributes<'a> {
    #[serde(borrow)]
    sent_timestamp: Option<MessageAttribute<'a>>,
    #[serde(borrow)]
    source_message_id: Option<MessageAttribute<'a>>,
    #[serde(borrow)]
    source_index: Option<MessageAttribute<'a>>,
    #[serde(borrow)]
    counted: Option<MessageAttribute<'a>>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct MessageAttribute<'a> {
    #[serde(borrow, rename = "stringValue")]
    string_value: Option<Cow<'a, str>>,
}

impl<'a> SqsRecord<'a> {
    /// Returns what can be read of a record with a part of an unexpected type; `None` if it is no object.
    pub(super) fn remains(text: &'a str) -> Option<Self> {
        let Remains { message_id, receipt_handle, event_source, event_source_arn } = serde_json::from_str(text).ok()?;
        Some(Self { message_id, receipt_handle, event_source, event_source_arn, ..Self::default() })
    }

    /// Returns whether the record is from a queue. Only the queue knows receipt handles. Without this check a direct
    /// caller could make a batch succeed although its events are rejected.
    pub(super) fn is_of_a_queue(&self) -> bool {
        self.event_source == "aws:sqs" && !self.receipt_handle.is_empty() && !self.event_source_arn.is_empty()
    }

    pub(super) fn queue_arn(&self) -> &str {
        &self.event_source_arn
    }

    pub(super) fn into_message(self) -> Message<'a> {
        let Attributes { sent_timestamp, receive_count, group_id } = self.attributes.unwrap_or_default();
        let carried = self.message_attributes.unwrap_or_default();
        let string = |attribute: Option<MessageAttribute<'a>>| attribute.and_then(|attribute| attribute.string_value);
        let first_sent = string(carried.sent_timestamp).and_then(|sent| digits(&sent));
        let missing = || Rejection::new(Reason::InvalidEvent, "the SQS record has no body that is a string");
        Message {
            id: self.message_id,
            body: self.body.0.ok_or_else(missing).and_then(from_utf8),
            sent: first_sent.or_else(|| digits(&sent_timestamp)),
            group: Some(group_id).filter(|group_id| !group_id.is_empty()),
            receive_count: receive_count.parse().unwrap_or(1),
            source_message_id: string(carried.source_message_id),
            source_index: string(carried.source_index),
            idempotency_key: None,
            counted: string(carried.counted).is_some_and(|counted| counted == "true"),
        }
    }
}

fn digits(text: &str) -> Option<Timestamp> {
    // Above 18 digits an i64 may not hold it.
    let is_time = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_time.then(|| Timestamp(text.bytes().fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))))
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;
        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, body: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Body(Some(Cow::Borrowed(body))))
            }

            fn visit_bytes<E>(self, body: &[u8]) -> Result<Self::Value, E> {
                Ok(Body(Some(Cow::Owned(body.to_vec()))))
            }
        }
        // As bytes, serde_json passes what is not UTF-8, and lone surrogates.
        deserializer.deserialize_bytes(BodyVisitor)
    }
}
