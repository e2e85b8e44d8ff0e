//! Lambda: which trigger is this payload, and what answer does its caller expect.
//!
//! [`handle`] is a plain function that knows nothing of the runtime; [`runtime`] is the loop that `ingest` runs.

mod answer;
mod payload;
pub mod report;
pub mod runtime;

use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::{Batch, Gateway, Ingested, MessageAction, Trigger};
use crate::instrumentation::MetricLine;
use crate::model::Timestamp;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tokio::time::Instant;

pub use report::FunctionError;

/// One invocation.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Lambda's id of it.
    pub request_id: String,
    /// When it began.
    pub started: Timestamp,
    /// When its time is up.
    pub deadline: Instant,
}

/// An invocation that is done.
#[derive(Debug)]
pub struct Handled {
    /// JSON: a partial batch response for SQS, a report for direct callers.
    pub answer: Result<String, FunctionError>,
    /// What was done, in numbers.
    pub metrics: MetricLine,
    /// `sqs`, `sqs_fifo` or `direct`.
    pub trigger: &'static str,
}

/// Takes one payload, of whatever trigger, to its answer.
///
/// Lines on messages that were handed back or put aside go to `tracing`.
pub async fn handle<T: Transport, D: DeadLetterQueue>(
    gateway: &Gateway<T, D>,
    payload: Bytes,
    invocation: &Invocation,
) -> Handled {
    let begun = Instant::now();
    let (trigger, messages) = payload::read(&payload, &invocation.request_id);
    let batch = Batch {
        trigger,
        messages,
        request_id: &invocation.request_id,
        started: invocation.started,
        deadline: invocation.deadline,
    };
    let parsed = begun.elapsed();
    let trigger = match trigger {
        Trigger::Sqs { fifo: false } => "sqs",
        Trigger::Sqs { fifo: true } => "sqs_fifo",
        Trigger::Direct => "direct",
    };
    let Some(ingested) = catch_panic(gateway.ingest(&batch)).await else {
        return defect(&batch, trigger);
    };
    log_actions(&batch, &ingested);
    let answer = match batch.trigger {
        Trigger::Sqs { .. } => Ok(answer::partial_batch(&batch, &ingested)),
        Trigger::Direct => answer::direct(&ingested),
    };
    let mut metrics = ingested.metrics;
    if batch.trigger == Trigger::Direct {
        // A direct message is its invocation: what the caller hears is its action.
        let messages = metrics.messages;
        metrics.dead_lettered = 0;
        (metrics.acknowledged, metrics.handed_back) = if answer.is_ok() { (messages, 0) } else { (0, messages) };
    }
    metrics.stages.read += parsed;
    metrics.stages.total = begun.elapsed();
    Handled { answer, metrics, trigger }
}

/// `None` where `future` panicked: a defect, after which the next invocation is as good as new.
async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

/// Everything is to be tried again; how many events there were is not known, so each message counts as one.
fn defect(batch: &Batch<'_>, trigger: &'static str) -> Handled {
    let messages = batch.messages.len() as u64;
    let metrics =
        MetricLine { received: messages, errored: messages, messages, handed_back: messages, ..MetricLine::default() };
    let error = FunctionError {
        error_type: "delivery_failed".to_owned(),
        error_message: "a defect of the gateway; its log has the place".to_owned(),
    };
    Handled { answer: Err(error), metrics, trigger }
}

fn log_actions(batch: &Batch<'_>, ingested: &Ingested) {
    for (message, action) in batch.messages.iter().zip(&ingested.actions) {
        let (message_id, request_id) = (message.id.as_ref(), batch.request_id);
        match action {
            MessageAction::Acknowledge => tracing::debug!(request_id, message_id, "message acknowledged"),
            MessageAction::DeadLetter { reason, detail } => {
                tracing::warn!(request_id, message_id, reason = reason.as_str(), detail, "message put aside");
            }
            MessageAction::Return { reason, detail } => {
                tracing::warn!(request_id, message_id, reason, detail, "message handed back");
            }
        }
    }
}
