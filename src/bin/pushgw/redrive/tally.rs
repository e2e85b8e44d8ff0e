//! Counts the dead letters of a run by what was done with them, with examples. Its memory is bounded. Pure.

use super::dead_letter::{DeadLetter, Message, Origin};
use super::route::StayReason;
use crate::view::excerpt;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

const MAX_EXAMPLES: usize = 3;
/// Reasons that are counted one by one; records of Lambda can hold any word.
const MAX_REASONS: usize = 100;
/// Stands for the others.
const OTHER_REASONS: &str = "(others)";
const MAX_BODY_CHARS: usize = 200;
const MAX_FAILURES: usize = 10;

/// The fields are keys of the report for scripts.
#[derive(Clone, Default, Serialize, Debug)]
pub(super) struct Tally {
    /// By reason and origin.
    #[serde(rename = "reasons", serialize_with = "values")]
    pub(super) groups: BTreeMap<(String, Origin), Group>,
    #[serde(rename = "letters")]
    pub(super) dead_letters: u64,
    pub(super) too_old: u64,
    pub(super) maybe_stored: u64,
    pub(super) sent: u64,
    pub(super) filed: u64,
    /// Messages in the file with events without a time.
    pub(super) filed_without_time: u64,
    /// Messages in the file with typed metrics that are, or may be, in the table.
    pub(super) filed_counted: u64,
    #[serde(rename = "left")]
    pub(super) stays: BTreeMap<StayReason, u64>,
    /// Dead letters that could not be written, and stay.
    pub(super) failed: u64,
    /// Dead letters that are written, but still on the queue.
    pub(super) not_deleted: u64,
    /// The first error texts.
    pub(super) failures: Vec<String>,
    /// Dead letters that stay hidden until their time is over.
    pub(super) hidden: u64,
    pub(super) ended: Ended,
}

#[derive(Clone, Default, Serialize, Debug)]
pub(super) struct Group {
    pub(super) reason: String,
    pub(super) from: Origin,
    #[serde(rename = "letters")]
    pub(super) dead_letters: u64,
    pub(super) too_old: u64,
    pub(super) maybe_stored: u64,
    pub(super) examples: Vec<Example>,
}

#[derive(Clone, Serialize, Debug)]
pub(super) struct Example {
    pub(super) message_id: String,
    pub(super) sent_timestamp: Option<i64>,
    pub(super) detail: String,
    /// The beginning of its message, or why there is none.
    pub(super) body: String,
}

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ended {
    #[default]
    Empty,
    /// It saw as many as it may.
    Max,
    /// The first messages would soon be shown again.
    Time,
    /// By SIGINT or SIGTERM.
    Stopped,
    Failed,
}

impl Tally {
    pub(super) fn see(&mut self, dead_letter: &DeadLetter, too_old: bool) {
        let mut key = (dead_letter.reason.clone(), dead_letter.origin);
        if self.groups.len() >= MAX_REASONS && !self.groups.contains_key(&key) {
            OTHER_REASONS.clone_into(&mut key.0);
        }
        let (reason, from) = key.clone();
        let group = self.groups.entry(key).or_insert_with(|| Group { reason, from, ..Group::default() });
        let (too_old, maybe_stored) = (u64::from(too_old), u64::from(dead_letter.maybe_stored));
        self.dead_letters += 1;
        self.too_old += too_old;
        self.maybe_stored += maybe_stored;
        group.dead_letters += 1;
        group.too_old += too_old;
        group.maybe_stored += maybe_stored;
        if group.examples.len() < MAX_EXAMPLES {
            group.examples.push(Example {
                message_id: dead_letter.id.clone(),
                sent_timestamp: dead_letter.sent.map(|sent| sent.0),
                detail: dead_letter.detail.clone(),
                body: match &dead_letter.message {
                    Message::Whole(text) | Message::ForAFile(text) => excerpt(text, MAX_BODY_CHARS),
                    Message::Missing(why) => format!("({why})"),
                },
            });
        }
    }

    pub(super) fn fail(&mut self, text: String) {
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(text);
        }
    }

    /// Returns true if all that was selected went its way.
    pub(super) fn is_good(&self) -> bool {
        let is_whole = !matches!(self.ended, Ended::Failed | Ended::Stopped);
        is_whole && self.failed == 0 && self.not_deleted == 0 && self.stays.keys().all(|why| !why.is_obstacle())
    }
}

fn values<S: Serializer>(groups: &BTreeMap<(String, Origin), Group>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(groups.values())
}

impl Ended {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Empty => "the queue has no more",
            Self::Max => "as many as --max allows",
            Self::Time => "the time of --hide is nearly over: run it again for the rest",
            Self::Stopped => "stopped: run it again for the rest",
            Self::Failed => "ended by a failure",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead_letter(reason: String) -> DeadLetter {
        DeadLetter {
            id: "m".to_owned(),
            origin: Origin::Lambda,
            reason,
            detail: "d".to_owned(),
            message: Message::Whole("é\n".repeat(1_000)),
            sent: None,
            maybe_stored: true,
            counted: false,
            source_message_id: None,
            source_index: None,
            group: None,
        }
    }

    #[test]
    fn counts_and_examples_are_bounded() {
        let mut tally = Tally::default();
        for number in 0..500 {
            tally.see(&dead_letter(format!("r{number}")), number % 2 == 0);
        }
        for _ in 0..10 {
            tally.see(&dead_letter("r0".to_owned()), false);
        }
        assert_eq!((tally.dead_letters, tally.too_old, tally.maybe_stored), (510, 250, 510));
        assert_eq!(tally.groups.len(), MAX_REASONS + 1);
        let group = &tally.groups[&("r0".to_owned(), Origin::Lambda)];
        assert_eq!((group.dead_letters, group.examples.len()), (11, MAX_EXAMPLES));
        assert_eq!(group.examples[0].body.chars().count(), MAX_BODY_CHARS + 1);
        assert_eq!(tally.groups[&(OTHER_REASONS.to_owned(), Origin::Lambda)].dead_letters, 400);
    }

    #[test]
    fn a_run_is_good_if_all_that_was_selected_went() {
        let with = |change: fn(&mut Tally)| {
            let mut tally = Tally::default();
            change(&mut tally);
            tally.is_good()
        };
        assert!(with(|_| {}));
        assert!(with(|tally| tally.stays = BTreeMap::from([(StayReason::NotChosen, 1)])));
        assert!(with(|tally| tally.ended = Ended::Max));
        assert!(!with(|tally| tally.stays = BTreeMap::from([(StayReason::TooOld, 1)])));
        assert!(!with(|tally| tally.failed = 1));
        assert!(!with(|tally| tally.not_deleted = 1));
        assert!(!with(|tally| tally.ended = Ended::Stopped));
    }
}
