//! The report of a load, as text or as JSON.

use super::ledger::{Arrival, Percentiles};
use super::plan::Plan;
use super::tally::Tally;
use crate::view::{self, Foreign, Styled, count, duration};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

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

impl Report<'_> {
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
        let (tally, plan) = (self.tally, self.plan);
        json!({
            "ok": self.is_good(),
            "seed": plan.seed,
            "devices": plan.devices,
            "planned": plan.count(),
            "events": tally.events,
            "broken": tally.broken,
            "messages": tally.messages,
            "bytes": tally.bytes,
            "seconds": self.took.as_secs_f64(),
            "rate": self.rate(),
            "target": self.target,
            "taken": tally.taken,
            "stored": tally.stored,
            "refused": tally.refused,
            "failed": tally.failed,
            "surprises": tally.surprises,
            "failures": tally.failures,
            "read": self.read,
            "arrival": self.arrival,
            "latency_milliseconds": self.latencies,
            "fault": self.fault,
        })
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
        let Some(Percentiles { p50, p90, p99, max }) = self.latencies else { return String::new() };
        format!("p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, max {max} ms, from event time to seen")
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("load", self.load()),
            ("sent", self.sent()),
            ("to", self.target.clone()),
            ("rejected", Foreign(self.rejected()).to_string()),
            ("arrived", self.arrived()),
            ("latency", self.latency()),
        ];
        for (label, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
            writeln!(f, "{label:<10}{text}")?;
        }
        for failure in self.tally.failures.iter().chain(&self.fault) {
            writeln!(f, "  {} {}", Styled(view::BAD, "!"), Foreign(failure))?;
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
