//! Shows one event as text or as JSON.

mod typed;

use crate::input_file::Place;
use crate::view::{self, Foreign, Styled, series_name, utc, value_type};
use amp_push_gateway::event::{Event, EventTimes, ParsedEvent, PlainEvent};
use amp_push_gateway::model::{LabelName, LabelSet, METRIC_NAME_LABEL, MetricName, Value};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

pub(super) struct EventView<'a> {
    pub(super) place: &'a Place,
    /// Its number in its message, counted from 0 as in the details of rejections.
    pub(super) index: usize,
    pub(super) times: &'a EventTimes,
    pub(super) parsed: &'a ParsedEvent<'a>,
}

impl EventView<'_> {
    /// Values are strings, exactly as they would be typed: JSON's own numbers lose digits in
    /// many readers and know no NaN.
    pub(super) fn json(&self) -> serde_json::Value {
        let mut shown = match &self.parsed.event {
            Ok(Event::Typed(metric)) => json!({
                "ok": true,
                "timestamp": metric.time.0,
                "time": utc(metric.time),
                "samples": [],
                "typed": typed::json(metric),
                "warnings": renamed(&self.parsed.text),
            }),
            Ok(Event::Plain(event)) => json!({
                "ok": true,
                "timestamp": event.timestamp.0,
                "time": utc(event.timestamp),
                "samples": event.metrics.iter().map(|sample| sample_json(event, sample)).collect::<Vec<_>>(),
                "warnings": renamed(&self.parsed.text),
            }),
            Err(rejection) => json!({"ok": false, "reason": rejection.reason.as_str(), "detail": rejection.detail}),
        };
        shown["file"] = (*self.place.name).into();
        shown["line"] = self.place.line.into();
        shown["index"] = self.index.into();
        shown
    }
}

impl fmt::Display for EventView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.place.line.map_or(String::new(), |line| format!("line {line} "));
        let position = Styled(view::QUIET, format!("{line}[{}]", self.index));
        match &self.parsed.event {
            Err(rejection) => {
                let (rejected, detail) = (Styled(view::BAD, "rejected"), Foreign(&rejection.detail));
                write!(f, "  {position} {rejected} {}: {detail}", rejection.reason)
            }
            Ok(event) => {
                let age = self.times.now.since(event.timestamp());
                write!(f, "  {position} {} {} ({})", Styled(view::GOOD, "ok"), utc(event.timestamp()), relative(age))?;
                match event {
                    Event::Plain(event) => samples(event, f)?,
                    Event::Typed(metric) => write!(f, "\n      {}", typed::line(metric))?,
                }
                for warning in renamed(&self.parsed.text) {
                    write!(f, "\n      {} {warning}", Styled(view::WARNING, "warning"))?;
                }
                Ok(())
            }
        }
    }
}

fn samples(event: &PlainEvent<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (name, value) in &event.metrics {
        let series = series_name(labels(&event.labels, name));
        write!(f, "\n      {series}  {value}  {}", Styled(view::QUIET, value_type(*value)))?;
        if let Some(sent) = sent_as(*value) {
            write!(f, "  sent as {sent}: Prometheus stores doubles, which hold integers exactly up to 2^53")?;
        }
    }
    Ok(())
}

/// Returns a warning for each name in the event `text` that is sent as another one: queries must use the other.
fn renamed(text: &str) -> Vec<String> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Names {
        metrics: BTreeMap<String, Option<IgnoredAny>>,
        #[serde(deserialize_with = "object")]
        dimensions: BTreeMap<String, Option<IgnoredAny>>,
        #[serde(deserialize_with = "object")]
        labels: BTreeMap<String, Option<IgnoredAny>>,
        name: Option<String>,
    }
    let names: Names = serde_json::from_str(text).unwrap_or_default();
    let metric = |raw: &str| MetricName::translate(raw.into()).ok().map(|name| name.as_str().to_owned());
    let label = |raw: &str| LabelName::translate(raw.into()).ok().map(|name| name.as_str().to_owned());
    let sent = |parent: &str, raw: &str, name: Option<String>| {
        name.filter(|name| name != raw).map(|name| format!("{parent}.{} is sent as {name}", raw.escape_debug()))
    };
    let of = |entries: BTreeMap<String, Option<IgnoredAny>>| {
        entries.into_iter().filter(|(_, value)| value.is_some()).map(|(raw, _)| raw)
    };
    let metrics = of(names.metrics).filter_map(|raw| sent("metrics", &raw, metric(&raw)));
    let dimensions = of(names.dimensions).filter_map(|raw| sent("dimensions", &raw, label(&raw)));
    let labels = of(names.labels).filter_map(|raw| sent("labels", &raw, label(&raw)));
    let name = names.name.and_then(|raw| {
        let sent = metric(&raw).filter(|name| *name != raw)?;
        Some(format!("the name {} is sent as {sent}", raw.escape_debug()))
    });
    metrics.chain(dimensions).chain(labels).chain(name).collect()
}

/// Reads an object, and anything else as an empty one: null, and the empty list of PHP.
fn object<'de, D: Deserializer<'de>>(value: D) -> Result<BTreeMap<String, Option<IgnoredAny>>, D::Error> {
    let raw: Box<RawValue> = Deserialize::deserialize(value)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

fn sample_json(event: &PlainEvent<'_>, (name, value): &(MetricName<'_>, Value)) -> serde_json::Value {
    let mut sample = json!({"labels": view::labels_json(labels(&event.labels, name)), "type": value_type(*value), "value": value.to_string()});
    if let Some(sent) = sent_as(*value) {
        sample["sent_as"] = sent.into();
    }
    sample
}

fn labels<'a>(labels: &'a LabelSet<'_>, name: &'a MetricName<'_>) -> Vec<(&'a str, &'a str)> {
    let others = labels.as_slice().iter().map(|label| (label.name.as_str(), label.value.as_ref()));
    std::iter::once((METRIC_NAME_LABEL, name.as_str())).chain(others).collect()
}

/// Returns the double that stands for an integer that no double holds exactly.
fn sent_as(value: Value) -> Option<String> {
    value.is_inexact().then(|| view::wire_value(f64::from_bits(value.wire_bits())))
}

fn relative(age_ms: i64) -> String {
    let amount = match age_ms.unsigned_abs() {
        0..1_000 => return "now".to_owned(),
        ms @ 1_000..120_000 => format!("{} s", ms / 1_000),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    };
    if age_ms > 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        let table = [
            (0, "now"),
            (-999, "now"),
            (1_000, "1 s ago"),
            (119_999, "119 s ago"),
            (-120_000, "in 2 min"),
            (7_200_000, "2 h ago"),
            (i64::MIN, "in 2562047788015 h"),
        ];
        for (age, expected) in table {
            assert_eq!(relative(age), expected, "{age}");
        }
    }
}
