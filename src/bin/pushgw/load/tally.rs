//! What was sent, and what whoever took it said. Pure.

use super::target::Outcome;
use amp_push_gateway::local::fleet::Expected;
use std::collections::BTreeMap;

/// Things that are told one by one.
const MAX_TOLD: usize = 10;

/// Counts of events, unless it is said otherwise.
#[derive(Clone, Default, Debug)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    /// Events made, broken ones among them.
    pub(super) events: u64,
    pub(super) broken: u64,
    pub(super) taken: u64,
    pub(super) stored: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) failed: u64,
    /// Events whose outcome is not the planned one, and not a failure either.
    pub(super) surprises: u64,
    /// The first failures and surprises, in words.
    pub(super) told: Vec<String>,
}

// === impl Tally ===

impl Tally {
    pub(super) fn count(&mut self, expected: &Expected, outcome: &Outcome) {
        self.events += 1;
        let planned = match expected {
            Expected::Stored(_) => None,
            Expected::PutAside { reason, .. } | Expected::HandedBack { reason } => Some(reason.as_str()),
        };
        self.broken += u64::from(planned.is_some());
        match outcome {
            Outcome::Taken => self.taken += 1,
            Outcome::Stored => self.stored += 1,
            Outcome::Refused(reason) => *self.refused.entry(reason.clone()).or_default() += 1,
            Outcome::Failed(_) => self.failed += 1,
        }
        match (planned, outcome) {
            (None, Outcome::Stored) | (_, Outcome::Taken) => {}
            (Some(planned), Outcome::Refused(reason)) if planned == reason => {}
            (_, Outcome::Failed(words)) => self.tell(words.clone()),
            (planned, outcome) => {
                self.surprises += 1;
                self.tell(format!("an event that should be {} is {}", said(planned), words(outcome)));
            }
        }
    }

    fn tell(&mut self, words: String) {
        if self.told.len() < MAX_TOLD && !self.told.contains(&words) {
            self.told.push(words);
        }
    }
}

fn said(planned: Option<&str>) -> String {
    planned.map_or("stored".to_owned(), |reason| format!("refused as {reason}"))
}

fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(reason) => format!("refused as {reason}"),
        Outcome::Stored => "stored".to_owned(),
        Outcome::Taken => "taken".to_owned(),
        Outcome::Failed(words) => words.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::model::Reason;

    #[test]
    fn what_is_not_as_planned_is_told() {
        let good = Expected::Stored(Vec::new());
        let bad = Expected::PutAside { reason: Reason::TooOld, body: String::new() };
        let refused = |reason: &str| Outcome::Refused(reason.to_owned());
        let mut tally = Tally::default();
        for (expected, outcome) in
            [(&good, Outcome::Stored), (&good, Outcome::Taken), (&bad, Outcome::Taken), (&bad, refused("too_old"))]
        {
            tally.count(expected, &outcome);
        }
        assert_eq!((tally.events, tally.broken, tally.surprises, tally.told.len()), (4, 2, 0, 0));
        tally.count(&bad, &Outcome::Stored);
        tally.count(&bad, &refused("invalid_value"));
        tally.count(&good, &refused("out_of_order"));
        tally.count(&good, &Outcome::Failed("503".to_owned()));
        assert_eq!((tally.surprises, tally.failed, tally.told.len()), (3, 1, 4), "{tally:?}");
    }
}
