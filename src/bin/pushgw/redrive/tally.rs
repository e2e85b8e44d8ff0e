//! What was found on the queue and what became of it, in numbers and examples. Bounded, whatever lies there. Pure.

use super::age::Ages;
use super::choice::Why;
use super::letter::{Letter, Message, Shape};
use amp_push_gateway::model::Timestamp;
use std::collections::BTreeMap;

/// Examples of each reason.
const MAX_EXAMPLES: usize = 3;
/// Reasons that are counted one by one; Lambda's records can hold any word.
const MAX_REASONS: usize = 100;
/// Where the others are counted.
const OTHER_REASONS: &str = "(others)";
/// Characters of an example's body.
const MAX_BODY_CHARS: usize = 200;
/// Failures that are told one by one.
const MAX_TOLD: usize = 10;

/// All of a run.
#[derive(Clone, Default, Debug)]
pub(super) struct Tally {
    /// By reason and shape.
    pub(super) groups: BTreeMap<(String, Shape), Group>,
    /// Messages seen.
    pub(super) seen: u64,
    pub(super) too_old: u64,
    pub(super) maybe_stored: u64,
    pub(super) sent: u64,
    pub(super) filed: u64,
    /// Messages in the file with events that bring no time.
    pub(super) filed_without_time: u64,
    pub(super) stays: BTreeMap<Why, u64>,
    /// Could not be written where they should go, and stay.
    pub(super) failed: u64,
    /// Written, but still on the queue.
    pub(super) not_deleted: u64,
    /// What failed, in words; the first few.
    pub(super) told: Vec<String>,
    /// Left hidden from others until their time is over.
    pub(super) hidden: u64,
    pub(super) ended: Ended,
}

/// The letters of one reason.
#[derive(Clone, Default, Debug)]
pub(super) struct Group {
    pub(super) letters: u64,
    pub(super) too_old: u64,
    pub(super) maybe_stored: u64,
    pub(super) examples: Vec<Example>,
}

/// One letter, to look at.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) id: String,
    pub(super) sent: Option<Timestamp>,
    pub(super) detail: String,
    /// The beginning of its message, or why there is none.
    pub(super) body: String,
}

/// Why a run came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Ended {
    /// The queue had no more.
    #[default]
    Empty,
    /// As many as were asked for.
    AtMax,
    /// Messages that were seen first would soon be seen again.
    OutOfTime,
    /// SIGINT or SIGTERM.
    Stopped,
    /// Something failed.
    Failed,
}

// === impl Tally ===

impl Tally {
    /// Counts a letter that was seen.
    pub(super) fn see(&mut self, letter: &Letter, too_old: bool) {
        self.seen += 1;
        let is_new = !self.groups.contains_key(&(letter.reason.clone(), letter.shape));
        let reason =
            if is_new && self.groups.len() >= MAX_REASONS { OTHER_REASONS.to_owned() } else { letter.reason.clone() };
        let group = self.groups.entry((reason, letter.shape)).or_default();
        group.letters += 1;
        for (is_it, counts) in [
            (too_old, [&mut self.too_old, &mut group.too_old]),
            (letter.maybe_stored, [&mut self.maybe_stored, &mut group.maybe_stored]),
        ] {
            counts.into_iter().filter(|_| is_it).for_each(|count| *count += 1);
        }
        if group.examples.len() < MAX_EXAMPLES {
            group.examples.push(Example::of(letter));
        }
    }

    pub(super) fn stay(&mut self, why: Why) {
        *self.stays.entry(why).or_default() += 1;
    }

    /// Counts a message that is in the file.
    pub(super) fn file(&mut self, ages: Option<&Ages>) {
        self.filed += 1;
        self.filed_without_time += u64::from(ages.is_some_and(|ages| ages.any_without_time));
    }

    pub(super) fn tell(&mut self, words: String) {
        if self.told.len() < MAX_TOLD {
            self.told.push(words);
        }
    }

    /// Whether all that was chosen went its way.
    pub(super) fn is_good(&self) -> bool {
        let is_whole = !matches!(self.ended, Ended::Failed | Ended::Stopped);
        is_whole && self.failed == 0 && self.not_deleted == 0 && self.stays.keys().all(|why| !why.is_refusal())
    }
}

// === impl Ended ===

impl Ended {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::AtMax => "max",
            Self::OutOfTime => "time",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

// === impl Example ===

impl Example {
    fn of(letter: &Letter) -> Self {
        let body = match &letter.message {
            Message::Whole(text) | Message::ForAFile { text, .. } => beginning(text),
            Message::Missing { why } => format!("({why})"),
        };
        Self { id: letter.id.clone(), sent: letter.sent, detail: letter.detail.clone(), body }
    }
}

fn beginning(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_BODY_CHARS).collect();
    if text.chars().nth(MAX_BODY_CHARS).is_some() { format!("{line}…") } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: String) -> Letter {
        Letter {
            id: "m".to_owned(),
            shape: Shape::Lambda,
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
            tally.see(&letter(format!("r{number}")), number % 2 == 0);
        }
        for _ in 0..10 {
            tally.see(&letter("r0".to_owned()), false);
        }
        assert_eq!((tally.seen, tally.too_old, tally.maybe_stored), (510, 250, 510));
        assert_eq!(tally.groups.len(), MAX_REASONS + 1);
        let group = &tally.groups[&("r0".to_owned(), Shape::Lambda)];
        assert_eq!((group.letters, group.examples.len()), (11, MAX_EXAMPLES));
        assert_eq!(group.examples[0].body.chars().count(), MAX_BODY_CHARS + 1);
        assert_eq!(tally.groups[&(OTHER_REASONS.to_owned(), Shape::Lambda)].letters, 400);
    }

    #[test]
    fn a_run_is_good_where_all_that_was_chosen_went() {
        let with = |change: fn(&mut Tally)| {
            let mut tally = Tally::default();
            change(&mut tally);
            tally.is_good()
        };
        assert!(with(|_| {}));
        assert!(with(|tally| tally.stay(Why::NotChosen)));
        assert!(with(|tally| tally.ended = Ended::AtMax));
        assert!(!with(|tally| tally.stay(Why::TooOld)));
        assert!(!with(|tally| tally.failed = 1));
        assert!(!with(|tally| tally.not_deleted = 1));
        assert!(!with(|tally| tally.ended = Ended::Stopped));
    }
}
