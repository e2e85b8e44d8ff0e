//! What the demo shows, to people and to scripts.

use super::tally::Tally;
use crate::view::{self, Styled, count, dead_letters, duration, series_json, series_table};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::local::fleet::{Expected, Sending, Trigger};
use amp_push_gateway::local::tsdb::{Labels, Sample, StoredSeries};
use amp_push_gateway::model::Value;
use serde_json::json;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

/// A demo that is over.
pub(super) struct Report<'a> {
    pub(super) devices: u32,
    pub(super) seed: u64,
    pub(super) url: &'a str,
    pub(super) sendings: &'a [Sending],
    pub(super) letters: &'a [DeadLetter],
    /// None where the receiver is not of this process.
    pub(super) stored: Option<&'a [StoredSeries]>,
    pub(super) tally: &'a Tally,
    pub(super) took: Duration,
}

// === impl Report ===

impl Report<'_> {
    /// All of it for a script.
    pub(super) fn json(&self) -> serde_json::Value {
        let types = self.types();
        let series = self.series();
        let series: Vec<_> = series
            .iter()
            .map(|one| {
                let mut shown = series_json(one);
                shown["type"] = types.get(&one.labels).copied().unwrap_or_default().into();
                shown
            })
            .collect();
        let letters: Vec<_> = self.letters.iter().map(view::letter_json).collect();
        let tally = self.tally;
        json!({
            "ok": tally.is_good(),
            "url": self.url,
            "embedded": self.stored.is_some(),
            "devices": self.devices,
            "seed": self.seed,
            "sent": tally.sent,
            "stored": tally.stored,
            "put_aside": tally.put_aside,
            "handed_back": tally.handed_back,
            "lost": tally.lost,
            "samples": tally.samples,
            "series": series,
            "dead_letters": letters,
            "surprises": tally.surprises,
        })
    }

    /// What is stored; as planned, where it cannot be looked at.
    fn series(&self) -> Cow<'_, [StoredSeries]> {
        if let Some(stored) = self.stored {
            return Cow::Borrowed(stored);
        }
        if !self.tally.is_good() {
            return Cow::Borrowed(&[]);
        }
        let mut series = BTreeMap::<&Labels, Vec<Sample>>::new();
        for sample in self.samples() {
            let (timestamp, value) = (sample.timestamp.0, f64::from_bits(sample.value.wire_bits()));
            series.entry(&sample.labels).or_default().push(Sample { timestamp, value });
        }
        let acknowledged = |(labels, samples): (&Labels, Vec<Sample>)| StoredSeries { labels: labels.clone(), samples };
        Cow::Owned(series.into_iter().map(acknowledged).collect())
    }

    /// Integer or float, as the events have it: the receiver knows only doubles.
    fn types(&self) -> HashMap<&Labels, &'static str> {
        let kind = |value: Value| match value {
            Value::Integer(_) => "integer",
            Value::Float(_) => "float",
        };
        self.samples().map(|sample| (&sample.labels, kind(sample.value))).collect()
    }

    fn samples(&self) -> impl Iterator<Item = &amp_push_gateway::local::fleet::PlannedSample> {
        let expected = self.sendings.iter().flat_map(|sending| &sending.events).map(|event| &event.expected);
        let stored = expected.filter_map(|expected| match expected {
            Expected::Stored(samples) => Some(samples),
            _ => None,
        });
        stored.flatten()
    }

    fn verdict(&self) -> String {
        let tally = self.tally;
        if tally.is_good() {
            let verb = if self.stored.is_some() { "stored" } else { "acknowledged" };
            return format!(
                "{} all {} are accounted for: {} {verb}, {} put aside with a reason, {} handed back to its caller",
                Styled(view::GOOD, "ok:"),
                count(tally.sent, "event"),
                tally.stored,
                tally.put_aside,
                tally.handed_back
            );
        }
        let surprises = tally.surprises.len() as u64 + tally.more_surprises;
        let hint = if self.stored.is_none() { "; is the receiver ready? `pushgw ping` tells more" } else { "" };
        format!("{} {} not as expected{hint}", Styled(view::BAD, "failed:"), count(surprises, "thing"))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = |text: &str| Styled(view::HEADING, text.to_owned());
        let batches = self.sendings.iter().filter(|sending| sending.trigger == Trigger::Queue).count() as u64;
        let directly = self.sendings.len() as u64 - batches;
        let (tally, series) = (self.tally, self.series());
        writeln!(f, "{}: {}, seed {}", heading("water sensors"), count(u64::from(self.devices), "device"), self.seed)?;
        writeln!(
            f,
            "sent      {} in {} and {} in {}",
            count(tally.sent, "event"),
            if batches == 1 { "1 SQS batch".to_owned() } else { format!("{batches} SQS batches") },
            count(directly, "direct invocation"),
            duration(self.took)
        )?;
        let place = if self.stored.is_some() {
            " (a workspace in this process: it checks signatures and applies AMP's rules)"
        } else {
            ""
        };
        writeln!(f, "written   {}{place}\n", self.url)?;
        let what = if self.stored.is_some() { "stored" } else { "acknowledged" };
        let samples = series.iter().map(|series| series.samples.len() as u64).sum();
        writeln!(f, "{}: {} series, {}", heading(what), series.len(), count(samples, "sample"))?;
        if !series.is_empty() {
            let types = self.types();
            let type_of = |labels: &Labels| types.get(labels).copied().unwrap_or_default();
            writeln!(f, "{}\n", series_table(&series, Some(&type_of)))?;
        }
        writeln!(f, "{}: {}", heading("dead letters"), self.letters.len())?;
        if !self.letters.is_empty() {
            writeln!(f, "{}\n", dead_letters(self.letters))?;
        }
        writeln!(
            f,
            "{}: {} sent = {} {what} + {} put aside + {} handed back{}",
            heading("events"),
            tally.sent,
            tally.stored,
            tally.put_aside,
            tally.handed_back,
            if tally.lost > 0 { format!(" + {} lost", tally.lost) } else { String::new() }
        )?;
        for surprise in &tally.surprises {
            writeln!(f, "  {} {surprise}", Styled(view::BAD, "!"))?;
        }
        if tally.more_surprises > 0 {
            writeln!(f, "  and {} more", tally.more_surprises)?;
        }
        write!(f, "{}", self.verdict())
    }
}
