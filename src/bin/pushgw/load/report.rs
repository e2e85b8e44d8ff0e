//! What a load shows, to people and to scripts.

use super::ledger::{Percentiles, Standing};
use super::plan::Plan;
use super::tally::Tally;
use crate::view::{self, Styled, count, duration};
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// A load that is over.
pub(super) struct Report<'a> {
    pub(super) target: String,
    /// Where it was looked for; none where only answers tell.
    pub(super) read: Option<String>,
    pub(super) plan: &'a Plan,
    pub(super) tally: &'a Tally,
    /// None where nobody tells what arrived.
    pub(super) standing: Option<Standing>,
    pub(super) latencies: Option<Percentiles>,
    pub(super) late_after: Duration,
    /// Why it could not be looked for.
    pub(super) fault: Option<String>,
    pub(super) took: Duration,
}

// === impl Report ===

impl Report<'_> {
    /// Whether everything good that was to be sent arrived, and everything broken was refused as it should be.
    pub(super) fn is_good(&self) -> bool {
        let tally = self.tally;
        let is_there = self.standing.is_none_or(|standing| standing.missing == 0 && standing.wrong == 0);
        is_there && tally.failed == 0 && tally.surprises == 0 && self.fault.is_none() && self.is_whole()
    }

    /// Whether it was sent to its end.
    fn is_whole(&self) -> bool {
        self.tally.events == self.plan.count
    }

    fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = self.tally.events as f64 / self.took.as_secs_f64().max(0.001);
        (rate * 10.0).round() / 10.0
    }

    /// All of it for a script.
    pub(super) fn json(&self) -> serde_json::Value {
        let (tally, stream) = (self.tally, self.plan.stream);
        let standing = self.standing.map(|standing| {
            json!({
                "samples": standing.samples,
                "arrived": standing.arrived,
                "missing": standing.missing,
                "wrong": standing.wrong,
                "late": standing.late,
            })
        });
        let latencies = self.latencies.map(
            |latencies| json!({"p50": latencies.p50, "p90": latencies.p90, "p99": latencies.p99, "max": latencies.max}),
        );
        json!({
            "ok": self.is_good(),
            "target": self.target,
            "read": self.read,
            "seed": stream.seed,
            "devices": stream.devices,
            "planned": self.plan.count,
            "events": tally.events,
            "broken": tally.broken,
            "messages": tally.messages,
            "bytes": tally.bytes,
            "seconds": self.took.as_secs_f64(),
            "rate": self.rate(),
            "taken": tally.taken,
            "stored": tally.stored,
            "refused": tally.refused,
            "failed": tally.failed,
            "surprises": tally.surprises,
            "failures": tally.told,
            "arrival": standing,
            "latency_milliseconds": latencies,
            "fault": self.fault,
        })
    }

    fn arrival(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(standing) = self.standing else {
            return writeln!(f, "arrived   not looked for: --query-url names a Prometheus that holds it");
        };
        let how = if self.read.is_some() { "" } else { " (as the answers say)" };
        writeln!(
            f,
            "arrived   {} of {}{how}: {} missing, {} wrong, {} later than {}",
            standing.arrived,
            count(standing.samples, "sample"),
            standing.missing,
            standing.wrong,
            standing.late,
            duration(self.late_after)
        )?;
        let Some(Percentiles { p50, p90, p99, max }) = self.latencies else { return Ok(()) };
        writeln!(f, "latency   p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, max {max} ms, from event time to seen")
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tally, stream) = (self.tally, self.plan.stream);
        let heading = Styled(view::HEADING, "load");
        let devices = count(u64::from(stream.devices), "device");
        writeln!(
            f,
            "{heading}: {devices}, {} an event, seed {}",
            count(u64::from(stream.metrics), "metric"),
            stream.seed
        )?;
        writeln!(
            f,
            "sent      {} ({} broken) in {}, {} bytes, in {}: {} a second of {}",
            count(tally.events, "event"),
            tally.broken,
            count(tally.messages, "message"),
            tally.bytes,
            duration(self.took),
            self.rate(),
            self.plan.rate
        )?;
        writeln!(f, "to        {}", self.target)?;
        for (reason, events) in &tally.refused {
            writeln!(f, "refused   {}: {reason}", count(*events, "event"))?;
        }
        self.arrival(f)?;
        for words in tally.told.iter().chain(&self.fault) {
            writeln!(f, "  {} {words}", Styled(view::BAD, "!"))?;
        }
        if !self.is_whole() {
            writeln!(f, "  {} {} of {} events were sent", Styled(view::BAD, "!"), tally.events, self.plan.count)?;
        }
        if self.is_good() {
            let arrived = if self.standing.is_some() { "everything good arrived" } else { "everything was taken" };
            write!(f, "{} {arrived}", Styled(view::GOOD, "ok:"))
        } else {
            write!(f, "{} not everything good arrived as it was sent", Styled(view::BAD, "failed:"))
        }
    }
}
