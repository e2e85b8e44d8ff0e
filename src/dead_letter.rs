//! Dead letters. The gateway sends rejected messages to SQS, byte for byte and with their reasons. So somebody can correct
//! them and send them again.

mod attributes;
mod sqs;

pub use attributes::{DeadLetter, NO_GROUP};
pub use sqs::SqsDeadLetters;

use crate::aws::sqs::SqsError;
use crate::limits::MAX_EVENT_DEAD_LETTERS;
use std::error::Error;
use std::fmt;
use tokio::time::Instant;

pub trait DeadLetterQueue: Send + Sync {
    /// Sends `dead_letters` and returns for each, in the same order, whether it is on the queue. Returns before `deadline`; a dead letter
    /// without an answer by then counts as not sent.
    fn put(
        &self,
        dead_letters: Vec<DeadLetter>,
        deadline: Instant,
    ) -> impl Future<Output = Vec<Result<(), DeadLetterError>>> + Send;
}

/// Why a dead letter is not on the queue.
#[derive(Clone, Debug)]
pub enum DeadLetterError {
    Sqs(SqsError),
    /// The queue in memory holds as many bytes as it may.
    Full {
        bytes: usize,
    },
    NotConfigured,
    /// So many events of a direct payload are rejected that it becomes one dead letter, but SQS takes no message of its length.
    PayloadTooLong {
        bytes: usize,
    },
}

impl fmt::Display for DeadLetterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqs(error) => error.fmt(f),
            Self::Full { bytes } => write!(f, "the dead-letter queue in memory holds {bytes} bytes and is full"),
            Self::NotConfigured => f.write_str("no dead-letter queue is configured"),
            Self::PayloadTooLong { bytes } => write!(
                f,
                "with more than {MAX_EVENT_DEAD_LETTERS} rejected events the payload is one dead letter, and its {bytes} bytes are \
                 more than SQS takes"
            ),
        }
    }
}

impl Error for DeadLetterError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Sqs(error) => error.source(),
            Self::Full { .. } | Self::NotConfigured | Self::PayloadTooLong { .. } => None,
        }
    }
}
