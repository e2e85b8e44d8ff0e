//! Counts events by their outcomes. Pure.

use super::generator::Expected;
use std::collections::BTreeMap;

const MAX_LISTED: usize = 10;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum EventOutcome {
    /// A queue has it.
    Taken,
    Stored,
    /// The function's report has this reason.
    Rejected(String),
    /// The dead letter has this reason.
    DeadLettered(String),
    /// The queue or the caller has it back, the caller with this error type.
    Returned(String),
    /// It could not be sent; the error text.
    Failed(String),
}

/// Counts of events, unless it says otherwise.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) events: u64,
    /// Events that must not be stored.
    pub(crate) broken: u64,
    pub(crate) taken: u64,
    pub(crate) stored: u64,
    /// Rejected events by reason.
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) dead_lettered: u64,
    pub(crate) returned: u64,
    pub(crate) failed: u64,
    /// Events that did not fail, and have the wrong outcome.
    pub(crate) surprises: u64,
    /// The first failures and surprises.
    pub(crate) failures: Vec<String>,
}

impl Tally {
    pub(crate) fn count(&mut self, expected: &Expected, outcome: &EventOutcome) {
        self.events += 1;
        self.broken += u64::from(expected.samples().is_none());
        match outcome {
            EventOutcome::Taken => self.taken += 1,
            EventOutcome::Stored => self.stored += 1,
            EventOutcome::Rejected(reason) => *self.refused.entry(reason.clone()).or_default() += 1,
            EventOutcome::DeadLettered(_) => self.dead_lettered += 1,
            EventOutcome::Returned(_) => self.returned += 1,
            EventOutcome::Failed(_) => self.failed += 1,
        }
        match (expected, outcome) {
            (_, EventOutcome::Taken) | (Expected::Stored(_), EventOutcome::Stored) => {}
            (Expected::Rejected(reason), EventOutcome::Rejected(actual) | EventOutcome::DeadLettered(actual))
            | (Expected::Returned(reason), EventOutcome::Rejected(actual) | EventOutcome::Returned(actual))
                if reason.as_str() == actual => {}
            (_, EventOutcome::Failed(text)) => self.list(text.clone()),
            _ => self.surprise(format!("an event that should be {} is {}", expected_text(expected), text(outcome))),
        }
    }

    pub(crate) fn surprise(&mut self, text: String) {
        self.surprises += 1;
        self.list(text);
    }

    fn list(&mut self, text: String) {
        if self.failures.len() < MAX_LISTED && !self.failures.contains(&text) {
            self.failures.push(text);
        }
    }
}

fn expected_text(expected: &Expected) -> String {
    match expected {
        Expected::Stored(_) => "stored".to_owned(),
        Expected::Rejected(reason) => format!("rejected as {reason}"),
        Expected::Returned(reason) => format!("returned as {reason}"),
    }
}

fn text(outcome: &EventOutcome) -> String {
    match outcome {
        EventOutcome::Taken => "taken".to_owned(),
        EventOutcome::Stored => "stored".to_owned(),
        EventOutcome::Rejected(reason) => format!("rejected as {reason}"),
        EventOutcome::DeadLettered(reason) => format!("dead-lettered as {reason}"),
        EventOutcome::Returned(reason) => format!("returned as {reason}"),
        EventOutcome::Failed(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::model::Reason;

    #[test]
    fn counts_failures_and_what_is_not_as_planned() {
        let good = Expected::Stored(Vec::new());
        let bad = Expected::Rejected(Reason::TooOld);
        let returned = Expected::Returned(Reason::TooOld);
        let rejected = |reason: &str| EventOutcome::Rejected(reason.to_owned());
        let too_old = || "too_old".to_owned();
        let mut tally = Tally::default();
        for (expected, outcome) in [
            (&good, EventOutcome::Stored),
            (&good, EventOutcome::Taken),
            (&bad, EventOutcome::Taken),
            (&bad, rejected("too_old")),
            (&bad, EventOutcome::DeadLettered(too_old())),
            (&returned, EventOutcome::Returned(too_old())),
        ] {
            tally.count(expected, &outcome);
        }
        assert_eq!((tally.events, tally.broken, tally.surprises, tally.failures.len()), (6, 4, 0, 0));
        for (expected, outcome) in [
            (&bad, EventOutcome::Stored),
            (&bad, rejected("invalid_value")),
            (&bad, EventOutcome::Returned(too_old())),
            (&returned, EventOutcome::DeadLettered(too_old())),
            (&good, rejected("out_of_order")),
            (&good, EventOutcome::Failed("503".to_owned())),
        ] {
            tally.count(expected, &outcome);
        }
        assert_eq!((tally.surprises, tally.failed, tally.failures.len()), (5, 1, 6), "{tally:?}");
    }
}
