//! Reads the pushed groups that are exposed. Only one writer may write a series: typed series win over groups, and the
//! youngest push over older ones.
//!
//! The items of a shard stay packed in memory. They are read twice: to find the writer of each series, and to send it.

use super::blobs::group_partition;
use super::{TickError, Ticker, Turn};
use crate::aggregate::{Safeguard, SeriesKey, TypedState};
use crate::blob::BlobError;
use crate::model::{FamilyValue, LabelSet, MetricName, MetricType, Timestamp};
use crate::push_group::{Group, RemovedSeries, unpack};
use crate::store::{Item, Range, Replaced};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;

/// The groups of a shard.
#[derive(Debug)]
pub(super) struct Groups {
    items: Vec<Item>,
    /// The winner of each series: the time of its push, and the position of its item.
    writers: HashMap<u64, (Timestamp, usize)>,
    hasher: RandomState,
    pub(super) exposed: u64,
    /// Series that another writer exposes.
    pub(super) conflicts: u64,
}

/// A sample of a group.
pub(super) struct GroupSample<'s> {
    pub(super) name: MetricName<'s>,
    pub(super) labels: LabelSet<'s>,
    pub(super) value: FamilyValue,
}

/// The metadata of a family of a group.
pub(super) struct GroupFamily {
    pub(super) name: String,
    pub(super) metric_type: MetricType,
    pub(super) help: String,
    pub(super) unit: String,
}

impl<T, D> Ticker<'_, T, D> {
    pub(super) async fn groups(&self, turn: &Turn<'_>, state: &TypedState) -> Result<Groups, TickError> {
        let range = Range::all(group_partition(turn.shard));
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.query(&range, after.as_deref()).await?;
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut groups = Groups {
            items: Vec::new(),
            writers: HashMap::new(),
            hasher: RandomState::default(),
            exposed: 0,
            conflicts: 0,
        };
        for item in items {
            match groups.find_writers(item, turn, state, &self.rules.external_labels) {
                Ok(()) => {}
                Err((key, error @ BlobError::Damaged(_))) => {
                    let Turn { request_id, shard, .. } = turn;
                    tracing::error!(request_id, shard, key, error = error.to_string(), "a group cannot be read");
                }
                Err((_, error)) => return Err(TickError::Blob { what: "a group", error }),
            }
        }
        Ok(groups)
    }

    /// Deletes the items that are empty, because the markers of all their series are settled.
    pub(super) async fn delete_emptied(&self, groups: &Groups, turn: &Turn<'_>, settled: Timestamp) {
        for item in &groups.items {
            let Ok(body) = unpack(&item.body) else { continue };
            let Ok(mut group) = Group::decode(&body) else { continue };
            group.expire(turn.tick);
            group.forget_removed(settled);
            if !group.is_empty() || turn.is_over() {
                continue;
            }
            match self.store.delete(&item.key, Some(item.version)).await {
                // Somebody pushed to it meanwhile.
                Ok(Replaced::Done | Replaced::Conflict) => {}
                Err(error) => {
                    let Turn { request_id, shard, .. } = turn;
                    tracing::warn!(request_id, shard, error = error.to_string(), "an empty group could not be deleted");
                    return;
                }
            }
        }
    }
}

impl Groups {
    fn find_writers(
        &mut self,
        item: Item,
        turn: &Turn<'_>,
        state: &TypedState,
        external: &LabelSet<'_>,
    ) -> Result<(), (String, BlobError)> {
        let position = self.items.len();
        let read = unpack(&item.body).and_then(|body| {
            let group = Group::decode(&body)?;
            if group.is_exposed(turn.tick) {
                self.exposed += 1;
                let hasher = self.hasher.clone();
                each_series(&group, external, &mut |name, labels, _, pushed| {
                    let key = key(name, labels);
                    if Safeguard::OneWriter.is_kept() && state.exposes(SeriesKey::of_written(&key)) {
                        self.conflicts += 1;
                        return;
                    }
                    let writer = (pushed, position);
                    let held = self.writers.entry(hasher.hash_one(&key)).or_insert(writer);
                    if *held != writer {
                        self.conflicts += 1;
                        *held = writer.max(*held);
                    }
                });
            }
            Ok(())
        });
        match read {
            Ok(()) => {
                self.items.push(item);
                Ok(())
            }
            Err(error) => Err((item.key.sort, error)),
        }
    }

    /// Calls `each` with every exposed sample, one group after another.
    pub(super) fn each_sample(
        &self,
        item: usize,
        tick: Timestamp,
        external: &LabelSet<'_>,
        each: &mut dyn FnMut(GroupSample<'static>),
    ) {
        let Some(body) = self.items.get(item).and_then(|item| unpack(&item.body).ok()) else { return };
        let Ok(group) = Group::decode(&body) else { return };
        if !group.is_exposed(tick) {
            return;
        }
        each_series(&group, external, &mut |name, labels, value, pushed| {
            let hash = self.hasher.hash_one(key(name, labels));
            if self.writers.get(&hash) == Some(&(pushed, item)) || !Safeguard::OneWriter.is_kept() {
                each(GroupSample {
                    name: name.clone().into_owned(),
                    labels: labels.clone().into_owned(),
                    value: value.clone(),
                });
            }
        });
    }

    /// Reports whether a group exposes the series.
    pub(super) fn writes(&self, name: &MetricName<'_>, labels: &LabelSet<'_>) -> bool {
        !self.writers.is_empty() && self.writers.contains_key(&self.hasher.hash_one(key(name, labels)))
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Calls `each` with the series that ended after `settled`, unless another writer exposes them.
    pub(super) fn each_ended(
        &self,
        item: usize,
        state: &TypedState,
        settled: Option<Timestamp>,
        tick: Timestamp,
        external: &LabelSet<'_>,
        each: &mut dyn FnMut(MetricName<'static>, LabelSet<'static>, bool, Timestamp),
    ) {
        let Some(body) = self.items.get(item).and_then(|item| unpack(&item.body).ok()) else { return };
        let Ok(group) = Group::decode(&body) else { return };
        let common = group.common_labels(external);
        for RemovedSeries { name, labels, is_histogram, time } in group.ended(settled, tick) {
            let mut labels = labels;
            labels.add_missing(&common);
            let key = key(&name, &labels);
            let is_written = self.writers.contains_key(&self.hasher.hash_one(&key));
            if !is_written && !state.exposes(SeriesKey::of_written(&key)) {
                each(name.into_owned(), labels.into_owned(), is_histogram, time);
            }
        }
    }

    /// Calls `each` with the families of every exposed group.
    pub(super) fn each_family(&self, tick: Timestamp, each: &mut dyn FnMut(GroupFamily)) {
        for item in &self.items {
            let Ok(body) = unpack(&item.body) else { continue };
            let Ok(group) = Group::decode(&body) else { continue };
            if !group.is_exposed(tick) {
                continue;
            }
            for own in group.own_series() {
                each(GroupFamily {
                    name: own.name.to_owned(),
                    metric_type: MetricType::Gauge,
                    help: own.help.to_owned(),
                    unit: String::new(),
                });
            }
            for pushed in group.families() {
                let family = &pushed.family;
                each(GroupFamily {
                    name: family.name.as_str().to_owned(),
                    metric_type: family.metric_type,
                    help: family.help.as_deref().unwrap_or_default().to_owned(),
                    unit: family.unit.as_deref().unwrap_or_default().to_owned(),
                });
            }
        }
    }
}

/// Calls `each` with every series of a group, its labels complete, and the time of its push.
fn each_series(
    group: &Group<'_>,
    external: &LabelSet<'_>,
    each: &mut dyn FnMut(&MetricName<'_>, &LabelSet<'_>, &FamilyValue, Timestamp),
) {
    let common = group.common_labels(external);
    for pushed in group.families() {
        for series in &pushed.family.series {
            let mut labels = series.labels.clone();
            labels.add_missing(&common);
            each(&series.name, &labels, &series.value, pushed.pushed);
        }
    }
    let pushed = group.pushed().max(group.failed()).unwrap_or(Timestamp(i64::MIN));
    for own in group.own_series() {
        if let Ok(name) = MetricName::classic(own.name) {
            each(&name, &common, &FamilyValue::Float(own.value), pushed);
        }
    }
}

fn key(name: &MetricName<'_>, labels: &LabelSet<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    SeriesKey::write(name, labels, &mut key);
    key
}
