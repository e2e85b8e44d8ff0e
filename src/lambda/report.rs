//! The answers of the function: a report to a direct caller, a partial batch response to SQS. The function writes these
//! types; everyone who invokes it reads them.

use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// The answer to a direct invocation.
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

/// The answer to an event source mapping with `ReportBatchItemFailures`:
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct PartialBatchResponse<'a> {
    /// The messages to deliver again. Lambda reads a missing list and `null` as an empty one.
    #[serde(borrow, default, deserialize_with = "null_as_empty")]
    pub batch_item_failures: Vec<BatchItemFailure<'a>>,
}

/// A message to deliver again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure<'a> {
    #[serde(borrow)]
    pub item_identifier: Cow<'a, str>,
}

/// The answer of a function that failed.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
#[serde(rename_all = "camelCase", default)]
pub struct FunctionError {
    /// The error text; the [`Report`] as JSON if the type is `dead_letter_failed`.
    pub error_message: String,
    /// A reason of the vocabulary, `delivery_failed` or `dead_letter_failed`; another function's or Lambda's own type.
    pub error_type: String,
}

fn null_as_empty<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<BatchItemFailure<'de>>, D::Error> {
    Ok(Option::deserialize(list)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
