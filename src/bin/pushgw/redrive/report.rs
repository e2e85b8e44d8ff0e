//! The report of a run, as text or as JSON.

use super::dead_letter::Origin;
use super::route::Selection;
use super::tally::Tally;
use crate::view::{self, Foreign, Styled, count, rows, utc};
use amp_push_gateway::model::Timestamp;
use serde::Serialize;
use std::fmt;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    pub(super) ok: bool,
    pub(super) dry_run: bool,
    pub(super) queue: &'a str,
    /// About how many messages were on it.
    pub(super) approximate_length: u64,
    #[serde(flatten)]
    pub(super) tally: &'a Tally,
    #[serde(skip)]
    pub(super) selection: &'a Selection,
    #[serde(skip)]
    pub(super) hidden_for_seconds: u64,
}

impl Report<'_> {
    fn reasons(&self) -> String {
        let lines = self.tally.groups.values().map(|group| {
            let number = |number: u64| if number == 0 { String::new() } else { number.to_string() };
            let from = match group.from {
                Origin::Gateway => "the gateway",
                Origin::Queue => "SQS",
                Origin::Lambda => "Lambda",
                Origin::Iot => "AWS IoT",
            };
            let (too_old, maybe_stored) = (number(group.too_old), number(group.maybe_stored));
            vec![
                Foreign(&group.reason).to_string(),
                from.to_owned(),
                group.dead_letters.to_string(),
                too_old,
                maybe_stored,
            ]
        });
        rows(&["reason", "from", "dead letters", "too old", "maybe stored"], lines.collect(), &[2, 3, 4])
    }

    fn examples(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in self.tally.groups.values() {
            writeln!(f, "{}", Styled(view::HEADING, Foreign(&group.reason)))?;
            for example in &group.examples {
                let sent = example.sent_timestamp.map_or("no time".to_owned(), |sent| utc(Timestamp(sent)));
                let (id, detail) = (Foreign(&example.message_id), Foreign(view::beginning(&example.detail)));
                writeln!(f, "  {} {}  {detail}", Styled(view::QUIET, sent), Styled(view::QUIET, id))?;
                writeln!(f, "    {}", Foreign(&example.body))?;
            }
        }
        writeln!(f)
    }

    fn went(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        let dead_letters = |number: u64| count(number, "dead letter");
        if tally.too_old > 0 {
            writeln!(f, "too old    {}: AMP would refuse them", dead_letters(tally.too_old))?;
        }
        if tally.maybe_stored > 0 {
            writeln!(f, "stored     {}, maybe: the receiver may hold them already", dead_letters(tally.maybe_stored))?;
        }
        if let Some(source) = &self.selection.to {
            writeln!(f, "sent back  {} to {source}", dead_letters(tally.sent))?;
        }
        if let Some(file) = &self.selection.to_file {
            writeln!(f, "to file    {} appended to {}", dead_letters(tally.filed), Foreign(file.display()))?;
        }
        if tally.filed_without_time > 0 {
            let without = dead_letters(tally.filed_without_time);
            writeln!(f, "           {without} have events without a time: in the file they have none")?;
        }
        if tally.filed_counted > 0 {
            let counted = dead_letters(tally.filed_counted);
            writeln!(
                f,
                "           {counted} have typed metrics that may be counted already: in the file they would count twice"
            )?;
        }
        for (why, number) in &tally.stays {
            writeln!(f, "left       {}: {}", dead_letters(*number), why.text())?;
        }
        for (number, what) in [
            (tally.failed, "could not be written, and stay"),
            (tally.not_deleted, "were written, but are still on the queue: the next run would write them again"),
        ] {
            if number > 0 {
                writeln!(f, "{}     {}: {what}", Styled(view::BAD, "failed"), dead_letters(number))?;
            }
        }
        for failure in &tally.failures {
            writeln!(f, "  {} {}", Styled(view::BAD, "!"), Foreign(failure))?;
        }
        if tally.hidden > 0 {
            let hidden = dead_letters(tally.hidden);
            writeln!(f, "hidden     {hidden} could not be shown again at once: up to {} s", self.hidden_for_seconds)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tally, ended) = (self.tally, self.tally.ended.text());
        let heading = Styled(view::HEADING, "dead letters");
        writeln!(f, "{heading}: {} of about {} on {}", tally.dead_letters, self.approximate_length, self.queue)?;
        if !tally.groups.is_empty() {
            writeln!(f, "{}\n", self.reasons())?;
            self.examples(f)?;
        }
        self.went(f)?;
        if !self.ok {
            return write!(
                f,
                "{} some selected dead letters were not sent or written; {ended}",
                Styled(view::BAD, "failed:")
            );
        }
        let ok = Styled(view::GOOD, "ok:");
        if self.dry_run {
            let how = "--all or --reason REASON, with --to QUEUE_URL or --to-file FILE, sends them";
            return write!(f, "{ok} this was a dry run; all dead letters are still on the queue ({ended}); {how}");
        }
        write!(f, "{ok} {} sent, {} to the file ({ended})", tally.sent, tally.filed)
    }
}
