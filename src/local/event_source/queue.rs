//! The queue that is polled: the seam, and SQS behind it.

use super::record::{Attribute, Received};
use crate::local::sqs::{self, Failed};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
};
use std::time::Duration;
use url::Url;

/// Messages of one receive, and entries of one batch call.
pub(super) const MAX_ENTRIES: usize = 10;

/// Tries of one call within the SDK.
const TRIES: u32 = 3;

/// Where messages come from, and where those that are done are deleted.
pub trait Queue: Send + Sync + 'static {
    /// Up to `most` messages and no more than ten, with all that is known of them; waits up to `wait` for the first.
    fn receive(&self, most: usize, wait: Duration) -> impl Future<Output = Result<Vec<Received>, Failed>> + Send;

    /// Deletes up to ten messages by their receipts and answers for each, in the same order.
    fn delete(&self, receipts: &[String]) -> impl Future<Output = Vec<Result<(), Failed>>> + Send;
}

/// What a queue says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueueFacts {
    /// Its ARN; `.fifo` at its end says what kind it is.
    pub arn: String,
    /// How long it hides a message that was received.
    pub visibility: Duration,
}

/// A queue of SQS.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    url: String,
    client: Client,
}

// === impl SqsQueue ===

impl SqsQueue {
    /// The queue at `url`.
    pub async fn new(url: &Url) -> Self {
        Self { url: url.to_string(), client: sqs::client(url, TRIES).await }
    }

    /// Asks the queue what it is.
    ///
    /// # Errors
    /// Where it does not answer, or without an ARN.
    pub async fn facts(&self) -> Result<QueueFacts, Failed> {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let request = request
            .attribute_names(QueueAttributeName::QueueArn)
            .attribute_names(QueueAttributeName::VisibilityTimeout);
        let answer = request.send().await?;
        let attribute = |name| answer.attributes().and_then(|attributes| attributes.get(name));
        let arn = attribute(&QueueAttributeName::QueueArn)
            .cloned()
            .ok_or_else(|| Failed { words: "its answer has no QueueArn".to_owned(), may_pass: false })?;
        let visibility = attribute(&QueueAttributeName::VisibilityTimeout).and_then(|seconds| seconds.parse().ok());
        Ok(QueueFacts { arn, visibility: Duration::from_secs(visibility.unwrap_or(30)) })
    }
}

impl Queue for SqsQueue {
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<Received>, Failed> {
        let request = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(most.min(MAX_ENTRIES)).unwrap_or(1))
            .wait_time_seconds(i32::try_from(wait.as_secs()).unwrap_or(20))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All");
        Ok(request.send().await?.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    async fn delete(&self, receipts: &[String]) -> Vec<Result<(), Failed>> {
        let entry = |(number, receipt): (usize, &String)| {
            // All that is required is there.
            DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(receipt).build().ok()
        };
        let entries = receipts.iter().enumerate().filter_map(entry).collect();
        let answer = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return vec![Err(error.into()); receipts.len()],
        };
        let silent = Failed { words: "the queue did not say whether it is deleted".to_owned(), may_pass: true };
        let mut results = vec![Err(silent); receipts.len()];
        for deleted in answer.successful() {
            if let Some(result) = place(deleted.id(), &mut results) {
                *result = Ok(());
            }
        }
        for failed in answer.failed() {
            if let Some(result) = place(failed.id(), &mut results) {
                *result = Err(Failed::entry(failed.code(), failed.message(), failed.sender_fault()));
            }
        }
        results
    }
}

/// The result of an entry, by the id that it was given.
fn place<'a, T>(id: &str, results: &'a mut [T]) -> Option<&'a mut T> {
    id.parse::<usize>().ok().and_then(|number| results.get_mut(number))
}

fn received(message: Message) -> Received {
    let attributes = message.attributes.unwrap_or_default().into_iter();
    let message_attributes = message.message_attributes.unwrap_or_default().into_iter();
    Received {
        message_id: message.message_id.unwrap_or_default(),
        receipt_handle: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        md5_of_body: message.md5_of_body.unwrap_or_default(),
        attributes: attributes.map(|(name, value)| (name.as_str().to_owned(), value)).collect(),
        message_attributes: message_attributes.map(|(name, value)| (name, attribute(value))).collect(),
    }
}

fn attribute(value: MessageAttributeValue) -> Attribute {
    Attribute {
        data_type: value.data_type,
        string_value: value.string_value,
        binary_value: value.binary_value.map(aws_sdk_sqs::primitives::Blob::into_inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::primitives::Blob;

    #[test]
    fn a_message_keeps_all_that_the_queue_says_of_it() {
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
        let expected = Received {
            message_id: "m-1".to_owned(),
            receipt_handle: "r-1".to_owned(),
            body: "{}".to_owned(),
            md5_of_body: "99914b932bd37a50b983c5e7c90ae93b".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            message_attributes: [("raw".to_owned(), raw)].into(),
        };
        assert_eq!(received(message), expected);
    }
}
