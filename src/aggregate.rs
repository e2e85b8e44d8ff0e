//! Typed metrics in the journal, and the state that they are folded into.
//!
//! * [`Identity`]: recognises the repetition of an event.
//! * [`journal`]: the items that an invocation appends, and their reader.
//! * [`SeriesKey`]: the name and the labels of a typed series, as bytes.

mod identity;
pub mod journal;
mod series_key;

pub use identity::Identity;
pub use series_key::{SeriesKey, shard_of};
