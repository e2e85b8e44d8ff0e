//! The answers of the function: a report for a direct caller, and a partial batch response for SQS. The function writes
//! these types, and the programs that invoke it read them.

use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

pub use crate::gateway::{ListedEvent, Report};

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
