//! The dead-letter queue on SQS. Its client is built with the first dead letter.

use super::{DeadLetter, DeadLetterError, DeadLetterQueue};
use crate::aws::sqs::Queue;
use tokio::time::Instant;
use url::Url;

#[derive(Debug)]
pub struct SqsDeadLetters {
    queue: Queue,
}

impl SqsDeadLetters {
    /// A queue whose `url` ends in `.fifo` is a FIFO queue.
    pub fn new(url: &Url) -> Self {
        Self { queue: Queue::new(url) }
    }
}

impl DeadLetterQueue for SqsDeadLetters {
    async fn put(&self, dead_letters: Vec<DeadLetter>, deadline: Instant) -> Vec<Result<(), DeadLetterError>> {
        let is_fifo = self.queue.is_fifo();
        let messages = dead_letters.into_iter().map(move |dead_letter| dead_letter.into_message(is_fifo));
        let results = self.queue.send(messages, Some(deadline)).await;
        results.into_iter().map(|result| result.map_err(DeadLetterError::Sqs)).collect()
    }
}
