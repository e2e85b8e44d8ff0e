//! Outcomes to what the caller of each trigger expects to hear.

use super::FunctionError;
use crate::event::Shape;
use crate::gateway::{Batch, Ingested, MessageAction, RejectedEvent};
use serde::Serialize;
use std::borrow::Cow;

/// Refused events that a report lists.
const MAX_LISTED: usize = 1_000;

/// The partial batch response of an event source mapping with `ReportBatchItemFailures`:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartialBatchResponse<'a> {
    batch_item_failures: Vec<BatchItemFailure<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure<'a> {
    item_identifier: &'a str,
}

/// What a direct caller is told.
#[derive(Serialize)]
struct Report<'a> {
    accepted: u64,
    rejected_count: u64,
    rejected: Vec<Listed<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Listed<'a>>,
    samples: u64,
    series: u64,
    requests: u64,
    inexact: u64,
}

#[derive(Serialize)]
struct Listed<'a> {
    index: usize,
    reason: &'static str,
    detail: Cow<'a, str>,
}

/// Names the messages that are to be delivered again.
pub(super) fn partial_batch(batch: &Batch<'_>, ingested: &Ingested) -> String {
    let handed_back = batch
        .messages
        .iter()
        .zip(&ingested.actions)
        .filter(|(_, action)| matches!(action, MessageAction::Return { .. }));
    let failures = handed_back.map(|(message, _)| BatchItemFailure { item_identifier: &message.id }).collect();
    json(&PartialBatchResponse { batch_item_failures: failures })
}

/// A report; a function error where the caller, or Lambda, is to try again, and for a single event that is refused.
pub(super) fn direct(ingested: &Ingested) -> Result<String, FunctionError> {
    let metrics = &ingested.metrics;
    if metrics.errored > 0 {
        let error_message = format!(
            "{} of {} events were not delivered, {} were, {} are refused: {}",
            metrics.errored,
            metrics.received,
            metrics.delivered,
            metrics.rejected,
            ingested.failure.as_deref().unwrap_or("it could not be sent"),
        );
        return Err(FunctionError { error_type: "delivery_failed".to_owned(), error_message });
    }
    if ingested.shapes == [Shape::Single]
        && let Some(refused) = ingested.ledger.refused().find(|refused| !ingested.ledger.drops(refused.reason))
    {
        let error_message = refused.words().into_owned();
        return Err(FunctionError { error_type: refused.reason.as_str().to_owned(), error_message });
    }
    let report = report(ingested);
    if ingested.dead_letter_failure.is_some() {
        return Err(FunctionError { error_type: "dead_letter_failed".to_owned(), error_message: report });
    }
    Ok(report)
}

fn report(ingested: &Ingested) -> String {
    let (ledger, metrics) = (&ingested.ledger, &ingested.metrics);
    let rejected = ledger.refused().filter(|refused| !ledger.drops(refused.reason));
    let dropped = ledger.refused().filter(|refused| ledger.drops(refused.reason));
    json(&Report {
        accepted: metrics.delivered,
        rejected_count: metrics.rejected,
        rejected: rejected.take(MAX_LISTED).map(listed).collect(),
        dropped_count: metrics.dropped,
        dropped: dropped.take(MAX_LISTED).map(listed).collect(),
        samples: metrics.samples,
        series: metrics.series,
        requests: metrics.requests,
        inexact: metrics.inexact,
    })
}

fn listed(refused: RejectedEvent<'_>) -> Listed<'_> {
    Listed { index: refused.event, reason: refused.reason.as_str(), detail: refused.words() }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// These types hold strings and numbers, which always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
