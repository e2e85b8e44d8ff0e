//! Messages onto an SQS queue.

use super::outcome::Outcome;
use super::target::Numbered;
use crate::exit::CommandError;
use amp_push_gateway::aws::sqs::{self, OutgoingMessage, SqsError};
use sha2::{Digest, Sha256};
use std::time::Duration;
use url::Url;

/// A queue, and the group of what is sent to it.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(super) queue: sqs::Queue,
    group: Option<String>,
}

impl Queue {
    /// The queue at `url`. A call that takes longer than `timeout` is given up.
    pub(crate) fn new(url: &Url, group: Option<String>, timeout: Duration) -> Result<Self, CommandError> {
        // Tries are counted for each message, not for each call.
        let queue = sqs::Queue::at(url, 1, timeout);
        if queue.is_fifo() && group.is_none() {
            return Err(CommandError::usage(format!(
                "{url} is a FIFO queue: each message needs a group; expected --group-id, for example the device's id"
            )));
        }
        Ok(Self { queue, group })
    }

    pub(crate) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        let is_fifo = self.queue.is_fifo();
        let outgoing = |message: &Numbered<'_>| OutgoingMessage {
            body: message.text.to_owned(),
            attributes: Vec::new(),
            group_id: self.group.clone(),
            deduplication_id: is_fifo.then(|| deduplication_id(message)),
        };
        let outgoing: Vec<_> = messages.iter().map(outgoing).collect();
        self.queue.send(outgoing, None).await.into_iter().map(outcome).collect()
    }
}

fn outcome(result: Result<(), SqsError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Sent,
        Err(error) if error.may_work_later() => Outcome::unsent(error.to_string(), true),
        Err(error @ SqsError::Call { .. }) => Outcome::unsent(error.to_string(), false),
        // The error concerns this message alone.
        Err(error) => Outcome::Failed(error.to_string()),
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
