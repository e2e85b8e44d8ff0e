//! Reports the demo, to people and to scripts.

use super::push;
use super::sensors::Invocation;
use crate::load::generator::{Expected, PlannedSample};
use crate::load::ledger::Arrival;
use crate::load::tally::Tally;
use crate::view::{self, Styled, count, dead_letter_table, duration, series_json, series_table, value_type};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::local::tsdb::{Labels, Sample, StoredSeries};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

pub(super) struct Report<'a> {
    pub(super) devices: u32,
    pub(super) seed: u64,
    pub(super) url: &'a str,
    pub(super) invocations: &'a [Invocation],
    pub(super) dead_letters: &'a [DeadLetter],
    /// `None` if the receiver is not of this process.
    pub(super) stored: Option<&'a [StoredSeries]>,
    /// The series of the push, if they can be read.
    pub(super) pushed: &'a [StoredSeries],
    pub(super) arrival: Arrival,
    pub(super) tally: &'a Tally,
    pub(super) took: Duration,
}

impl Report<'_> {
    /// Returns true if every event was stored, dead-lettered or returned as it should be.
    pub(super) fn is_good(&self) -> bool {
        self.tally.surprises == 0 && self.arrival.missing == 0 && self.arrival.wrong == 0
    }

    /// Events whose samples are all in the receiver.
    fn stored_events(&self) -> u64 {
        self.tally.stored.saturating_sub(self.arrival.lost_events)
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let types = self.types();
        let series = self.series().into_iter().map(|one| {
            let mut shown = series_json(&one);
            shown["type"] = types.get(&one.labels).copied().unwrap_or_default().into();
            shown
        });
        let tally = self.tally;
        json!({
            "ok": self.is_good(),
            "url": self.url,
            "embedded": self.stored.is_some(),
            "devices": self.devices,
            "seed": self.seed,
            "sent": tally.events,
            "stored": self.stored_events(),
            "put_aside": tally.dead_lettered,
            "handed_back": tally.returned,
            "lost": self.arrival.lost_events,
            "samples": self.arrival.arrived,
            "series": series.collect::<Vec<_>>(),
            "pushed": self.pushed.iter().map(series_json).collect::<Vec<_>>(),
            "dead_letters": self.dead_letters.iter().map(view::dead_letter_json).collect::<Vec<_>>(),
            "surprises": tally.failures,
        })
    }

    /// Returns what is stored; as planned, if it cannot be read.
    fn series(&self) -> Vec<StoredSeries> {
        match self.stored {
            Some(stored) => return stored.to_vec(),
            None if !self.is_good() => return Vec::new(),
            None => {}
        }
        let mut series = BTreeMap::<&Labels, Vec<Sample>>::new();
        for sample in self.samples() {
            let (timestamp, value) = (sample.timestamp.0, f64::from_bits(sample.value.wire_bits()));
            series.entry(&sample.labels).or_default().push(Sample { value, timestamp });
        }
        series.into_iter().map(|(labels, samples)| StoredSeries { labels: labels.clone(), samples }).collect()
    }

    /// Integer or float, as the events have it: the receiver knows only doubles.
    fn types(&self) -> HashMap<&Labels, &'static str> {
        self.samples().map(|sample| (&sample.labels, value_type(sample.value))).collect()
    }

    fn samples(&self) -> impl Iterator<Item = &PlannedSample> {
        let messages = self.invocations.iter().flat_map(|invocation| &invocation.messages);
        messages.flat_map(|message| &message.expected).filter_map(Expected::samples).flatten()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = |text: &'static str| Styled(view::HEADING, text);
        let (tally, series) = (self.tally, self.series());
        let batches = self.invocations.iter().filter(|invocation| invocation.is_batch).count() as u64;
        let batches_text = if batches == 1 { "1 SQS batch".to_owned() } else { format!("{batches} SQS batches") };
        let directly = count(self.invocations.len() as u64 - batches, "direct invocation");
        let events = count(tally.events, "event");
        let (what, place) = match self.stored {
            Some(_) => ("stored", " (a workspace in this process: it checks signatures and applies AMP's rules)"),
            None => ("acknowledged", ""),
        };
        writeln!(f, "{}: {}, seed {}", heading("water sensors"), count(self.devices.into(), "device"), self.seed)?;
        writeln!(f, "sent      {events} in {batches_text} and {directly} in {}", duration(self.took))?;
        writeln!(f, "written   {}{place}\n", self.url)?;
        let samples = count(series.iter().map(|series| series.samples.len() as u64).sum(), "sample");
        writeln!(f, "{}: {} series, {samples}", heading(what), series.len())?;
        if !series.is_empty() {
            let types = self.types();
            let type_of = |labels: &Labels| types.get(labels).copied().unwrap_or_default();
            writeln!(f, "{}\n", series_table(&series, Some(&type_of)))?;
        }
        if !self.pushed.is_empty() {
            let pushed = self.pushed.len();
            writeln!(f, "{}: {pushed} series, with PUT /metrics/{}", heading("pushed by a job"), push::PATH)?;
            writeln!(f, "{}\n", series_table(self.pushed, None))?;
        }
        writeln!(f, "{}: {}", heading("dead letters"), self.dead_letters.len())?;
        if !self.dead_letters.is_empty() {
            writeln!(f, "{}\n", dead_letter_table(self.dead_letters))?;
        }
        let (dead_lettered, returned) = (tally.dead_lettered, tally.returned);
        let sum = format!("{} {what} + {dead_lettered} dead-lettered + {returned} returned", self.stored_events());
        let lost = self.arrival.lost_events;
        let lost = if lost > 0 { format!(" + {lost} lost") } else { String::new() };
        writeln!(f, "{}: {} sent = {sum}{lost}", heading("events"), tally.events)?;
        for surprise in &tally.failures {
            writeln!(f, "  {} {surprise}", Styled(view::BAD, "!"))?;
        }
        if self.is_good() {
            write!(
                f,
                "{} all {events} are accounted for: {} {what}, {dead_lettered} dead-lettered with a reason, {returned} \
                 returned to the caller",
                Styled(view::GOOD, "ok:"),
                self.stored_events()
            )
        } else {
            let hint = if self.stored.is_none() { "; is the receiver ready? `pushgw ping` tells more" } else { "" };
            let wrong = count(tally.surprises + self.arrival.lost_events, "event");
            write!(f, "{} {wrong} not as expected{hint}", Styled(view::BAD, "failed:"))
        }
    }
}
