//! Makes the record that a Lambda event has for a received message. Pure.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>

use crate::aws::sqs::{Attribute, ReceivedMessage};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::collections::BTreeMap;

const HEAD: &str = "{\"Records\":[";
const TAIL: &str = "]}";

/// One record of an event, as JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) message_id: String,
    pub(super) receipt_handle: String,
    /// On a FIFO queue.
    pub(super) group: Option<String>,
    json: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shape<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a str,
    attributes: &'a BTreeMap<String, String>,
    message_attributes: BTreeMap<&'a str, AttributeShape<'a>>,
    md5_of_body: &'a str,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttributeShape<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
    string_list_values: [(); 0],
    binary_list_values: [(); 0],
    data_type: &'a str,
}

impl Record {
    pub(super) fn new(received: &ReceivedMessage, queue_arn: &str) -> Self {
        let attributes = received.message_attributes.iter();
        let shape = Shape {
            message_id: &received.message_id,
            receipt_handle: &received.receipt_handle,
            body: &received.body,
            attributes: &received.attributes,
            message_attributes: attributes.map(|(name, attribute)| (name.as_str(), shape_of(attribute))).collect(),
            md5_of_body: &received.md5_of_body,
            event_source: "aws:sqs",
            event_source_arn: queue_arn,
            aws_region: region_of(queue_arn),
        };
        Self {
            message_id: received.message_id.clone(),
            receipt_handle: received.receipt_handle.clone(),
            group: received.attributes.get("MessageGroupId").cloned(),
            // Strings always serialise.
            json: serde_json::to_string(&shape).unwrap_or_default(),
        }
    }

    /// Bytes that it adds to an event.
    pub(super) fn size(&self) -> usize {
        self.json.len() + ",".len()
    }
}

/// Returns the payload of an invocation.
pub(super) fn event(records: &[Record]) -> String {
    let records: Vec<_> = records.iter().map(|record| record.json.as_str()).collect();
    format!("{HEAD}{}{TAIL}", records.join(","))
}

/// Bytes of an event without records.
pub(super) const EMPTY_EVENT_BYTES: usize = HEAD.len() + TAIL.len();

fn shape_of(attribute: &Attribute) -> AttributeShape<'_> {
    AttributeShape {
        string_value: attribute.string_value.as_deref(),
        binary_value: attribute.binary_value.as_ref().map(|value| STANDARD.encode(value)),
        string_list_values: [],
        binary_list_values: [],
        data_type: &attribute.data_type,
    }
}

/// `arn:aws:sqs:<region>:<account>:<name>`.
fn region_of(queue_arn: &str) -> &str {
    queue_arn.split(':').nth(3).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ARN: &str = "arn:aws:sqs:eu-west-1:123456789012:water-metrics.fifo";

    fn received() -> ReceivedMessage {
        let string = |text: &str| Attribute {
            data_type: "String".to_owned(),
            string_value: Some(text.to_owned()),
            binary_value: None,
        };
        let binary =
            Attribute { data_type: "Binary.raw".to_owned(), string_value: None, binary_value: Some(vec![0, 255]) };
        ReceivedMessage {
            message_id: "m-1".to_owned(),
            receipt_handle: "r-1".to_owned(),
            body: "{\"metrics\": {\"ph\": 6.7}}".to_owned(),
            md5_of_body: "5d41402abc4b2a76b9719d911017c592".to_owned(),
            attributes: [("SentTimestamp", "1676398017000"), ("MessageGroupId", "g")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            message_attributes: [("sent_timestamp".to_owned(), string("1676398016000")), ("raw".to_owned(), binary)]
                .into(),
        }
    }

    #[test]
    fn makes_a_record_in_the_shape_of_lambda() {
        let record = Record::new(&received(), ARN);
        let expected = serde_json::json!({"Records": [{
            "messageId": "m-1",
            "receiptHandle": "r-1",
            "body": "{\"metrics\": {\"ph\": 6.7}}",
            "attributes": {"SentTimestamp": "1676398017000", "MessageGroupId": "g"},
            "messageAttributes": {
                "sent_timestamp": {"stringValue": "1676398016000", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                "raw": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary.raw"},
            },
            "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
            "eventSource": "aws:sqs",
            "eventSourceARN": ARN,
            "awsRegion": "eu-west-1",
        }]});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&event(std::slice::from_ref(&record))).unwrap(), expected);
        assert_eq!(record.group.as_deref(), Some("g"));
    }

    #[test]
    fn makes_an_event_without_records() {
        assert_eq!(event(&[]), "{\"Records\":[]}");
    }

    proptest! {
        #[test]
        fn keeps_every_body_and_adds_up_sizes(bodies in proptest::collection::vec(any::<String>(), 1..5)) {
            let records: Vec<_> = bodies
                .iter()
                .map(|body| Record::new(&ReceivedMessage { body: body.clone(), ..received() }, ARN))
                .collect();
            let event = event(&records);
            let size = EMPTY_EVENT_BYTES + records.iter().map(Record::size).sum::<usize>();
            prop_assert_eq!(event.len() + ",".len(), size);
            let read: serde_json::Value = serde_json::from_str(&event).unwrap();
            let found: Vec<_> = read["Records"].as_array().unwrap().iter().map(|record| record["body"].as_str().unwrap()).collect();
            prop_assert_eq!(found, bodies);
        }
    }
}
