//! Sorts the samples of many items into distinct series.
//!
//! An item is the source of a sample: an event of a batch, a group of a tick, a series of a relay. [`SampleTableBuilder`]
//! takes items in the order of the payload. [`SampleTable`] has their samples in the order of sending. Invariants:
//!
//! * Samples of one series are together, in the order of their times (remote write 1.0, "Ordering").
//! * Equal samples (same series, time and bits, in a histogram too) are next to each other, one for each of their items.
//!   The encoder writes only the first.
//! * A second value for the same series and time is a [`Contradiction`]. It rejects the whole later item. Later samples are
//!   compared as if the rejected item had not come.

mod builder;
mod contradiction;
mod table;

pub use builder::{LabelsId, SampleTableBuilder};
pub use contradiction::Contradiction;
pub use table::{Labels, Sample, SampleTable, SampleValue, SeriesId};

#[cfg(test)]
mod tests;
