//! A queue of SQS: messages and handles out, messages in, batch by batch, with an answer for each message.

use super::dead_letter::Received;
use amp_push_gateway::dead_letter::{MAX_MESSAGE_BYTES, NO_GROUP, is_fifo};
use amp_push_gateway::local::sqs::{self, Failed};
use amp_push_gateway::model::Timestamp;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry,
};
use std::time::Duration;
use url::Url;

/// Entries of one batch call.
pub(super) const BATCH: usize = 10;

/// The attribute that a message brings along when it is sent again.
const SENT_TIMESTAMP: &str = "sent_timestamp";
const STRING: &str = "String";
/// Bytes of that attribute: name, type, and a time of up to 20 digits.
const SENT_TIMESTAMP_BYTES: usize = SENT_TIMESTAMP.len() + STRING.len() + 20;

/// Tries of one call.
const TRIES: u32 = 4;
/// For all of them together.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries of a delete that fails for some entries.
const DELETES: u32 = 3;
const DELETE_DELAY: Duration = Duration::from_millis(200);

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    client: Client,
    url: String,
    is_fifo: bool,
}

/// A message to send.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) body: String,
    pub(crate) sent: Option<Timestamp>,
    pub(crate) group: Option<String>,
    /// Tells it from others, and from itself sent before, on a FIFO queue.
    pub(crate) deduplication_id: String,
}

// === impl Outgoing ===

impl Outgoing {
    /// Returns true if SQS takes it with the time that it carries.
    pub(super) fn fits(body: &str) -> bool {
        body.len() + SENT_TIMESTAMP_BYTES <= MAX_MESSAGE_BYTES
    }

    fn size(&self) -> usize {
        self.body.len() + SENT_TIMESTAMP_BYTES
    }
}

// === impl Queue ===

impl Queue {
    /// The queue at `url`.
    pub(crate) async fn new(url: &Url) -> Self {
        Self { client: sqs::client(url, TRIES).await, url: url.to_string(), is_fifo: is_fifo(url.path()) }
    }

    /// About how many messages are on it, those in flight left out.
    pub(crate) async fn length(&self) -> Result<u64, String> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let asked = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone()).send();
        let answer = self.answer(asked).await?;
        let text = answer.attributes().and_then(|attributes| attributes.get(&name));
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Up to `max` messages, hidden from others for `hidden_for`, with the handle of each.
    pub(super) async fn receive(
        &self,
        max: usize,
        wait: Duration,
        hidden_for: Duration,
    ) -> Result<Vec<(String, Received)>, String> {
        let seconds = |duration: Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        let asked = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(max.clamp(1, BATCH)).unwrap_or(1))
            .wait_time_seconds(seconds(wait))
            .visibility_timeout(seconds(hidden_for))
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send();
        let answer = self.answer(asked).await?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(received).collect())
    }

    /// Sends `messages` and answers for each, in the same order, whether it is there.
    pub(crate) async fn send(&self, messages: &[Outgoing]) -> Vec<Result<(), String>> {
        let mut results = vec![Err("the queue did not say".to_owned()); messages.len()];
        let mut from = 0;
        while from < messages.len() {
            let to = from + fitting(&messages[from..]);
            self.send_batch(from, &messages[from..to], &mut results).await;
            from = to;
        }
        results
    }

    async fn send_batch(&self, from: usize, messages: &[Outgoing], results: &mut [Result<(), String>]) {
        let entries: Result<Vec<_>, _> =
            messages.iter().enumerate().map(|(number, message)| self.entry(from + number, message)).collect();
        let asked = async {
            let entries = entries.map_err(|error| error.to_string())?;
            let asked = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send();
            self.answer(asked).await
        };
        match asked.await {
            Ok(answer) => {
                for sent in answer.successful() {
                    settle(results, sent.id(), Ok(()));
                }
                refuse(results, answer.failed());
            }
            Err(words) => results[from..from + messages.len()].fill(Err(words)),
        }
    }

    fn entry(
        &self,
        number: usize,
        message: &Outgoing,
    ) -> Result<SendMessageBatchRequestEntry, aws_sdk_sqs::error::BuildError> {
        let mut entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(&message.body);
        if let Some(sent) = message.sent {
            let value = MessageAttributeValue::builder().data_type(STRING).string_value(sent.to_string()).build()?;
            entry = entry.message_attributes(SENT_TIMESTAMP, value);
        }
        if self.is_fifo {
            entry = entry
                .message_group_id(message.group.as_deref().unwrap_or(NO_GROUP))
                .message_deduplication_id(&message.deduplication_id);
        }
        entry.build()
    }

    /// Takes at most ten messages off the queue and answers for each, in the same order; an entry that fails is tried again.
    pub(super) async fn delete(&self, handles: &[String]) -> Vec<Result<(), String>> {
        let mut results = vec![Err("the queue did not say".to_owned()); handles.len()];
        for again in 0..DELETES {
            if again > 0 {
                tokio::time::sleep(DELETE_DELAY).await;
            }
            self.delete_once(handles, &mut results).await;
            if results.iter().all(Result::is_ok) {
                break;
            }
        }
        results
    }

    async fn delete_once(&self, handles: &[String], results: &mut [Result<(), String>]) {
        let open = (0..handles.len()).filter(|&number| results[number].is_err());
        let entry = |number: usize| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string());
            entry.receipt_handle(&handles[number]).build().ok()
        };
        let entries: Vec<_> = open.filter_map(entry).collect();
        let asked = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send();
        match self.answer(asked).await {
            Ok(answer) => {
                for deleted in answer.successful() {
                    settle(results, deleted.id(), Ok(()));
                }
                refuse(results, answer.failed());
            }
            Err(words) => {
                results.iter_mut().filter(|result| result.is_err()).for_each(|result| *result = Err(words.clone()));
            }
        }
    }

    /// Shows the messages to others at once; how many could not be.
    pub(super) async fn show(&self, handles: &[String]) -> usize {
        let mut hidden = 0;
        for handles in handles.chunks(BATCH) {
            let entry = |(number, handle): (usize, &String)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
                entry.receipt_handle(handle).visibility_timeout(0).build().ok()
            };
            let entries: Vec<_> = handles.iter().enumerate().filter_map(entry).collect();
            let asked = self.client.change_message_visibility_batch().queue_url(&self.url);
            let answer = self.answer(asked.set_entries(Some(entries)).send()).await;
            hidden += answer.map_or(handles.len(), |answer| handles.len() - answer.successful().len());
        }
        hidden
    }

    /// The answer to a call; else what kept it from coming, with the queue's URL in front.
    async fn answer<T, E: Into<Failed>>(&self, asked: impl Future<Output = Result<T, E>>) -> Result<T, String> {
        match tokio::time::timeout(CALL_TIMEOUT, Box::pin(asked)).await {
            Ok(answer) => answer.map_err(|error| format!("{}: {}", self.url, error.into().words)),
            Err(_) => Err(format!("{}: no answer within {} s", self.url, CALL_TIMEOUT.as_secs())),
        }
    }
}

/// How many of `messages`, from the first, make a batch.
fn fitting(messages: &[Outgoing]) -> usize {
    let mut size = 0;
    let fits = |message: &&Outgoing| {
        size += message.size();
        size <= MAX_MESSAGE_BYTES
    };
    messages.iter().take(BATCH).take_while(fits).count().max(1)
}

fn settle(results: &mut [Result<(), String>], id: &str, result: Result<(), String>) {
    if let Some(place) = id.parse::<usize>().ok().and_then(|number| results.get_mut(number)) {
        *place = result;
    }
}

fn refuse(results: &mut [Result<(), String>], failed: &[BatchResultErrorEntry]) {
    for failed in failed {
        settle(results, failed.id(), Err(format!("{}: {}", failed.code(), failed.message().unwrap_or("no message"))));
    }
}

fn received(message: Message) -> (String, Received) {
    let system = message.attributes.unwrap_or_default();
    let of_the_system = |name: &MessageSystemAttributeName| system.get(name).cloned();
    let attributes = message.message_attributes.unwrap_or_default().into_iter();
    let received = Received {
        id: message.message_id.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
        attributes: attributes.filter_map(|(name, value)| Some((name, value.string_value?))).collect(),
        sent: of_the_system(&MessageSystemAttributeName::SentTimestamp)
            .and_then(|text| text.parse().ok().map(Timestamp)),
        moved_from: of_the_system(&MessageSystemAttributeName::DeadLetterQueueSourceArn),
        group: of_the_system(&MessageSystemAttributeName::MessageGroupId),
    };
    (message.receipt_handle.unwrap_or_default(), received)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(bytes: usize) -> Outgoing {
        Outgoing { body: "x".repeat(bytes), sent: None, group: None, deduplication_id: "d".to_owned() }
    }

    #[test]
    fn a_batch_has_ten_messages_and_a_mebibyte_at_most() {
        let half = MAX_MESSAGE_BYTES / 2;
        let table = [
            (vec![outgoing(5); 25], 10),
            (vec![outgoing(5); 3], 3),
            (vec![outgoing(half); 3], 1),
            (vec![outgoing(half - SENT_TIMESTAMP_BYTES); 3], 2),
            (vec![outgoing(MAX_MESSAGE_BYTES)], 1),
        ];
        for (messages, expected) in table {
            assert_eq!(fitting(&messages), expected, "{} of {}", messages.len(), messages[0].body.len());
        }
    }

    #[test]
    fn a_message_without_room_for_its_time_does_not_fit() {
        assert!(Outgoing::fits(&"x".repeat(MAX_MESSAGE_BYTES - SENT_TIMESTAMP_BYTES)));
        assert!(!Outgoing::fits(&"x".repeat(MAX_MESSAGE_BYTES - SENT_TIMESTAMP_BYTES + 1)));
    }
}
