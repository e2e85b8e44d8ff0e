//! Push: takes the metric families of one group. Without a table it writes them to the receiver at once. With a table it
//! keeps them in a group.
//!
//! * A push is one unit: if the gateway itself finds an error, nothing of the push is sent.
//! * Samples without a time get the time of the push. If the receiver calls one of them late or a duplicate, a newer push
//!   has replaced it. Such a sample is superseded, and counts as delivered.
//! * An item of the delivery is a series, in the order of the body. The last item is the gateway's own `push_time_seconds`.
//! * With a table, samples with their own times are written first. The group is stored only if they are.

use super::groups::Change;
use super::label_rules::{MAX_SERIES_CHARS, check_value, excerpt, label_len, reason_of};
use super::watch::Watch;
use super::{Gateway, Groups, GroupsError, Stages, Summary, metadata};
use crate::aws::Transport;
use crate::event::Rules;
use crate::exposition::{Exposition, Family, Place, SampleValue, Series};
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_EXCERPT_CHARS, MAX_LABELS};
use crate::model::{
    FamilySeries, FamilyValue, ItemId, Label, LabelName, LabelSet, METRIC_NAME_LABEL, MetricFamily, MetricName,
    MetricType, NameError, Reason, Rejection, Timestamp, Value,
};
use crate::push_group::{FAILURE_TIME, GroupTooLarge, GroupingKey, PUSH_TIME, PushMode};
use crate::remote_write::Outcomes;
use crate::series::{SampleTable, SampleTableBuilder};
use crate::wire::Metadata;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// The gateway's own names: pushed series of these names are left out.
const OWN_NAMES: [&str; 2] = [PUSH_TIME, FAILURE_TIME];

/// A body that was pushed to a group, and the bounds of the push.
#[derive(Clone, Copy, Debug)]
pub struct Push<'p> {
    pub key: &'p GroupingKey,
    pub body: &'p Exposition<'p>,
    pub mode: PushMode,
    /// Milliseconds until the group expires. 0 means never, `None` the time of the settings.
    pub ttl: Option<i64>,
    /// The start of the invocation, or when the head of the request arrived.
    pub now: Timestamp,
    pub request_id: &'p str,
    /// When all requests must be answered.
    pub deadline: Instant,
}

/// The result of a push that the gateway takes.
#[derive(Debug)]
pub struct Pushed {
    pub result: PushResult,
    pub summary: Summary,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PushResult {
    /// All samples are stored, or superseded.
    Stored,
    /// The receiver refused some samples for ever. All others are stored.
    Refused { refused: u64, of: u64, first: String },
    /// Some samples are not stored, and may be later.
    Failed { failure: String, retry_after: Option<Duration> },
}

/// The reason why the gateway rejects a push, as one sentence for the sender.
#[derive(Clone, PartialEq, Debug)]
pub enum PushError {
    /// The samples would take so many bytes as protobuf, more than [`MAX_DOOR_PROTOBUF_BYTES`].
    TooLarge { bytes: usize },
    /// The group would not fit into the table.
    GroupTooLarge(GroupTooLarge),
    /// One series is wrong.
    Series { place: Place, series: String, rejection: Rejection },
}

impl<T: Transport, D> Gateway<T, D> {
    /// Takes a push, and returns when every sample has an outcome or the deadline is near.
    pub async fn push(&self, push: &Push<'_>) -> Result<Pushed, PushError> {
        let Some(groups) = &self.groups else { return self.write_through(push).await };
        let pushed = self.keep(groups, push).await;
        if pushed.as_ref().map_or(true, |pushed| matches!(pushed.result, PushResult::Refused { .. })) {
            self.fail_push(push).await;
        }
        pushed
    }

    /// Notes in the group that a push to it was wrong. If this fails, the answer is the same.
    pub async fn fail_push(&self, push: &Push<'_>) {
        let Push { key, ttl, now, request_id, deadline, .. } = *push;
        let Some(groups) = &self.groups else { return };
        if let Err(error) = groups.change(key, Change::Fail { ttl }, now, deadline).await {
            tracing::warn!(request_id, error = %error, "the time of a failed push is not kept");
        }
    }

    /// Deletes a group. Without a table there is none.
    pub async fn delete_group(&self, key: &GroupingKey, now: Timestamp, deadline: Instant) -> Result<(), GroupsError> {
        match &self.groups {
            Some(groups) => groups.change(key, Change::Delete, now, deadline).await,
            None => Ok(()),
        }
    }

    /// Checks a push, writes the samples that have their own time, and keeps the others as the group.
    async fn keep(&self, groups: &Groups, push: &Push<'_>) -> Result<Pushed, PushError> {
        let mut stages = Stages::default();
        let mut watch = Watch::start();
        let common = push.key.common_labels(&self.rules.external_labels);
        check_size(push.body, &common)?;
        let mut table = SampleTableBuilder::with_capacity(push.body.series_count() + 1).with_common_labels(&common);
        let series = read(push, &self.rules, &common, &mut table, |_| true)?;
        drop(finish(push, table)?);
        stages.read = watch.lap();
        let mut summary = Summary { received: u64::from(series), messages: 1, ..Summary::default() };
        let has_time = |series: Series<'_>| series.timestamp().is_some();
        let mut timed = SampleTableBuilder::default().with_common_labels(&common);
        if read(push, &self.rules, &common, &mut timed, has_time)? > 0 {
            let timed = finish(push, timed)?;
            let messages = [ItemId(0)];
            let written = self.writer.write(&timed, &messages, push.request_id, push.deadline).await;
            let outcomes = written.delivery.outcomes(|_| false);
            stages.encode = written.encoding;
            (summary.samples, summary.series, summary.sent) = (outcomes.samples, outcomes.series, written.sent);
            let all = taken(push.body).map(|(_, series)| series).filter(|series| has_time(*series));
            let result = result(&mut summary, &outcomes, all, written.retry_after);
            if result != PushResult::Stored {
                stages.send = watch.lap().saturating_sub(written.encoding);
                summary.stages = Stages { total: watch.total(), ..stages };
                return Ok(Pushed { result, summary });
            }
        }
        let families = families(push);
        let Push { key, mode, ttl, now, deadline, .. } = *push;
        let change = Change::Push { mode, families: &families, ttl };
        let changed = groups.change(key, change, now, deadline).await;
        (summary.delivered, summary.errored) = (summary.received, 0);
        let result = match changed {
            Ok(()) => PushResult::Stored,
            Err(GroupsError::TooLarge(error)) => return Err(PushError::GroupTooLarge(error)),
            Err(error) => {
                (summary.delivered, summary.errored) = (0, summary.received);
                PushResult::Failed { failure: error.to_string(), retry_after: None }
            }
        };
        stages.send = watch.lap().saturating_sub(stages.encode);
        summary.stages = Stages { total: watch.total(), ..stages };
        Ok(Pushed { result, summary })
    }

    async fn write_through(&self, push: &Push<'_>) -> Result<Pushed, PushError> {
        let mut stages = Stages::default();
        let mut watch = Watch::start();
        let common = push.key.common_labels(&self.rules.external_labels);
        check_size(push.body, &common)?;
        let mut table = SampleTableBuilder::with_capacity(push.body.series_count() + 1).with_common_labels(&common);
        let series = read(push, &self.rules, &common, &mut table, |_| true)?;
        let own = MetricName::as_is(Cow::Borrowed(PUSH_TIME)).ok();
        table.add(ItemId(series), LabelSet::default(), own.map(|name| (name, push.now, seconds(push.now))));
        stages.read = watch.lap();
        let table = finish(push, table)?;
        stages.merge = watch.lap();
        let messages = [ItemId(0)];
        let written = self.writer.write(&table, &messages, push.request_id, push.deadline).await;
        let outcomes = written.delivery.outcomes(|_| false);
        stages.encode = written.encoding;
        stages.send = watch.lap().saturating_sub(written.encoding);

        let mut summary = Summary {
            received: u64::from(series) + 1,
            samples: outcomes.samples,
            series: outcomes.series,
            inexact: outcomes.inexact,
            sent: written.sent,
            messages: 1,
            stages,
            ..Summary::default()
        };
        let all = taken(push.body).map(|(_, series)| series);
        let result = result(&mut summary, &outcomes, all, written.retry_after);
        if !matches!(result, PushResult::Failed { .. }) {
            let Push { body, now, request_id, deadline, .. } = *push;
            let named: Vec<_> = body.families().filter_map(|family| Some((metadata_name(family)?, family))).collect();
            let families = named.iter().map(|(name, family)| Metadata {
                family: name.as_str(),
                metric_type: family.metric_type(),
                help: family.help().unwrap_or_default(),
                unit: family.unit().unwrap_or_default(),
            });
            summary.sent.requests +=
                metadata::send(&self.writer, &self.known_metadata, families, now, request_id, deadline).await.requests;
        }
        summary.stages.total = watch.total();
        Ok(Pushed { result, summary })
    }
}

/// Counts the outcomes, and returns the result of the push. `series` are those that were sent, in the order of their items.
fn result<'x>(
    summary: &mut Summary,
    outcomes: &Outcomes,
    series: impl Iterator<Item = Series<'x>>,
    retry_after: Option<Duration>,
) -> PushResult {
    let series: Vec<_> = series.collect();
    let series = |item: ItemId| series.get(item.0 as usize).copied();
    let first = summary.count(outcomes, |item, reason| is_superseded(series(item), reason), |_| {});
    match first {
        _ if summary.errored > 0 => {
            let failure = outcomes.failure.clone().unwrap_or_else(|| "it could not be sent".to_owned());
            PushResult::Failed { failure, retry_after }
        }
        Some((item, rejection)) => {
            let first = match series(item) {
                Some(series) => format!("{}: {}: {}", series.place(), shown(series), rejection.detail),
                None => format!("{PUSH_TIME}: {}", rejection.detail),
            };
            PushResult::Refused { refused: summary.rejected, of: summary.received, first }
        }
        None => PushResult::Stored,
    }
}

/// Returns the families of a checked push, with translated names, as its group keeps them. Labels that the key decides
/// about and samples with a time of their own are not in them.
fn families<'p>(push: &Push<'p>) -> Vec<MetricFamily<'p>> {
    let no_labels = LabelSet::default();
    let mut seen = HashSet::new();
    let mut families = Vec::new();
    for family in push.body.families() {
        let mut kept = Vec::new();
        let mut name = MetricName::translate(Cow::Borrowed(family.name())).ok();
        for series in family.series().filter(|series| !OWN_NAMES.contains(&series.name())) {
            let Ok(series_name) = MetricName::translate(Cow::Borrowed(series.name())) else { continue };
            name.get_or_insert_with(|| series_name.clone());
            let Ok(labels) = labels(series, push.key, &no_labels) else { continue };
            let value = match series.value() {
                SampleValue::Float(value) => FamilyValue::Float(value),
                SampleValue::Histogram(histogram) => FamilyValue::Histogram(Box::new(histogram.clone())),
            };
            if series.timestamp().is_none() && seen.insert((series_name.clone(), labels.clone())) {
                kept.push(FamilySeries { name: series_name, labels, value });
            }
        }
        let (metric_type, help) = (family.metric_type(), family.help().map(Cow::Borrowed));
        let unit = family.unit().map(Cow::Borrowed);
        families.extend(name.map(|name| MetricFamily { name, metric_type, help, unit, series: kept }));
    }
    families
}

/// Returns the name of a family that has metadata, as its series are named.
fn metadata_name(family: Family<'_>) -> Option<MetricName<'_>> {
    let has_metadata =
        family.metric_type() != MetricType::Unknown || family.help().is_some() || family.unit().is_some();
    MetricName::translate(Cow::Borrowed(family.name())).ok().filter(|_| has_metadata)
}

/// Reports whether a newer push replaced the sample before it was written.
fn is_superseded(series: Option<Series<'_>>, reason: Reason) -> bool {
    let has_own_time = series.is_some_and(|series| series.timestamp().is_some());
    !has_own_time && matches!(reason, Reason::OutOfOrder | Reason::TooOld | Reason::DuplicateTimestamp)
}

/// Returns an error if the request's labels times its samples are too much to build and to send.
fn check_size(body: &Exposition<'_>, common: &LabelSet<'_>) -> Result<(), PushError> {
    let of_common: usize = common.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
    // The value, the time, and the lengths of the series.
    let of_series = |series: Series<'_>| {
        let own: usize = series.labels().map(|(name, value)| label_len(name, value)).sum();
        24 + label_len(METRIC_NAME_LABEL, series.name()) + own + of_common
    };
    let bytes = taken(body).map(|(_, series)| of_series(series)).sum();
    if bytes > MAX_DOOR_PROTOBUF_BYTES { Err(PushError::TooLarge { bytes }) } else { Ok(()) }
}

/// Returns the series that are written: all but those of the gateway's own names.
fn taken<'x>(body: &'x Exposition<'_>) -> impl Iterator<Item = (Family<'x>, Series<'x>)> {
    let all = body.families().flat_map(|family| family.series().map(move |series| (family, series)));
    all.filter(|(_, series)| !OWN_NAMES.contains(&series.name()))
}

/// Reads into the table all series that are `wanted`. Returns their number.
fn read<'p>(
    push: &Push<'p>,
    rules: &Rules,
    common: &LabelSet<'_>,
    table: &mut SampleTableBuilder<'p>,
    wanted: impl Fn(Series<'p>) -> bool,
) -> Result<u32, PushError> {
    let mut names = Names::default();
    let mut items = 0;
    for (family, series) in taken(push.body).filter(|(_, series)| wanted(*series)) {
        let rejected = |rejection| PushError::Series { place: series.place(), series: shown(series), rejection };
        let name = names.translate(series.name()).map_err(rejected)?;
        let labels = labels(series, push.key, common).map_err(rejected)?;
        check_bucket(family.metric_type(), series).map_err(rejected)?;
        let timestamp = time(series, push.now, rules).map_err(rejected)?;
        let item = ItemId(items);
        items += 1;
        match series.value() {
            SampleValue::Float(value) => table.add(item, labels, [(name, timestamp, Value::Float(value))]),
            SampleValue::Histogram(histogram) => {
                table.add_histograms(item, labels, [(name, timestamp, histogram.clone())]);
            }
        }
    }
    Ok(items)
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into the 53 bits of a double")]
fn seconds(time: Timestamp) -> Value {
    Value::Float(time.0 as f64 / 1_000.0)
}

/// Sorts the samples. One series with two values at one time fails the push.
fn finish<'p>(push: &Push<'p>, table: SampleTableBuilder<'p>) -> Result<SampleTable<'p>, PushError> {
    let mut error = None;
    let table = table.finish(&mut |contradiction| {
        let detail = format!("{contradiction}, another series of this push");
        let rejection = Rejection::new(Reason::DuplicateTimestamp, detail);
        let series = taken(push.body).nth(contradiction.item.0 as usize).map(|(_, series)| series);
        let (place, series) =
            series.map_or((Place::Line(0), PUSH_TIME.to_owned()), |series| (series.place(), shown(series)));
        error.get_or_insert(PushError::Series { place, series, rejection });
    });
    error.map_or(Ok(table), Err)
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

fn labels<'p>(series: Series<'p>, key: &GroupingKey, common: &LabelSet<'_>) -> Result<LabelSet<'p>, Rejection> {
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
fn shown(series: Series<'_>) -> String {
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

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "the push takes {bytes} bytes when it is sent, its labels and those of the path included; at most \
                 {MAX_DOOR_PROTOBUF_BYTES} are allowed: push fewer series at once"
            ),
            Self::GroupTooLarge(error) => error.fmt(f),
            Self::Series { place, series, rejection } => write!(f, "{place}: {series}: {}", rejection.detail),
        }
    }
}

impl std::error::Error for PushError {}
