//! Queues of SQS for `redrive`, and the message that goes back.

use super::dead_letter::SENT_TIMESTAMP;
use crate::exit::CommandError;
use amp_push_gateway::aws::sqs::{MAX_MESSAGE_BYTES, OutgoingMessage, Queue, SqsError, size_of_attributes};
use amp_push_gateway::dead_letter::NO_GROUP;
use amp_push_gateway::model::Timestamp;
use std::time::Duration;
use url::Url;

/// Tries of one call, and the longest that they may take together.
const TRIES: u32 = 4;
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

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

/// Returns whether SQS takes a body with the time that it carries, of up to 20 digits.
pub(super) fn fits(body: &str) -> bool {
    body.len() + size_of_attributes(&[(SENT_TIMESTAMP, "0".repeat(20))]) <= MAX_MESSAGE_BYTES
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
        attributes: sent.map(|sent| (SENT_TIMESTAMP, sent.to_string())).into_iter().collect(),
        group_id: is_fifo.then(|| group.unwrap_or_else(|| NO_GROUP.to_owned())),
        deduplication_id: is_fifo.then(|| id.to_owned()),
    }
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
