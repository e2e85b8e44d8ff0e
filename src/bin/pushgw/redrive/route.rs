//! Decides where a dead letter goes. Pure.

use super::dead_letter::{DeadLetter, Message, Origin};
use amp_push_gateway::model::Reason;
use serde::Serialize;
use std::path::PathBuf;
use url::Url;

/// The options that select dead letters, and where they go to.
#[derive(clap::Args, Clone, Default, Debug)]
#[group(skip)]
#[expect(clippy::struct_excessive_bools, reason = "options of the command line")]
pub(super) struct Selection {
    /// Send dead letters back to this queue.
    #[arg(long, value_name = "QUEUE_URL")]
    pub(super) to: Option<Url>,
    /// Append dead letters to this file, one line of JSON for each.
    #[arg(long, value_name = "FILE")]
    pub(super) to_file: Option<PathBuf>,
    /// Select this reason, as the table shows it; may be given several times.
    #[arg(long, value_name = "REASON")]
    pub(super) reason: Vec<String>,
    /// Select all reasons.
    #[arg(long)]
    all: bool,
    /// Also send back dead letters that are too old.
    #[arg(long, requires = "to")]
    pub(super) include_too_old: bool,
    /// Also send back dead letters with invalid events, for example after an update of the gateway that accepts them.
    #[arg(long, requires = "to")]
    pub(super) include_invalid: bool,
    /// Also take dead letters with maybe_stored, which the receiver may already hold.
    #[arg(long, requires = "where_to")]
    pub(super) include_maybe_stored: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    ToQueue,
    ToFile,
    Stays(StayReason),
}

/// Why a dead letter stays on its queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum StayReason {
    DryRun,
    /// Its reason is not selected.
    NotChosen,
    MaybeStored,
    TooOld,
    /// The event is wrong in itself.
    Invalid,
    /// It can only go to a file, but none is given.
    OnlyToFile,
    /// There is nothing in it to send.
    NoMessage,
    /// With its time as an attribute it is longer than SQS takes.
    TooLong,
}

impl Selection {
    pub(super) fn is_dry(&self) -> bool {
        self.to.is_none() && self.to_file.is_none()
    }

    /// Prefers the queue to the file. The file also takes dead letters that are too old or no event, because somebody can correct them there.
    /// A maybe stored message is taken only if the user asks for it.
    pub(super) fn route(&self, dead_letter: &DeadLetter, too_old: bool, fits_the_queue: bool) -> Route {
        if self.is_dry() {
            return Route::Stays(StayReason::DryRun);
        }
        if !self.reason.is_empty() && !self.reason.contains(&dead_letter.reason) {
            return Route::Stays(StayReason::NotChosen);
        }
        if dead_letter.maybe_stored && !self.include_maybe_stored {
            return Route::Stays(StayReason::MaybeStored);
        }
        let hindered = match dead_letter.message {
            Message::Missing(_) => return Route::Stays(StayReason::NoMessage),
            Message::ForAFile(_) => Some(StayReason::OnlyToFile),
            Message::Whole(_) if too_old && !self.include_too_old => Some(StayReason::TooOld),
            Message::Whole(_) if !self.include_invalid && is_invalid(dead_letter) => Some(StayReason::Invalid),
            Message::Whole(_) if !fits_the_queue => Some(StayReason::TooLong),
            Message::Whole(_) => None,
        };
        match hindered {
            None if self.to.is_some() => Route::ToQueue,
            _ if self.to_file.is_some() => Route::ToFile,
            Some(why) => Route::Stays(why),
            None => Route::Stays(StayReason::DryRun),
        }
    }
}

/// Returns true if the gateway would only reject the message again, whenever it comes.
fn is_invalid(dead_letter: &DeadLetter) -> bool {
    dead_letter.origin == Origin::Gateway
        && Reason::ALL.iter().any(|reason| reason.as_str() == dead_letter.reason && reason.is_of_the_event())
}

impl StayReason {
    /// Returns true if the dead letter was selected, but cannot go.
    pub(super) fn is_obstacle(self) -> bool {
        !matches!(self, Self::DryRun | Self::NotChosen)
    }

    /// Returns what the reader of a report can do about it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::DryRun => "this was a dry run",
            Self::NotChosen => "another reason",
            Self::MaybeStored => "the receiver may have it already; --include-maybe-stored sends it anyway",
            Self::TooOld => {
                "too old: the gateway would reject it again; --to-file takes it, --include-too-old sends it anyway"
            }
            Self::Invalid => {
                "the gateway would reject it again; correct it with --to-file, or send it anyway with --include-invalid"
            }
            Self::OnlyToFile => {
                "it has the device's message, not the event that the rule makes of it; --to-file takes it"
            }
            Self::NoMessage => "there is no message in it to send again; see its detail",
            Self::TooLong => "with its time as an attribute it is longer than SQS takes; --to-file takes it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead_letter(message: Message, maybe_stored: bool) -> DeadLetter {
        DeadLetter {
            id: "m".to_owned(),
            origin: Origin::Gateway,
            reason: "refused_by_receiver".to_owned(),
            detail: String::new(),
            message,
            sent: None,
            maybe_stored,
            counted: false,
            source_message_id: None,
            source_index: None,
            group: None,
        }
    }

    #[test]
    fn prefers_the_queue_to_the_file_and_else_lets_a_dead_letter_stay() {
        let whole = || dead_letter(Message::Whole("{}".to_owned()), false);
        let stored = dead_letter(Message::Whole("{}".to_owned()), true);
        let device = dead_letter(Message::ForAFile("{}".to_owned()), false);
        let none = dead_letter(Message::Missing("x"), false);
        let dry = Selection::default();
        let queue = Selection { to: Url::parse("http://h/1/q").ok(), ..Selection::default() };
        let file = Selection { to_file: Some("f".into()), ..Selection::default() };
        let both = Selection { to_file: Some("f".into()), ..queue.clone() };
        let other = Selection { reason: vec!["too_old".to_owned()], ..both.clone() };
        let own = Selection { reason: vec!["x".to_owned(), "refused_by_receiver".to_owned()], ..queue.clone() };
        let old = Selection { include_too_old: true, ..queue.clone() };
        let asked = Selection { include_maybe_stored: true, ..queue.clone() };
        let invalid = DeadLetter { reason: "invalid_value".to_owned(), ..whole() };
        let anyhow = Selection { include_invalid: true, ..queue.clone() };
        let table = [
            (&queue, invalid.clone(), false, true, Route::Stays(StayReason::Invalid)),
            (&both, invalid.clone(), false, true, Route::ToFile),
            (&anyhow, invalid.clone(), false, true, Route::ToQueue),
            (&queue, DeadLetter { origin: Origin::Queue, ..invalid }, false, true, Route::ToQueue),
            (&dry, whole(), false, true, Route::Stays(StayReason::DryRun)),
            (&queue, whole(), false, true, Route::ToQueue),
            (&file, whole(), false, true, Route::ToFile),
            (&both, whole(), false, true, Route::ToQueue),
            (&other, whole(), false, true, Route::Stays(StayReason::NotChosen)),
            (&own, whole(), false, true, Route::ToQueue),
            (&queue, whole(), true, true, Route::Stays(StayReason::TooOld)),
            (&both, whole(), true, true, Route::ToFile),
            (&old, whole(), true, true, Route::ToQueue),
            (&queue, whole(), false, false, Route::Stays(StayReason::TooLong)),
            (&both, whole(), false, false, Route::ToFile),
            (&queue, stored.clone(), false, true, Route::Stays(StayReason::MaybeStored)),
            (&file, stored.clone(), false, true, Route::Stays(StayReason::MaybeStored)),
            (&asked, stored, false, true, Route::ToQueue),
            (&queue, device.clone(), false, true, Route::Stays(StayReason::OnlyToFile)),
            (&old, device.clone(), true, true, Route::Stays(StayReason::OnlyToFile)),
            (&both, device, false, true, Route::ToFile),
            (&both, none, false, true, Route::Stays(StayReason::NoMessage)),
        ];
        for (selection, dead_letter, too_old, fits, expected) in table {
            assert_eq!(
                selection.route(&dead_letter, too_old, fits),
                expected,
                "{selection:?} {dead_letter:?} {too_old} {fits}"
            );
        }
    }
}
