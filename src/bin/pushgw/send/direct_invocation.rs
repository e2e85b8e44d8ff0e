//! The payload of a direct invocation, and the outcomes in its answer. Pure.

use super::outcome::Outcome;
use amp_push_gateway::lambda::report::{FunctionError, ListedEvent, Report};
use amp_push_gateway::model::Reason;
use std::borrow::Borrow;

/// Returns one message as it is, several as an array.
pub(crate) fn payload<T: Borrow<str>>(messages: &[T]) -> String {
    match messages {
        [message] => message.borrow().to_owned(),
        _ => format!("[{}]", messages.join(",")),
    }
}

/// Returns the outcome of each of `count` messages.
pub(crate) fn outcomes(answer: &Result<String, FunctionError>, count: usize) -> Vec<Outcome> {
    let is_reason = |text: &str| Reason::ALL.iter().any(|reason| reason.as_str() == text);
    match answer {
        Ok(answer) => reported(answer, count),
        // The good events are stored, and the rejected ones are reported here, though they are no dead letters.
        Err(error) if error.error_type == "dead_letter_failed" => reported(&error.error_message, count),
        Err(error) if count == 1 && is_reason(&error.error_type) => {
            let (reason, detail) = (error.error_type.clone(), error.error_message.clone());
            vec![Outcome::Rejected { reason, detail }]
        }
        Err(error) => {
            let text = format!("the function failed with {}: {}", error.error_type, error.error_message);
            vec![Outcome::unsent(text, true); count]
        }
    }
}

/// A function whose answer is no report has taken the messages.
fn reported(answer: &str, count: usize) -> Vec<Outcome> {
    let Ok(report) = serde_json::from_str::<Report<'_>>(answer) else { return vec![Outcome::Sent; count] };
    let mut outcomes = vec![Outcome::Stored; count];
    for ListedEvent { index, reason, detail } in report.dropped.iter().chain(&report.rejected).rev() {
        // A message that travelled alone may hold several events; only the first rejection has its detail.
        let more = report.rejected_count.saturating_sub(1);
        let more = if count == 1 && more > 0 { format!("; and {more} more") } else { String::new() };
        if let Some(outcome) = outcomes.get_mut(if count == 1 { 0 } else { *index }) {
            *outcome = Outcome::Rejected { reason: reason.to_string(), detail: format!("{detail}{more}") };
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(text: &str) -> Outcome {
        let (reason, detail) = text.split_once(": ").unwrap();
        Outcome::Rejected { reason: reason.to_owned(), detail: detail.to_owned() }
    }

    fn failed(error_type: &str, message: &str, count: usize) -> Vec<Outcome> {
        let error = FunctionError { error_type: error_type.to_owned(), error_message: message.to_owned() };
        outcomes(&Err(error), count)
    }

    #[test]
    fn one_message_is_its_payload_and_several_are_an_array() {
        assert_eq!(payload(&["{\"a\":1}"]), "{\"a\":1}");
        assert_eq!(payload(&["{}", " {}\n"]), "[{}, {}\n]");
    }

    #[test]
    fn messages_that_a_report_lists_are_rejected_and_the_others_are_sent() {
        let report = r#"{"accepted":2,"rejected_count":1,"rejected":[{"index":1,"reason":"invalid_value","detail":"[1].metrics.ph: x"}],"samples":2}"#;
        let expected = [Outcome::Stored, rejected("invalid_value: [1].metrics.ph: x"), Outcome::Stored];
        assert_eq!(outcomes(&Ok(report.to_owned()), 3), expected);
        assert_eq!(failed("dead_letter_failed", report, 3), expected);
        for other in ["null", "\"thanks\""] {
            assert_eq!(outcomes(&Ok(other.to_owned()), 2), [Outcome::Sent, Outcome::Sent], "{other}");
        }
    }

    #[test]
    fn a_message_of_several_events_is_rejected_once_with_their_number() {
        let report = r#"{"rejected_count":2,"rejected":[{"index":3,"reason":"too_old","detail":"[3].x"},{"index":5,"reason":"in_future","detail":"y"}]}"#;
        assert_eq!(outcomes(&Ok(report.to_owned()), 1), [rejected("too_old: [3].x; and 1 more")]);
    }

    #[test]
    fn a_function_error_is_a_reason_or_may_pass() {
        assert_eq!(failed("invalid_value", "metrics.ph: x", 1), [rejected("invalid_value: metrics.ph: x")]);
        for (error_type, count) in
            [("delivery_failed", 1), ("Unhandled", 1), ("Sandbox.Timedout", 2), ("invalid_value", 2)]
        {
            assert!(failed(error_type, "x", count).iter().all(Outcome::may_pass), "{error_type}");
        }
    }
}
