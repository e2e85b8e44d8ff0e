//! One group. Pushes and deletions change it. It says what is exposed, and which series end.
//!
//! * Families are in the order of their names, and each name is there once. No series is in two families.
//! * Series have only their own labels. The labels of the key and external labels are added when they are exposed.
//! * A series is either in a family or in the list of those that a push removed, never in both.
//! * A group exists after the first push, even if it failed. From then on it exposes both push times, and one of them may
//!   be 0.
//! * A deletion and an expiry leave the list of removed series unchanged. A group without push times has only this list.

use super::GroupingKey;
use crate::model::{FamilySeries, Label, LabelSet, MetricFamily, MetricName, Timestamp};
use crate::order::sort_by;
use std::borrow::Cow;
use std::collections::HashSet;

/// The name of the gauge with the time of the last push that succeeded.
pub const PUSH_TIME: &str = "push_time_seconds";

/// The name of the gauge with the time of the last push that failed.
pub const FAILURE_TIME: &str = "push_failure_time_seconds";

/// A series without samples disappears from queries after five minutes. So a removed series needs no stale marker after
/// this time.
const FORGOTTEN_AFTER_MS: i64 = 3_600_000;

/// A group of pushed metrics.
#[derive(Clone, PartialEq, Debug)]
pub struct Group<'a> {
    pub(super) key: GroupingKey,
    pub(super) families: Vec<PushedFamily<'a>>,
    pub(super) pushed: Option<Timestamp>,
    pub(super) failed: Option<Timestamp>,
    /// Milliseconds from a push to the expiry; `None` is never.
    pub(super) ttl: Option<i64>,
    pub(super) expires: Option<Timestamp>,
    /// The oldest first.
    pub(super) removed: Vec<RemovedSeries<'a>>,
}

/// A family, and the time of the push that brought it.
#[derive(Clone, PartialEq, Debug)]
pub struct PushedFamily<'a> {
    pub family: MetricFamily<'a>,
    pub pushed: Timestamp,
}

/// A series that was exposed once and has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RemovedSeries<'a> {
    pub name: MetricName<'a>,
    /// Its own labels, as in a family.
    pub labels: LabelSet<'a>,
    /// Its last value was a native histogram, so its stale marker is one.
    pub is_histogram: bool,
    /// When it ended.
    pub time: Timestamp,
}

/// The effect of a push on the families that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PushMode {
    /// `PUT`: the pushed families are the only ones.
    Replace,
    /// `POST`: families of other names stay.
    Merge,
}

/// Says which of several groups writes a series that all of them push. The greater one wins: the later push, and of equal times always
/// the same group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Precedence {
    pub time: Timestamp,
    /// [`GroupingKey::rank`].
    pub group: u64,
}

/// One of the two gauges that the gateway itself adds to a group.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OwnSeries {
    pub name: &'static str,
    pub help: &'static str,
    /// Seconds since 1970.
    pub value: f64,
}

impl<'a> Group<'a> {
    /// Returns the group that nobody has pushed to.
    pub fn new(key: GroupingKey) -> Self {
        Self { key, families: Vec::new(), pushed: None, failed: None, ttl: None, expires: None, removed: Vec::new() }
    }

    pub fn key(&self) -> &GroupingKey {
        &self.key
    }

    /// Returns the families of all pushes, in the order of their names. They are exposed only if [`Self::is_exposed`].
    pub fn families(&self) -> &[PushedFamily<'a>] {
        &self.families
    }

    /// Returns the time of the last push that succeeded.
    pub fn pushed(&self) -> Option<Timestamp> {
        self.pushed
    }

    /// Returns the time of the last push that failed.
    pub fn failed(&self) -> Option<Timestamp> {
        self.failed
    }

    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Returns the series that pushes and deletions have removed, the oldest first.
    pub fn removed(&self) -> &[RemovedSeries<'a>] {
        &self.removed
    }

    /// Reports whether the last push succeeded, as Pushgateway's API has it.
    pub fn last_push_succeeded(&self) -> bool {
        self.pushed > self.failed
    }

    /// Reports whether somebody has pushed to the group since it was last deleted.
    pub fn exists(&self) -> bool {
        self.pushed.is_some() || self.failed.is_some()
    }

    /// Reports whether the group is exposed at this time.
    pub fn is_exposed(&self, at: Timestamp) -> bool {
        self.exists() && self.expires.is_none_or(|expires| at < expires)
    }

    /// Reports whether the item holds nothing more, and can be deleted.
    pub fn is_empty(&self) -> bool {
        !self.exists() && self.removed.is_empty()
    }

    /// Returns the gateway's own gauges.
    pub fn own_series(&self) -> [OwnSeries; 2] {
        [
            OwnSeries {
                name: FAILURE_TIME,
                help: "Last Unix time when changing this group in the Pushgateway failed.",
                value: seconds(self.failed),
            },
            OwnSeries {
                name: PUSH_TIME,
                help: "Last Unix time when changing this group in the Pushgateway succeeded.",
                value: seconds(self.pushed),
            },
        ]
    }

    /// Returns the time of its last push, also of one that failed: that of its own gauges.
    pub fn last_tried(&self) -> Timestamp {
        self.pushed.max(self.failed).unwrap_or(Timestamp(i64::MIN))
    }

    /// Returns the labels that every series of the group has: those of the key, and those of `external` that it has no value for.
    pub fn common_labels<'l>(&'l self, external: &'l LabelSet<'_>) -> LabelSet<'l> {
        self.key.common_labels(external)
    }

    /// Returns about as many bytes as its series take in memory when they are exposed, without their texts.
    pub fn exposed_bytes(&self, external: &LabelSet<'_>) -> usize {
        let common = self.key.iter().count() + external.as_slice().len();
        let labels = |series: &FamilySeries<'_>| series.labels.as_slice().len() + common;
        let bytes = |series| size_of::<FamilySeries<'_>>() + labels(series) * size_of::<Label<'_>>();
        self.families.iter().flat_map(|pushed| &pushed.family.series).map(bytes).sum()
    }

    /// Takes a push. `ttl` is the time until it expires, `None` for never. Families of the same name become one.
    pub fn push(&mut self, mode: PushMode, families: Vec<MetricFamily<'a>>, now: Timestamp, ttl: Option<i64>) {
        self.expire(now);
        let families = ordered(families, now);
        let pushed: HashSet<Series<'_>> =
            families.iter().flat_map(|pushed| &pushed.family.series).map(Series::of).collect();
        let is_replaced = |name: &MetricName<'_>| {
            mode == PushMode::Replace || families.binary_search_by(|new| new.family.name.cmp(name)).is_ok()
        };
        let mut ended = Vec::new();
        for PushedFamily { family, .. } in &mut self.families {
            let is_replaced = is_replaced(&family.name);
            // A series that is pushed in another family now leaves this one.
            let gone = family.series.extract_if(.., |series| is_replaced || pushed.contains(&Series::of(series)));
            ended.extend(gone.filter(|series| !pushed.contains(&Series::of(series))));
        }
        self.removed.retain(|series| {
            let is_back = pushed.contains(&Series { name: &series.name, labels: &series.labels });
            !is_back && !is_own(&series.name)
        });
        drop(pushed);
        self.families.retain(|pushed| !pushed.family.series.is_empty());
        self.families.extend(families.into_iter().filter(|pushed| !pushed.family.series.is_empty()));
        sort_by(&mut self.families, |a, b| a.family.name.cmp(&b.family.name));
        self.remove(ended, now);
        self.pushed = Some(now);
        self.set_ttl(ttl, now);
    }

    /// Notes that a push failed. The families stay. The expiry of an existing group stays, too, because data that
    /// nobody renews must expire.
    pub fn fail(&mut self, now: Timestamp, ttl: Option<i64>) {
        self.expire(now);
        if !self.exists() {
            self.set_ttl(ttl, now);
        }
        self.removed.retain(|series| !is_own(&series.name));
        self.failed = Some(now);
    }

    /// Removes the families and the push times. Reports whether there were any.
    pub fn delete(&mut self, now: Timestamp) -> bool {
        self.expire(now);
        self.clear(now)
    }

    /// Removes the families and the push times of a group that has expired, at the time of the expiry.
    pub fn expire(&mut self, now: Timestamp) {
        if let Some(expires) = self.expires.filter(|expires| *expires <= now) {
            self.clear(expires);
        }
    }

    /// Forgets the removed series whose stale markers are acknowledged: those that ended by `acknowledged`, the time of a tick. Reports
    /// whether there were any.
    pub fn forget_removed(&mut self, acknowledged: Timestamp) -> bool {
        let before = self.removed.len();
        self.removed.retain(|series| series.time > acknowledged);
        self.removed.len() < before
    }

    /// Returns the series that ended after `acknowledged`, the time of the last tick whose markers are stored, and by `at`. An expiry
    /// counts; the families of an expired group end then. Each series is owed one stale marker, by the first tick at or after its end.
    pub fn ended(&self, acknowledged: Option<Timestamp>, at: Timestamp) -> Vec<RemovedSeries<'_>> {
        let is_owed = |time: Timestamp| acknowledged.is_none_or(|acknowledged| time > acknowledged) && time <= at;
        let mut ended: Vec<_> = self.removed.iter().filter(|series| is_owed(series.time)).cloned().collect();
        if let Some(expires) = self.expires.filter(|expires| is_owed(*expires)) {
            let pushed = self.families.iter().flat_map(|pushed| &pushed.family.series);
            ended.extend(pushed.map(|series| RemovedSeries {
                name: series.name.clone(),
                labels: series.labels.clone(),
                is_histogram: series.value.is_histogram(),
                time: expires,
            }));
            ended.extend(own(expires));
        }
        ended
    }

    fn clear(&mut self, time: Timestamp) -> bool {
        if !self.exists() {
            return false;
        }
        let ended: Vec<_> = self.families.drain(..).flat_map(|pushed| pushed.family.series).collect();
        self.remove(ended, time);
        self.removed.extend(own(time));
        (self.pushed, self.failed, self.ttl, self.expires) = (None, None, None, None);
        true
    }

    fn remove(&mut self, ended: Vec<FamilySeries<'a>>, time: Timestamp) {
        self.removed.retain(|series| time.since(series.time) < FORGOTTEN_AFTER_MS);
        self.removed.extend(ended.into_iter().map(|FamilySeries { name, labels, value }| RemovedSeries {
            name,
            labels,
            is_histogram: value.is_histogram(),
            time,
        }));
    }

    fn set_ttl(&mut self, ttl: Option<i64>, now: Timestamp) {
        self.ttl = ttl.filter(|ttl| *ttl > 0);
        self.expires = self.ttl.map(|ttl| Timestamp(now.0.saturating_add(ttl)));
    }
}

/// The identity of a series in a group.
#[derive(PartialEq, Eq, Hash)]
struct Series<'s> {
    name: &'s MetricName<'s>,
    labels: &'s LabelSet<'s>,
}

impl<'s> Series<'s> {
    fn of(series: &'s FamilySeries<'s>) -> Self {
        Self { name: &series.name, labels: &series.labels }
    }
}

fn is_own(name: &MetricName<'_>) -> bool {
    matches!(name.as_str(), PUSH_TIME | FAILURE_TIME)
}

/// Returns the gateway's own series, as series that ended.
fn own<'s>(time: Timestamp) -> impl Iterator<Item = RemovedSeries<'s>> {
    let names = [FAILURE_TIME, PUSH_TIME].into_iter().filter_map(|name| MetricName::as_is(Cow::Borrowed(name)).ok());
    names.map(move |name| RemovedSeries { name, labels: LabelSet::default(), is_histogram: false, time })
}

/// Returns the families in the order of their names. A later one of the same name is appended to the first.
fn ordered(mut families: Vec<MetricFamily<'_>>, now: Timestamp) -> Vec<PushedFamily<'_>> {
    sort_by(&mut families, |a, b| a.name.cmp(&b.name));
    families.dedup_by(|later, first| {
        let is_same = later.name == first.name;
        if is_same {
            first.series.append(&mut later.series);
        }
        is_same
    });
    families.into_iter().map(|family| PushedFamily { family, pushed: now }).collect()
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit into the 53 bits of a double")]
fn seconds(time: Option<Timestamp>) -> f64 {
    time.map_or(0.0, |time| time.0 as f64 / 1_000.0)
}
