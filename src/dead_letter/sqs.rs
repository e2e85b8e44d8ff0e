//! The dead-letter queue on SQS. Its client is built with the first dead letter.

use super::{DeadLetter, DeadLetterQueue};
use crate::aws::sqs::Queue;
use tokio::time::Instant;
use url::Url;

/// A dead-letter queue on SQS.
#[derive(Debug)]
pub struct SqsDeadLetters {
    queue: Queue,
}

// === impl SqsDeadLetters ===

impl SqsDeadLetters {
    /// The queue at `url`; a FIFO queue if it ends in `.fifo`.
    #[must_use]
    pub fn new(url: &Url) -> Self {
        Self { queue: Queue::new(url) }
    }
}

impl DeadLetterQueue for SqsDeadLetters {
    async fn put(&self, letters: Vec<DeadLetter>, deadline: Instant) -> Vec<Result<(), String>> {
        let is_fifo = self.queue.is_fifo();
        let messages = letters.into_iter().map(move |letter| letter.into_message(is_fifo));
        let results = self.queue.send(messages, Some(deadline)).await;
        results.into_iter().map(|result| result.map_err(|error| error.to_string())).collect()
    }
}
