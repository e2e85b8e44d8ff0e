//! The report of `send`, as text or as JSON.

use super::progress::Totals;
use crate::view::{self, Foreign, Styled, count, duration};
use serde::Serialize;
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// Messages of each kind in the text.
const MAX_SHOWN: usize = 20;
/// Messages of each kind in the JSON.
const MAX_LISTED: usize = 1_000;

#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
struct Listed {
    place: String,
    message: String,
}

/// The first messages of one kind.
#[derive(Clone, Default, Serialize, Debug)]
pub(super) struct List(Vec<Listed>);

#[derive(Default, Debug)]
pub(super) struct Report {
    pub(super) target: String,
    /// Messages given, and the events in them.
    pub(super) messages: u64,
    pub(super) events: u64,
    /// Counts this run and the runs that it goes on from.
    pub(super) totals: Totals,
    /// Messages that those settled.
    pub(super) before: u64,
    pub(super) refused: List,
    pub(super) rejected: List,
    pub(super) failed: List,
    pub(super) ended: Option<Ended>,
    pub(super) resumable: bool,
    pub(super) took: Duration,
}

/// Why sending ended early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ended {
    /// The first message that is not settled.
    pub(super) place: String,
    pub(super) reason: String,
}

impl List {
    pub(super) fn add(&mut self, place: impl fmt::Display, message: impl fmt::Display) {
        if self.0.len() < MAX_LISTED {
            self.0.push(Listed { place: place.to_string(), message: message.to_string() });
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>, heading: &str, total: u64) -> fmt::Result {
        if total == 0 {
            return Ok(());
        }
        write!(f, "\n{}: {}", Styled(view::BAD, heading), total)?;
        for Listed { place, message } in self.0.iter().take(MAX_SHOWN) {
            write!(f, "\n  {} {}", Styled(view::QUIET, Foreign(place)), Foreign(message))?;
        }
        let shown = self.0.len().min(MAX_SHOWN) as u64;
        match total - shown.min(total) {
            0 => Ok(()),
            // The saved progress of earlier runs has only their number.
            more => write!(f, "\n  {}", Styled(view::QUIET, format_args!("and {more} more"))),
        }
    }
}

impl Report {
    fn unsent(&self) -> u64 {
        self.messages.saturating_sub(self.totals.settled())
    }

    pub(super) fn is_good(&self) -> bool {
        self.ended.is_none() && self.totals.sent == self.messages
    }

    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "ok": self.is_good(),
            "target": self.target,
            "messages": self.messages,
            "events": self.events,
            "sent": self.totals.sent,
            "refused_count": self.totals.refused,
            "refused": self.refused,
            "rejected_count": self.totals.rejected,
            "rejected": self.rejected,
            "failed_count": self.totals.failed,
            "failed": self.failed,
            "unsent": self.unsent(),
            "settled_before": self.before,
            "ended_at": self.ended.as_ref().map(|ended| &ended.place),
            "ended_because": self.ended.as_ref().map(|ended| &ended.reason),
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { totals, target, .. } = self;
        let sent = Styled(if self.is_good() { view::GOOD } else { view::BAD }, "sent");
        let (messages, events) = (count(self.messages, "message"), count(self.events, "event"));
        write!(f, "{sent} {} of {messages} ({events}) to {target} in {}", totals.sent, duration(self.took))?;
        if self.before > 0 {
            write!(f, "; an earlier run settled {} of them, and they were not sent again", self.before)?;
        }
        self.refused.show(f, "rejected before sending", totals.refused)?;
        self.rejected.show(f, "rejected", totals.rejected)?;
        self.failed.show(f, "not taken", totals.failed)?;
        if totals.refused > 0 {
            let how = "`pushgw check` shows each event, --no-check sends them unchanged";
            write!(f, "\ncorrect the rejected messages and send them again; {how}")?;
        }
        let Some(Ended { place, reason }) = &self.ended else { return Ok(()) };
        let again = if self.resumable {
            "the same command continues from there"
        } else {
            "the messages from there on were not sent; with --resume FILE the next run continues there"
        };
        let not_sent = Styled(view::BAD, "not sent");
        let (place, reason) = (Foreign(place), Foreign(reason));
        write!(f, "\n{not_sent}: {}, from {place} on: {reason}\n{again}", self.unsent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(totals: Totals, ended: Option<Ended>) -> Report {
        Report {
            target: "the queue q".to_owned(),
            messages: 30,
            events: 31,
            totals,
            ended,
            resumable: true,
            took: Duration::from_millis(3),
            ..Report::default()
        }
    }

    #[test]
    fn a_good_sending_is_one_line() {
        let report = report(Totals { sent: 30, ..Totals::default() }, None);
        assert!(report.is_good());
        let shown = crate::view::plain(&report.to_string());
        assert_eq!(shown, "sent 30 of 30 messages (31 events) to the queue q in 3 ms");
    }

    #[test]
    fn lists_what_was_not_sent_and_says_what_to_do() {
        let ended = Ended { place: "f:29".to_owned(), reason: "AccessDenied: no".to_owned() };
        let mut report = report(Totals { sent: 4, refused: 22, ..Totals::default() }, Some(ended));
        (0..22).for_each(|line| report.refused.add(format_args!("f:{line}"), "too_old: x"));
        assert!(!report.is_good());
        let shown = crate::view::plain(&report.to_string());
        for part in [
            "sent 4 of 30",
            "rejected before sending: 22",
            "f:19 too_old: x",
            "and 2 more",
            "not sent: 4, from f:29 on: AccessDenied: no",
            "the same command continues from there",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains("f:20"));
        assert_eq!(report.json()["refused"].as_array().unwrap().len(), 22);
        assert_eq!(report.json()["unsent"], 4);
    }
}
