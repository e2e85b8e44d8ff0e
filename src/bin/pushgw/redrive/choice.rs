//! Which way does a letter go? Pure.

use super::letter::{Letter, Message};

/// What the caller asked for.
#[derive(Clone, Default, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(super) struct Choice {
    /// Reasons; none means all of them.
    pub(super) reasons: Vec<String>,
    pub(super) to_queue: bool,
    pub(super) to_file: bool,
    pub(super) include_too_old: bool,
    pub(super) include_maybe_stored: bool,
}

/// Where a letter goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    ToQueue,
    ToFile,
    Stays(Why),
}

/// Why a letter stays where it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Why {
    /// Nothing was asked for.
    DryRun,
    /// Its reason was not.
    NotChosen,
    MaybeStored,
    TooOld,
    /// It can only go to a file, and none is given.
    OnlyToFile,
    /// There is nothing in it to send.
    NoMessage,
    /// With the time that it must carry it is longer than SQS takes.
    TooLong,
}

// === impl Choice ===

impl Choice {
    /// The way of `letter`. The queue where it can go there; else the file, which takes what is too old and what is no
    /// event: both can be mended there. What may be stored already goes nowhere unasked.
    pub(super) fn way(&self, letter: &Letter, too_old: bool, fits_the_queue: bool) -> Way {
        if !self.to_queue && !self.to_file {
            return Way::Stays(Why::DryRun);
        }
        if !self.reasons.is_empty() && !self.reasons.contains(&letter.reason) {
            return Way::Stays(Why::NotChosen);
        }
        if letter.maybe_stored && !self.include_maybe_stored {
            return Way::Stays(Why::MaybeStored);
        }
        let hindered = match letter.message {
            Message::Missing { .. } => return Way::Stays(Why::NoMessage),
            Message::ForAFile { .. } => Some(Why::OnlyToFile),
            Message::Whole(_) if too_old && !self.include_too_old => Some(Why::TooOld),
            Message::Whole(_) if !fits_the_queue => Some(Why::TooLong),
            Message::Whole(_) => None,
        };
        match hindered {
            None if self.to_queue => Way::ToQueue,
            _ if self.to_file => Way::ToFile,
            Some(why) => Way::Stays(why),
            None => Way::Stays(Why::DryRun),
        }
    }
}

// === impl Why ===

impl Why {
    /// Whether the letter was chosen, and something is in its way.
    pub(super) fn is_refusal(self) -> bool {
        !matches!(self, Self::DryRun | Self::NotChosen)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::DryRun => "dry_run",
            Self::NotChosen => "not_chosen",
            Self::MaybeStored => "maybe_stored",
            Self::TooOld => "too_old",
            Self::OnlyToFile => "only_to_file",
            Self::NoMessage => "no_message",
            Self::TooLong => "too_long",
        }
    }

    /// What the reader of a report can do about it.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::DryRun => "this was a dry run",
            Self::NotChosen => "another reason",
            Self::MaybeStored => "the receiver may hold it already; --include-maybe-stored sends it all the same",
            Self::TooOld => {
                "too old: it could only be refused again; --to-file takes it, --include-too-old sends it all the same"
            }
            Self::OnlyToFile => {
                "it holds what the device published, not the event that the rule makes of it; --to-file takes it"
            }
            Self::NoMessage => "there is no message in it to send again; see its detail",
            Self::TooLong => "with the time that it must carry it is longer than SQS takes; --to-file takes it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::Shape;
    use super::*;

    fn letter(message: Message, maybe_stored: bool) -> Letter {
        Letter {
            id: "m".to_owned(),
            shape: Shape::Gateway,
            reason: "invalid_value".to_owned(),
            detail: String::new(),
            message,
            sent: None,
            maybe_stored,
            group: None,
        }
    }

    #[test]
    fn a_letter_goes_to_the_queue_else_to_the_file_else_it_stays() {
        let whole = || letter(Message::Whole("{}".to_owned()), false);
        let stored = letter(Message::Whole("{}".to_owned()), true);
        let device = letter(Message::ForAFile { text: "{}".to_owned(), why: "x" }, false);
        let none = letter(Message::Missing { why: "x" }, false);
        let dry = Choice::default();
        let queue = Choice { to_queue: true, ..Choice::default() };
        let file = Choice { to_file: true, ..Choice::default() };
        let both = Choice { to_queue: true, to_file: true, ..Choice::default() };
        let other = Choice { reasons: vec!["too_old".to_owned()], ..both.clone() };
        let own = Choice { reasons: vec!["x".to_owned(), "invalid_value".to_owned()], ..queue.clone() };
        let old = Choice { include_too_old: true, ..queue.clone() };
        let asked = Choice { include_maybe_stored: true, ..queue.clone() };
        let table = [
            (&dry, whole(), false, true, Way::Stays(Why::DryRun)),
            (&queue, whole(), false, true, Way::ToQueue),
            (&file, whole(), false, true, Way::ToFile),
            (&both, whole(), false, true, Way::ToQueue),
            (&other, whole(), false, true, Way::Stays(Why::NotChosen)),
            (&own, whole(), false, true, Way::ToQueue),
            (&queue, whole(), true, true, Way::Stays(Why::TooOld)),
            (&both, whole(), true, true, Way::ToFile),
            (&old, whole(), true, true, Way::ToQueue),
            (&queue, whole(), false, false, Way::Stays(Why::TooLong)),
            (&both, whole(), false, false, Way::ToFile),
            (&queue, stored.clone(), false, true, Way::Stays(Why::MaybeStored)),
            (&file, stored.clone(), false, true, Way::Stays(Why::MaybeStored)),
            (&asked, stored, false, true, Way::ToQueue),
            (&queue, device.clone(), false, true, Way::Stays(Why::OnlyToFile)),
            (&old, device.clone(), true, true, Way::Stays(Why::OnlyToFile)),
            (&both, device, false, true, Way::ToFile),
            (&both, none, false, true, Way::Stays(Why::NoMessage)),
        ];
        for (choice, letter, too_old, fits, expected) in table {
            assert_eq!(choice.way(&letter, too_old, fits), expected, "{choice:?} {letter:?} {too_old} {fits}");
        }
    }
}
