//! Parses the fields of one event into a [`PlainEvent`], in one pass over its text.

use super::entries::{self, Entries, Key};
use super::path::{at, excerpt, kind};
use super::text::invalid_json;
use super::typed;
use super::unknown_key::{self, Known};
use super::wrappers::KEYS;
use super::{EventTimes, PlainEvent, Rules, timestamp, value};
use crate::limits::{MAX_EVENT_PROTOBUF_BYTES, MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES};
use crate::model::{
    Label, LabelName, LabelSet, LabelSetError, METRIC_NAME_LABEL, MetricName, NameError, Reason, Rejection, Value,
};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Up to this number the names of metrics are compared in pairs, and above it with a hash set.
const FEW_METRICS: usize = 16;

/// A part of an event, or its rejection although it is JSON.
type Read<T> = Result<T, Rejection>;

/// The metrics of an event that were measured, and how many were null.
#[derive(Default)]
struct Metrics<'a> {
    samples: Vec<(MetricName<'a>, Value)>,
    nulls: u32,
}

/// The values of an event's keys.
#[derive(Default)]
pub(super) struct Fields<'a> {
    metrics: Option<Read<Metrics<'a>>>,
    dimensions: Option<Read<LabelSet<'a>>>,
    timestamp: Option<&'a str>,
    /// The literal of `type`. If it is a type of metrics, the other keys are not read.
    metric_type: Option<&'a str>,
    /// The first of these three keys that is given twice.
    repeated: Option<&'static str>,
    /// The first other key, and the keys of wrappers. Only one mistake is reported, even if there are a million.
    pub(super) others: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Fields<'a> {
    /// Returns the fields of the object in `text`, or an error if it is anything but a JSON object.
    pub(super) fn read(text: &'a str) -> serde_json::Result<Self> {
        entries::read_object(text, FieldsOf(text))
    }

    /// Returns the value of a wrapper's key.
    pub(super) fn other(&self, key: &str) -> Option<&'a str> {
        debug_assert!(KEYS.contains(&key), "{key} is not kept");
        self.others.iter().find(|(name, _)| name == key).map(|(_, literal)| *literal)
    }

    /// Returns whether it is a typed metric, whatever else is in it.
    pub(super) fn is_typed(&self) -> bool {
        self.metric_type.is_some_and(typed::is_type)
    }

    /// Returns whether it can only be meant as a typed metric.
    pub(super) fn may_be_typed(&self) -> bool {
        self.metric_type.is_some() && (self.is_typed() || self.metrics.is_none())
    }

    pub(super) fn has_event_keys(&self) -> bool {
        self.metrics.is_some() || self.dimensions.is_some() || self.timestamp.is_some()
    }

    pub(super) fn into_event(self, times: &EventTimes, rules: &'a Rules) -> Result<PlainEvent<'a>, Rejection> {
        if let Some((key, _)) = self.others.first() {
            let otherwise = "an event has only metrics, dimensions and timestamp";
            return Err(Rejection::new(Reason::InvalidEvent, unknown_key::detail(key, &KNOWN, otherwise)));
        }
        if let Some(key) = self.repeated {
            return Err(Rejection::new(Reason::InvalidEvent, format!("{key}: the key is given twice")));
        }
        let Some(metrics) = self.metrics else {
            return Err(Rejection::new(Reason::InvalidEvent, "metrics: missing; an event has at least one metric"));
        };
        let mut labels = self.dimensions.unwrap_or_else(|| Ok(LabelSet::default()))?;
        labels.add_missing(&rules.external_labels);
        let count = labels.as_slice().len() + 1;
        if count > MAX_LABELS {
            let detail = format!("dimensions: {count} labels with __name__, at most {MAX_LABELS} are allowed");
            return Err(Rejection::new(Reason::TooManyLabels, detail));
        }
        let Metrics { samples, nulls } = metrics?;
        check_size(&labels, &samples)?;
        let timestamp = timestamp::read(self.timestamp, times, rules)?;
        Ok(PlainEvent { labels, timestamp, metrics: samples, null_values: nulls })
    }
}

/// Rejects an event that could never be delivered: each of its samples repeats all labels.
fn check_size(labels: &LabelSet<'_>, samples: &[(MetricName<'_>, Value)]) -> Result<(), Rejection> {
    const MAX_LABEL_BYTES: usize = MAX_NAME_BYTES + MAX_LABEL_VALUE_BYTES + 16;
    // Nearly all events.
    if samples.len() * (labels.as_slice().len() + 1) <= MAX_EVENT_PROTOBUF_BYTES / MAX_LABEL_BYTES {
        return Ok(());
    }
    // Tag and length of the label, of its name, and of its value.
    let of_label =
        |name: usize, value: usize| name + value + 6 + usize::from(name > 127) + 2 * usize::from(value > 127);
    // A sample takes up to 19 bytes, and the series itself 4 to 6.
    let labels: usize =
        labels.as_slice().iter().map(|label| of_label(label.name.as_str().len(), label.value.len())).sum();
    let of_series = |name: &MetricName<'_>| 24 + of_label(METRIC_NAME_LABEL.len(), name.as_str().len()) + labels;
    let bytes: usize = samples.iter().map(|(name, _)| of_series(name)).sum();
    if bytes <= MAX_EVENT_PROTOBUF_BYTES {
        return Ok(());
    }
    let detail = format!(
        "metrics: {} metrics with their labels take {bytes} bytes when they are sent, at most {MAX_EVENT_PROTOBUF_BYTES} are \
         allowed; send fewer metrics in an event",
        samples.len(),
    );
    Err(Rejection::new(Reason::TooLarge, detail))
}

const KNOWN: [Known; 3] = [
    ("metrics", &["values", "value", "fields", "measures"]),
    ("dimensions", &["labels", "label", "tags"]),
    ("timestamp", &["time", "ts", "date"]),
];

/// Reads the [`Fields`] of the object in this text.
struct FieldsOf<'a>(&'a str);

impl<'a> Visitor<'a> for FieldsOf<'a> {
    type Value = Fields<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Key(key)) = map.next_key()? {
            let repeats = match key.as_ref() {
                "metrics" => fields.metrics.replace(self.metrics(&key, &mut map)?).is_some().then_some("metrics"),
                "dimensions" => {
                    fields.dimensions.replace(self.labels(&key, &mut map)?).is_some().then_some("dimensions")
                }
                "timestamp" => fields.timestamp.replace(literal(&mut map)?).is_some().then_some("timestamp"),
                other => {
                    let literal = literal(&mut map)?;
                    if other == typed::TYPE {
                        fields.metric_type = fields.metric_type.or(Some(literal));
                        if fields.is_typed() {
                            skip(&mut map)?;
                            return Ok(fields);
                        }
                    }
                    if fields.others.is_empty() || (KEYS.contains(&other) && fields.other(other).is_none()) {
                        fields.others.push((key, literal));
                    }
                    None
                }
            };
            fields.repeated = fields.repeated.or(repeats);
        }
        Ok(fields)
    }
}

impl<'a> FieldsOf<'a> {
    fn labels<A: MapAccess<'a>>(&self, key: &str, map: &mut A) -> Result<Read<LabelSet<'a>>, A::Error> {
        let mut labels = Vec::new();
        let read = self.each_of(key, "dimensions", map, |key, literal| {
            labels.extend(label("dimensions", key, literal)?);
            Ok(())
        })?;
        Ok(read.and_then(|()| label_set("dimensions", labels)))
    }

    fn metrics<A: MapAccess<'a>>(&self, key: &str, map: &mut A) -> Result<Read<Metrics<'a>>, A::Error> {
        let mut metrics = Metrics::default();
        let read = self.each_of(key, "metrics", map, |key, literal| {
            #[cfg(test)]
            assert_ne!((key.as_ref(), literal), ("panic", "\"test\""), "a panic, for the test of it");
            match value::read(&key, literal)? {
                Some(value) => {
                    let name = named("metrics", key, Reason::InvalidMetricName, MetricName::translate)?;
                    metrics.samples.push((name, value));
                }
                None => metrics.nulls += 1,
            }
            Ok(())
        })?;
        Ok(read.and_then(|()| {
            if metrics.samples.is_empty() {
                let detail = match metrics.nulls {
                    0 => "metrics: empty; an event has at least one metric",
                    _ => "metrics: no metric has a value, each is null",
                };
                return Err(Rejection::new(Reason::InvalidEvent, detail));
            }
            match repeated(&metrics.samples) {
                Some(name) => {
                    let detail = format!("metrics: more than one is named \"{}\"", excerpt(name.as_str()));
                    Err(Rejection::new(Reason::MetricCollision, detail))
                }
                None => Ok(metrics),
            }
        }))
    }

    /// Calls `each` for the entries of the object that is the value of `key`, and returns the first rejection. `key` is
    /// `parent` as it is in the text.
    fn each_of<A: MapAccess<'a>>(
        &self,
        key: &str,
        parent: &'static str,
        map: &mut A,
        mut each: impl FnMut(Cow<'a, str>, &'a str) -> Result<(), Rejection>,
    ) -> Result<Read<()>, A::Error> {
        let mut first = Ok(());
        let each = |key: Cow<'a, str>, literal: &'a str| {
            if first.is_ok() {
                first = each(key, literal);
            }
        };
        if entries::holds_object(self.0, key) {
            map.next_value_seed(Entries(each))?;
            return Ok(first);
        }
        let literal = literal(map)?;
        if literal.starts_with('{') {
            // The key had escapes, so its value was skipped to find out what it is.
            entries::read_object(literal, Entries(each)).map_err(serde::de::Error::custom)?;
            return Ok(first);
        }
        if parent == "dimensions" && literal == "null" {
            return Ok(Ok(()));
        }
        let detail = format!("{parent}: {} is not an object, it is {}", excerpt(literal), kind(literal));
        Ok(Err(Rejection::new(Reason::InvalidEvent, detail)))
    }
}

fn literal<'a, A: MapAccess<'a>>(map: &mut A) -> Result<&'a str, A::Error> {
    map.next_value::<&RawValue>().map(RawValue::get)
}

fn skip<'a, A: MapAccess<'a>>(map: &mut A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Returns the labels in `literal`, an object. `parent` is its key.
pub(super) fn labels<'a>(parent: &str, literal: &'a str) -> Result<LabelSet<'a>, Rejection> {
    let (mut labels, mut first) = (Vec::new(), Ok(()));
    let each = |key: Cow<'a, str>, literal: &'a str| {
        if first.is_ok() {
            first = label(parent, key, literal).map(|label| labels.extend(label));
        }
    };
    entries::read_object(literal, Entries(each)).map_err(invalid_json)?;
    first.and_then(|()| label_set(parent, labels))
}

fn label_set<'a>(parent: &str, labels: Vec<Label<'a>>) -> Result<LabelSet<'a>, Rejection> {
    LabelSet::new(labels).map_err(|LabelSetError { name }| {
        let detail = format!("{parent}: more than one is named \"{}\"", excerpt(name.as_str()));
        Rejection::new(Reason::LabelCollision, detail)
    })
}

/// Returns `None` if the value is null or empty: there is no such label.
fn label<'a>(parent: &str, key: Cow<'a, str>, literal: &'a str) -> Result<Option<Label<'a>>, Rejection> {
    let value = match literal.as_bytes().first() {
        Some(b'"') => entries::unquote(literal)
            .ok_or_else(|| Rejection::new(Reason::InvalidJson, at(parent, &key, "the string has an invalid escape")))?,
        Some(b'{' | b'[') => {
            let problem = format!("the value is {}, expected a string, a number or a boolean", kind(literal));
            return Err(Rejection::new(Reason::InvalidEvent, at(parent, &key, problem)));
        }
        Some(b'n') => return Ok(None),
        _ => Cow::Borrowed(literal),
    };
    if value.is_empty() {
        return Ok(None);
    }
    if value.len() > MAX_LABEL_VALUE_BYTES {
        let problem = format!("the value has {} bytes, at most {MAX_LABEL_VALUE_BYTES} are allowed", value.len());
        return Err(Rejection::new(Reason::TooLarge, at(parent, &key, problem)));
    }
    let name = named(parent, key, Reason::InvalidLabelName, LabelName::translate)?;
    Ok(Some(Label { name, value }))
}

fn repeated<'s, 'a>(samples: &'s [(MetricName<'a>, Value)]) -> Option<&'s MetricName<'a>> {
    if samples.len() <= FEW_METRICS {
        let earlier = |i: usize, name: &MetricName<'a>| samples[..i].iter().any(|(other, _)| other == name);
        return samples.iter().enumerate().find(|(i, (name, _))| earlier(*i, name)).map(|(_, (name, _))| name);
    }
    let mut seen = HashSet::with_capacity(samples.len());
    samples.iter().map(|(name, _)| name).find(|name| !seen.insert(*name))
}

fn named<'a, N>(
    parent: &str,
    key: Cow<'a, str>,
    reason: Reason,
    translate: impl Fn(Cow<'a, str>) -> Result<N, NameError>,
) -> Result<N, Rejection> {
    // A copy of the reference, for the detail. An owned key is rare: it had escapes.
    let shown = key.clone();
    translate(key).map_err(|error| {
        let reason = if matches!(error, NameError::TooLong(_)) { Reason::TooLarge } else { reason };
        Rejection::new(reason, at(parent, &shown, error))
    })
}
