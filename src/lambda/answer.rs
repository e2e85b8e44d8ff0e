//! Makes the answer that the caller of each trigger expects.

use super::report::{BatchItemFailure, FunctionError, PartialBatchResponse, Report};
use crate::dead_letter::DeadLetterError;
use crate::gateway::{Batch, Ingested, MessageAction};
use serde::Serialize;
use std::borrow::Cow;

/// Names the messages to deliver again.
pub(super) fn partial_batch(batch: &Batch<'_>, ingested: &Ingested) -> String {
    let actions = batch.messages.iter().zip(ingested.ledger.actions());
    let returned = actions.filter(|(_, action)| matches!(action, MessageAction::Return { .. }));
    let failures = returned.map(|(message, _)| BatchItemFailure { item_identifier: Cow::Borrowed(&message.id) });
    json(&PartialBatchResponse { batch_item_failures: failures.collect() })
}

/// Returns a report; a function error if the caller, or Lambda, must try again, and for a single event that is rejected.
pub(super) fn direct(ingested: &Ingested) -> Result<String, FunctionError> {
    let summary = &ingested.summary;
    if summary.errored > 0 {
        let error_message = format!(
            "{} of {} events were not delivered, {} were, {} are rejected: {}",
            summary.errored,
            summary.received,
            summary.delivered,
            summary.rejected,
            ingested.failure.as_deref().unwrap_or("it could not be sent"),
        );
        return Err(FunctionError { error_type: "delivery_failed".to_owned(), error_message });
    }
    if ingested.ledger.is_single_event()
        && let Some(rejected) = ingested.ledger.rejected().next()
    {
        let error_message = rejected.detail().into_owned();
        return Err(FunctionError { error_type: rejected.reason.as_str().to_owned(), error_message });
    }
    let report = json(&Report::of(ingested));
    if let Some(error @ DeadLetterError::PayloadTooLong { .. }) = &ingested.dead_letter_failure {
        let error_message = format!(
            "{} of {} events are rejected, {} were delivered: {error}",
            summary.rejected, summary.received, summary.delivered,
        );
        return Err(FunctionError { error_type: "delivery_failed".to_owned(), error_message });
    }
    if ingested.dead_letter_failure.is_some() {
        return Err(FunctionError { error_type: "dead_letter_failed".to_owned(), error_message: report });
    }
    Ok(report)
}

/// These types hold strings and numbers, which always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
