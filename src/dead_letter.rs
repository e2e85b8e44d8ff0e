//! Rejected messages on SQS, whole and with their reasons, so that they can be mended and sent again.

mod letter;
mod sqs;

pub use letter::{DeadLetter, NO_GROUP};
pub use sqs::SqsDeadLetters;

use tokio::time::Instant;

/// Takes dead letters.
pub trait DeadLetterQueue: Send + Sync {
    /// Sends `letters` and returns for each, in the same order, whether it is on the queue. Returns before `deadline`; a dead
    /// letter without an answer by then counts as not sent.
    fn put(&self, letters: Vec<DeadLetter>, deadline: Instant) -> impl Future<Output = Vec<Result<(), String>>> + Send;
}
