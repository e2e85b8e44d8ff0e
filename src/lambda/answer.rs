//! Outcomes to the answer that the caller of each trigger expects.

use super::report::{BatchItemFailure, FunctionError, ListedEvent, MAX_LISTED, PartialBatchResponse, Report};
use crate::event::Shape;
use crate::gateway::{Batch, Ingested, MessageAction, RejectedEvent};
use serde::Serialize;
use std::borrow::Cow;

/// Names the messages to deliver again.
pub(super) fn partial_batch(batch: &Batch<'_>, ingested: &Ingested) -> String {
    let actions = batch.messages.iter().zip(&ingested.actions);
    let returned = actions.filter(|(_, action)| matches!(action, MessageAction::Return { .. }));
    let failures = returned.map(|(message, _)| BatchItemFailure { item_identifier: Cow::Borrowed(&message.id) });
    json(&PartialBatchResponse { batch_item_failures: failures.collect() })
}

/// Returns a report; a function error if the caller, or Lambda, must try again, and for a single event that is rejected.
pub(super) fn direct(ingested: &Ingested) -> Result<String, FunctionError> {
    let metrics = &ingested.metrics;
    if metrics.errored > 0 {
        let error_message = format!(
            "{} of {} events were not delivered, {} were, {} are rejected: {}",
            metrics.errored,
            metrics.received,
            metrics.delivered,
            metrics.rejected,
            ingested.failure.as_deref().unwrap_or("it could not be sent"),
        );
        return Err(FunctionError { error_type: "delivery_failed".to_owned(), error_message });
    }
    if ingested.shapes == [Shape::Single]
        && let Some(rejected) = ingested.ledger.refused().find(|rejected| !ingested.ledger.drops(rejected.reason))
    {
        let error_message = rejected.words().into_owned();
        return Err(FunctionError { error_type: rejected.reason.as_str().to_owned(), error_message });
    }
    let report = report(ingested);
    if ingested.dead_letter_failure.is_some() {
        return Err(FunctionError { error_type: "dead_letter_failed".to_owned(), error_message: report });
    }
    Ok(report)
}

fn report(ingested: &Ingested) -> String {
    let (ledger, metrics) = (&ingested.ledger, &ingested.metrics);
    let rejected = ledger.refused().filter(|rejected| !ledger.drops(rejected.reason));
    let dropped = ledger.refused().filter(|rejected| ledger.drops(rejected.reason));
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

fn listed(rejected: RejectedEvent<'_>) -> ListedEvent<'_> {
    ListedEvent { index: rejected.event, reason: Cow::Borrowed(rejected.reason.as_str()), detail: rejected.words() }
}

/// These types hold strings and numbers, which always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
