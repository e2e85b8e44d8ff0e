//! Journal items. An invocation appends them, and a tick folds them.
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
//! Version 1 has neither counts of histograms nor increments of gauges. The gateway still writes an item without them in
//! version 1, so that an older release can fold it.
//!
//! A series with another kind, layout or help has its own entry in the list of series. A reader checks the whole item
//! before it returns the first entry. So a tick folds a whole item or nothing of it.

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
