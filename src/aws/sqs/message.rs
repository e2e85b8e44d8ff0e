//! Messages to a queue, and from a queue.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, SendMessageBatchRequestEntry};
use md5::{Digest as _, Md5};
use std::collections::BTreeMap;

pub use crate::limits::MAX_MESSAGE_BYTES;

/// The data type of each attribute that is sent, which counts as part of the message.
const STRING: &str = "String";

/// A message to send.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct OutgoingMessage {
    pub body: String,
    /// Names and texts of message attributes.
    pub attributes: Vec<(&'static str, String)>,
    /// A message of a FIFO queue needs one.
    pub group_id: Option<String>,
    /// Only FIFO queues take one. They drop a second message that has the same within five minutes.
    pub deduplication_id: Option<String>,
}

/// A message as the queue returned it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ReceivedMessage {
    /// The same at each delivery.
    pub message_id: String,
    /// Deletes or shows the message; another at each delivery.
    pub receipt_handle: String,
    pub body: String,
    /// In hexadecimal digits.
    pub md5_of_body: String,
    /// The attributes that the queue sets: `SentTimestamp`, `ApproximateReceiveCount`, `MessageGroupId` and so on.
    pub attributes: BTreeMap<String, String>,
    /// The attributes that the sender set.
    pub message_attributes: BTreeMap<String, Attribute>,
}

/// A message attribute.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, each with or without a label of the sender's.
    pub data_type: String,
    pub string_value: Option<String>,
    pub binary_value: Option<Vec<u8>>,
}

impl OutgoingMessage {
    /// Returns the bytes that SQS counts.
    pub fn size(&self) -> usize {
        self.body.len() + size_of_attributes(&self.attributes)
    }

    /// Returns whether this is the MD5 digest of the body, in hexadecimal digits.
    pub(super) fn has_md5(&self, digits: &str) -> bool {
        let digest = Md5::digest(self.body.as_bytes());
        let byte = |at: usize| digits.get(at..at + 2).and_then(|byte| u8::from_str_radix(byte, 16).ok());
        digits.len() == 2 * digest.len() && digest.iter().enumerate().all(|(at, own)| byte(2 * at) == Some(*own))
    }

    /// Returns the entry of a batch with `index` as its id. It is there: all that SQS demands of one is.
    pub(super) fn entry(&self, index: usize) -> Option<SendMessageBatchRequestEntry> {
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(index.to_string())
            .message_body(self.body.clone())
            .set_message_group_id(self.group_id.clone())
            .set_message_deduplication_id(self.deduplication_id.clone());
        for (name, text) in &self.attributes {
            let value = MessageAttributeValue::builder().data_type(STRING).string_value(text).build().ok()?;
            entry = entry.message_attributes(*name, value);
        }
        entry.build().ok()
    }
}

/// Returns the bytes of names, types and values.
pub fn size_of_attributes(attributes: &[(&'static str, String)]) -> usize {
    attributes.iter().map(|(name, text)| name.len() + STRING.len() + text.len()).sum()
}

impl From<Message> for ReceivedMessage {
    fn from(message: Message) -> Self {
        let attribute = |value: MessageAttributeValue| Attribute {
            data_type: value.data_type,
            string_value: value.string_value,
            binary_value: value.binary_value.map(Blob::into_inner),
        };
        let attributes = message.attributes.unwrap_or_default().into_iter();
        let message_attributes = message.message_attributes.unwrap_or_default().into_iter();
        Self {
            message_id: message.message_id.unwrap_or_default(),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            md5_of_body: message.md5_of_body.unwrap_or_default(),
            attributes: attributes.map(|(name, text)| (name.as_str().to_owned(), text)).collect(),
            message_attributes: message_attributes.map(|(name, value)| (name, attribute(value))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::types::MessageSystemAttributeName;

    #[test]
    fn a_received_message_keeps_all_that_the_queue_returns() {
        let raw = MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new([1, 2])).build().unwrap();
        let message = Message::builder()
            .message_id("m-1")
            .receipt_handle("r-1")
            .body("{}")
            .md5_of_body("99914b932bd37a50b983c5e7c90ae93b")
            .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "2")
            .attributes(MessageSystemAttributeName::from("Later"), "x")
            .message_attributes("raw", raw)
            .build();
        let attributes = [("ApproximateReceiveCount", "2"), ("Later", "x")];
        let raw = Attribute { data_type: "Binary".to_owned(), string_value: None, binary_value: Some(vec![1, 2]) };
        let expected = ReceivedMessage {
            message_id: "m-1".to_owned(),
            receipt_handle: "r-1".to_owned(),
            body: "{}".to_owned(),
            md5_of_body: "99914b932bd37a50b983c5e7c90ae93b".to_owned(),
            attributes: attributes.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
            message_attributes: [("raw".to_owned(), raw)].into(),
        };
        assert_eq!(ReceivedMessage::from(message), expected);
    }

    #[test]
    fn knows_the_digest_of_its_body() {
        let message = OutgoingMessage { body: "{}".to_owned(), ..OutgoingMessage::default() };
        assert!(message.has_md5("99914b932bd37a50b983c5e7c90ae93b"));
        assert!(message.has_md5("99914B932BD37A50B983C5E7C90AE93B"));
        for wrong in [
            "99914b932bd37a50b983c5e7c90ae93c",
            "99914b932bd37a50b983c5e7c90ae9",
            "",
            "é",
            "+99914b932bd37a50b983c5e7c90ae9b",
        ] {
            assert!(!message.has_md5(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_entry_carries_all_of_a_message() {
        let message = OutgoingMessage {
            body: "{}".to_owned(),
            attributes: vec![("reason", "invalid_json".to_owned())],
            group_id: Some("g".to_owned()),
            deduplication_id: Some("d".to_owned()),
        };
        assert_eq!(message.size(), "{}".len() + "reason".len() + "String".len() + "invalid_json".len());
        let entry = message.entry(7).unwrap();
        let reason = &entry.message_attributes().unwrap()["reason"];
        assert_eq!((entry.id(), entry.message_body()), ("7", "{}"));
        assert_eq!((reason.data_type(), reason.string_value()), ("String", Some("invalid_json")));
        assert_eq!((entry.message_group_id(), entry.message_deduplication_id()), (Some("g"), Some("d")));
    }
}
