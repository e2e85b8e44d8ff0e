//! Queues of SQS for `redrive`, and the message that goes back.

use crate::exit::CommandError;
use amp_push_gateway::aws::sqs::{MAX_MESSAGE_BYTES, OutgoingMessage, Queue, SqsError, size_of_attributes};
use amp_push_gateway::dead_letter::NO_GROUP;
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

/// Returns whether SQS takes a body with these attributes.
pub(super) fn fits(body: &str, attributes: &[(&'static str, String)]) -> bool {
    body.len() + size_of_attributes(attributes) <= MAX_MESSAGE_BYTES
}

/// Returns the message that goes back to `queue`. The id of its dead letter tells it, on a FIFO queue, from others and
/// from itself sent before.
pub(super) fn outgoing(
    queue: &Queue,
    body: String,
    attributes: Vec<(&'static str, String)>,
    group: Option<String>,
    id: &str,
) -> OutgoingMessage {
    let is_fifo = queue.is_fifo();
    OutgoingMessage {
        body,
        attributes,
        group_id: is_fifo.then(|| group.unwrap_or_else(|| NO_GROUP.to_owned())),
        deduplication_id: is_fifo.then(|| id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_room_for_its_time_does_not_fit() {
        let attributes = [("sent_timestamp", "1700000000000".to_owned())];
        let time = "sent_timestampString".len() + 13;
        assert!(fits(&"x".repeat(MAX_MESSAGE_BYTES - time), &attributes));
        assert!(!fits(&"x".repeat(MAX_MESSAGE_BYTES - time + 1), &attributes));
    }
}
