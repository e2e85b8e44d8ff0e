//! Refused messages put aside on SQS, whole and with their reasons, so that they can be mended and sent again.

mod letter;
mod sqs;

pub use letter::{DeadLetter, MAX_DETAIL_CHARS, MAX_MESSAGE_BYTES, NO_GROUP, TooLong};
pub use sqs::{SqsDeadLetters, queue_error_in_words, queue_region};

use tokio::time::Instant;

/// Whether a queue, by its name, URL or ARN, is a FIFO queue: SQS wants exactly this ending.
#[must_use]
#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "a rule of SQS, and no file")]
pub fn is_fifo(queue: &str) -> bool {
    queue.ends_with(".fifo")
}

/// Takes dead letters.
pub trait DeadLetterQueue: Send + Sync {
    /// Puts `letters` on the queue and answers for each, in the same order, whether it is there; in words where it is
    /// not. Returns before `deadline`; a letter whose fate is not known by then is not there.
    fn put(&self, letters: Vec<DeadLetter>, deadline: Instant) -> impl Future<Output = Vec<Result<(), String>>> + Send;
}
