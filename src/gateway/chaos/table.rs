//! The table in the view of a process. A write takes effect even if the process no longer waits for it, perhaps much later.

use super::plan::Part;
use super::process::Process;
use super::{HOUR, SECOND, wait};
use crate::aggregate::Identity;
use crate::aggregate::head::Head;
use crate::blob;
use crate::store::{BoxFuture, Item, Key, MemoryStore, Page, Range, Replaced, Store, StoreError};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A write that is given up may take effect until then. It is within the two minutes by which the journal is read again.
const LATEST_EFFECT: i64 = 105 * SECOND;

/// The client of the table gives up after this.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A read does not show items that are younger than this, now and then.
const OLDEST_READ: i64 = 20 * SECOND;

pub(super) struct Client(pub(super) Arc<Process>);

/// Returns what a call of the table in memory returns: it never waits.
fn at_once<T>(mut call: BoxFuture<'_, T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("a table in memory waits"),
    }
}

/// Returns the name of the item in the names of calls.
fn what(partition: &str, sort: &str) -> &'static str {
    match (&partition[..2], sort) {
        ("j#", _) => "journal",
        ("g#", _) => "group",
        (_, "head") => "head",
        (_, "sent") => "settled",
        (_, sort) if sort.starts_with("i#") => "identities",
        _ => "snapshot",
    }
}

impl Client {
    /// Fails the call if the table is down.
    async fn reach(&self) -> Result<(), StoreError> {
        let world = &self.0.world;
        if !world.is_down(Part::Table) {
            return Ok(());
        }
        match world.below(3) {
            0 => Err(StoreError::Throttled("down".to_owned())),
            1 => {
                tokio::time::sleep(TIMEOUT).await;
                Err(StoreError::Timeout)
            }
            _ => {
                wait(50).await;
                Err(StoreError::Unavailable { cause: "down".to_owned(), had_no_effect: false })
            }
        }
    }

    fn latency(&self) -> i64 {
        let world = &self.0.world;
        if world.fails(0.02) { world.below(3 * SECOND) } else { 1 + world.below(15) }
    }

    async fn read<T>(
        &self,
        call: &str,
        what: &str,
        read: impl FnOnce(&MemoryStore) -> T + Send,
    ) -> Result<T, StoreError> {
        let name = format!("{call} {what}");
        self.0.pass(&name, false).await;
        self.reach().await?;
        wait(self.latency()).await;
        let found = read(&self.0.world.table);
        wait(self.latency()).await;
        self.0.pass(&name, true).await;
        Ok(found)
    }

    async fn write<T: Send + 'static>(
        &self,
        call: &str,
        what: &str,
        write: impl FnOnce(&Process) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let world = &self.0.world;
        let name = format!("{call} {what}");
        self.0.pass(&name, false).await;
        self.reach().await?;
        let delay = if world.fails(world.plan.late) { world.below(LATEST_EFFECT) } else { self.latency() };
        let process = Arc::clone(&self.0);
        let effect = tokio::spawn(async move {
            wait(delay).await;
            write(&process)
        });
        let done = tokio::time::timeout(TIMEOUT, effect).await;
        let done = done.map_or(Err(StoreError::Timeout), |done| done.unwrap())?;
        wait(self.latency()).await;
        self.0.pass(&name, true).await;
        Ok(done)
    }

    /// Notes the identities that this process is about to commit.
    fn note_identities(&self, item: &Item) {
        if what(&item.key.partition, &item.key.sort) != "identities" {
            return;
        }
        let body = blob::open(&item.body, 1, 1 << 22).unwrap();
        let identities = body.as_chunks::<16>().0.iter().map(|bytes| Identity(*bytes));
        let shard = item.key.partition[2..].parse().unwrap();
        let mut noted = self.0.identities.lock().unwrap();
        let (prefix, noted) = noted.entry(shard).or_default();
        let own = item.key.sort.rsplit_once('#').unwrap().0;
        if prefix != own {
            // A tick that folds again writes others.
            (*prefix, *noted) = (own.to_owned(), Vec::new());
        }
        // A put that is repeated holds the same.
        let identities: Vec<_> = identities.filter(|identity| !noted.contains(identity)).collect();
        noted.extend(identities);
    }
}

impl Store for Client {
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.note_identities(&item);
            let what = what(&item.key.partition, &item.key.sort);
            self.write("put", what, move |process| {
                let is_head = item.key.sort == "head";
                let done = at_once(process.world.table.put(item.clone(), timeout));
                if is_head {
                    process.commit(&item);
                }
                done
            })
            .await
        })
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(
            async move { self.read("get", what(&key.partition, &key.sort), |table| at_once(table.get(key))).await? },
        )
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        let sort = match &range.sort {
            crate::store::SortRange::All => "",
            crate::store::SortRange::From(sort) | crate::store::SortRange::Prefix(sort) => sort,
        };
        Box::pin(async move {
            let world = &self.0.world;
            let what = what(&range.partition, sort);
            let items = u32::try_from(5 + world.below(100)).unwrap();
            let range = range.clone().with_page_items(items);
            let mut page = self.read("query", what, |table| at_once(table.query(&range, after))).await??;
            if what == "journal" && world.fails(0.1) {
                let newest = world.now() - world.below(OLDEST_READ);
                let all = page.items.len();
                page.items.retain(|item| item.key.sort[..13].parse::<i64>().unwrap() <= newest);
                // The pages behind are as old.
                page.next = page.next.filter(|_| page.items.len() == all);
            }
            Ok(page)
        })
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        Box::pin(async move {
            let what = what(&item.key.partition, &item.key.sort);
            self.write("replace", what, move |process| {
                let done = at_once(process.world.table.replace(item.clone(), expected));
                if done == Ok(Replaced::Done) && item.key.sort == "head" {
                    process.commit(&item);
                }
                done
            })
            .await
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        let key = key.clone();
        Box::pin(async move {
            let what = what(&key.partition, &key.sort);
            self.write("delete", what, move |process| at_once(process.world.table.delete(&key, expected))).await
        })
    }
}

impl Process {
    /// Tells the judge of a new head.
    fn commit(&self, head: &Item) {
        let shard: u16 = head.key.partition[2..].parse().unwrap();
        let (prefix, identities) = self.identities.lock().unwrap().remove(&shard).unwrap_or_default();
        let world = &self.world;
        let now = world.now();
        let head = Head::from_blob(&head.body).unwrap();
        // Identities that are older than the memory are forgotten at once.
        let is_named = |newest: i64, name: &str| {
            let oldest = head.cursor.0 - Head::ids_kept_for(HOUR);
            newest < oldest || head.ids.iter().any(|ids| format!("{:016x}", ids.name) == name)
        };
        let is_committed = prefix.strip_prefix("i#").and_then(|prefix| prefix.split_once('#'));
        let is_committed = is_committed.is_some_and(|(newest, name)| is_named(newest.parse().unwrap(), name));
        let identities = if is_committed { identities } else { Vec::new() };
        let now_of_snapshot = crate::model::Timestamp(now);
        let state = at_once(Box::pin(crate::gateway::tick::snapshot(
            world.table.as_ref(),
            shard,
            Some(&head),
            now_of_snapshot,
        )));
        world.record.lock().unwrap().commit(now, shard, head.tick.0, &identities, &state.unwrap());
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("tick", &self.0.tick).finish()
    }
}
