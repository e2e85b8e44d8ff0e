//! A dead-letter queue in memory, and a type for either it or a real one.

use crate::aws::sqs::{SqsError, size_of_attributes};
use crate::dead_letter::{DeadLetter, DeadLetterError, DeadLetterQueue, SqsDeadLetters};
use crate::limits::MAX_MESSAGE_BYTES;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// The bytes of all bodies, at most.
const MAX_BYTES: usize = 64 << 20;

/// Keeps dead letters until the process ends. A clone is the same queue.
#[derive(Clone, Default, Debug)]
pub struct InMemoryDeadLetters(Arc<Mutex<Kept>>);

#[derive(Default, Debug)]
struct Kept {
    dead_letters: Vec<DeadLetter>,
    bytes: usize,
}

/// The dead-letter queue of a local gateway.
#[derive(Debug)]
pub enum LocalDeadLetters {
    InMemory(InMemoryDeadLetters),
    Sqs(SqsDeadLetters),
}

impl InMemoryDeadLetters {
    /// Returns all dead letters, oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).dead_letters.clone()
    }

    /// Returns the newest dead letters, the newest first, and the number of all.
    pub fn newest(&self, most: usize) -> (Vec<DeadLetter>, usize) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.dead_letters.iter().rev().take(most).cloned().collect(), kept.dead_letters.len())
    }

    fn keep(&self, dead_letter: DeadLetter) -> Result<(), DeadLetterError> {
        // As SQS, this queue takes no longer message.
        if dead_letter.body.len() + size_of_attributes(&dead_letter.attributes()) > MAX_MESSAGE_BYTES {
            return Err(DeadLetterError::Sqs(SqsError::TooLong));
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = kept.bytes + dead_letter.body.len();
        if bytes > MAX_BYTES {
            return Err(DeadLetterError::Full { bytes: MAX_BYTES });
        }
        kept.bytes = bytes;
        kept.dead_letters.push(dead_letter);
        Ok(())
    }
}

impl DeadLetterQueue for InMemoryDeadLetters {
    async fn put(&self, dead_letters: Vec<DeadLetter>, _deadline: Instant) -> Vec<Result<(), DeadLetterError>> {
        dead_letters.into_iter().map(|dead_letter| self.keep(dead_letter)).collect()
    }
}

impl DeadLetterQueue for LocalDeadLetters {
    async fn put(&self, dead_letters: Vec<DeadLetter>, deadline: Instant) -> Vec<Result<(), DeadLetterError>> {
        match self {
            Self::InMemory(queue) => queue.put(dead_letters, deadline).await,
            Self::Sqs(queue) => queue.put(dead_letters, deadline).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reason;

    fn dead_letter(body: String) -> DeadLetter {
        DeadLetter {
            body,
            reason: Reason::InvalidJson,
            detail: "not JSON".to_owned(),
            source_message_id: "m".to_owned(),
            source_index: None,
            sent_timestamp: None,
            counted: false,
            maybe_stored: false,
            group_id: None,
            deduplication_id: "m".to_owned(),
        }
    }

    #[tokio::test]
    async fn keeps_dead_letters_in_order_and_within_the_limits_of_sqs() {
        let queue = InMemoryDeadLetters::default();
        let dead_letters =
            vec![dead_letter("a".to_owned()), dead_letter("x".repeat(1 << 20)), dead_letter("b".to_owned())];
        let answers = queue.put(dead_letters, Instant::now()).await;
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        let bodies: Vec<_> = queue.dead_letters().into_iter().map(|dead_letter| dead_letter.body).collect();
        assert_eq!(bodies, ["a", "b"]);
    }

    #[tokio::test]
    async fn takes_no_more_when_it_is_full() {
        let queue = InMemoryDeadLetters::default();
        let dead_letters: Vec<_> = (0..130).map(|_| dead_letter("x".repeat(1_000_000 / 2))).collect();
        let answers = queue.put(dead_letters.clone(), Instant::now()).await;
        assert!(answers.iter().all(Result::is_ok));
        let answers = queue.put(dead_letters, Instant::now()).await;
        assert!(answers.last().unwrap().as_ref().unwrap_err().to_string().contains("full"));
    }
}
