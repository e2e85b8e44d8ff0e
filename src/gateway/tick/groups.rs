//! Reads the pushed groups. Each tick reads them twice: before it sends anything, to find the writer of each series, and to
//! send them.
//!
//! The items stay packed in memory up to [`KEPT_BYTES`], and are unpacked in portions. Items beyond that are read from the
//! table again. So the memory of a tick does not grow with the groups.

use super::blobs::group_partition;
use super::writers::Writers;
use super::{ShardSummary, TickError, Ticker, Turn};
use crate::blob::BlobError;
use crate::limits::MAX_KNOWN_FAMILIES;
use crate::model::{FamilySeries, FamilyValue, LabelSet, MetricName, MetricType, Timestamp};
use crate::push_group::{Group, Precedence, PushedFamily, RemovedSeries, unpack};
use crate::store::{Item, Key, Range, Replaced, Store};
use std::collections::HashMap;

/// The items of all shards that stay in memory. Tests keep few, so that they read the others again.
const KEPT_BYTES: usize = if cfg!(test) { 300 } else { 16 << 20 };

/// Bodies are unpacked together until they have so many bytes. The largest has [`crate::limits::MAX_GROUP_BYTES`].
const PORTION_BYTES: usize = if cfg!(test) { 100 } else { 1 << 20 };

/// Emptied items that one tick deletes in a shard.
const MAX_EMPTIED: usize = 10_000;

/// The groups of all shards of a tick.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) writers: Writers,
    kept_bytes_left: usize,
}

/// The groups of one shard.
#[derive(Default, Debug)]
pub(super) struct ShardGroups {
    kept: Vec<Item>,
    /// More items follow after the kept ones.
    has_more: bool,
    families: HashMap<String, FamilyTexts>,
    /// The items that are empty when the markers of this tick are settled.
    emptied: Vec<(Key, u64)>,
}

/// The metadata of a family of a group.
#[derive(Debug)]
pub(super) struct FamilyTexts {
    pub(super) metric_type: MetricType,
    pub(super) help: String,
    pub(super) unit: String,
}

/// Reads the groups of a shard again.
pub(super) struct Portions<'g> {
    store: &'g dyn Store,
    range: Range,
    kept: std::slice::Iter<'g, Item>,
    page: std::vec::IntoIter<Item>,
    next: NextPage,
}

enum NextPage {
    /// The first page.
    First,
    /// The one after this sort key.
    After(String),
    None,
}

/// The unpacked body of a group's item.
pub(super) struct GroupBody {
    body: Vec<u8>,
}

/// A group of a tick.
pub(super) struct ReadGroup<'b> {
    group: Group<'b>,
}

impl Default for Groups {
    fn default() -> Self {
        Self { writers: Writers::default(), kept_bytes_left: KEPT_BYTES }
    }
}

impl<T, D> Ticker<'_, T, D> {
    /// Reads the groups of a shard, and adds their series to `all`.
    pub(super) async fn read_groups(
        &self,
        turn: &Turn<'_>,
        all: &mut Groups,
        summary: &mut ShardSummary,
    ) -> Result<ShardGroups, TickError> {
        let range = Range::all(group_partition(turn.shard));
        let mut groups = ShardGroups::default();
        let mut after = None;
        loop {
            let page = self.store.query(&range, after.as_deref()).await?;
            for item in page.items {
                match self.note(turn, &item, &mut groups, all, summary) {
                    Ok(()) => groups.keep(item, &mut all.kept_bytes_left),
                    Err(error @ BlobError::Damaged(_)) => {
                        let (Turn { request_id, shard, .. }, key) = (turn, &item.key.sort);
                        tracing::error!(request_id, shard, key, error = error.to_string(), "a group cannot be read");
                    }
                    Err(error) => return Err(TickError::Blob { what: "a group", error }),
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(groups);
            }
        }
    }

    fn note(
        &self,
        turn: &Turn<'_>,
        item: &Item,
        groups: &mut ShardGroups,
        all: &mut Groups,
        summary: &mut ShardSummary,
    ) -> Result<(), BlobError> {
        let external = &self.rules.external_labels;
        let body = GroupBody::of(item)?;
        let mut group = body.read()?;
        if group.is_exposed(turn.tick) {
            summary.groups += 1;
            group.each_series(external, &mut |name, labels, _, push| {
                summary.series_conflicts += u64::from(all.writers.add(&name, &labels, push));
            });
            groups.add_families(&group.group);
        }
        group.each_ended(external, None, turn.tick, &mut |name, labels, _, _| all.writers.add_ended(&name, &labels));
        group.group.expire(turn.tick);
        group.group.forget_removed(turn.tick);
        if group.group.is_empty() && groups.emptied.len() < MAX_EMPTIED {
            groups.emptied.push((item.key.clone(), item.version));
        }
        Ok(())
    }

    /// Deletes the items that are empty, because the markers of all their series are settled.
    pub(super) async fn delete_emptied(&self, groups: &ShardGroups, turn: &Turn<'_>) {
        for (key, version) in &groups.emptied {
            if turn.is_over() {
                return;
            }
            match self.store.delete(key, Some(*version)).await {
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

impl ShardGroups {
    fn keep(&mut self, item: Item, bytes_left: &mut usize) {
        match bytes_left.checked_sub(item.body.len()) {
            Some(left) if !self.has_more => {
                *bytes_left = left;
                self.kept.push(item);
            }
            _ => self.has_more = true,
        }
    }

    fn add_families(&mut self, group: &Group<'_>) {
        for own in group.own_series() {
            self.add_family(own.name, MetricType::Gauge, own.help, "");
        }
        for PushedFamily { family, .. } in group.families() {
            let (help, unit) = (family.help.as_deref(), family.unit.as_deref());
            self.add_family(
                family.name.as_str(),
                family.metric_type,
                help.unwrap_or_default(),
                unit.unwrap_or_default(),
            );
        }
    }

    /// Notes the metadata of a family, unless another group has it.
    fn add_family(&mut self, name: &str, metric_type: MetricType, help: &str, unit: &str) {
        if self.families.len() < MAX_KNOWN_FAMILIES && !self.families.contains_key(name) {
            let texts = FamilyTexts { metric_type, help: help.to_owned(), unit: unit.to_owned() };
            self.families.insert(name.to_owned(), texts);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && !self.has_more
    }

    /// Returns the families that the groups expose.
    pub(super) fn families(&self) -> impl Iterator<Item = (&str, &FamilyTexts)> {
        self.families.iter().map(|(name, texts)| (name.as_str(), texts))
    }

    /// Reads the groups again.
    pub(super) fn portions<'g>(&'g self, store: &'g dyn Store, shard: u16) -> Portions<'g> {
        Portions {
            store,
            range: Range::all(group_partition(shard)),
            kept: self.kept.iter(),
            page: Vec::new().into_iter(),
            next: match self.kept.last() {
                _ if !self.has_more => NextPage::None,
                Some(last) => NextPage::After(last.key.sort.clone()),
                None => NextPage::First,
            },
        }
    }
}

impl Portions<'_> {
    /// Returns the next groups; an empty list at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<GroupBody>, TickError> {
        let (mut bodies, mut bytes) = (Vec::new(), 0);
        while bytes < PORTION_BYTES {
            let item = match self.kept.next() {
                Some(item) => Some(item.clone()),
                None => self.page.next(),
            };
            if let Some(item) = item {
                // An item that cannot be read is in the log.
                let body = GroupBody::of(&item).ok();
                bytes += body.as_ref().map_or(0, |body| body.body.len());
                bodies.extend(body);
                continue;
            }
            let after = match std::mem::replace(&mut self.next, NextPage::None) {
                NextPage::First => None,
                NextPage::After(key) => Some(key),
                NextPage::None => break,
            };
            let page = self.store.query(&self.range, after.as_deref()).await?;
            self.next = page.next.map_or(NextPage::None, NextPage::After);
            self.page = page.items.into_iter();
        }
        Ok(bodies)
    }
}

impl GroupBody {
    fn of(item: &Item) -> Result<Self, BlobError> {
        unpack(&item.body).map(|body| Self { body })
    }

    pub(super) fn read(&self) -> Result<ReadGroup<'_>, BlobError> {
        Group::decode(&self.body).map(|group| ReadGroup { group })
    }
}

impl ReadGroup<'_> {
    pub(super) fn is_exposed(&self, tick: Timestamp) -> bool {
        self.group.is_exposed(tick)
    }

    /// Calls `each` with every series of the group, its labels complete, and the push that brought it.
    pub(super) fn each_series<'g>(
        &'g self,
        external: &'g LabelSet<'_>,
        each: &mut dyn FnMut(MetricName<'g>, LabelSet<'g>, &FamilyValue, Precedence),
    ) {
        let (common, group) = (self.group.common_labels(external), self.group.key().rank());
        for PushedFamily { family, pushed: time } in self.group.families() {
            for FamilySeries { name, labels, value } in &family.series {
                each(name.borrowed(), labels.with_missing(&common), value, Precedence { time: *time, group });
            }
        }
        let time = self.group.last_tried();
        for own in self.group.own_series() {
            if let Ok(name) = MetricName::classic(own.name) {
                each(name, common.clone(), &FamilyValue::Float(own.value), Precedence { time, group });
            }
        }
    }

    /// Calls `each` with the series that ended after `acknowledged` and by `tick`, whether their last value was a histogram, and
    /// when they ended.
    pub(super) fn each_ended(
        &self,
        external: &LabelSet<'_>,
        acknowledged: Option<Timestamp>,
        tick: Timestamp,
        each: &mut dyn FnMut(MetricName<'static>, LabelSet<'static>, bool, Timestamp),
    ) {
        let common = self.group.common_labels(external);
        for RemovedSeries { name, mut labels, is_histogram, time } in self.group.ended(acknowledged, tick) {
            labels.add_missing(&common);
            each(name.into_owned(), labels.into_owned(), is_histogram, time);
        }
    }
}
