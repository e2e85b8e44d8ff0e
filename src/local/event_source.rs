//! Polls an SQS queue and invokes a function in this process, as Lambda's event source mapping with
//! `ReportBatchItemFailures` does: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>.
//!
//! * It gathers the messages of a [`Queue`] into batches by number, size and time. The [`Function`] gets the same event
//!   that Lambda makes of a batch.
//! * If the answer does not name a message as failed, it deletes the message. The queue delivers the others again after
//!   their visibility timeout.
//! * One batch of a FIFO group is in flight at a time, and no message overtakes a failed one.
//!
//! `record`, `buffer` and `partial_batch` are pure; this file has the loop.

mod buffer;
mod deletion;
mod partial_batch;
mod queue;
mod record;

use super::invoke_endpoint::{Function, request_id};
use super::runner::Runner;
use crate::aws::sqs::{QueueAttributes, SqsError};
use crate::lambda::Handled;
use buffer::{Buffer, Limits};
use record::Record;
use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

pub use deletion::delete;
pub use queue::Queue;

/// The longest wait of a receive for a message; SQS allows 20 s. If the process stops during a receive, its messages stay
/// hidden for a visibility timeout. A short wait makes that rare.
const LONG_POLL: Duration = Duration::from_secs(5);

/// The pauses before the next receive of a queue that failed: they double up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Messages of a batch, at most.
    pub batch_size: usize,
    /// The first message of a batch may wait this long for others, but at most half of the visibility timeout.
    pub window: Duration,
    /// Batches in flight at a time.
    pub concurrency: usize,
    /// Ends an invocation.
    pub timeout: Duration,
}

/// One batch that is done.
#[derive(Debug)]
pub struct Batch<'a> {
    pub request_id: &'a str,
    pub messages: usize,
    pub deleted: usize,
    /// Messages that the queue delivers again.
    pub kept: usize,
    pub payload_bytes: usize,
    pub handled: &'a Handled,
    /// Why the whole batch failed.
    pub failure: Option<&'a str>,
    pub duration: Duration,
}

/// Called after each batch.
pub type Observer = Arc<dyn Fn(&Batch<'_>) + Send + Sync>;

/// Invokes the function with a batch, and deletes the messages that are done.
struct Invoker<Q, F> {
    queue: Arc<Q>,
    runner: Runner<F>,
    observer: Observer,
}

/// The FIFO groups of a batch that has ended.
struct Ended {
    groups: HashSet<String>,
    /// Groups with messages that the queue delivers again.
    failed: HashSet<String>,
}

impl Settings {
    /// Returns the window, limited by the visibility timeout of `queue`.
    pub fn window_on(&self, queue: &QueueAttributes) -> Duration {
        self.window.min(queue.visibility_timeout / 2)
    }
}

/// Polls `queue` and invokes `function` until `shutdown`, then waits for the batches in flight. The queue delivers again
/// the messages that are still in the buffer.
pub async fn run<Q: Queue, F: Function>(
    queue: Arc<Q>,
    attributes: QueueAttributes,
    shutdown: impl Future<Output = ()>,
    function: Arc<F>,
    settings: Settings,
    observer: Observer,
) {
    let limits = Limits {
        batch_size: settings.batch_size,
        window: settings.window_on(&attributes),
        visibility: attributes.visibility_timeout,
    };
    let runner = Runner::new(function, settings.timeout);
    let invoker = Arc::new(Invoker { queue: Arc::clone(&queue), runner, observer });
    let mut buffer = Buffer::new(limits);
    let (mut receiving, mut in_flight) = (JoinSet::new(), JoinSet::new());
    let mut failures = 0;
    let mut shutdown = pin!(shutdown);
    loop {
        while in_flight.len() < settings.concurrency
            && let Some(batch) = buffer.take(Instant::now())
        {
            let invoker = Arc::clone(&invoker);
            in_flight.spawn(async move { invoker.invoke(batch).await });
        }
        // Receives only when a batch can be invoked: other pollers do not see the messages that wait here.
        let is_free = in_flight.len() < settings.concurrency;
        let room = buffer.room();
        if is_free && receiving.is_empty() && room > 0 {
            let queue = Arc::clone(&queue);
            receiving.spawn(async move {
                tokio::time::sleep(pause_after(failures)).await;
                queue.receive(room, LONG_POLL).await
            });
        }
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = in_flight.join_next() => release(&mut buffer, ended),
            Some(received) = receiving.join_next() => match received {
                Ok(Ok(messages)) => {
                    failures = 0;
                    let now = Instant::now();
                    for message in &messages {
                        buffer.add(Record::new(message, &attributes.arn), now);
                    }
                }
                Ok(Err(error)) => {
                    failures += 1;
                    log_failure(&error, failures);
                }
                Err(_) => failures += 1,
            },
            () = sleep_until(buffer.due()), if is_free => {}
        }
    }
    drop(receiving);
    while in_flight.join_next().await.is_some() {}
}

fn release(buffer: &mut Buffer, ended: Result<Ended, JoinError>) {
    match ended {
        Ok(ended) => buffer.release(&ended.groups, &ended.failed),
        Err(error) => tracing::error!(%error, "the event source panicked; the queue delivers the batch again"),
    }
}

fn log_failure(error: &SqsError, failures: u32) {
    let pause_ms = u64::try_from(pause_after(failures).as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(%error, pause_ms, "receiving messages failed, trying again");
}

fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LONGEST_PAUSE),
    }
}

/// Waits forever if there is no such time.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

impl<Q: Queue, F: Function> Invoker<Q, F> {
    async fn invoke(&self, batch: Vec<Record>) -> Ended {
        let request_id = request_id();
        let payload = record::event(&batch);
        let (payload_bytes, started) = (payload.len(), Instant::now());
        let handled = self.runner.run(&request_id, payload.into()).await;
        let duration = started.elapsed();
        let ids: Vec<_> = batch.iter().map(|record| record.message_id.as_str()).collect();
        let (mut is_done, failure) = match partial_batch::done(&handled.answer, &ids) {
            Ok(is_done) => (is_done, None),
            Err(failure) => (vec![false; batch.len()], Some(failure.to_string())),
        };
        self.delete(&batch, &mut is_done).await;

        let deleted = is_done.iter().filter(|is_done| **is_done).count();
        (self.observer)(&Batch {
            request_id: &request_id,
            messages: batch.len(),
            deleted,
            kept: batch.len() - deleted,
            payload_bytes,
            handled: &handled,
            failure: failure.as_deref(),
            duration,
        });
        let groups = |records: &mut dyn Iterator<Item = &Record>| records.filter_map(|one| one.group.clone()).collect();
        Ended {
            groups: groups(&mut batch.iter()),
            failed: groups(&mut batch.iter().zip(&is_done).filter(|(_, is_done)| !**is_done).map(|(one, _)| one)),
        }
    }

    /// Deletes the messages that are done. The queue delivers a message again if it cannot be deleted.
    async fn delete(&self, batch: &[Record], is_done: &mut [bool]) {
        let indices: Vec<_> = (0..batch.len()).filter(|&index| is_done[index]).collect();
        let receipts: Vec<_> = indices.iter().map(|&index| batch[index].receipt_handle.clone()).collect();
        for (number, error) in deletion::delete(&*self.queue, &receipts).await {
            let index = indices[number];
            is_done[index] = false;
            let message_id = &batch[index].message_id;
            tracing::warn!(message_id, %error, "message not deleted, the queue delivers it again");
        }
    }
}

#[cfg(test)]
mod tests;
