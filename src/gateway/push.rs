//! Push: takes the metric families of one group. Without a table it writes them to the receiver at once. With a table it
//! keeps them in a group.
//!
//! * A push is one unit: if the gateway itself finds an error, nothing of the push is sent.
//! * Samples without a time get the time of the push. If the receiver calls one of them late or a duplicate, a newer push
//!   has replaced it. Such a sample is superseded, and counts as delivered.
//! * With a table, samples with their own times are written first. The group is stored only if they are.
//! * A large body is written in parts, and no copy is made of a group that cannot fit into the table. Either would take more
//!   memory than a function has.

mod judge;
mod parts;

use super::groups::{Change, Families};
use super::watch::Watch;
use super::{Gateway, Groups, GroupsError, Summary, metadata};
use crate::aws::Transport;
use crate::exposition::{Exposition, Family, Place, SampleValue, Series};
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_GROUP_MEMORY};
use crate::model::{
    FamilySeries, FamilyValue, Label, LabelSet, MetricFamily, MetricName, MetricType, Rejection, Timestamp,
};
use crate::push_group::{FAILURE_TIME, GroupTooLarge, GroupingKey, PUSH_TIME, PushMode};
use crate::wire::Metadata;
use judge::{Judge, Repeated, check_size, labels};
use parts::{PartsResult, Which};
use std::borrow::Cow;
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
    /// The receiver refused some samples for ever. `rest` says what became of all others.
    Refused { refused: u64, of: u64, rest: &'static str, first: String },
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
        let mut watch = Watch::start();
        let mut summary = Summary { messages: 1, ..Summary::default() };
        let common = push.key.common_labels(&self.rules.external_labels);
        check_size(push.body, &common)?;
        check_group(push.body)?;
        let repeated = Judge::new(push, &self.rules, &common).all()?;
        summary.stages.read = watch.lap();
        let received = taken(push.body).count() as u64;
        if taken(push.body).any(|(.., series)| has_time(series)) {
            let written = self.write_parts(push, &common, Some(&repeated), Which::Timed, &mut summary).await?;
            let others = received - summary.received;
            summary.received = received;
            match written {
                PartsResult::Stored => {}
                PartsResult::Failed { failure, retry_after } => {
                    summary.errored += others;
                    summary.stages.total = watch.total();
                    return Ok(Pushed { result: PushResult::Failed { failure, retry_after }, summary });
                }
                PartsResult::Refused { reason, first } => {
                    let refused = summary.rejected;
                    summary.rejected += others;
                    summary.rejected_by[reason as usize] += others;
                    summary.stages.total = watch.total();
                    let result = PushResult::Refused { refused, of: received, rest: "the group is not changed", first };
                    return Ok(Pushed { result, summary });
                }
            }
        }
        watch.lap();
        let Push { key, mode, ttl, now, deadline, .. } = *push;
        let families = || families(push, &repeated);
        let change = Change::Push { mode, families: Families(&families), ttl };
        let changed = groups.change(key, change, now, deadline).await;
        (summary.received, summary.delivered) = (received, received);
        let result = match changed {
            Ok(()) => PushResult::Stored,
            Err(GroupsError::TooLarge(error)) => return Err(PushError::GroupTooLarge(error)),
            Err(error) => {
                (summary.delivered, summary.errored) = (0, received);
                PushResult::Failed { failure: error.to_string(), retry_after: None }
            }
        };
        summary.stages.send += watch.lap();
        summary.stages.total = watch.total();
        Ok(Pushed { result, summary })
    }

    async fn write_through(&self, push: &Push<'_>) -> Result<Pushed, PushError> {
        let watch = Watch::start();
        let mut summary = Summary { messages: 1, ..Summary::default() };
        let common = push.key.common_labels(&self.rules.external_labels);
        check_size(push.body, &common)?;
        let result = match self.write_parts(push, &common, None, Which::All, &mut summary).await? {
            PartsResult::Stored => PushResult::Stored,
            PartsResult::Failed { failure, retry_after } => PushResult::Failed { failure, retry_after },
            PartsResult::Refused { first, .. } => {
                let (refused, of) = (summary.rejected, summary.received);
                let rest = if refused == of { "none is stored" } else { "the rest is stored" };
                PushResult::Refused { refused, of, rest, first }
            }
        };
        if !matches!(result, PushResult::Failed { .. }) {
            let Push { body, now, request_id, deadline, .. } = *push;
            let named = names_of_metadata(body);
            let families = named.iter().map(metadata_of);
            summary.sent.requests += metadata::send(&self.writer, families, now, request_id, deadline).await.requests;
        }
        summary.stages.total = watch.total();
        Ok(Pushed { result, summary })
    }
}

/// Returns an error if the group would certainly not fit into the table: before a copy of its series is made.
fn check_group(body: &Exposition<'_>) -> Result<(), PushError> {
    let kept = taken(body).filter(|(.., series)| !has_time(*series));
    let labels = kept.map(|(.., series)| series.labels().filter(|(_, value)| !value.is_empty()).count());
    let bytes: usize = labels.map(|labels| size_of::<FamilySeries<'_>>() + labels * size_of::<Label<'_>>()).sum();
    if bytes > MAX_GROUP_MEMORY { Err(PushError::GroupTooLarge(GroupTooLarge::Body)) } else { Ok(()) }
}

/// Returns the families of a checked push, with translated names, as its group keeps them. Labels that the key decides
/// about and samples with a time of their own are not in them.
fn families<'p>(push: &Push<'p>, repeated: &Repeated) -> Vec<MetricFamily<'p>> {
    let no_labels = LabelSet::default();
    let mut families = Vec::new();
    let mut position = 0;
    for family in push.body.families() {
        let mut kept = Vec::with_capacity(family.series().len());
        let mut name = MetricName::translate(Cow::Borrowed(family.name())).ok();
        for series in family.series() {
            position += 1;
            if OWN_NAMES.contains(&series.name()) {
                continue;
            }
            let Ok(series_name) = MetricName::translate(Cow::Borrowed(series.name())) else { continue };
            name.get_or_insert_with(|| series_name.clone());
            let Ok(labels) = labels(series, push.key, &no_labels) else { continue };
            let value = match series.value() {
                SampleValue::Float(value) => FamilyValue::Float(value),
                SampleValue::Histogram(histogram) => FamilyValue::Histogram(Box::new(histogram.clone())),
            };
            if !has_time(series) && !repeated.has(position - 1) {
                kept.push(FamilySeries { name: series_name, labels, value });
            }
        }
        let (metric_type, help) = (family.metric_type(), family.help().map(Cow::Borrowed));
        let unit = family.unit().map(Cow::Borrowed);
        families.extend(name.map(|name| MetricFamily { name, metric_type, help, unit, series: kept }));
    }
    families
}

/// Returns the families that have metadata, with their names.
fn names_of_metadata<'x>(body: &'x Exposition<'_>) -> Vec<(MetricName<'x>, Family<'x>)> {
    body.families().filter_map(|family| Some((metadata_name(family)?, family))).collect()
}

fn metadata_of<'n>((name, family): &'n (MetricName<'_>, Family<'_>)) -> Metadata<'n> {
    Metadata {
        family: name.as_str(),
        metric_type: family.metric_type(),
        help: family.help().unwrap_or_default(),
        unit: family.unit().unwrap_or_default(),
    }
}

/// Returns the name of a family that has metadata, as its series are named.
fn metadata_name(family: Family<'_>) -> Option<MetricName<'_>> {
    let has_metadata =
        family.metric_type() != MetricType::Unknown || family.help().is_some() || family.unit().is_some();
    MetricName::translate(Cow::Borrowed(family.name())).ok().filter(|_| has_metadata)
}

/// Returns the series that are written, with their positions: all but those of the gateway's own names.
fn taken<'x>(body: &'x Exposition<'_>) -> impl Iterator<Item = (u32, Family<'x>, Series<'x>)> {
    let all = body.families().flat_map(|family| family.series().map(move |series| (family, series)));
    let all = (0..).zip(all).map(|(position, (family, series))| (position, family, series));
    all.filter(|(.., series)| !OWN_NAMES.contains(&series.name()))
}

fn has_time(series: Series<'_>) -> bool {
    series.timestamp().is_some()
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
