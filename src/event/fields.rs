//! The fields of one event to an [`Event`].

use super::entries;
use super::place::{self, at, excerpt, kind};
use super::{Clock, Event, Rules, timestamp, value};
use crate::model::{Label, LabelName, LabelSet, LabelSetError, MetricName, NameError, Reason, Refusal, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// Most labels of a series, `__name__` and external ones counted (AMP quota "Labels per series").
pub const MAX_LABELS: usize = 150;

/// Longest label value in bytes (Cortex' `max_label_value_length`).
pub const MAX_LABEL_VALUE_BYTES: usize = 2_048;

/// The keys of SNS, EventBridge and Lambda that say what is wrapped.
const OF_WRAPPERS: [&str; 7] = ["Type", "TopicArn", "Message", "detail-type", "source", "detail", "Records"];

/// Up to here names are compared in pairs; above, by a hash set.
const FEW_METRICS: usize = 16;

/// The values of an event's keys, as they stand.
#[derive(Default)]
pub(super) struct Fields<'a> {
    metrics: Option<&'a str>,
    dimensions: Option<&'a str>,
    timestamp: Option<&'a str>,
    /// The first of the three that came twice.
    repeated: Option<&'static str>,
    /// The first other key, a mistake perhaps, and those of a wrapper. Of a million mistakes one is told.
    pub(super) others: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Fields<'a> {
    pub(super) fn read(text: &'a str) -> serde_json::Result<Self> {
        let mut fields = Self::default();
        entries::for_each(text, |key, literal| fields.take(key, literal))?;
        Ok(fields)
    }

    fn take(&mut self, key: Cow<'a, str>, literal: &'a str) {
        let (known, field) = match key.as_ref() {
            "metrics" => ("metrics", &mut self.metrics),
            "dimensions" => ("dimensions", &mut self.dimensions),
            "timestamp" => ("timestamp", &mut self.timestamp),
            other => {
                if self.others.is_empty() || (OF_WRAPPERS.contains(&other) && self.other(other).is_none()) {
                    self.others.push((key, literal));
                }
                return;
            }
        };
        if field.replace(literal).is_some() {
            self.repeated.get_or_insert(known);
        }
    }

    /// The value of a key that is not an event's.
    pub(super) fn other(&self, key: &str) -> Option<&'a str> {
        self.others.iter().find(|(name, _)| name == key).map(|(_, literal)| *literal)
    }

    /// Whether any key of an event is there.
    pub(super) fn has_event_keys(&self) -> bool {
        self.metrics.is_some() || self.dimensions.is_some() || self.timestamp.is_some()
    }

    pub(super) fn into_event(self, clock: &Clock, rules: &'a Rules) -> Result<Event<'a>, Refusal> {
        #[cfg(test)]
        assert_ne!(self.metrics, Some(r#"{"panic":"test"}"#), "a defect, for the test of it");
        if let Some((key, _)) = self.others.first() {
            return Err(Refusal::new(Reason::InvalidEvent, unknown_key(key)));
        }
        if let Some(key) = self.repeated {
            return Err(Refusal::new(Reason::InvalidEvent, format!("{key}: the key is given twice")));
        }
        let Some(metrics) = self.metrics else {
            return Err(Refusal::new(Reason::InvalidEvent, "metrics: missing; an event has at least one metric"));
        };
        let mut labels = self.dimensions.map_or_else(|| Ok(LabelSet::default()), labels)?;
        labels.add_missing(&rules.external_labels);
        if labels.len() + 1 > MAX_LABELS {
            return Err(Refusal::new(
                Reason::TooManyLabels,
                format!("dimensions: {} labels with __name__, at most {MAX_LABELS} are allowed", labels.len() + 1),
            ));
        }
        let metrics = samples(metrics)?;
        let timestamp = timestamp::read(self.timestamp, clock, rules)?;
        Ok(Event { labels, timestamp, metrics })
    }
}

/// A typo here would silently merge series, so it is refused and the likely key named.
fn unknown_key(key: &str) -> String {
    const ALIASES: [(&str, &str); 10] = [
        ("labels", "dimensions"),
        ("label", "dimensions"),
        ("tags", "dimensions"),
        ("time", "timestamp"),
        ("ts", "timestamp"),
        ("date", "timestamp"),
        ("values", "metrics"),
        ("value", "metrics"),
        ("fields", "metrics"),
        ("measures", "metrics"),
    ];
    let lower = key.to_lowercase();
    let alike = |known: &&str| strsim::damerau_levenshtein(&lower, known) <= known.len() / 3;
    let likely = if lower.len() > 32 {
        None
    } else {
        ["metrics", "dimensions", "timestamp"]
            .into_iter()
            .find(alike)
            .or_else(|| ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, known)| *known))
    };
    let hint = likely.map_or_else(
        || "an event has only metrics, dimensions and timestamp".to_owned(),
        |known| format!("did you mean {known}?"),
    );
    format!("{}: unknown key; {hint}", place::key(key))
}

fn labels(dimensions: &str) -> Result<LabelSet<'_>, Refusal> {
    if dimensions == "null" {
        return Ok(LabelSet::default());
    }
    let mut labels = Vec::new();
    each_of(dimensions, "dimensions", |key, literal| {
        if let Some(label) = label(key, literal)? {
            labels.push(label);
        }
        Ok(())
    })?;
    LabelSet::new(labels).map_err(|LabelSetError { name }| {
        let detail = format!("dimensions: more than one is named \"{}\"", excerpt(name.as_str()));
        Refusal::new(Reason::LabelCollision, detail)
    })
}

/// `None` where the value says that there is no such label.
fn label<'a>(key: Cow<'a, str>, literal: &'a str) -> Result<Option<Label<'a>>, Refusal> {
    let value = match literal.as_bytes().first() {
        Some(b'"') => entries::unquote(literal).ok_or_else(|| {
            Refusal::new(Reason::InvalidJson, at("dimensions", &key, "the string has an invalid escape"))
        })?,
        Some(b'{' | b'[') => {
            let fault = format!("the value is {}, expected a string, a number or a boolean", kind(literal));
            return Err(Refusal::new(Reason::InvalidEvent, at("dimensions", &key, fault)));
        }
        Some(b'n') => return Ok(None),
        _ => Cow::Borrowed(literal),
    };
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > MAX_LABEL_VALUE_BYTES {
        let fault = format!("the value has {} bytes, at most {MAX_LABEL_VALUE_BYTES} are allowed", value.len());
        return Err(Refusal::new(Reason::TooLarge, at("dimensions", &key, fault)));
    }
    let name = named("dimensions", key, Reason::InvalidLabelName, LabelName::translate)?;
    Ok(Some(Label { name, value }))
}

fn samples(metrics: &str) -> Result<Vec<(MetricName<'_>, Value)>, Refusal> {
    let mut samples = Vec::new();
    each_of(metrics, "metrics", |key, literal| {
        let value = value::read(&key, literal)?;
        samples.push((named("metrics", key, Reason::InvalidMetricName, MetricName::translate)?, value));
        Ok(())
    })?;
    if samples.is_empty() {
        return Err(Refusal::new(Reason::InvalidEvent, "metrics: empty; an event has at least one metric"));
    }
    match repeated(&samples) {
        Some(name) => {
            let detail = format!("metrics: more than one is named \"{}\"", excerpt(name.as_str()));
            Err(Refusal::new(Reason::MetricCollision, detail))
        }
        None => Ok(samples),
    }
}

fn repeated<'s, 'a>(samples: &'s [(MetricName<'a>, Value)]) -> Option<&'s MetricName<'a>> {
    if samples.len() <= FEW_METRICS {
        let earlier = |i: usize, name: &MetricName<'a>| samples[..i].iter().any(|(other, _)| other == name);
        return samples.iter().enumerate().find(|(i, (name, _))| earlier(*i, name)).map(|(_, (name, _))| name);
    }
    let mut seen = HashSet::with_capacity(samples.len());
    samples.iter().map(|(name, _)| name).find(|name| !seen.insert(*name))
}

/// Calls `each` for the entries of the object that the key `parent` holds and gives the first refusal.
fn each_of<'a>(
    literal: &'a str,
    parent: &'static str,
    mut each: impl FnMut(Cow<'a, str>, &'a str) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    if !literal.starts_with('{') {
        return Err(Refusal::new(
            Reason::InvalidEvent,
            format!("{parent}: {} is not an object, it is {}", excerpt(literal), kind(literal)),
        ));
    }
    let mut first = Ok(());
    let walked = entries::for_each(literal, |key, literal| {
        if first.is_ok() {
            first = each(key, literal);
        }
    });
    // The text was scanned before, but a key's escapes are looked at only here.
    walked.map_err(|error| Refusal::new(Reason::InvalidJson, format!("{parent}: {error}")))?;
    first
}

fn named<'a, N>(
    parent: &str,
    key: Cow<'a, str>,
    reason: Reason,
    translate: impl Fn(Cow<'a, str>) -> Result<N, NameError>,
) -> Result<N, Refusal> {
    // A copy of the reference, for the words; a key that is owned is rare (it had escapes).
    let shown = key.clone();
    translate(key).map_err(|error| {
        let reason = if matches!(error, NameError::TooLong(_)) { Reason::TooLarge } else { reason };
        Refusal::new(reason, at(parent, &shown, error))
    })
}
