//! Makes the messages of a dispatch from series: arrays of typed metrics as JSON, which the gateway reads from its queue.
//!
//! * Each event has its own `id`, `<environment>-<number>`. A message that is sent again has the same ids and the same
//!   updates, so the gateway counts it once.
//! * Each event has a `timestamp`. With it a repetition is `too_old` before the gateway forgets the ids. So a message keeps
//!   its time if the queue may already have it.

use super::pending::PendingSeries;
use crate::limits::MAX_DISPATCH_MESSAGE_BYTES;
use crate::model::{LabelSet, Layout, Observation, Timestamp, Update, Value, escape_noncharacters};
use std::fmt::Write as _;

/// A gauge is never sent with an older time: the gateway rejects what is older than an hour.
const MAX_GAUGE_AGE_MS: i64 = 30 * 60 * 1_000;

/// Up to the year 2286 the text of every time is as long as that of this one.
const ANY_TIME: Timestamp = Timestamp(1_000_000_000_000);

/// The series of one message.
#[derive(Debug)]
pub struct TypedMessage {
    /// The number of its first event.
    first: u64,
    series: Vec<PendingSeries>,
    /// The length of its body.
    bytes: usize,
}

/// Cuts `series` into messages of at most [`MAX_DISPATCH_MESSAGE_BYTES`]; an event that is longer is alone. `next` is
/// the number of the next event, and is increased.
pub fn cut(series: Vec<PendingSeries>, environment: &str, next: &mut u64) -> Vec<TypedMessage> {
    let mut messages: Vec<TypedMessage> = Vec::new();
    let mut events = String::new();
    for one in series {
        events.clear();
        let first = *next;
        *next += push_events(&mut events, &one, environment, first, ANY_TIME);
        // A comma or a bracket follows.
        let bytes = events.len() + 1;
        match messages.last_mut().filter(|message| message.bytes + bytes <= MAX_DISPATCH_MESSAGE_BYTES) {
            Some(message) => {
                message.bytes += bytes;
                message.series.push(one);
            }
            None => messages.push(TypedMessage { first, series: vec![one], bytes: bytes + 1 }),
        }
    }
    messages
}

impl TypedMessage {
    /// Returns the JSON array of its events, as of `time`.
    pub fn body(&self, environment: &str, time: Timestamp) -> String {
        let (mut out, mut next) = (String::with_capacity(self.bytes), self.first);
        out.push('[');
        for series in &self.series {
            if out.len() > 1 {
                out.push(',');
            }
            next += push_events(&mut out, series, environment, next, time);
        }
        out.push(']');
        out
    }

    /// Returns the id of its first event.
    pub fn first_id(&self, environment: &str) -> String {
        id(environment, self.first)
    }

    pub fn series_count(&self) -> usize {
        self.series.len()
    }
}

fn id(environment: &str, number: u64) -> String {
    format!("{environment}-{number}")
}

/// Appends the events of a series with commas between them. Returns how many there are.
fn push_events(out: &mut String, series: &PendingSeries, environment: &str, first: u64, time: Timestamp) -> u64 {
    let mut number = first;
    for update in series.total.updates() {
        if number > first {
            out.push(',');
        }
        let time = match update {
            Update::Gauge(_) => series.time.max(Timestamp(time.0 - MAX_GAUGE_AGE_MS)).min(time),
            _ => time,
        };
        push_event(out, series, &update, &id(environment, number), time);
        number += 1;
    }
    number - first
}

fn push_event(out: &mut String, series: &PendingSeries, update: &Update, id: &str, time: Timestamp) {
    let kind = match update {
        Update::Counter(_) => "counter",
        Update::Gauge(_) => "gauge",
        Update::Histogram { .. } => "histogram",
        Update::Summary { .. } => "summary",
        // Only OTLP has these, and no pending series comes from OTLP.
        Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => return,
    };
    out.push_str("{\"type\":\"");
    out.push_str(kind);
    out.push_str("\",\"name\":");
    push_text(out, series.name.as_str());
    push_labels(out, &series.labels);
    match update {
        Update::Counter(value) | Update::Gauge(value) => push(out, ",\"value\":", *value),
        Update::GaugeIncrement(_) | Update::ClassicCounts(_) | Update::NativeCounts(_) => {}
        Update::Histogram { layout, observations } => {
            if let Layout::Classic(bounds) = layout {
                push_list(out, ",\"buckets\":", bounds.iter().map(|bound| Value::Float(*bound)));
            }
            push_observations(out, observations);
        }
        Update::Summary { quantiles, observations } => {
            push_list(out, ",\"quantiles\":", quantiles.iter().map(|quantile| Value::Float(*quantile)));
            push_observations(out, observations);
        }
    }
    if let Some(help) = &series.help {
        out.push_str(",\"help\":");
        push_text(out, help);
    }
    out.push_str(",\"id\":");
    push_text(out, id);
    push(out, ",\"timestamp\":", time);
    out.push('}');
}

fn push_labels(out: &mut String, labels: &LabelSet<'_>) {
    let mut before = ",\"labels\":{";
    for label in labels.as_slice() {
        out.push_str(before);
        push_text(out, label.name.as_str());
        out.push(':');
        push_text(out, &label.value);
        before = ",";
    }
    if before == "," {
        out.push('}');
    }
}

fn push_observations(out: &mut String, observations: &[Observation]) {
    push_list(out, ",\"value\":", observations.iter().map(|observation| Value::Float(observation.value)));
    if observations.iter().any(|observation| observation.count != 1) {
        push_list(out, ",\"counts\":", observations.iter().map(|observation| observation.count));
    }
}

fn push_list(out: &mut String, key: &str, elements: impl Iterator<Item = impl std::fmt::Display>) {
    out.push_str(key);
    let mut before = '[';
    for element in elements {
        out.push(before);
        push(out, "", element);
        before = ',';
    }
    out.push_str(if before == '[' { "[]" } else { "]" });
}

fn push(out: &mut String, key: &str, value: impl std::fmt::Display) {
    // A String takes all.
    let _written = write!(out, "{key}{value}").is_ok();
}

/// Appends a JSON string that SQS takes.
fn push_text(out: &mut String, text: &str) {
    // Nearly all names and values need no escape.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&escape_noncharacters(serde_json::Value::from(text).to_string()));
    }
}

#[cfg(test)]
mod tests;
