//! A table in memory, for one process.

use super::{BoxFuture, Item, Key, Page, Range, Replaced, Store, StoreError, page::PageBuilder};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

type Items = BTreeMap<Key, Item>;

/// Its size has no limit.
#[derive(Default)]
pub struct MemoryStore {
    items: Mutex<Items>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// Deletes the items that expired before `now`, in seconds since 1970, and returns their number.
    pub fn delete_expired(&self, now: i64) -> usize {
        let mut items = self.items();
        let before = items.len();
        items.retain(|_, item| item.expires.is_none_or(|expires| expires >= now));
        before - items.len()
    }

    /// No call leaves the items half changed. So they are usable even if a thread has panicked.
    fn items(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace_now(&self, item: Item, expected: Option<u64>) -> Result<Replaced, StoreError> {
        item.check()?;
        match (self.items().entry(item.key.clone()), expected) {
            (Entry::Vacant(entry), None) => {
                entry.insert(item);
            }
            (Entry::Occupied(mut entry), Some(expected)) if entry.get().version == expected => {
                entry.insert(item);
            }
            _ => return Ok(Replaced::Conflict),
        }
        Ok(Replaced::Done)
    }

    fn delete_now(&self, key: &Key, expected: Option<u64>) -> Replaced {
        let mut items = self.items();
        if expected.is_some() && items.get(key).map(|item| item.version) != expected {
            return Replaced::Conflict;
        }
        items.remove(key);
        Replaced::Done
    }

    fn page(&self, range: &Range, after: Option<&str>) -> Page {
        let mut page = PageBuilder::new(range);
        let (sort, is_included) = page.start(after);
        let first = Key::new(range.partition.as_str(), sort);
        let first = if is_included { Bound::Included(first) } else { Bound::Excluded(first) };
        let items = self.items();
        for (_, item) in items.range((first, Bound::Unbounded)) {
            if !page.add(item.clone()) {
                break;
            }
        }
        page.finish()
    }
}

impl Store for MemoryStore {
    fn put(&self, item: Item, _: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            item.check()?;
            self.items().insert(item.key.clone(), item);
            Ok(())
        })
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(async { Ok(self.items().get(key).cloned()) })
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move { Ok(self.page(range, after)) })
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        Box::pin(async move { self.replace_now(item, expected) })
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        Box::pin(async move { Ok(self.delete_now(key, expected)) })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("items", &self.items().len()).finish()
    }
}
