//! Pushed groups in the table. Each is one item, which is changed by compare-and-swap.
//!
//! * A change reads the group, applies itself, and writes the group. If another change came between, it begins again. A
//!   change is idempotent, so a repetition after a lost answer does no harm.
//! * The version of an item never goes back, even if the item was deleted in between: it is at least the time of the
//!   change.
//! * A group is never refused because of its removed series. A group that cannot be read again is never stored.

use super::State;
use super::tick::group_partition;
use crate::blob::BlobError;
use crate::limits::{MAX_GROUP_ATTEMPTS, MAX_LISTED_GROUP_BYTES};
use crate::model::{MetricFamily, Timestamp};
use crate::push_group::{Group, GroupTooLarge, GroupingKey, PushMode, unpack};
use crate::store::{Item, Key, Page, Range, Replaced, Store, StoreError};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// An item stays in the table for this time after its group has expired, so that a tick sees which series ended.
const KEPT_AFTER_EXPIRY_SECONDS: i64 = 3_600;

/// Changes that a wipe makes at a time.
const WIPED_AT_A_TIME: usize = 16;

/// The groups of a table.
#[derive(Clone, Debug)]
pub struct Groups {
    store: Arc<dyn Store>,
    shards: u32,
    /// The time to the expiry of a push that says none, in milliseconds; `None` is never.
    default_ttl: Option<i64>,
}

/// A change of a group.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change<'c> {
    Push {
        mode: PushMode,
        families: Families<'c>,
        ttl: Option<i64>,
    },
    /// A push failed.
    Fail {
        ttl: Option<i64>,
    },
    Delete,
}

/// Makes the families of a push, anew for each try: a copy would take their memory twice.
#[derive(Clone, Copy)]
pub(super) struct Families<'c>(pub(super) &'c (dyn Fn() -> Vec<MetricFamily<'c>> + Sync));

impl fmt::Debug for Families<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Families")
    }
}

/// Why a group was not changed or read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupsError {
    Store(StoreError),
    TooLarge(GroupTooLarge),
    /// The item of the group cannot be read.
    Blob(BlobError),
    /// Other changes came between, each time.
    Conflicts,
}

/// The groups of a table, as bytes.
#[derive(Default, Debug)]
pub struct Listing {
    /// The bodies that [`Group::decode`] reads.
    pub bodies: Vec<Vec<u8>>,
    /// Groups that are not in `bodies`, because that would take too much memory.
    pub left_out: usize,
    /// Groups that are not in `bodies`, because they cannot be read.
    pub unreadable: usize,
}

impl Groups {
    pub(super) fn of(state: &State) -> Self {
        Self::new(Arc::clone(&state.store), u32::from(state.settings.shards), state.settings.group_ttl_ms)
    }

    /// `default_ttl` is the time to the expiry of a push that says none, in milliseconds; `None` is never.
    pub fn new(store: Arc<dyn Store>, shards: u32, default_ttl: Option<i64>) -> Self {
        Self { store, shards: shards.max(1), default_ttl }
    }

    /// Changes a group before the deadline.
    pub(super) async fn change(
        &self,
        key: &GroupingKey,
        change: Change<'_>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<(), GroupsError> {
        self.change_at(&self.key(key), key, change, now, deadline).await.map(drop)
    }

    /// Changes the group in the item of this key. Returns whether there was anything to change.
    pub(super) async fn change_at(
        &self,
        item_key: &Key,
        key: &GroupingKey,
        change: Change<'_>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<bool, GroupsError> {
        for attempt in 0..MAX_GROUP_ATTEMPTS {
            let found = within(deadline, self.store.get(item_key)).await?;
            let version = found.as_ref().map(|item| item.version);
            let body = match found.as_ref().map(|item| unpack(&item.body)) {
                None => None,
                Some(Ok(body)) => Some(body),
                // Such a change replaces the whole group, so nobody needs the damaged one.
                Some(Err(BlobError::Damaged(_))) if change.replaces_all() => None,
                Some(Err(error)) => return Err(GroupsError::Blob(error)),
            };
            let Some(item) = self.changed(key, item_key, version, body.as_deref(), change, now)? else {
                return Ok(false);
            };
            match within(deadline, self.store.replace(item, version)).await? {
                Replaced::Done => return Ok(true),
                // Pushes that meet wait for different times, and the longer the oftener they meet.
                Replaced::Conflict => tokio::time::sleep(pause(attempt)).await,
            }
        }
        Err(GroupsError::Conflicts)
    }

    /// Returns the item of the changed group, or `None` if nothing changes.
    fn changed(
        &self,
        key: &GroupingKey,
        item_key: &Key,
        version: Option<u64>,
        body: Option<&[u8]>,
        change: Change<'_>,
        now: Timestamp,
    ) -> Result<Option<Item>, GroupsError> {
        let decoded = body.map(Group::decode).transpose();
        let mut group = match decoded {
            Ok(group) => group.unwrap_or_else(|| Group::new(key.clone())),
            Err(_) if change.replaces_all() => Group::new(key.clone()),
            Err(error) => return Err(GroupsError::Blob(error)),
        };
        match change {
            Change::Push { mode, families, ttl } => {
                group.push(mode, (families.0)(), now, ttl.or(self.default_ttl));
            }
            Change::Fail { ttl } => group.fail(now, ttl.or(self.default_ttl)),
            Change::Delete => {
                let was_there = group.delete(now);
                if !was_there && (version.is_none() || body.is_some()) {
                    return Ok(None);
                }
            }
        }
        let body = group.encode().map_err(GroupsError::TooLarge)?;
        let seconds = |time: Timestamp| time.0 / 1_000 + KEPT_AFTER_EXPIRY_SECONDS;
        let expires = if group.exists() { group.expires().map(seconds) } else { Some(seconds(now)) };
        let at_least = u64::try_from(now.0).unwrap_or(0);
        let version = version.map_or(at_least, |version| version.saturating_add(1).max(at_least));
        Ok(Some(Item { key: item_key.clone(), version, expires, body }))
    }

    /// Returns all groups, also those that are deleted or have expired and wait for their tick. It returns an error if a newer release
    /// wrote one of them.
    pub async fn list(&self, deadline: Instant) -> Result<Listing, GroupsError> {
        let mut listing = Listing::default();
        let mut bytes_left = MAX_LISTED_GROUP_BYTES;
        let mut newer = None;
        let mut take = |item: Item| match unpack(&item.body) {
            Ok(body) if body.len() <= bytes_left => {
                bytes_left -= body.len();
                listing.bodies.push(body);
            }
            Ok(_) => listing.left_out += 1,
            Err(error @ BlobError::NewerVersion { .. }) => newer = Some(error),
            Err(error) => {
                tracing::error!(key = %item.key, error = %error, "a group cannot be read");
                listing.unreadable += 1;
            }
        };
        self.each(deadline, &mut |item| {
            take(item);
        })
        .await?;
        newer.map_or(Ok(listing), |error| Err(GroupsError::Blob(error)))
    }

    /// Deletes all groups, unless a newer release wrote one of them.
    pub async fn wipe(&self, now: Timestamp, deadline: Instant) -> Result<(), GroupsError> {
        let mut keys = Vec::new();
        let (mut unreadable, mut newer) = (Vec::new(), None);
        self.each(deadline, &mut |item| {
            let body = unpack(&item.body);
            match body.as_deref().map(Group::decode) {
                Ok(Ok(group)) => keys.push(group.key().clone()),
                Err(error @ BlobError::NewerVersion { .. }) => newer = Some(*error),
                _ => unreadable.push(item.key),
            }
        })
        .await?;
        if let Some(error) = newer {
            return Err(GroupsError::Blob(error));
        }
        for key in &unreadable {
            within(deadline, self.store.delete(key, None)).await?;
        }
        let mut tasks = JoinSet::new();
        for key in keys {
            if tasks.len() >= WIPED_AT_A_TIME {
                joined(tasks.join_next().await)?;
            }
            let groups = self.clone();
            tasks.spawn(async move { groups.change(&key, Change::Delete, now, deadline).await });
        }
        while let Some(result) = tasks.join_next().await {
            joined(Some(result))?;
        }
        Ok(())
    }

    /// Calls `take` for each item of every shard.
    async fn each(&self, deadline: Instant, take: &mut (dyn FnMut(Item) + Send)) -> Result<(), GroupsError> {
        for shard in 0..self.shards {
            each_of_shard(self.store.as_ref(), shard, deadline, take).await?;
        }
        Ok(())
    }

    fn key(&self, key: &GroupingKey) -> Key {
        let mut sort = String::with_capacity(64);
        for byte in key.digest() {
            // Writing to a string does not fail.
            let _written = write!(sort, "{byte:02x}");
        }
        Key { partition: group_partition(key.shard(self.shards)), sort }
    }
}

impl Change<'_> {
    /// Reports whether the change leaves nothing of what is there.
    fn replaces_all(self) -> bool {
        matches!(self, Self::Push { mode: PushMode::Replace, .. } | Self::Delete)
    }
}

/// Calls `take` for each item of a shard.
pub(super) async fn each_of_shard(
    store: &dyn Store,
    shard: impl Into<u32>,
    deadline: Instant,
    take: &mut (dyn FnMut(Item) + Send),
) -> Result<(), GroupsError> {
    let range = Range::all(group_partition(shard));
    let mut after: Option<String> = None;
    loop {
        let page: Page = within(deadline, store.query(&range, after.as_deref())).await?;
        page.items.into_iter().for_each(&mut *take);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
    }
}

fn pause(attempt: u32) -> Duration {
    Duration::from_millis(fastrand::u64(0..=4 << attempt.min(5)))
}

async fn within<T>(deadline: Instant, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, GroupsError> {
    timeout_at(deadline, call).await.unwrap_or(Err(StoreError::Timeout)).map_err(GroupsError::Store)
}

fn joined(task: Option<Result<Result<(), GroupsError>, tokio::task::JoinError>>) -> Result<(), GroupsError> {
    match task {
        Some(Ok(result)) => result,
        None => Ok(()),
        Some(Err(_)) => Err(GroupsError::Conflicts),
    }
}

impl GroupsError {
    /// Reports whether the same push will never be taken.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooLarge(_))
    }
}

impl fmt::Display for GroupsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::TooLarge(error) => error.fmt(f),
            Self::Blob(error @ BlobError::Damaged(_)) => {
                write!(f, "the stored group cannot be read: {error}; a PUT or a DELETE replaces it")
            }
            Self::Blob(error) => write!(f, "the stored group cannot be read: {error}"),
            Self::Conflicts => f.write_str("too many pushes change this group at the same time; try again"),
        }
    }
}

impl std::error::Error for GroupsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            Self::TooLarge(error) => Some(error),
            Self::Blob(error) => Some(error),
            Self::Conflicts => None,
        }
    }
}

#[cfg(test)]
mod tests;
