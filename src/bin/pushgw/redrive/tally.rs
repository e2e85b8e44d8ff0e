//! Counts the dead letters of a run and what became of them, with examples. Bounded, whatever the queue holds. Pure.

use super::age::Ages;
use super::dead_letter::{DeadLetter, Message, Origin};
use super::route::StayReason;
use amp_push_gateway::model::Timestamp;
use std::collections::BTreeMap;

const MAX_EXAMPLES: usize = 3;
/// Reasons that are counted one by one; records of Lambda can hold any word.
const MAX_REASONS: usize = 100;
/// Stands for the others.
const OTHER_REASONS: &str = "(others)";
const MAX_BODY_CHARS: usize = 200;
const MAX_FAILURES: usize = 10;

#[derive(Clone, Default, Debug)]
pub(super) struct Tally {
    /// By reason and origin.
    pub(super) groups: BTreeMap<(String, Origin), Group>,
    pub(super) seen: u64,
    pub(super) too_old: u64,
    pub(super) maybe_stored: u64,
    pub(super) sent: u64,
    pub(super) filed: u64,
    /// Messages in the file with events without a time.
    pub(super) filed_without_time: u64,
    pub(super) stays: BTreeMap<StayReason, u64>,
    /// They could not be written, and stay.
    pub(super) failed: u64,
    /// They are written, but still on the queue.
    pub(super) not_deleted: u64,
    /// The first error texts.
    pub(super) failures: Vec<String>,
    /// They stay hidden until their time is over.
    pub(super) hidden: u64,
    pub(super) ended: Ended,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Group {
    pub(super) dead_letters: u64,
    pub(super) too_old: u64,
    pub(super) maybe_stored: u64,
    pub(super) examples: Vec<Example>,
}

#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) id: String,
    pub(super) sent: Option<Timestamp>,
    pub(super) detail: String,
    /// The beginning of its message, or why there is none.
    pub(super) body: String,
}

/// Why a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Ended {
    #[default]
    Empty,
    /// It saw as many as it may.
    AtMax,
    /// The first messages would soon be shown again.
    OutOfTime,
    /// By SIGINT or SIGTERM.
    Stopped,
    Failed,
}

// === impl Tally ===

impl Tally {
    pub(super) fn see(&mut self, dead_letter: &DeadLetter, too_old: bool) {
        self.seen += 1;
        let is_new = !self.groups.contains_key(&(dead_letter.reason.clone(), dead_letter.origin));
        let reason = if is_new && self.groups.len() >= MAX_REASONS {
            OTHER_REASONS.to_owned()
        } else {
            dead_letter.reason.clone()
        };
        let group = self.groups.entry((reason, dead_letter.origin)).or_default();
        group.dead_letters += 1;
        for (is_it, counts) in [
            (too_old, [&mut self.too_old, &mut group.too_old]),
            (dead_letter.maybe_stored, [&mut self.maybe_stored, &mut group.maybe_stored]),
        ] {
            counts.into_iter().filter(|_| is_it).for_each(|count| *count += 1);
        }
        if group.examples.len() < MAX_EXAMPLES {
            group.examples.push(Example::of(dead_letter));
        }
    }

    pub(super) fn stay(&mut self, why: StayReason) {
        *self.stays.entry(why).or_default() += 1;
    }

    pub(super) fn file(&mut self, ages: Option<&Ages>) {
        self.filed += 1;
        self.filed_without_time += u64::from(ages.is_some_and(|ages| ages.any_without_time));
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

// === impl Ended ===

impl Ended {
    /// Returns the word for scripts, and the text for people.
    pub(super) fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => ("empty", "the queue has no more"),
            Self::AtMax => ("max", "as many as --max allows"),
            Self::OutOfTime => ("time", "the time of --hide is nearly over: run it again for the rest"),
            Self::Stopped => ("stopped", "stopped: run it again for the rest"),
            Self::Failed => ("failed", "ended by a failure"),
        }
    }
}

// === impl Example ===

impl Example {
    fn of(dead_letter: &DeadLetter) -> Self {
        let body = match &dead_letter.message {
            Message::Whole(text) | Message::ForAFile { text, .. } => beginning(text),
            Message::Missing { why } => format!("({why})"),
        };
        Self { id: dead_letter.id.clone(), sent: dead_letter.sent, detail: dead_letter.detail.clone(), body }
    }
}

fn beginning(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_BODY_CHARS).collect();
    if text.chars().nth(MAX_BODY_CHARS).is_some() { format!("{line}…") } else { line }
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
        assert_eq!((tally.seen, tally.too_old, tally.maybe_stored), (510, 250, 510));
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
        assert!(with(|tally| tally.stay(StayReason::NotChosen)));
        assert!(with(|tally| tally.ended = Ended::AtMax));
        assert!(!with(|tally| tally.stay(StayReason::TooOld)));
        assert!(!with(|tally| tally.failed = 1));
        assert!(!with(|tally| tally.not_deleted = 1));
        assert!(!with(|tally| tally.ended = Ended::Stopped));
    }
}
