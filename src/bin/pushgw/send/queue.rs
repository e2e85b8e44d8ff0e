//! Messages onto an SQS queue.

use super::outcome::Outcome;
use super::target::Numbered;
use crate::exit::CommandError;
use amp_push_gateway::dead_letter::{MAX_MESSAGE_BYTES, is_fifo};
use amp_push_gateway::local::sqs::{self, Failed};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use sha2::{Digest, Sha256};
use std::time::Duration;
use url::Url;

/// Messages of one call.
pub(crate) const MAX_ENTRIES: usize = 10;
/// Bytes of one message, and of all of a call.
pub(crate) const MAX_BYTES: usize = MAX_MESSAGE_BYTES;

/// A queue, and the group of what is sent to it.
#[derive(Debug)]
pub(crate) struct Queue {
    url: Url,
    group: Option<String>,
    client: Client,
    timeout: Duration,
}

// === impl Queue ===

impl Queue {
    /// The queue at `url`. A call that takes longer than `timeout` is given up.
    pub(crate) async fn new(url: &Url, group: Option<String>, timeout: Duration) -> Result<Self, CommandError> {
        if is_fifo(url.as_str()) && group.is_none() {
            return Err(CommandError::usage(format!(
                "{url} is a FIFO queue: each message needs a group; expected --group-id, for example the device's id"
            )));
        }
        // Tries are counted where each message is, not each call.
        Ok(Self { url: url.clone(), group, client: sqs::client(url, 1).await, timeout })
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        let entries = messages.iter().enumerate().map(|(place, message)| self.entry(place, message)).collect();
        let call = self.client.send_message_batch().queue_url(self.url.as_str()).set_entries(Some(entries)).send();
        let answer = match tokio::time::timeout(self.timeout, call).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let Failed { words, may_pass } = error.into();
                return vec![Outcome::unsent(words, may_pass); messages.len()];
            }
            Err(_) => {
                let words = format!("the queue did not answer within {} s", self.timeout.as_secs());
                return vec![Outcome::unsent(words, true); messages.len()];
            }
        };
        let mut outcomes =
            vec![Outcome::unsent("the queue did not say whether it took the message", true); messages.len()];
        let place = |id: &str| id.parse::<usize>().ok().filter(|&place| place < messages.len());
        for sent in answer.successful() {
            if let Some(place) = place(sent.id()) {
                outcomes[place] = Outcome::Sent;
            }
        }
        for failed in answer.failed() {
            if let Some(place) = place(failed.id()) {
                let Failed { words, may_pass } = Failed::entry(failed.code(), failed.message(), failed.sender_fault());
                outcomes[place] = if may_pass { Outcome::unsent(words, true) } else { Outcome::Failed(words) };
            }
        }
        outcomes
    }

    fn entry(&self, place: usize, message: &Numbered<'_>) -> SendMessageBatchRequestEntry {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(place.to_string())
            .message_body(message.text)
            .set_message_group_id(self.group.clone())
            .set_message_deduplication_id(is_fifo(self.url.as_str()).then(|| deduplication_id(message)));
        #[expect(clippy::expect_used, reason = "id and body are all that is required, and they are there")]
        entry.build().expect("an entry with id and body")
    }
}

/// Is the same for the same message at the same position: a run that is repeated sends nothing twice. Two equal messages
/// have different ids.
fn deduplication_id(message: &Numbered<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(message.number.to_le_bytes());
    hash.update(message.text);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deduplication_id_is_made_of_content_and_position() {
        let id = |number, text| deduplication_id(&Numbered { number, text });
        assert_eq!(id(1, "a"), id(1, "a"));
        assert_ne!(id(1, "a"), id(2, "a"));
        assert_ne!(id(1, "a"), id(1, "b"));
        assert!(id(1, "a").len() == 64, "SQS takes up to 128 letters and digits");
    }
}
