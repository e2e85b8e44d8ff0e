//! The report about a payload: the outcomes of its events.

use super::{Ingested, RejectedEvent};
use crate::limits::MAX_LISTED_REJECTIONS;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The answer to a caller that waits for the outcomes.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
#[serde(default)]
pub struct Report<'a> {
    pub accepted: u64,
    pub rejected_count: u64,
    /// The first rejected events, at most [`crate::limits::MAX_LISTED_REJECTIONS`].
    #[serde(borrow)]
    pub rejected: Vec<ListedEvent<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped_count: u64,
    /// The first late events.
    #[serde(borrow, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<ListedEvent<'a>>,
    /// Typed events that are in the journal.
    #[serde(skip_serializing_if = "is_zero")]
    pub typed: u64,
    pub samples: u64,
    pub series: u64,
    pub requests: u64,
    /// Integers that a double does not hold exactly.
    pub inexact: u64,
    /// Metrics that were null, and left out.
    pub null_values: u64,
}

/// An event that was rejected or dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ListedEvent<'a> {
    /// The number of the event in the payload, from 0.
    pub index: usize,
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// Path and error text.
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
}

impl<'a> Report<'a> {
    pub fn of(ingested: &'a Ingested) -> Self {
        let (ledger, summary) = (&ingested.ledger, &ingested.summary);
        Self {
            accepted: summary.delivered,
            rejected_count: summary.rejected,
            rejected: ledger.rejected().take(MAX_LISTED_REJECTIONS).map(listed).collect(),
            dropped_count: summary.dropped,
            dropped: ledger.dropped().take(MAX_LISTED_REJECTIONS).map(listed).collect(),
            typed: summary.typed,
            samples: summary.samples,
            series: summary.series,
            requests: summary.sent.requests,
            inexact: summary.inexact,
            null_values: summary.null_values,
        }
    }
}

fn listed(rejected: RejectedEvent<'_>) -> ListedEvent<'_> {
    ListedEvent { index: rejected.index, reason: Cow::Borrowed(rejected.reason.as_str()), detail: rejected.detail() }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
