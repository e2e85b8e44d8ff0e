//! Lambda: recognises the trigger of a payload, and writes the answer that its caller expects.
//!
//! [`handle`] is a plain function that knows nothing of the runtime. [`runtime`] is the loop that `ingest` runs.

mod answer;
pub mod http;
mod payload;
pub mod report;
pub mod runtime;
mod schedule;
mod sqs_record;

use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::{Batch, Gateway, Ledger, Message, MessageAction, Summary, TickCall, Trigger};
use crate::http::{Answered, Call, Door};
use crate::instrumentation::{log_text, tick_report};
use crate::limits::{MAX_DETAIL_CHARS, MAX_LOGGED_DETAIL_BYTES, MAX_LOGGED_ID_CHARS, MAX_LOGGED_MESSAGES};
use crate::model::{DEFECT, Timestamp};
use bytes::Bytes;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

use http::Front;
use payload::Payload;
pub use payload::read_messages;
pub use report::FunctionError;
use schedule::{ScheduleError, Scheduled};

#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub started: Timestamp,
    /// The end of its time.
    pub deadline: Instant,
}

#[derive(Debug)]
pub struct Handled {
    /// JSON: a partial batch response for SQS, a report for direct callers, an answer for the front of an HTTP request.
    pub answer: Result<String, FunctionError>,
    pub summary: Summary,
    /// `sqs`, `sqs_fifo`, `direct`, `http` or `tick`.
    pub trigger: &'static str,
    /// The route and the status of an HTTP request. Health has no route, because it has no metric line.
    pub http: Option<(Option<&'static str>, u16)>,
}

/// The part of the time of an invocation that is kept for sending the answer to an HTTP request.
const HTTP_MARGIN: Duration = Duration::from_millis(300);

/// The part of an invocation's time that a tick leaves for its answer.
const TICK_MARGIN: Duration = Duration::from_secs(1);

/// The type of the error of a tick that failed.
const TICK_FAILED: &str = "tick_failed";

/// Answers the payload of any trigger. Logs a line for each message that is returned or dead-lettered.
pub async fn handle<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    payload: Bytes,
    invocation: &Invocation,
) -> Handled {
    let begun = Instant::now();
    let request_id = &invocation.request_id;
    match payload::read(&payload, request_id) {
        Payload::Messages(trigger, messages) => {
            handle_batch(door.gateway(), &batch(trigger, messages, invocation), begun).await
        }
        Payload::Http(front, request) => {
            let deadline = invocation.deadline - HTTP_MARGIN;
            let call = Call { request_id, started: invocation.started, deadline };
            let answered = match request {
                Ok(request) => catch_panic(door.answer(&request, call)).await.unwrap_or_else(Answered::defect),
                Err(error) => Answered::unreadable(error.to_string()),
            };
            answer_front(front, answered, begun)
        }
        Payload::Tick(scheduled) => handle_tick(door.gateway(), scheduled, invocation).await,
    }
}

/// Runs a tick. It ends before the invocation does, because Lambda would not say why it stopped.
async fn handle_tick<T: Transport, D: DeadLetterQueue>(
    gateway: &Gateway<T, D>,
    scheduled: Result<Scheduled, ScheduleError>,
    invocation: &Invocation,
) -> Handled {
    let failed = |error_message: String| FunctionError { error_type: TICK_FAILED.to_owned(), error_message };
    let mut summary = Summary::default();
    let answer = match scheduled {
        Err(error) => Err(failed(error.to_string())),
        Ok(Scheduled { tick, shard }) => {
            let Invocation { request_id, started, deadline } = invocation;
            let call = TickCall { tick, shard, started: *started, request_id, deadline: *deadline - TICK_MARGIN };
            match catch_panic(gateway.tick(&call)).await {
                None => Err(failed(DEFECT.to_owned())),
                Some(Err(error)) => Err(failed(error.to_string())),
                Some(Ok(ticked)) => {
                    let error = ticked.sum.error.as_ref().map(|error| failed(error.to_string()));
                    let report = tick_report(&ticked);
                    summary.tick = Some(Box::new(ticked));
                    error.map_or(Ok(report), Err)
                }
            }
        }
    };
    if let Err(FunctionError { error_message, .. }) = &answer {
        let request_id = &invocation.request_id;
        tracing::error!(request_id, error = error_message, "tick failed");
    }
    Handled { answer, summary, trigger: "tick", http: None }
}

/// Answers a payload of events alone, as `handle` does.
pub async fn handle_messages<T: Transport, D: DeadLetterQueue>(
    gateway: &Gateway<T, D>,
    payload: Bytes,
    invocation: &Invocation,
) -> Handled {
    let begun = Instant::now();
    let (trigger, messages) = payload::read_messages(&payload, &invocation.request_id);
    handle_batch(gateway, &batch(trigger, messages, invocation), begun).await
}

fn batch<'a>(trigger: Trigger, messages: Vec<Message<'a>>, invocation: &'a Invocation) -> Batch<'a> {
    let Invocation { request_id, started, deadline } = invocation;
    Batch { trigger, messages, request_id, started: *started, deadline: *deadline }
}

fn answer_front(front: Front, mut answered: Answered, begun: Instant) -> Handled {
    let answer = front.answer(&answered.response).unwrap_or_else(|error| {
        // A sentence fits.
        answered = std::mem::replace(&mut answered, Answered::defect()).too_long(error.to_string());
        front.answer(&answered.response).unwrap_or_default()
    });
    let Answered { response, route, mut summary } = answered;
    summary.stages.total = begun.elapsed();
    Handled { answer: Ok(answer), summary, trigger: "http", http: Some((route, response.status)) }
}

async fn handle_batch<T: Transport, D: DeadLetterQueue>(
    gateway: &Gateway<T, D>,
    batch: &Batch<'_>,
    begun: Instant,
) -> Handled {
    let parsed = begun.elapsed();
    let trigger = match batch.trigger {
        Trigger::Sqs { fifo: false } => "sqs",
        Trigger::Sqs { fifo: true } => "sqs_fifo",
        Trigger::Direct | Trigger::Http => "direct",
    };
    let Some(ingested) = catch_panic(gateway.ingest(batch)).await else {
        return defect(batch, trigger);
    };
    log_actions(batch, &ingested.ledger);
    let answer = match batch.trigger {
        Trigger::Sqs { .. } => Ok(answer::partial_batch(batch, &ingested)),
        Trigger::Direct | Trigger::Http => answer::direct(&ingested),
    };
    let mut summary = ingested.summary;
    if batch.trigger == Trigger::Direct {
        summary.answer_directly(answer.is_err());
    }
    summary.stages.read += parsed;
    summary.stages.total = begun.elapsed();
    Handled { answer, summary, trigger, http: None }
}

/// Returns `None` if `future` panicked. That is a defect; the next invocation is not affected.
pub(crate) async fn catch_panic<T>(future: impl Future<Output = T>) -> Option<T> {
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
    Handled { answer: Err(error), summary: Summary::all_returned(batch.messages.len() as u64), trigger, http: None }
}

/// Logs a line for each message, up to a limit. The limit covers all messages of the largest batch of SQS, but not all
/// their details.
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
        tracing::warn!(request_id, more, "further messages have no line in the log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_that_panics_ends_without_a_result() {
        assert_eq!(catch_panic(async { 7 }).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "a defect");
        };
        assert_eq!(catch_panic(panics).await, None);
    }
}
