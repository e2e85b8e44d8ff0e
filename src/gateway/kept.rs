//! Lists and deletes the typed series and groups that a selector finds.
//!
//! * A selector finds a typed series by its name and labels. It finds a group by its grouping labels, because a group has
//!   no name. It looks at all shards that a table can have, so the number of shards need not be known.
//! * A deletion gets the result of a list. So it deletes only what somebody has seen.
//! * Typed series end in one change of their shard. Each group is deleted as `DELETE` does it.

use super::State;
use super::groups::{Change, Groups, GroupsError, each_of_shard};
use super::tick::{TickError, end_series, head, snapshot};
use crate::aggregate::{Bound, ExposedValue, Series, SummaryWindow};
use crate::blob::BlobError;
use crate::config::MAX_SHARDS;
use crate::model::{METRIC_NAME_LABEL, MetricType, Timestamp};
use crate::push_group::{Group, GroupingKey, unpack};
use crate::store::{Key, Store, StoreError};
use crate::wire::read::Selection;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// The state in a table, whose ticks run elsewhere.
#[derive(Clone, Debug)]
pub struct KeptState {
    store: Arc<dyn Store>,
    window: SummaryWindow,
    /// `None`: typed series never expire, as far as the settings of this process say.
    series_ttl_ms: Option<i64>,
}

/// The typed series and groups that a selector takes, in the order of names and labels.
#[derive(Default, Debug)]
pub struct Kept {
    pub series: Vec<KeptSeries>,
    pub groups: Vec<KeptGroup>,
    /// Groups that cannot be read.
    pub unreadable: usize,
    /// The time of the last tick of any shard; `None` if there was none.
    pub last_tick: Option<Timestamp>,
    /// If the selector finds nothing: the object that its name may mean.
    pub hint: Option<Hint>,
}

#[derive(Clone, Debug)]
pub struct KeptSeries {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub metric_type: MetricType,
    pub help: String,
    /// The samples that the last tick exposed.
    pub samples: Vec<KeptSample>,
    pub born: Timestamp,
    /// The tick that last counted an update.
    pub updated: Timestamp,
    pub expires: Option<Timestamp>,
    shard: u16,
    key: Box<[u8]>,
}

#[derive(Clone, Debug)]
pub struct KeptSample {
    /// `""`, `"_bucket"`, `"_sum"` or `"_count"`.
    pub suffix: &'static str,
    pub bound: Option<Bound>,
    pub value: ExposedValue,
}

#[derive(Clone, Debug)]
pub struct KeptGroup {
    pub labels: Vec<(String, String)>,
    pub pushed: Option<Timestamp>,
    pub failed: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    pub families: Vec<String>,
    pub series: usize,
    key: GroupingKey,
    item: Key,
}

/// The object that the name of a selector may mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hint {
    /// It is the name of a sample. The typed series has this name.
    Family(String),
    /// A group with these labels has it. A selector must name the labels of a group.
    InGroup(Vec<(String, String)>),
}

/// The size of a deletion. It is smaller than the list if series or groups ended in between.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Deleted {
    pub series: usize,
    pub groups: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeptError {
    /// The typed series of a shard.
    Typed {
        shard: u16,
        error: TickError,
    },
    Groups(GroupsError),
}

impl KeptState {
    pub fn of(state: &State) -> Self {
        Self {
            store: Arc::clone(&state.store),
            window: SummaryWindow::from_millis(state.settings.summary_window_ms),
            series_ttl_ms: state.settings.series_ttl_ms,
        }
    }

    /// Returns what a selector takes; everything without one.
    pub async fn list(
        &self,
        selection: Option<&Selection>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Kept, KeptError> {
        let mut kept = Kept::default();
        for shard in 0..MAX_SHARDS {
            let read = timeout_at(deadline, self.list_series(shard, selection, now, &mut kept)).await;
            let read = read.unwrap_or(Err(TickError::Store(StoreError::Timeout)));
            read.map_err(|error| KeptError::Typed { shard, error })?;
            self.list_groups(shard, selection, now, deadline, &mut kept).await.map_err(KeptError::Groups)?;
        }
        kept.series.sort_by(|a, b| (&a.name, &a.labels).cmp(&(&b.name, &b.labels)));
        kept.groups.sort_by(|a, b| a.key.cmp(&b.key));
        if !(kept.series.is_empty() && kept.groups.is_empty()) {
            kept.hint = None;
        }
        Ok(kept)
    }

    async fn list_series(
        &self,
        shard: u16,
        selection: Option<&Selection>,
        now: Timestamp,
        kept: &mut Kept,
    ) -> Result<(), TickError> {
        let Some((head, _)) = head(self.store.as_ref(), shard).await? else { return Ok(()) };
        let state = snapshot(self.store.as_ref(), shard, Some(&head), now).await?;
        kept.last_tick = kept.last_tick.max(Some(head.tick));
        let help: BTreeMap<&str, &str> = state.families().map(|(name, family)| (name, &*family.help)).collect();
        if let Some(stem) =
            selection.and_then(Selection::metric_name).and_then(stem).filter(|stem| state.has_family(stem))
        {
            kept.hint.get_or_insert_with(|| Hint::Family(stem.to_owned()));
        }
        for series in state.series().filter(|series| is_taken(selection, series)) {
            let help = help.get(series.key().name()).copied().unwrap_or_default();
            kept.series.push(self.series(shard, series, help, head.tick));
        }
        Ok(())
    }

    fn series(&self, shard: u16, series: &Series, help: &str, tick: Timestamp) -> KeptSeries {
        let key = series.key();
        let mut samples = Vec::new();
        series.aggregate.expose(tick, self.window, &mut |exposed| {
            samples.push(KeptSample { suffix: exposed.suffix, bound: exposed.bound, value: exposed.value });
        });
        KeptSeries {
            name: key.name().to_owned(),
            labels: key.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            metric_type: series.aggregate.metric_type(),
            help: help.to_owned(),
            samples,
            born: series.born,
            updated: series.updated,
            expires: self.series_ttl_ms.map(|ttl| Timestamp(series.updated.0.saturating_add(ttl))),
            shard,
            key: key.as_bytes().into(),
        }
    }

    async fn list_groups(
        &self,
        shard: u16,
        selection: Option<&Selection>,
        now: Timestamp,
        deadline: Instant,
        kept: &mut Kept,
    ) -> Result<(), GroupsError> {
        let name = selection.and_then(Selection::metric_name);
        let mut newer = None;
        each_of_shard(self.store.as_ref(), shard, deadline, &mut |item| {
            let body = unpack(&item.body);
            let group = match body.as_deref().map(Group::decode) {
                Ok(Ok(group)) => group,
                Err(error @ BlobError::NewerVersion { .. }) => return newer = Some(*error),
                _ => return kept.unreadable += 1,
            };
            if !group.is_exposed(now) {
                return;
            }
            let labels = || group.key().iter().map(|(name, value)| (name.as_str().to_owned(), value.to_owned()));
            let label =
                |wanted: &str| group.key().iter().find(|(name, _)| name.as_str() == wanted).map(|(_, value)| value);
            if selection.is_none_or(|selection| selection.takes(label)) {
                let families = group.families();
                kept.groups.push(KeptGroup {
                    labels: labels().collect(),
                    pushed: group.pushed(),
                    failed: group.failed(),
                    expires: group.expires(),
                    families: families.iter().map(|pushed| pushed.family.name.as_str().to_owned()).collect(),
                    series: families.iter().map(|pushed| pushed.family.series.len()).sum(),
                    key: group.key().clone(),
                    item: item.key,
                });
            } else if let Some(name) = name
                && group.families().iter().any(|pushed| pushed.family.name.as_str() == name)
            {
                kept.hint.get_or_insert_with(|| Hint::InGroup(labels().collect()));
            }
        })
        .await?;
        newer.map_or(Ok(()), |error| Err(GroupsError::Blob(error)))
    }

    /// Deletes what a list found. The stale markers of the series are sent by the next tick.
    pub async fn delete(&self, kept: &Kept, now: Timestamp, deadline: Instant) -> Result<Deleted, KeptError> {
        let mut deleted = Deleted::default();
        let mut keys: BTreeMap<u16, HashSet<Box<[u8]>>> = BTreeMap::new();
        for series in &kept.series {
            keys.entry(series.shard).or_default().insert(series.key.clone());
        }
        for (shard, keys) in keys {
            let ended = end_series(self.store.as_ref(), shard, &keys, now, deadline).await;
            deleted.series += ended.map_err(|error| KeptError::Typed { shard, error })?;
        }
        // Their places are known: the number of shards does not matter.
        let groups = Groups::new(Arc::clone(&self.store), 1, None);
        for group in &kept.groups {
            let change = groups.change_at(&group.item, &group.key, Change::Delete, now, deadline);
            deleted.groups += usize::from(change.await.map_err(KeptError::Groups)?);
        }
        Ok(deleted)
    }
}

fn is_taken(selection: Option<&Selection>, series: &Series) -> bool {
    let key = series.key();
    let label = |wanted: &str| {
        if wanted == METRIC_NAME_LABEL {
            return Some(key.name());
        }
        key.labels().find(|(name, _)| *name == wanted).map(|(_, value)| value)
    };
    selection.is_none_or(|selection| selection.takes(label))
}

/// Returns the name of the family to which a sample of this name may belong.
fn stem(name: &str) -> Option<&str> {
    ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix))
}

impl fmt::Display for KeptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed { shard, error } => write!(f, "the typed series of shard {shard}: {error}"),
            Self::Groups(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for KeptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Typed { error, .. } => Some(error),
            Self::Groups(error) => std::error::Error::source(error),
        }
    }
}
