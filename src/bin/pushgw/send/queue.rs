//! Sends messages to an SQS queue.

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
    pub(super) inner: sqs::Queue,
    group: Option<String>,
    /// The name of the run, which makes its deduplication ids differ from those of another run.
    pub(super) run: String,
}

impl Queue {
    /// The queue at `url`. A call that takes longer than `timeout` is given up.
    pub(crate) fn new(url: &Url, group: Option<String>, timeout: Duration) -> Result<Self, CommandError> {
        // Tries are counted for each message, not for each call.
        let inner = sqs::Queue::at(url, 1, timeout);
        if inner.is_fifo() && group.is_none() {
            return Err(CommandError::usage(format!(
                "{url} is a FIFO queue: each message needs a group; expected --group-id, for example the device's id"
            )));
        }
        Ok(Self { inner, group, run: super::progress::new_run() })
    }

    pub(crate) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        let is_fifo = self.inner.is_fifo();
        let outgoing = |message: &Numbered<'_>| OutgoingMessage {
            body: message.text.to_owned(),
            attributes: Vec::new(),
            group_id: self.group.clone(),
            deduplication_id: is_fifo.then(|| deduplication_id(&self.run, message)),
        };
        let outgoing: Vec<_> = messages.iter().map(outgoing).collect();
        self.inner.send(outgoing, None).await.into_iter().map(outcome).collect()
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

/// Returns the same id for the same message at the same position of the same run. A message that is tried again, or whose run is
/// resumed, arrives once. Another run has other ids: a job that sends `up=1` each minute sends it each minute.
fn deduplication_id(run: &str, message: &Numbered<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(run);
    hash.update(message.number.to_le_bytes());
    hash.update(message.text);
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deduplication_id_is_made_of_run_content_and_position() {
        let id = |run, number, text| deduplication_id(run, &Numbered { number, text });
        assert_eq!(id("r", 1, "a"), id("r", 1, "a"));
        assert_ne!(id("r", 1, "a"), id("s", 1, "a"));
        assert_ne!(id("r", 1, "a"), id("r", 2, "a"));
        assert_ne!(id("r", 1, "a"), id("r", 1, "b"));
        assert!(id("r", 1, "a").len() == 64, "SQS takes up to 128 letters and digits");
    }
}
