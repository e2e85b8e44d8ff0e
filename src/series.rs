//! Samples of many items to ordered, distinct series.
//!
//! An item is whoever brought a sample: an event of a batch, a group of a tick, a series of a relay. [`SampleTableBuilder`] takes
//! items in the order of the payload; [`SampleTable`] holds their samples in the order in which they are sent. Invariants:
//!
//! * Samples of one series stand together, in the order of their times (remote write 1.0, "Ordering").
//! * Equal samples (same series, time and bits, in a histogram too) stand side by side, one for each of their items. The encoder writes the first.
//! * A second value for the same series and time is a [`Contradiction`]. It rejects the later item as a whole, and a rejected
//!   item reserves nothing: samples after it are compared as if it had never come.

mod builder;
mod contradiction;
mod table;

pub use builder::SampleTableBuilder;
pub use contradiction::Contradiction;
pub use table::{Labels, Sample, SampleTable, SampleValue, SeriesId};

#[cfg(test)]
mod tests;
