//! Reports a run, to people and to scripts.

use super::dead_letter::Origin;
use super::route::Selection;
use super::tally::{Example, Tally};
use crate::view::{self, Styled, count, rows, utc};
use serde_json::json;
use std::fmt;

const MAX_DETAIL_CHARS: usize = 300;

pub(super) struct Report<'a> {
    pub(super) queue: &'a str,
    /// About how many messages were on it.
    pub(super) length: u64,
    pub(super) source: Option<&'a str>,
    pub(super) file: Option<String>,
    pub(super) selection: &'a Selection,
    pub(super) tally: &'a Tally,
    pub(super) hidden_for_seconds: u64,
}

// === impl Report ===

impl Report<'_> {
    fn is_dry(&self) -> bool {
        !self.selection.to_queue && !self.selection.to_file
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let tally = self.tally;
        let example = |example: &Example| {
            json!({
                "message_id": example.id,
                "sent_timestamp": example.sent.map(|sent| sent.0),
                "detail": example.detail,
                "body": example.body,
            })
        };
        let reason = |((reason, origin), group): (&(String, Origin), &super::tally::Group)| {
            json!({
                "reason": reason,
                "from": origin.as_str(),
                "letters": group.dead_letters,
                "too_old": group.too_old,
                "maybe_stored": group.maybe_stored,
                "examples": group.examples.iter().map(example).collect::<Vec<_>>(),
            })
        };
        let stays: serde_json::Map<_, _> =
            tally.stays.iter().map(|(why, dead_letters)| (why.texts().0.to_owned(), (*dead_letters).into())).collect();
        json!({
            "ok": tally.is_good(),
            "dry_run": self.is_dry(),
            "queue": self.queue,
            "approximate_length": self.length,
            "letters": tally.seen,
            "reasons": tally.groups.iter().map(reason).collect::<Vec<_>>(),
            "too_old": tally.too_old,
            "maybe_stored": tally.maybe_stored,
            "sent": tally.sent,
            "filed": tally.filed,
            "filed_without_time": tally.filed_without_time,
            "left": stays,
            "failed": tally.failed,
            "not_deleted": tally.not_deleted,
            "failures": tally.failures,
            "hidden": tally.hidden,
            "ended": tally.ended.texts().0,
        })
    }

    fn reasons(&self) -> String {
        let lines = self.tally.groups.iter().map(|((reason, origin), group)| {
            let number = |number: u64| if number == 0 { String::new() } else { number.to_string() };
            let from = match origin {
                Origin::Gateway => "the gateway",
                Origin::Queue => "SQS",
                Origin::Lambda => "Lambda",
                Origin::Iot => "AWS IoT",
            };
            let counts = [group.dead_letters.to_string(), number(group.too_old), number(group.maybe_stored)];
            [reason.clone(), from.to_owned()].into_iter().chain(counts).collect()
        });
        rows(&["reason", "from", "dead letters", "too old", "maybe stored"], lines.collect(), &[2, 3, 4])
    }

    fn examples(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((reason, _), group) in &self.tally.groups {
            writeln!(f, "{}", Styled(view::HEADING, reason))?;
            for example in &group.examples {
                let sent = example.sent.map_or("no time".to_owned(), utc);
                let detail: String = example.detail.chars().take(MAX_DETAIL_CHARS).collect();
                writeln!(f, "  {} {}  {detail}", Styled(view::QUIET, sent), Styled(view::QUIET, &example.id))?;
                writeln!(f, "    {}", example.body)?;
            }
        }
        Ok(())
    }

    fn went(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        if let Some(source) = self.source {
            writeln!(f, "sent back  {} to {source}", count(tally.sent, "dead letter"))?;
        }
        if let Some(file) = &self.file {
            writeln!(f, "to file    {} appended to {file}", count(tally.filed, "dead letter"))?;
        }
        if tally.filed_without_time > 0 {
            let without = count(tally.filed_without_time, "dead letter");
            writeln!(f, "           {without} have events without a time: in the file they have none")?;
        }
        for (why, dead_letters) in &tally.stays {
            writeln!(f, "left       {}: {}", count(*dead_letters, "dead letter"), why.texts().1)?;
        }
        for (number, what) in [
            (tally.failed, "could not be written, and stay"),
            (tally.not_deleted, "were written, but are still on the queue: the next run would write them again"),
        ] {
            if number > 0 {
                writeln!(f, "{}     {}: {what}", Styled(view::BAD, "failed"), count(number, "dead letter"))?;
            }
        }
        for failure in &tally.failures {
            writeln!(f, "  {} {failure}", Styled(view::BAD, "!"))?;
        }
        if tally.hidden > 0 {
            let hidden = count(tally.hidden, "dead letter");
            writeln!(f, "hidden     {hidden} could not be shown again at once: up to {} s", self.hidden_for_seconds)?;
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let tally = self.tally;
        if !tally.is_good() {
            return format!(
                "{} not everything that was asked for; {}",
                Styled(view::BAD, "failed:"),
                self.tally.ended.texts().1
            );
        }
        let ok = Styled(view::GOOD, "ok:");
        if self.is_dry() {
            let how = "--all or --reason REASON, with --to QUEUE_URL or --to-file FILE, sends them";
            return format!(
                "{ok} a dry run; all dead letters are still on the queue ({}); {how}",
                self.tally.ended.texts().1
            );
        }
        format!("{ok} {} sent, {} to the file ({})", tally.sent, tally.filed, self.tally.ended.texts().1)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        writeln!(
            f,
            "{}: {} of about {} on {}",
            Styled(view::HEADING, "dead letters"),
            tally.seen,
            self.length,
            self.queue
        )?;
        if !tally.groups.is_empty() {
            writeln!(f, "{}\n", self.reasons())?;
            self.examples(f)?;
            writeln!(f)?;
        }
        if tally.too_old > 0 {
            writeln!(f, "too old    {}: AMP would refuse them", count(tally.too_old, "dead letter"))?;
        }
        if tally.maybe_stored > 0 {
            writeln!(
                f,
                "stored     {}, maybe: the receiver may hold them already",
                count(tally.maybe_stored, "dead letter")
            )?;
        }
        self.went(f)?;
        write!(f, "{}", self.summary())
    }
}
