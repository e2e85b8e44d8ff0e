//! The shapes in which AWS services hand messages to a function: records of SQS and SNS.
//!
//! Only what is used is read, and borrowed. The shapes:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>, <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>.

use crate::model::Timestamp;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// One record of SQS or SNS.
#[derive(Deserialize, Debug)]
pub struct Record<'a> {
    /// SQS: the message's id, which a partial batch response names.
    #[serde(borrow, default, rename = "messageId")]
    pub message_id: Cow<'a, str>,
    /// SQS: the message.
    #[serde(borrow, default)]
    pub body: Option<Body<'a>>,
    /// SQS: what the queue knows of the message.
    #[serde(borrow, default)]
    pub attributes: Option<Attributes<'a>>,
    /// SQS: what the sender said of the message.
    #[serde(borrow, default, rename = "messageAttributes")]
    pub message_attributes: Option<MessageAttributes<'a>>,
    /// `aws:sqs`, `aws:sns`, or that of a service whose records are refused.
    #[serde(borrow, default, rename = "eventSource", alias = "EventSource")]
    pub event_source: Cow<'a, str>,
    /// The queue; `.fifo` at its end says what kind.
    #[serde(borrow, default, rename = "eventSourceARN")]
    pub event_source_arn: Cow<'a, str>,
    /// SNS: the notification.
    #[serde(borrow, default, rename = "Sns")]
    pub sns: Option<Sns<'a>>,
}

/// The body of an SQS message, as bytes: one that is not UTF-8 must not take its batch down.
#[derive(Debug)]
pub struct Body<'a>(pub Cow<'a, [u8]>);

/// System attributes of an SQS message; all come as strings.
#[derive(Deserialize, Default, Debug)]
pub struct Attributes<'a> {
    /// Milliseconds since the epoch.
    #[serde(borrow, default, rename = "SentTimestamp")]
    pub sent_timestamp: Cow<'a, str>,
    /// How often the message was received, this time included.
    #[serde(borrow, default, rename = "ApproximateReceiveCount")]
    pub receive_count: Cow<'a, str>,
    /// FIFO: the group.
    #[serde(borrow, default, rename = "MessageGroupId")]
    pub group_id: Cow<'a, str>,
}

/// The one message attribute that is read.
#[derive(Deserialize, Default, Debug)]
pub struct MessageAttributes<'a> {
    /// The time of the first sending, carried by messages that were redriven.
    #[serde(borrow, default)]
    pub sent_timestamp: Option<MessageAttribute<'a>>,
}

/// A message attribute.
#[derive(Deserialize, Debug)]
pub struct MessageAttribute<'a> {
    /// Its value where it is a string or a number.
    #[serde(borrow, default, rename = "stringValue")]
    pub string_value: Option<Cow<'a, str>>,
}

/// What is read of an SNS notification.
#[derive(Deserialize, Debug)]
pub struct Sns<'a> {
    /// Its id.
    #[serde(borrow, default, rename = "MessageId")]
    pub message_id: Cow<'a, str>,
    /// The message.
    #[serde(borrow, rename = "Message")]
    pub message: Cow<'a, str>,
}

// === impl Record ===

impl Record<'_> {
    /// The time of an event in it that brings none: when it was sent first, else when this queue took it.
    #[must_use]
    pub fn sent(&self) -> Option<Timestamp> {
        self.carried_sent_timestamp().or_else(|| digits(&self.attributes.as_ref()?.sent_timestamp))
    }

    fn carried_sent_timestamp(&self) -> Option<Timestamp> {
        digits(self.message_attributes.as_ref()?.sent_timestamp.as_ref()?.string_value.as_ref()?)
    }

    /// How often it was received; 1 where the queue does not say.
    #[must_use]
    pub fn receive_count(&self) -> u32 {
        let count = self.attributes.as_ref().map(|attributes| attributes.receive_count.parse());
        count.and_then(Result::ok).unwrap_or(1)
    }
}

fn digits(text: &str) -> Option<Timestamp> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits { text.parse().ok().map(Timestamp) } else { None }
}

// === impl Body ===

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyVisitor;
        impl<'de> Visitor<'de> for BodyVisitor {
            type Value = Body<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, body: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Body(Cow::Borrowed(body)))
            }

            fn visit_bytes<E>(self, body: &[u8]) -> Result<Self::Value, E> {
                Ok(Body(Cow::Owned(body.to_vec())))
            }
        }
        // As bytes serde_json lets pass what is not UTF-8, lone surrogates too.
        deserializer.deserialize_bytes(BodyVisitor)
    }
}
