//! The function's answer to a batch: which of its messages are to be deleted. Pure.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>

use crate::lambda::report::{FunctionError, PartialBatchResponse};

/// For each of the messages `ids` whether it is done and to be deleted.
///
/// # Errors
/// The whole batch failed and nothing is to be deleted: the function failed, or, as Lambda has it, its answer is no
/// partial batch response, or names a message that was not in the batch. In words.
pub(super) fn done(answer: &Result<String, FunctionError>, ids: &[&str]) -> Result<Vec<bool>, String> {
    let answer = answer.as_ref().map_err(|error| format!("{}: {}", error.error_type, error.error_message))?;
    let response: Option<PartialBatchResponse<'_>> =
        serde_json::from_str(answer).map_err(|error| format!("the answer is no partial batch response: {error}"))?;
    let failures = response.unwrap_or_default().batch_item_failures;
    let mut done = vec![true; ids.len()];
    for failed in failures.iter().map(|failure| &*failure.item_identifier) {
        let mut is_known = false;
        for (id, done) in ids.iter().zip(&mut done).filter(|(id, _)| **id == failed) {
            (is_known, *done) = (!id.is_empty(), false);
        }
        if !is_known {
            return Err(format!("the answer names {failed:?} in batchItemFailures, which is no message of the batch"));
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(answer: &str) -> Result<Vec<bool>, String> {
        done(&Ok(answer.to_owned()), &["a", "b", "c"])
    }

    #[test]
    fn what_is_not_named_is_done() {
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
            assert_eq!(judged(answer), Ok(expected.to_vec()), "{answer}");
        }
    }

    #[test]
    fn an_answer_that_lambda_would_not_take_fails_the_whole_batch() {
        let table = [
            ("", "no partial batch response"),
            ("[1]", "no partial batch response"),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, "\"\""),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, "no partial batch response"),
            (r#"{"batchItemFailures":[{"itemId":"a"}]}"#, "itemIdentifier"),
            (r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"d"}]}"#, "\"d\""),
        ];
        for (answer, words) in table {
            let error = judged(answer).unwrap_err();
            assert!(error.contains(words), "{answer}: {error}");
        }
    }

    #[test]
    fn a_function_error_fails_the_whole_batch() {
        let error = FunctionError { error_type: "delivery_failed".to_owned(), error_message: "503".to_owned() };
        assert_eq!(done(&Err(error), &["a"]), Err("delivery_failed: 503".to_owned()));
    }

    proptest! {
        #[test]
        fn exactly_the_named_messages_stay(failed in proptest::collection::vec(any::<bool>(), 0..50)) {
            let ids: Vec<_> = (0..failed.len()).map(|number| format!("m-{number}")).collect();
            let ids: Vec<_> = ids.iter().map(String::as_str).collect();
            let named: Vec<_> = ids.iter().zip(&failed).filter(|(_, failed)| **failed)
                .map(|(id, _)| serde_json::json!({"itemIdentifier": id})).collect();
            let answer = serde_json::json!({"batchItemFailures": named}).to_string();
            let expected: Vec<_> = failed.iter().map(|failed| !failed).collect();
            prop_assert_eq!(done(&Ok(answer), &ids), Ok(expected));
        }
    }
}
