//! The report of the demo, as text or as JSON.

use super::push;
use super::sensors::Invocation;
use super::story::{self, Minute, Story};
use crate::load::generator::{Expected, PlannedSample};
use crate::load::ledger::Arrival;
use crate::load::tally::Tally;
use crate::view::{
    self, Styled, count, dead_letter_table, duration, rows, series_json, series_table, utc, value_type, wire_value,
};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::local::tsdb::{Labels, Sample, StoredSeries};
use amp_push_gateway::model::{STALE_MARKER, Timestamp};
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
    pub(super) story: &'a Story,
    pub(super) arrival: Arrival,
    pub(super) tally: &'a Tally,
    pub(super) took: Duration,
}

impl Report<'_> {
    /// Returns true if every event was stored, dead-lettered or returned as it should be, and the ticks wrote what they should.
    pub(super) fn is_good(&self) -> bool {
        self.story.is_good() && self.are_events_good()
    }

    fn are_events_good(&self) -> bool {
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
            "ticks": self.story.minutes.iter().map(minute_json).collect::<Vec<_>>(),
            "surprises": tally.failures.iter().chain(&self.story.problems).collect::<Vec<_>>(),
        })
    }

    /// Returns what is stored; as planned, if it cannot be read.
    fn series(&self) -> Vec<StoredSeries> {
        match self.stored {
            Some(stored) => return stored.to_vec(),
            None if !self.are_events_good() => return Vec::new(),
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
        writeln!(
            f,
            "{}: each minute a tick writes the sum of all reports of short-lived functions",
            heading("added up")
        )?;
        writeln!(f, "{}\n", story_table(self.story))?;
        writeln!(f, "{}: {}", heading("dead letters"), self.dead_letters.len())?;
        if !self.dead_letters.is_empty() {
            writeln!(f, "{}\n", dead_letter_table(self.dead_letters))?;
        }
        let (dead_lettered, returned) = (tally.dead_lettered, tally.returned);
        let sum = format!("{} {what} + {dead_lettered} dead-lettered + {returned} returned", self.stored_events());
        let lost = self.arrival.lost_events;
        let lost = if lost > 0 { format!(" + {lost} lost") } else { String::new() };
        writeln!(f, "{}: {} sent = {sum}{lost}", heading("events"), tally.events)?;
        for surprise in tally.failures.iter().chain(&self.story.problems) {
            writeln!(f, "  {} {surprise}", Styled(view::BAD, "!"))?;
        }
        if self.is_good() {
            write!(
                f,
                "{} all {events} are accounted for: {} {what}, {dead_lettered} dead-lettered with a reason, {returned} \
                 returned to the caller; {} typed metrics, each added up once",
                Styled(view::GOOD, "ok:"),
                self.stored_events(),
                self.story.counted()
            )
        } else {
            let hint = if self.stored.is_none() { "; is the receiver ready? `pushgw ping` tells more" } else { "" };
            let wrong = count(tally.surprises + self.arrival.lost_events, "event");
            let minutes = count(self.story.problems.len() as u64, "problem");
            write!(f, "{} {wrong} not as expected, {minutes} with ticks{hint}", Styled(view::BAD, "failed:"))
        }
    }
}

/// A row for each minute: what came, and what its tick wrote.
fn story_table(story: &Story) -> String {
    let last = story.minutes.last().map_or(Timestamp(0), |minute| minute.tick);
    let row = |minute: &Minute| {
        let more = match (minute.duplicates, minute.rows.first()) {
            (0, Some(value)) if value.is_finite() => "; a job pushes a group that expires after 80 s",
            (0, _) => "",
            _ => ", the first by SQS for the second time: dropped",
        };
        let increments: Vec<_> = minute.increments.iter().map(|increment| format!("+{increment}")).collect();
        let came = format!("{}{more}", increments.join(" "));
        let text = |values: &[f64]| values.iter().map(|value| value_text(*value)).collect::<Vec<_>>().join(", then ");
        vec![when(last.since(minute.tick) / 60_000), came, text(&minute.orders), text(&minute.rows)]
    };
    let orders = format!("{}{{shop=\"north\"}}", story::COUNTER);
    let of_group = format!("{}{{job=\"{}\"}}", story::GAUGE, story::JOB);
    rows(&["tick", "since the tick before", &orders, &of_group], story.minutes.iter().map(row).collect(), &[])
}

fn when(minutes: i64) -> String {
    match minutes {
        0 => "now".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    }
}

fn value_text(value: f64) -> String {
    if value.to_bits() == STALE_MARKER { "ended by a stale marker".to_owned() } else { wire_value(value) }
}

fn minute_json(minute: &Minute) -> serde_json::Value {
    let values = |values: &[f64]| {
        let value = |value: &f64| if value.to_bits() == STALE_MARKER { "stale".to_owned() } else { wire_value(*value) };
        values.iter().map(value).collect::<Vec<_>>()
    };
    json!({
        "tick": utc(minute.tick),
        "increments": minute.increments,
        "duplicates": minute.duplicates,
        "stale": minute.stale,
        "samples": minute.samples,
        story::COUNTER: values(&minute.orders),
        story::GAUGE: values(&minute.rows),
    })
}
