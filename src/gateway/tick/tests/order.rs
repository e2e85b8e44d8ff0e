//! The order in which a tick reads the journal, if items appear meanwhile.

use super::*;
use crate::store::BoxFuture;
use crate::store::intercepted::{Call, Intercept, InterceptedStore};
use std::sync::atomic::{AtomicU32, Ordering};

/// Pages have one item. New items appear behind the first page of the journal.
struct Growing {
    new: Vec<(Key, Bytes)>,
    /// The pages of the journal so far.
    pages: AtomicU32,
}

impl Intercept for Growing {
    fn before<'c>(&'c self, table: &'c dyn Store, call: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async move {
            let is_of_journal = matches!(call, Call::Query(range) if range.partition.starts_with("j#"));
            if is_of_journal && self.pages.fetch_add(1, Ordering::Relaxed) == 1 {
                for (key, body) in &self.new {
                    let item = Item { key: key.clone(), version: 1, expires: None, body: body.clone() };
                    table.put(item, Duration::from_secs(5)).await?;
                }
            }
            Ok(())
        })
    }

    fn page_items(&self) -> Option<u32> {
        Some(1)
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
    let intercept = Growing { new: vec![first, second], pages: 0.into() };
    rig.store = Arc::new(InterceptedStore { table: Arc::new(MemoryStore::new()), intercept });
    for at in [-5, -4] {
        rig.event(NOW + at, count("a", 1)).await;
    }
    rig.tick(NOW).await;
    assert!(rig.samples("g").is_empty());
    rig.tick(NOW + MINUTE).await;
    assert_eq!(rig.samples("g"), ["60000: 2"]);
}
