//! Judges a push: first each series by itself, then the series among each other.
//!
//! The parser has found series that are in the body twice. Here more series may become one, because names are translated, and labels of
//! the path replace those of the body.

use super::{Push, PushError, taken};
use crate::event::Rules;
use crate::exposition::{Exposition, Family, SampleValue, Series};
use crate::gateway::label_rules::{MAX_SERIES_CHARS, check_value, label_len, reason_of};
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_EXCERPT_CHARS, MAX_LABELS};
use crate::model::{
    Label, LabelName, LabelSet, METRIC_NAME_LABEL, MetricName, MetricType, NameError, Reason, Rejection, Timestamp,
    Value, excerpt,
};
use crate::push_group::GroupingKey;
use crate::series;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher as _;

/// Judges the series of one push.
pub(super) struct Judge<'j, 'p> {
    push: &'j Push<'p>,
    rules: &'j Rules,
    /// The labels of all series: those of the path and external ones.
    common: &'j LabelSet<'j>,
    names: Names<'p>,
}

/// A series as it is written.
pub(super) struct Judged<'p> {
    pub(super) name: MetricName<'p>,
    pub(super) labels: LabelSet<'p>,
    pub(super) timestamp: Timestamp,
}

/// The positions of series that are there already, with the same time and value, in ascending order.
#[derive(Default, Debug)]
pub(super) struct Repeated(Vec<u32>);

impl<'j, 'p> Judge<'j, 'p> {
    pub(super) fn new(push: &'j Push<'p>, rules: &'j Rules, common: &'j LabelSet<'j>) -> Self {
        Self { push, rules, common, names: Names::default() }
    }

    /// Judges a series by itself.
    pub(super) fn series(&mut self, family: Family<'p>, series: Series<'p>) -> Result<Judged<'p>, PushError> {
        let rejected = |rejection| PushError::Series { place: series.place(), series: shown(series), rejection };
        let name = self.names.translate(series.name()).map_err(rejected)?;
        let labels = labels(series, self.push.key, self.common).map_err(rejected)?;
        check_bucket(family.metric_type(), series).map_err(rejected)?;
        let timestamp = time(series, self.push.now, self.rules).map_err(rejected)?;
        Ok(Judged { name, labels, timestamp })
    }

    /// Judges all series of the push. It takes ten bytes for each, and a table of their samples a hundred.
    pub(super) fn all(mut self) -> Result<Repeated, PushError> {
        let Self { push, common, .. } = self;
        let hasher = RandomState::default();
        let mut seen: HashTable<u32> = HashTable::with_capacity(push.body.series_count());
        let mut repeated = Vec::new();
        for (position, family, series) in taken(push.body) {
            let Judged { mut labels, timestamp, .. } = self.series(family, series)?;
            labels.remove_all(common.as_slice());
            let own = (series.name(), labels, timestamp);
            let at = |&position: &u32| push.body.series_at(position as usize);
            let key_at = |position: &u32| at(position).and_then(|other| key_of(other, push, common));
            let is_it = |position: &u32| key_at(position).as_ref() == Some(&own);
            let hash_of = |position: &u32| key_at(position).map_or(0, |key| hasher.hash_one(key));
            match seen.entry(hasher.hash_one(&own), is_it, hash_of) {
                Entry::Vacant(entry) => {
                    entry.insert(position);
                }
                Entry::Occupied(entry) => {
                    let earlier = at(entry.get()).map_or(series::SampleValue::Number(Value::StaleMarker), value);
                    if !value(series).is_same(earlier) {
                        let detail = format!(
                            "{} at {timestamp} contradicts {earlier}, another series of this push",
                            value(series)
                        );
                        let rejection = Rejection::new(Reason::DuplicateTimestamp, detail);
                        return Err(PushError::Series { place: series.place(), series: shown(series), rejection });
                    }
                    repeated.push(position);
                }
            }
        }
        Ok(Repeated(repeated))
    }
}

impl Repeated {
    pub(super) fn has(&self, position: u32) -> bool {
        self.0.binary_search(&position).is_ok()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// Returns the identity of a sample that has been judged. Two names of the body are never one.
fn key_of<'p>(
    series: Series<'p>,
    push: &Push<'p>,
    common: &LabelSet<'_>,
) -> Option<(&'p str, LabelSet<'p>, Timestamp)> {
    let mut labels = labels(series, push.key, common).ok()?;
    labels.remove_all(common.as_slice());
    Some((series.name(), labels, series.timestamp().unwrap_or(push.now)))
}

fn value(series: Series<'_>) -> series::SampleValue<'_> {
    match series.value() {
        SampleValue::Float(float) => series::SampleValue::Number(Value::Float(float)),
        SampleValue::Histogram(histogram) => series::SampleValue::Histogram(histogram),
    }
}

/// Returns an error if the request's labels times its samples are too much to build and to send.
pub(super) fn check_size(body: &Exposition<'_>, common: &LabelSet<'_>) -> Result<(), PushError> {
    let of_common: usize = common.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
    // The value, the time, and the lengths of the series.
    let of_series = |series: Series<'_>| {
        let own: usize = series.labels().map(|(name, value)| label_len(name, value)).sum();
        24 + label_len(METRIC_NAME_LABEL, series.name()) + own + of_common
    };
    let bytes = taken(body).map(|(_, _, series)| of_series(series)).sum();
    if bytes > MAX_DOOR_PROTOBUF_BYTES { Err(PushError::TooLarge { bytes }) } else { Ok(()) }
}

/// The translated names of a push.
#[derive(Default)]
struct Names<'p> {
    /// The name in the body of each translated name.
    origins: HashMap<MetricName<'p>, &'p str>,
    last: Option<(&'p str, MetricName<'p>)>,
}

impl<'p> Names<'p> {
    fn translate(&mut self, raw: &'p str) -> Result<MetricName<'p>, Rejection> {
        if let Some((last, name)) = &self.last
            && *last == raw
        {
            return Ok(name.clone());
        }
        let name =
            MetricName::translate(Cow::Borrowed(raw)).map_err(|error| named(error, Reason::InvalidMetricName))?;
        let origin = *self.origins.entry(name.clone()).or_insert(raw);
        if origin != raw {
            let detail =
                format!("{} and {} become the one name {}", excerpt(origin), excerpt(raw), excerpt(name.as_str()));
            return Err(Rejection::new(Reason::MetricCollision, detail));
        }
        self.last = Some((raw, name.clone()));
        Ok(name)
    }
}

pub(super) fn labels<'p>(
    series: Series<'p>,
    key: &GroupingKey,
    common: &LabelSet<'_>,
) -> Result<LabelSet<'p>, Rejection> {
    let mut labels = Vec::new();
    for (raw, value) in series.labels() {
        let name = LabelName::translate(Cow::Borrowed(raw)).map_err(|error| {
            let Rejection { reason, detail } = named(error, Reason::InvalidLabelName);
            Rejection::new(reason, format!("the label {}: {detail}", excerpt(raw)))
        })?;
        check_value(raw, value)?;
        if !key.has(&name) {
            labels.push(Label { name, value: Cow::Borrowed(value) });
        }
    }
    let labels = LabelSet::new(labels).map_err(|error| {
        let detail = format!("two labels become the one name {}", excerpt(error.name.as_str()));
        Rejection::new(Reason::LabelCollision, detail)
    })?;
    let others = common.as_slice().iter().filter(|label| labels.get(label.name.as_str()).is_none()).count();
    let count = labels.as_slice().len() + others + 1;
    if count > MAX_LABELS {
        let detail = format!(
            "{count} labels with __name__, those of the path and external labels; at most {MAX_LABELS} are allowed"
        );
        return Err(Rejection::new(Reason::TooManyLabels, detail));
    }
    Ok(labels)
}

/// Rejects a bucket whose bound is not a number: the receiver could not use its histogram.
fn check_bucket(metric_type: MetricType, series: Series<'_>) -> Result<(), Rejection> {
    let is_bucket = matches!(metric_type, MetricType::Histogram | MetricType::GaugeHistogram)
        && series.name().ends_with("_bucket")
        && matches!(series.value(), SampleValue::Float(_));
    if !is_bucket {
        return Ok(());
    }
    let bound = series.labels().find(|(name, _)| *name == "le").map(|(_, value)| value);
    if bound.and_then(|text| text.parse().ok()).is_some_and(|bound: f64| !bound.is_nan()) {
        return Ok(());
    }
    let found = bound.map_or("there is none".to_owned(), excerpt);
    Err(Rejection::new(Reason::InvalidEvent, format!("the bound le of a bucket must be a number, {found}")))
}

fn time(series: Series<'_>, now: Timestamp, rules: &Rules) -> Result<Timestamp, Rejection> {
    let Some(time) = series.timestamp() else { return Ok(now) };
    let age = now.since(time);
    let (reason, limit) = if age > rules.max_sample_age_ms {
        (Reason::TooOld, rules.max_sample_age_ms)
    } else if age < -rules.max_sample_lead_ms {
        (Reason::InFuture, rules.max_sample_lead_ms)
    } else {
        return Ok(time);
    };
    let side = if reason == Reason::TooOld { "old" } else { "ahead" };
    let detail = format!("the timestamp {time} is {} ms {side}, at most {limit} ms are allowed", age.unsigned_abs());
    Err(Rejection::new(reason, detail))
}

fn named(error: NameError, reason: Reason) -> Rejection {
    Rejection::new(reason_of(error, reason), error.to_string())
}

/// Returns the series as the text format writes it, cut to a bound.
pub(super) fn shown(series: Series<'_>) -> String {
    let mut text: String = series.name().chars().take(MAX_SERIES_CHARS).collect();
    for (i, (name, value)) in series.labels().enumerate() {
        if text.len() > MAX_SERIES_CHARS {
            break;
        }
        text.push_str(if i == 0 { "{" } else { "," });
        text.extend(name.chars().take(MAX_EXCERPT_CHARS));
        text.push('=');
        text.push_str(&excerpt(value));
    }
    if text.contains('{') {
        text.push('}');
    }
    text
}
