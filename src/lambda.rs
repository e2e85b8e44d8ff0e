//! Lambda: which trigger a payload is from, and the answer that its caller expects.
//!
//! [`handle`] is a plain function that knows nothing of the runtime. [`runtime`] is the loop that `ingest` runs.

mod answer;
pub mod http;
mod payload;
pub mod report;
pub mod runtime;
mod sqs_record;

use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::{Batch, Gateway, Ledger, MessageAction, Summary, Trigger};
use crate::instrumentation::log_text;
use crate::limits::{MAX_DETAIL_CHARS, MAX_LOGGED_DETAIL_BYTES, MAX_LOGGED_ID_CHARS, MAX_LOGGED_MESSAGES};
use crate::model::{DEFECT, Timestamp};
use bytes::Bytes;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use tokio::time::Instant;

pub use payload::read as read_payload;
pub use report::FunctionError;

#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub started: Timestamp,
    /// The end of its time.
    pub deadline: Instant,
}

#[derive(Debug)]
pub struct Handled {
    /// JSON: a partial batch response for SQS, a report for direct callers.
    pub answer: Result<String, FunctionError>,
    pub summary: Summary,
    /// `sqs`, `sqs_fifo` or `direct`.
    pub trigger: &'static str,
}

/// Answers the payload of any trigger. Logs a line for each message that is returned or dead-lettered.
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
    log_actions(&batch, &ingested.ledger);
    let answer = match batch.trigger {
        Trigger::Sqs { .. } => Ok(answer::partial_batch(&batch, &ingested)),
        Trigger::Direct => answer::direct(&ingested),
    };
    let mut summary = ingested.summary;
    if batch.trigger == Trigger::Direct {
        summary.answer_directly(answer.is_err());
    }
    summary.stages.read += parsed;
    summary.stages.total = begun.elapsed();
    Handled { answer, summary, trigger }
}

/// Returns `None` if `future` panicked. That is a defect; the next invocation is not affected.
async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        polled.map_or(Poll::Ready(None), |poll| poll.map(Some))
    })
    .await
}

/// Returns all messages.
fn defect(batch: &Batch<'_>, trigger: &'static str) -> Handled {
    let error = FunctionError { error_type: "delivery_failed".to_owned(), error_message: DEFECT.to_owned() };
    Handled { answer: Err(error), summary: Summary::all_returned(batch.messages.len() as u64), trigger }
}

/// Logs a line for each message, in bounds: of all messages that a batch of SQS can have, but not with all their details.
fn log_actions(batch: &Batch<'_>, ledger: &Ledger) {
    let request_id = log_text(batch.request_id, MAX_LOGGED_ID_CHARS);
    let request_id = request_id.as_ref();
    let mut bytes_left = MAX_LOGGED_DETAIL_BYTES;
    let mut lines = 0;
    for (message, action) in batch.messages.iter().zip(ledger.actions()) {
        let (is_debug, reason, detail) = match action {
            MessageAction::Acknowledge => (true, "", ""),
            MessageAction::DeadLetter { reason, detail } => (false, reason.as_str(), detail.as_str()),
            MessageAction::Return { reason, detail } => (false, *reason, detail.as_str()),
        };
        if is_debug && !tracing::enabled!(tracing::Level::DEBUG) {
            continue;
        }
        lines += 1;
        if lines > MAX_LOGGED_MESSAGES {
            continue;
        }
        let message_id = log_text(&message.id, MAX_LOGGED_ID_CHARS);
        let message_id = message_id.as_ref();
        let detail = log_text(detail, MAX_DETAIL_CHARS);
        let detail = if detail.len() <= bytes_left { detail } else { Cow::Borrowed("left out: too many") };
        bytes_left = bytes_left.saturating_sub(detail.len());
        let detail = detail.as_ref();
        match action {
            MessageAction::Acknowledge => tracing::debug!(request_id, message_id, "message acknowledged"),
            MessageAction::DeadLetter { .. } => {
                tracing::warn!(request_id, message_id, reason, detail, "message dead-lettered");
            }
            MessageAction::Return { .. } => tracing::warn!(request_id, message_id, reason, detail, "message returned"),
        }
    }
    if let Some(more @ 1..) = lines.checked_sub(MAX_LOGGED_MESSAGES) {
        tracing::warn!(request_id, more, "more messages than are logged");
    }
}
