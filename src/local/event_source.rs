//! Polls an SQS queue and invokes a function in this process, as Lambda's event source mapping with
//! `ReportBatchItemFailures` does: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>.
//!
//! In come the messages of a [`Queue`], gathered into batches by number, size and time; the [`Function`] gets each batch
//! as the event that Lambda would make of it. What its answer does not name as failed is deleted; what failed is left to
//! the queue, which shows it again after its visibility timeout. Of a FIFO group one batch is in flight at a time, and
//! nothing overtakes a failed message.
//!
//! `record`, `waiting` and `verdict` are pure; this file has the loop.

mod deletion;
mod queue;
mod record;
mod verdict;
mod waiting;

use super::invoke_endpoint::{Function, request_id};
use super::runner::Runner;
use crate::aws::sqs::{QueueAttributes, SqsError};
use crate::lambda::Handled;
use record::Record;
use std::collections::HashSet;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use waiting::{Limits, Waiting};

pub use deletion::delete;
pub use queue::Queue;

/// How long a receive waits for a message. SQS takes up to 20 s; what a receive that is broken off was about to bring is
/// hidden for a visibility timeout, so that short ones end better.
const LONG_POLL: Duration = Duration::from_secs(5);

/// Before a queue that failed is asked again: doubles up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How the queue is polled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Messages of a batch, at most.
    pub batch_size: usize,
    /// What the first message of a batch may wait for others. Never more than half of the visibility timeout.
    pub window: Duration,
    /// Batches in flight at a time.
    pub concurrency: usize,
    /// What an invocation may take before it is ended as Lambda would.
    pub timeout: Duration,
}

/// One batch that is done, for whoever watches.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The id of the invocation.
    pub request_id: &'a str,
    /// Messages in it.
    pub messages: usize,
    /// Those that were deleted.
    pub deleted: usize,
    /// Those that come again.
    pub kept: usize,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// What the function made of it.
    pub handled: &'a Handled,
    /// Why the whole batch comes again, where it does.
    pub failure: Option<&'a str>,
    /// How long the function ran.
    pub duration: Duration,
}

/// Told of each batch.
pub type Observer = Arc<dyn Fn(&Batch<'_>) + Send + Sync>;

/// Takes a batch to its end.
struct Handing<Q, F> {
    queue: Arc<Q>,
    runner: Runner<F>,
    observer: Observer,
}

/// A batch that is done.
struct Done {
    groups: HashSet<String>,
    /// Groups with messages that come again.
    failed: HashSet<String>,
}

// === impl Settings ===

impl Settings {
    /// What a batch waits for at most on this queue.
    #[must_use]
    pub fn window_on(&self, queue: &QueueAttributes) -> Duration {
        self.window.min(queue.visibility_timeout / 2)
    }
}

/// Polls `queue` and invokes `function` until `shutdown`; then finishes the batches in flight. Messages that were received
/// and not handed over by then come again by themselves.
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
    let handing = Arc::new(Handing { queue: Arc::clone(&queue), runner, observer });
    let mut waiting = Waiting::new(limits);
    let (mut receiving, mut in_flight) = (JoinSet::new(), JoinSet::new());
    let mut failures = 0;
    let mut shutdown = pin!(shutdown);
    loop {
        while in_flight.len() < settings.concurrency
            && let Some(batch) = waiting.take(Instant::now())
        {
            let handing = Arc::clone(&handing);
            in_flight.spawn(async move { handing.hand_over(batch).await });
        }
        // Messages are taken from the queue only when they can be handed over: in here they grow old unseen.
        let is_free = in_flight.len() < settings.concurrency;
        let room = waiting.room();
        if is_free && receiving.is_empty() && room > 0 {
            let queue = Arc::clone(&queue);
            receiving.spawn(async move {
                tokio::time::sleep(pause_after(failures)).await;
                queue.receive(room, LONG_POLL).await
            });
        }
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = in_flight.join_next() => release(&mut waiting, ended),
            Some(received) = receiving.join_next() => match received {
                Ok(Ok(messages)) => {
                    failures = 0;
                    let now = Instant::now();
                    for message in &messages {
                        waiting.add(Record::new(message, &attributes.arn), now);
                    }
                }
                Ok(Err(error)) => {
                    failures += 1;
                    log_failure(&error, failures);
                }
                Err(_) => failures += 1,
            },
            () = until(waiting.due()), if is_free => {}
        }
    }
    drop(receiving);
    while in_flight.join_next().await.is_some() {}
}

fn release(waiting: &mut Waiting, ended: Result<Done, JoinError>) {
    match ended {
        Ok(done) => waiting.release(&done.groups, &done.failed),
        Err(error) => tracing::error!(%error, "a batch met a defect of the event source; its messages come again"),
    }
}

fn log_failure(error: &SqsError, failures: u32) {
    let pause_ms = u64::try_from(pause_after(failures).as_millis()).unwrap_or(u64::MAX);
    tracing::warn!(%error, pause_ms, "the queue could not be asked; it is asked again");
}

fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        _ => SHORTEST_PAUSE.saturating_mul(2_u32.saturating_pow(failures - 1)).min(LONGEST_PAUSE),
    }
}

/// Never, where there is no such time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

// === impl Handing ===

impl<Q: Queue, F: Function> Handing<Q, F> {
    async fn hand_over(&self, batch: Vec<Record>) -> Done {
        let request_id = request_id();
        let payload = record::event(&batch);
        let (payload_bytes, started) = (payload.len(), Instant::now());
        let handled = self.runner.run(&request_id, payload.into()).await;
        let duration = started.elapsed();
        let ids: Vec<_> = batch.iter().map(|record| record.message_id.as_str()).collect();
        let verdict = verdict::done(&handled.answer, &ids);
        let failure = verdict.as_ref().err().cloned();
        let mut is_done = verdict.unwrap_or_else(|_| vec![false; batch.len()]);
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
        Done {
            groups: groups(&mut batch.iter()),
            failed: groups(&mut batch.iter().zip(&is_done).filter(|(_, is_done)| !**is_done).map(|(one, _)| one)),
        }
    }

    /// Deletes what is done; what cannot be deleted is not done: it comes again.
    async fn delete(&self, batch: &[Record], is_done: &mut [bool]) {
        let places: Vec<_> = (0..batch.len()).filter(|&place| is_done[place]).collect();
        let receipts: Vec<_> = places.iter().map(|&place| batch[place].receipt_handle.clone()).collect();
        for (number, error) in deletion::delete(&*self.queue, &receipts).await {
            let place = places[number];
            is_done[place] = false;
            let message_id = &batch[place].message_id;
            tracing::warn!(message_id, %error, "a message that is done could not be deleted: it comes again");
        }
    }
}

impl<Q, F> fmt::Debug for Handing<Q, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
