//! The interface of a queue for polling, and its implementation for SQS.

use crate::aws::sqs::{Queue as SqsQueue, ReceivedMessage, SqsError};
use std::time::Duration;

/// Returns messages, and deletes those that are done.
pub trait Queue: Send + Sync + 'static {
    /// Receives up to `most` messages, and no more than ten, with all their attributes. It waits up to `wait` for the first.
    fn receive(
        &self,
        most: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<ReceivedMessage>, SqsError>> + Send;

    /// Deletes messages by their receipts and returns a result for each, in the same order.
    fn delete(&self, receipts: &[String]) -> impl Future<Output = Vec<Result<(), SqsError>>> + Send;
}

impl Queue for SqsQueue {
    async fn receive(&self, most: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, SqsError> {
        self.receive(most, wait, None).await
    }

    async fn delete(&self, receipts: &[String]) -> Vec<Result<(), SqsError>> {
        self.delete(receipts).await
    }
}
