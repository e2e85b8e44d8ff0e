//! Records of SQS and SNS. Only what is used is read, and borrowed. The shapes:
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>, <https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html>.

use super::text;
use crate::model::{Rejection, Timestamp};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

#[derive(Deserialize, Debug)]
pub(crate) struct Record<'a> {
    /// SQS: the id that a partial batch response names.
    #[serde(borrow, default, rename = "messageId")]
    pub(crate) message_id: Cow<'a, str>,
    /// SQS: the message.
    #[serde(borrow, default)]
    body: Option<Body<'a>>,
    #[serde(borrow, default)]
    attributes: Option<Attributes<'a>>,
    #[serde(borrow, default, rename = "messageAttributes")]
    message_attributes: Option<MessageAttributes<'a>>,
    #[serde(borrow, default, rename = "eventSource", alias = "EventSource")]
    pub(super) event_source: Cow<'a, str>,
    /// SQS: the queue.
    #[serde(borrow, default, rename = "eventSourceARN")]
    pub(crate) event_source_arn: Cow<'a, str>,
    /// SNS: the notification.
    #[serde(borrow, default, rename = "Sns")]
    sns: Option<Sns<'a>>,
}

/// The body of an SQS message, as bytes: a body that is not UTF-8 must not fail its batch.
#[derive(Debug)]
struct Body<'a>(Cow<'a, [u8]>);

/// System attributes of an SQS message: numbers, as strings.
#[derive(Deserialize, Debug)]
struct Attributes<'a> {
    /// Milliseconds since the epoch.
    #[serde(borrow, default, rename = "SentTimestamp")]
    sent_timestamp: Cow<'a, str>,
    #[serde(borrow, default, rename = "ApproximateReceiveCount")]
    receive_count: Cow<'a, str>,
    #[serde(borrow, default, rename = "MessageGroupId")]
    group_id: Cow<'a, str>,
}

#[derive(Deserialize, Debug)]
struct MessageAttributes<'a> {
    /// When a message that was redriven was sent first.
    #[serde(borrow, default)]
    sent_timestamp: Option<MessageAttribute<'a>>,
}

#[derive(Deserialize, Debug)]
struct MessageAttribute<'a> {
    #[serde(borrow, default, rename = "stringValue")]
    string_value: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Debug)]
struct Sns<'a> {
    #[serde(borrow, rename = "Message")]
    message: Cow<'a, str>,
}

impl<'a> Record<'a> {
    pub(crate) fn is_of_sqs(&self) -> bool {
        self.event_source == "aws:sqs"
    }

    /// Returns whether it is a record of SQS or SNS, with the message that such a record has.
    pub(crate) fn has_message(&self) -> bool {
        match self.event_source.as_ref() {
            "aws:sqs" => self.body.is_some(),
            "aws:sns" => self.sns.is_some(),
            _ => false,
        }
    }

    /// Returns the text of the message, or a rejection if it is not UTF-8.
    pub(crate) fn into_message(self) -> Result<Cow<'a, str>, Rejection> {
        let is_of_sqs = self.is_of_sqs();
        match (self.body, self.sns) {
            (Some(body), _) if is_of_sqs => text::from_utf8(body.0),
            (_, Some(sns)) => Ok(sns.message),
            _ => Ok(Cow::Borrowed("")),
        }
    }

    /// Returns when the message was sent first, or else when this queue received it.
    pub(crate) fn sent(&self) -> Option<Timestamp> {
        let first = || digits(self.message_attributes.as_ref()?.sent_timestamp.as_ref()?.string_value.as_ref()?);
        first().or_else(|| digits(&self.attributes.as_ref()?.sent_timestamp))
    }

    /// Returns how often the message was received; 1 if the queue does not say.
    pub(crate) fn receive_count(&self) -> u32 {
        let count = self.attributes.as_ref().map(|attributes| attributes.receive_count.parse());
        count.and_then(Result::ok).unwrap_or(1)
    }

    /// Takes the group of a message of a FIFO queue.
    pub(crate) fn take_group(&mut self) -> Option<Cow<'a, str>> {
        let group_id = std::mem::take(&mut self.attributes.as_mut()?.group_id);
        Some(group_id).filter(|group_id| !group_id.is_empty())
    }
}

fn digits(text: &str) -> Option<Timestamp> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits { text.parse().ok().map(Timestamp) } else { None }
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
                Ok(Body(Cow::Borrowed(body)))
            }

            fn visit_bytes<E>(self, body: &[u8]) -> Result<Self::Value, E> {
                Ok(Body(Cow::Owned(body.to_vec())))
            }
        }
        // As bytes, serde_json passes what is not UTF-8, and lone surrogates.
        deserializer.deserialize_bytes(BodyVisitor)
    }
}
