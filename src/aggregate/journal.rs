//! Journal items: what an invocation appends, and what a tick folds.
//!
//! The body of an item, version 2 (numbers as in [`crate::blob::codec`]):
//!
//! ```text
//! count of series, then for each series:
//!     key, kind, layout or quantiles, help        the key as in SeriesKey
//! count of entries, then for each entry:
//!     identity (16 bytes), number of the series, sent time - that of the entry before, time - sent time, value, observations or counts
//! ```
//!
//! Version 1 has no counts of histograms and no increments of gauges. An item without them is still written in version 1: a release of that
//! time can fold it.
//!
//! A series with another kind, layout or help is another one in the dictionary. A reader checks the whole item before it returns the
//! first entry, so that an item is folded as a whole or not at all.

mod builder;
mod layout;
mod reader;

pub use builder::{EventTooLarge, JournalBuilder, JournalItem, MAX_EVENT_BYTES};
pub use reader::{Entry, Journal, Reader};

/// The newest version of an item that this code writes.
const VERSION: u8 = 2;

/// The version of an item that has nothing newer.
const FIRST_VERSION: u8 = 1;

/// The body of an item. In an item of the table it takes at most 400 KB, whatever its content.
pub const MAX_ITEM_BYTES: usize = 350_000;

#[cfg(test)]
mod tests;
