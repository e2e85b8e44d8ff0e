//! Reads the partial batch response: the messages of a batch that are done. Pure.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>

use crate::lambda::report::{FunctionError, PartialBatchResponse};
use std::fmt;

/// Why Lambda reads an answer as the failure of the whole batch.
#[derive(Debug)]
pub(super) enum BatchFailure {
    FunctionError(FunctionError),
    NoPartialBatchResponse(serde_json::Error),
    /// The answer names this message, which is not in the batch.
    UnknownMessage(String),
}

/// Returns for each of the messages `ids` true if it is done. The event source deletes it then.
pub(super) fn done(answer: &Result<String, FunctionError>, ids: &[&str]) -> Result<Vec<bool>, BatchFailure> {
    let answer = answer.as_ref().map_err(|error| BatchFailure::FunctionError(error.clone()))?;
    let response: Option<PartialBatchResponse<'_>> =
        serde_json::from_str(answer).map_err(BatchFailure::NoPartialBatchResponse)?;
    let failures = response.unwrap_or_default().batch_item_failures;
    let mut done = vec![true; ids.len()];
    for failed in failures.iter().map(|failure| &*failure.item_identifier) {
        let mut is_known = false;
        for (id, done) in ids.iter().zip(&mut done).filter(|(id, _)| **id == failed) {
            (is_known, *done) = (!id.is_empty(), false);
        }
        if !is_known {
            return Err(BatchFailure::UnknownMessage(failed.to_owned()));
        }
    }
    Ok(done)
}

impl fmt::Display for BatchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FunctionError(error) => write!(f, "{}: {}", error.error_type, error.error_message),
            Self::NoPartialBatchResponse(error) => write!(f, "the answer is not a partial batch response: {error}"),
            Self::UnknownMessage(id) => {
                write!(f, "the answer names {id:?} in batchItemFailures, but the batch has no such message")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(answer: &str) -> Result<Vec<bool>, String> {
        done(&Ok(answer.to_owned()), &["a", "b", "c"]).map_err(|failure| failure.to_string())
    }

    #[test]
    fn returns_done_for_messages_that_the_answer_does_not_name() {
        let table = [
            (r#"{"batchItemFailures":[]}"#, [true, true, true]),
            (r#"{"batchItemFailures":null}"#, [true, true, true]),
            ("{}", [true, true, true]),
            ("null", [true, true, true]),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, [true, false, true]),
            (
                r#"{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"},{"itemIdentifier":"c"}]}"#,
                [false, true, false],
            ),
        ];
        for (answer, expected) in table {
            assert_eq!(read(answer), Ok(expected.to_vec()), "{answer}");
        }
    }

    #[test]
    fn fails_the_whole_batch_if_lambda_rejects_the_answer() {
        let table = [
            ("", "not a partial batch response"),
            ("[1]", "not a partial batch response"),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "\"\""),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, "not a partial batch response"),
            (r#"{"batchItemFailures":[{"itemId":"a"}]}"#, "itemIdentifier"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"d"}]}"#, "\"d\""),
        ];
        for (answer, expected) in table {
            let error = read(answer).unwrap_err();
            assert!(error.contains(expected), "{answer}: {error}");
        }
    }

    #[test]
    fn fails_the_whole_batch_after_a_function_error() {
        let error = FunctionError { error_type: "delivery_failed".to_owned(), error_message: "503".to_owned() };
        assert_eq!(done(&Err(error), &["a"]).unwrap_err().to_string(), "delivery_failed: 503");
    }

    proptest! {
        #[test]
        fn returns_not_done_for_exactly_the_named_messages(failed in proptest::collection::vec(any::<bool>(), 0..50)) {
            let ids: Vec<_> = (0..failed.len()).map(|number| format!("m-{number}")).collect();
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            let named: Vec<_> = ids.iter().zip(&failed).filter(|(_, failed)| **failed)
                .map(|(id, _)| serde_json::json!({"itemIdentifier": id})).collect();
            let answer = serde_json::json!({"batchItemFailures": named}).to_string();
            let expected: Vec<_> = failed.iter().map(|failed| !failed).collect();
            prop_assert_eq!(done(&Ok(answer), &ids).unwrap(), expected);
        }
    }
}
