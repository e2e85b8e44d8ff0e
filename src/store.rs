//! The table that keeps the state: a small trait, and its implementations.
//!
//! Every implementation keeps these invariants, and `store/conformance.rs` tests them:
//!
//! * A read sees every write that was answered before the read began.
//! * A query returns the items of one partition in the order of the bytes of their sort keys, one page at a time.
//! * If several callers replace or delete one version of an item, at most one of them succeeds.
//! * After its time `expires` an item stays readable until the table deletes it. This may take days, so callers compare
//!   times.
//!
//! If a call fails or is dropped, it may have taken effect, now or a moment later. Only [`StoreError::had_no_effect`]
//! excludes that.

mod dynamodb;
#[cfg(feature = "cli")]
mod file;
mod memory;
mod page;

pub use dynamodb::DynamoDbStore;
#[cfg(feature = "cli")]
pub use file::{FileError, FileProblem, FileStore};
pub use memory::MemoryStore;

use crate::limits::MAX_STORE_ITEM_BYTES;
use bytes::Bytes;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::time::Duration;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The table. Used as `Arc<dyn Store>`.
pub trait Store: Send + Sync + Debug {
    /// Writes `item`, whatever is there. It is tried once and given up after `timeout`. A caller that tries again must choose another
    /// key, if a late effect of this call could do harm.
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>>;

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>>;

    /// Returns the first page of `range`, or of what follows the sort key `after`: [`Page::next`] of the page before.
    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Writes `item` if the one under its key has the version `expected`, or if there is none and `expected` is `None`.
    ///
    /// No two callers may write equal items: after a lost answer, the item that is found tells whether this call wrote
    /// it. So the body must have something random, or a time and the caller's own content.
    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>>;

    /// Deletes the item if it has the version `expected`, and in any case if `expected` is `None`. If the item is absent and
    /// `expected` is `None`, the result is [`Replaced::Done`].
    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>>;

    /// Opens a connection for the next calls, within `timeout`. It reports no error, because the next call reports the
    /// same.
    fn warm(&self, _timeout: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// Neither part may be empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    pub partition: String,
    pub sort: String,
}

/// DynamoDB keeps it as the attributes `pk` and `sk` (strings, the keys), `v` and `ttl` (numbers) and `b` (binary). The setting of the
/// table for time to live names `ttl`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    pub key: Key,
    pub version: u64,
    /// In seconds since 1970. `None`: never.
    pub expires: Option<i64>,
    pub body: Bytes,
}

/// The items of a partition that a query returns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Range {
    pub partition: String,
    pub sort: SortRange,
    /// The most items of a page. `None`: as many as fit into 1 MB.
    pub page_items: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SortRange {
    All,
    /// This sort key and all after it.
    From(String),
    /// The items whose sort keys begin with this.
    Prefix(String),
}

#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    pub items: Vec<Item>,
    /// The last sort key of the page, if more items may follow. An empty page can have it, too.
    pub next: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    Done,
    /// The item has another version. After a lost answer this call may have taken effect, and another one after it.
    Conflict,
}

/// Why a call failed. The text names the cause, and what an operator can do about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreError {
    /// More requests than the table takes.
    Throttled(String),
    /// No connection, no credentials, or an error of the service.
    Unavailable {
        cause: String,
        had_no_effect: bool,
    },
    Timeout,
    /// The credentials may not make this call.
    Forbidden(String),
    NoTable {
        table: String,
    },
    TooLarge {
        bytes: usize,
    },
    /// The table has data, or gave an answer, that is not an item.
    Damaged(String),
    /// The file or table was written by a newer version of this program.
    NewerFormat {
        found: u64,
        known: u64,
    },
    /// The service does not take the request. It is a defect, or a table with other keys.
    Invalid(String),
}

impl Key {
    pub fn new(partition: impl Into<String>, sort: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: sort.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.sort)
    }
}

impl Item {
    /// Returns the bytes that DynamoDB counts, names of attributes included, and at most a few more.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
    pub fn bytes(&self) -> usize {
        // The names have 9 bytes. A number has a byte for two digits, and one or two more.
        const NAMES_AND_NUMBERS: usize = 9 + 12 + 12;
        NAMES_AND_NUMBERS + self.key.partition.len() + self.key.sort.len() + self.body.len()
    }

    /// Returns an error if no table takes the item.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let bytes = self.bytes();
        if bytes > MAX_STORE_ITEM_BYTES { Err(StoreError::TooLarge { bytes }) } else { Ok(()) }
    }
}

impl Range {
    pub fn all(partition: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: SortRange::All, page_items: None }
    }

    /// The items with the sort key `first`, and all after it.
    pub fn from(partition: impl Into<String>, first: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: SortRange::From(first.into()), page_items: None }
    }

    pub fn prefix(partition: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self { partition: partition.into(), sort: SortRange::Prefix(prefix.into()), page_items: None }
    }

    #[must_use]
    pub fn with_page_items(self, items: u32) -> Self {
        Self { page_items: Some(items.max(1)), ..self }
    }
}

impl StoreError {
    /// Returns whether the same call may succeed soon.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Unavailable { .. } | Self::Timeout)
    }

    /// Returns whether the table is as if the call had never been made. `false`: nobody knows.
    pub fn had_no_effect(&self) -> bool {
        match self {
            Self::Unavailable { had_no_effect, .. } => *had_no_effect,
            Self::Timeout | Self::Damaged(_) => false,
            Self::Throttled(_)
            | Self::Forbidden(_)
            | Self::NoTable { .. }
            | Self::TooLarge { .. }
            | Self::NewerFormat { .. }
            | Self::Invalid(_) => true,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Throttled(cause) => write!(f, "the table takes no more requests at the moment: {cause}"),
            Self::Unavailable { cause, .. } => write!(f, "the table does not answer: {cause}"),
            Self::Timeout => f.write_str("the table did not answer in time"),
            Self::Forbidden(cause) => {
                write!(
                    f,
                    "no permission for the table: {cause}; allow the role the calls that infra/permissions.md lists"
                )
            }
            Self::NoTable { table } => {
                write!(f, "there is no table {table:?} in this account and region; create it, or correct STATE_TABLE")
            }
            Self::TooLarge { bytes } => {
                write!(f, "an item has {bytes} bytes, and a table takes at most {MAX_STORE_ITEM_BYTES}")
            }
            Self::Damaged(what) => write!(f, "the table has damaged data: {what}"),
            Self::NewerFormat { found, known } => write!(
                f,
                "the state has format {found}, and this version knows formats up to {known}; use the newer version that wrote it"
            ),
            Self::Invalid(cause) => {
                write!(
                    f,
                    "the table does not take the request: {cause}; its keys must be \"pk\" and \"sk\", both strings"
                )
            }
        }
    }
}

impl std::error::Error for StoreError {}

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) mod intercepted;
#[cfg(test)]
pub(crate) mod testing;
