//! Tests that every implementation of the table must pass.

use super::testing::dynamodb_table;
use super::{Item, Key, MemoryStore, Page, Range, Replaced, Store, StoreError};
use crate::limits::{MAX_STORE_ITEM_BYTES, MAX_STORE_PAGE_BYTES};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Runs each sentence against each table.
macro_rules! conformance {
    ($($sentence:ident)*) => {
        mod memory {
            $(#[test] fn $sentence() { super::run(super::$sentence(std::sync::Arc::new(super::MemoryStore::new()))); })*
        }

        #[cfg(feature = "cli")]
        mod file {
            $(#[test] fn $sentence() {
                let file = super::super::testing::TemporaryFile::new();
                super::run(super::$sentence(std::sync::Arc::new(super::super::FileStore::open(file.path()).unwrap())));
            })*
        }

        mod dynamodb {
            $(#[test] fn $sentence() { super::run(super::$sentence(std::sync::Arc::new(super::dynamodb_table()))); })*
        }
    };
}

conformance! {
    a_get_returns_what_was_put_last
    there_is_nothing_under_an_absent_key
    a_body_holds_any_bytes
    the_time_of_expiry_is_kept_and_hides_nothing
    an_item_of_400_kb_is_taken_and_a_larger_one_is_not
    a_query_returns_one_partition_in_the_order_of_the_bytes_of_the_sort_keys
    a_query_begins_at_a_key_or_keeps_to_a_prefix
    a_page_ends_after_its_items_or_after_1_mb_and_the_next_one_goes_on
    an_empty_partition_is_an_empty_page
    a_replacement_wants_the_version_that_is_there
    a_new_item_wants_an_absent_one
    a_deletion_wants_the_version_that_is_there
    of_many_writers_of_one_version_one_succeeds
    of_many_creators_one_succeeds
}

type Table = Arc<dyn Store>;

fn run(sentence: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap().block_on(sentence);
}

fn item(sort: &str, version: u64, body: impl Into<Vec<u8>>) -> Item {
    Item { key: Key::new("p#0", sort), version, expires: None, body: Bytes::from(body.into()) }
}

async fn put(table: &Table, item: &Item) {
    table.put(item.clone(), TIMEOUT).await.unwrap();
}

/// All pages of `range`.
async fn pages(table: &Table, range: &Range) -> Vec<Page> {
    let mut pages: Vec<Page> = Vec::new();
    loop {
        let after = pages.last().and_then(|page| page.next.as_deref()).map(str::to_owned);
        if !pages.is_empty() && after.is_none() {
            return pages;
        }
        pages.push(table.query(range, after.as_deref()).await.unwrap());
    }
}

async fn sorts(table: &Table, range: &Range) -> Vec<String> {
    pages(table, range).await.into_iter().flat_map(|page| page.items).map(|item| item.key.sort).collect()
}

async fn a_get_returns_what_was_put_last(table: Table) {
    for version in 1..20 {
        let item = item("a", version, version.to_string());
        put(&table, &item).await;
        assert_eq!(table.get(&item.key).await.unwrap(), Some(item));
    }
    put(&table, &item("a", u64::MAX, "x")).await;
    assert_eq!(table.get(&Key::new("p#0", "a")).await.unwrap().unwrap().version, u64::MAX);
}

async fn there_is_nothing_under_an_absent_key(table: Table) {
    put(&table, &item("a", 1, "x")).await;
    for key in [Key::new("p#0", "b"), Key::new("p#1", "a"), Key::new("p#0", "a ")] {
        assert_eq!(table.get(&key).await.unwrap(), None, "{key}");
    }
}

async fn a_body_holds_any_bytes(table: Table) {
    let all: Vec<u8> = (0..=255).cycle().take(1_000).collect();
    for body in [vec![], vec![0], all, b"\"\\\xF0\x9F".to_vec()] {
        let item = item("a", 1, body);
        put(&table, &item).await;
        assert_eq!(table.get(&item.key).await.unwrap(), Some(item.clone()));
        assert_eq!(table.query(&Range::all("p#0"), None).await.unwrap().items, [item]);
    }
}

async fn the_time_of_expiry_is_kept_and_hides_nothing(table: Table) {
    for expires in [None, Some(1), Some(1_800_000_000)] {
        let item = Item { expires, ..item("a", 1, "x") };
        put(&table, &item).await;
        assert_eq!(table.get(&item.key).await.unwrap(), Some(item));
    }
}

async fn an_item_of_400_kb_is_taken_and_a_larger_one_is_not(table: Table) {
    let empty = item("a", 1, "").bytes();
    let full = item("a", 1, vec![0xA5; MAX_STORE_ITEM_BYTES - empty]);
    put(&table, &full).await;
    assert_eq!(table.get(&full.key).await.unwrap(), Some(full.clone()));
    let larger = item("a", 2, vec![0xA5; MAX_STORE_ITEM_BYTES - empty + 1]);
    let expected = StoreError::TooLarge { bytes: MAX_STORE_ITEM_BYTES + 1 };
    assert_eq!(table.put(larger.clone(), TIMEOUT).await, Err(expected.clone()));
    assert_eq!(table.replace(larger, Some(1)).await, Err(expected));
    assert_eq!(table.get(&full.key).await.unwrap(), Some(full));
}

async fn a_query_returns_one_partition_in_the_order_of_the_bytes_of_the_sort_keys(table: Table) {
    let ordered = ["!", "0", "00", "1", "10", "2", "A", "Z", "a", "z", "~", "é", "語", "\u{FFFD}", "😀"];
    for sort in ordered.iter().rev() {
        put(&table, &item(sort, 1, *sort)).await;
    }
    for partition in ["p", "p#", "p#00", "p#1", "o", "q"] {
        put(&table, &Item { key: Key::new(partition, "1"), ..item("", 1, "") }).await;
    }
    assert_eq!(sorts(&table, &Range::all("p#0")).await, ordered);
    assert_eq!(sorts(&table, &Range::all("p#0").with_page_items(2)).await, ordered);
}

async fn a_query_begins_at_a_key_or_keeps_to_a_prefix(table: Table) {
    for sort in ["a#1", "b", "b#1", "b#2", "b#3", "bb", "c"] {
        put(&table, &item(sort, 1, "")).await;
    }
    let range = |range: Range| [range.clone(), range.with_page_items(1)];
    for range in range(Range::from("p#0", "b#2")) {
        assert_eq!(sorts(&table, &range).await, ["b#2", "b#3", "bb", "c"]);
    }
    for range in range(Range::from("p#0", "b#10")) {
        assert_eq!(sorts(&table, &range).await, ["b#2", "b#3", "bb", "c"]);
    }
    for range in range(Range::prefix("p#0", "b#")) {
        assert_eq!(sorts(&table, &range).await, ["b#1", "b#2", "b#3"]);
    }
    assert!(sorts(&table, &Range::prefix("p#0", "d")).await.is_empty());
    let page = table.query(&Range::prefix("p#0", "b#"), Some("b#2")).await.unwrap();
    assert_eq!(page.items, [item("b#3", 1, "")]);
}

async fn a_page_ends_after_its_items_or_after_1_mb_and_the_next_one_goes_on(table: Table) {
    let items: Vec<_> = (0..7).map(|i| item(&i.to_string(), 1, vec![i; 300 << 10])).collect();
    for item in &items {
        put(&table, item).await;
    }
    for range in [Range::all("p#0"), Range::from("p#0", "0"), Range::all("p#0").with_page_items(2)] {
        let pages = pages(&table, &range).await;
        let bytes = |page: &Page| page.items.iter().map(Item::bytes).sum::<usize>();
        assert!(pages.iter().all(|page| bytes(page) <= MAX_STORE_PAGE_BYTES), "{range:?}");
        assert!(pages.iter().all(|page| page.items.len() <= range.page_items.unwrap_or(3) as usize), "{range:?}");
        let found: Vec<_> = pages.into_iter().flat_map(|page| page.items).collect();
        assert!(found == items, "{range:?}");
    }
}

async fn an_empty_partition_is_an_empty_page(table: Table) {
    put(&table, &item("a", 1, "")).await;
    assert_eq!(table.query(&Range::all("p#1"), None).await.unwrap(), Page::default());
    assert_eq!(table.query(&Range::from("p#0", "b"), None).await.unwrap(), Page::default());
}

async fn a_replacement_wants_the_version_that_is_there(table: Table) {
    let old = item("a", 7, "old");
    assert_eq!(table.replace(old.clone(), Some(7)).await, Ok(Replaced::Conflict));
    assert_eq!(table.get(&old.key).await.unwrap(), None);
    put(&table, &old).await;
    for wrong in [Some(6), Some(8), None] {
        assert_eq!(table.replace(item("a", 8, "new"), wrong).await, Ok(Replaced::Conflict), "{wrong:?}");
        assert_eq!(table.get(&old.key).await.unwrap(), Some(old.clone()));
    }
    let new = Item { expires: Some(5), ..item("a", 8, "new") };
    assert_eq!(table.replace(new.clone(), Some(7)).await, Ok(Replaced::Done));
    assert_eq!(table.get(&old.key).await.unwrap(), Some(new));
}

async fn a_new_item_wants_an_absent_one(table: Table) {
    assert_eq!(table.replace(item("a", 1, "first"), None).await, Ok(Replaced::Done));
    assert_eq!(table.replace(item("a", 1, "second"), None).await, Ok(Replaced::Conflict));
    assert_eq!(table.replace(item("b", 1, "other"), None).await, Ok(Replaced::Done));
    assert_eq!(table.get(&Key::new("p#0", "a")).await.unwrap(), Some(item("a", 1, "first")));
}

async fn a_deletion_wants_the_version_that_is_there(table: Table) {
    let old = item("a", 7, "old");
    put(&table, &old).await;
    assert_eq!(table.delete(&old.key, Some(6)).await, Ok(Replaced::Conflict));
    assert_eq!(table.get(&old.key).await.unwrap(), Some(old.clone()));
    assert_eq!(table.delete(&old.key, Some(7)).await, Ok(Replaced::Done));
    assert_eq!(table.get(&old.key).await.unwrap(), None);
    assert_eq!(table.delete(&old.key, Some(7)).await, Ok(Replaced::Conflict));
    assert_eq!(table.delete(&old.key, None).await, Ok(Replaced::Done));
    put(&table, &old).await;
    assert_eq!(table.delete(&old.key, None).await, Ok(Replaced::Done));
    assert_eq!(table.get(&old.key).await.unwrap(), None);
}

/// Lets `writers` replace the item at once, and returns how many of them succeeded.
async fn race(table: &Table, writers: u64, expected: Option<u64>) -> usize {
    let version = expected.map_or(1, |version| version + 1);
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let table = table.clone();
            tokio::spawn(async move { table.replace(item("a", version, writer.to_string()), expected).await.unwrap() })
        })
        .collect();
    let mut winners = 0;
    for task in tasks {
        winners += usize::from(task.await.unwrap() == Replaced::Done);
    }
    winners
}

async fn of_many_writers_of_one_version_one_succeeds(table: Table) {
    put(&table, &item("a", 1, "first")).await;
    for version in 1..=30 {
        assert_eq!(race(&table, 8, Some(version)).await, 1, "{version}");
    }
    assert_eq!(table.get(&Key::new("p#0", "a")).await.unwrap().unwrap().version, 31);
}

async fn of_many_creators_one_succeeds(table: Table) {
    for _ in 0..20 {
        assert_eq!(race(&table, 8, None).await, 1);
        assert_eq!(table.delete(&Key::new("p#0", "a"), Some(1)).await, Ok(Replaced::Done));
    }
}
