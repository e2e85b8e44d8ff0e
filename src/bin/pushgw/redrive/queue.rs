//! Queues of SQS for `redrive`: the message that goes back, and the contents of a received one.

use super::dead_letter::Received;
use crate::exit::CommandError;
use amp_push_gateway::aws::sqs::{
    MAX_MESSAGE_BYTES, OutgoingMessage, Queue, ReceivedMessage, SqsError, size_of_attributes,
};
use amp_push_gateway::dead_letter::NO_GROUP;
use amp_push_gateway::model::Timestamp;
use std::time::Duration;
use url::Url;

/// Tries of one call, and the longest that they may take together.
const TRIES: u32 = 4;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The queue at `url`; nothing is asked yet.
pub(super) fn open(url: &Url) -> Queue {
    Queue::at(url, TRIES, CALL_TIMEOUT)
}

/// Returns about how many messages are on `queue`, without those in flight.
pub(super) async fn length(queue: &Queue) -> Result<u64, CommandError> {
    Ok(queue.attributes().await.map_err(|error| CommandError::failed(text(queue, &error)))?.length)
}

/// Returns the error with the URL of its queue.
pub(super) fn text(queue: &Queue, error: &SqsError) -> String {
    format!("{}: {error}", queue.url())
}

/// The attribute that a message brings along when it is sent again.
fn sent_timestamp(text: String) -> (&'static str, String) {
    ("sent_timestamp", text)
}

/// Returns whether SQS takes a body with the time that it carries, of up to 20 digits.
pub(super) fn fits(body: &str) -> bool {
    body.len() + size_of_attributes(&[sent_timestamp("0".repeat(20))]) <= MAX_MESSAGE_BYTES
}

/// Returns the message that goes back to `queue`. The id of its dead letter tells it, on a FIFO queue, from others and
/// from itself sent before.
pub(super) fn outgoing(
    queue: &Queue,
    body: String,
    sent: Option<Timestamp>,
    group: Option<String>,
    id: &str,
) -> OutgoingMessage {
    let is_fifo = queue.is_fifo();
    OutgoingMessage {
        body,
        attributes: sent.map(|sent| sent_timestamp(sent.to_string())).into_iter().collect(),
        group_id: is_fifo.then(|| group.unwrap_or_else(|| NO_GROUP.to_owned())),
        deduplication_id: is_fifo.then(|| id.to_owned()),
    }
}

/// Returns the receipt of a message, and what is read of it.
pub(super) fn received(mut message: ReceivedMessage) -> (String, Received) {
    let mut attribute = |name: &str| message.attributes.remove(name);
    let texts = message.message_attributes.into_iter();
    let received = Received {
        id: message.message_id,
        body: message.body,
        attributes: texts.filter_map(|(name, attribute)| Some((name, attribute.string_value?))).collect(),
        sent: attribute("SentTimestamp").and_then(|text| text.parse().ok().map(Timestamp)),
        moved_from: attribute("DeadLetterQueueSourceArn"),
        group: attribute("MessageGroupId"),
    };
    (message.receipt_handle, received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_room_for_its_time_does_not_fit() {
        let time = "sent_timestampString".len() + 20;
        assert!(fits(&"x".repeat(MAX_MESSAGE_BYTES - time)));
        assert!(!fits(&"x".repeat(MAX_MESSAGE_BYTES - time + 1)));
    }
}
