//! The order in which a tick reads the journal, if items appear meanwhile.

use super::*;
use crate::store::{BoxFuture, Page, Replaced};
use std::sync::atomic::{AtomicBool, Ordering};

/// A table with pages of one item. Items appear behind the first page of the journal.
#[derive(Debug)]
struct Growing {
    items: MemoryStore,
    new: Vec<(Key, Bytes)>,
    has_grown: AtomicBool,
}

impl Store for Growing {
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        self.items.put(item, timeout)
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        self.items.get(key)
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let page = self.items.query(&range.clone().with_page_items(1), after).await;
            if range.partition.starts_with("j#") && !self.has_grown.swap(true, Ordering::Relaxed) {
                for (key, body) in &self.new {
                    let item = Item { key: key.clone(), version: 1, expires: None, body: body.clone() };
                    self.items.put(item, Duration::from_secs(5)).await?;
                }
            }
            page
        })
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        self.items.replace(item, expected)
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        self.items.delete(key, expected)
    }
}

/// Returns an item that sets the gauge `g`, with the time of its key.
fn item(at: i64, value: i64) -> (Key, Bytes) {
    let mut builder = JournalBuilder::default();
    builder.add(0, Identity::of_event("cut", value.unsigned_abs()), &gauge("g", value), Timestamp(NOW)).unwrap();
    (Key::new("j#0", format!("{at:013}#0001#0")), builder.finish().unwrap().remove(0).blob)
}

/// The first item of an invocation appears before the end of a page that was read, and then the second one gets its key.
#[tokio::test(start_paused = true)]
async fn a_tick_reads_no_item_of_an_invocation_without_those_before_it() {
    let (first, second) = (item(NOW - 6, 1), item(NOW + 3, 2));
    let mut rig = Rig::new();
    let store = Growing { items: MemoryStore::new(), new: vec![first, second], has_grown: AtomicBool::new(false) };
    rig.store = Arc::new(store);
    for at in [-5, -4] {
        rig.event(NOW + at, count("a", 1)).await;
    }
    rig.tick(NOW).await;
    assert!(rig.samples("g").is_empty());
    rig.tick(NOW + MINUTE).await;
    assert_eq!(rig.samples("g"), ["60000: 2"]);
}
