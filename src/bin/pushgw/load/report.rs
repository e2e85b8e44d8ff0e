//! Reports a load, to people and to scripts, from one table of columns. A new column is a new row of [`Report::columns`].

use super::ledger::{Arrival, Percentiles};
use super::plan::Plan;
use super::tally::Tally;
use crate::view::{self, Styled, count, duration};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// A load that is over.
pub(super) struct Report<'a> {
    pub(super) target: String,
    /// The URL that was queried; `None` if only answers tell what arrived.
    pub(super) read: Option<String>,
    pub(super) plan: &'a Plan,
    pub(super) tally: &'a Tally,
    /// `None` if nobody tells what arrived.
    pub(super) arrival: Option<Arrival>,
    pub(super) latencies: Option<Percentiles>,
    pub(super) late_after: Duration,
    /// Why it could not be looked for.
    pub(super) fault: Option<String>,
    pub(super) took: Duration,
}

/// A value for scripts, and a line for people.
struct Column {
    key: &'static str,
    value: Value,
    line: Option<(&'static str, String)>,
}

// === impl Report ===

impl Report<'_> {
    fn columns(&self) -> Vec<Column> {
        let (tally, plan) = (self.tally, self.plan);
        vec![
            column("ok", self.is_good()),
            column("seed", plan.seed).line("load", self.load()),
            column("devices", plan.devices),
            column("planned", plan.count()),
            column("events", tally.events).line("sent", self.sent()),
            column("broken", tally.broken),
            column("messages", tally.messages),
            column("bytes", tally.bytes),
            column("seconds", self.took.as_secs_f64()),
            column("rate", self.rate()),
            column("target", &self.target).line("to", self.target.clone()),
            column("taken", tally.taken),
            column("stored", tally.stored),
            column("refused", &tally.refused).line("rejected", self.rejected()),
            column("failed", tally.failed),
            column("surprises", tally.surprises),
            column("failures", &tally.failures),
            column("read", &self.read),
            column("arrival", self.arrival).line("arrived", self.arrived()),
            column("latency_milliseconds", self.latencies).line("latency", self.latency()),
            column("fault", &self.fault),
        ]
    }

    /// Returns true if all was sent, every good event arrived, and every broken event was rejected for its reason.
    pub(super) fn is_good(&self) -> bool {
        let tally = self.tally;
        let is_there = self.arrival.is_none_or(|arrival| arrival.missing == 0 && arrival.wrong == 0);
        is_there && tally.failed == 0 && tally.surprises == 0 && self.fault.is_none() && self.is_whole()
    }

    fn is_whole(&self) -> bool {
        self.tally.events == self.plan.count()
    }

    fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = self.tally.events as f64 / self.took.as_secs_f64().max(0.001);
        (rate * 10.0).round() / 10.0
    }

    pub(super) fn json(&self) -> Value {
        self.columns().into_iter().map(|column| (column.key.to_owned(), column.value)).collect()
    }

    fn load(&self) -> String {
        let Plan { devices, metrics, seed, .. } = self.plan;
        let (devices, metrics) = (count((*devices).into(), "device"), count((*metrics).into(), "metric"));
        format!("{devices}, {metrics} an event, seed {seed}")
    }

    fn sent(&self) -> String {
        let Tally { events, broken, messages, bytes, .. } = self.tally;
        let (events, messages, took) = (count(*events, "event"), count(*messages, "message"), duration(self.took));
        let (rate, wanted) = (self.rate(), self.plan.rate);
        format!("{events} ({broken} broken) in {messages}, {bytes} bytes, in {took}: {rate} a second of {wanted}")
    }

    fn rejected(&self) -> String {
        let reasons = self.tally.refused.iter().map(|(reason, events)| format!("{events} {reason}"));
        reasons.collect::<Vec<_>>().join(", ")
    }

    fn arrived(&self) -> String {
        let Some(Arrival { samples, arrived, missing, wrong, late, .. }) = self.arrival else {
            return "not looked for: --query-url names a Prometheus that holds it".to_owned();
        };
        let how = if self.read.is_some() { "" } else { " (as the answers say)" };
        let (samples, after) = (count(samples, "sample"), duration(self.late_after));
        format!("{arrived} of {samples}{how}: {missing} missing, {wrong} wrong, {late} later than {after}")
    }

    fn latency(&self) -> String {
        let text = |Percentiles { p50, p90, p99, max }| {
            format!("p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, max {max} ms, from event time to seen")
        };
        self.latencies.map(text).unwrap_or_default()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, text) in self.columns().into_iter().filter_map(|column| column.line) {
            writeln!(f, "{label:<10}{text}")?;
        }
        for failure in self.tally.failures.iter().chain(&self.fault) {
            writeln!(f, "  {} {failure}", Styled(view::BAD, "!"))?;
        }
        if !self.is_whole() {
            writeln!(
                f,
                "  {} {} of {} events were sent",
                Styled(view::BAD, "!"),
                self.tally.events,
                self.plan.count()
            )?;
        }
        if self.is_good() {
            let arrived = if self.arrival.is_some() { "every good event arrived" } else { "every event was taken" };
            write!(f, "{} {arrived}", Styled(view::GOOD, "ok:"))
        } else {
            write!(f, "{} not every good event arrived as it was sent", Styled(view::BAD, "failed:"))
        }
    }
}

// === impl Column ===

fn column(key: &'static str, value: impl Serialize) -> Column {
    Column { key, value: json!(value), line: None }
}

impl Column {
    /// Adds a line, unless `text` is empty.
    fn line(self, label: &'static str, text: String) -> Self {
        Self { line: Some((label, text)).filter(|(_, text)| !text.is_empty()), ..self }
    }
}
