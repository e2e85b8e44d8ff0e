//! Decodes remote-write requests of senders: from a snappy block to protobuf, and from protobuf to series that borrow from
//! it.
//!
//! * 1.0: <https://prometheus.io/docs/specs/prw/remote_write_spec/>
//! * 2.0: <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>
//!
//! Only the encoding is checked. Labels stay as they were sent, and in their order. Fields may come in any order, and
//! unknown ones are skipped. A request takes at most [`MAX_INCOMING_MEMORY`] bytes of memory, whatever its bytes are.

mod block;
mod budget;
mod error;
mod histogram;
mod unchanged;
mod v1;
mod v2;

use super::{Exemplar, Metadata};
use crate::model::{NativeHistogram, Timestamp};
use budget::Budget;

pub use block::{BlockError, decode_block};
pub use error::{ReadError, ReadProblem};
pub use unchanged::{Unchanged, unchanged};
pub use v1::read_v1;
pub use v2::{read_v2, read_v2_with_exemplars};

#[cfg(doc)]
use crate::limits::MAX_INCOMING_MEMORY;

/// A part of a request, in the order of the bytes.
#[derive(Debug)]
pub enum Part<'s, 'a> {
    /// The caller may take its vectors.
    Series(&'s mut Series<'a>),
    /// In 1.0 it is a field of the request. In 2.0 it follows its series, and the family is made of the series' name.
    Metadata(Metadata<'a>),
}

/// One `TimeSeries`.
#[derive(Default, Debug)]
pub struct Series<'a> {
    pub labels: Vec<(&'a str, &'a str)>,
    /// The bits of the double of each.
    pub samples: Vec<(Timestamp, u64)>,
    pub histograms: Vec<(Timestamp, NativeHistogram)>,
    /// The number of exemplars.
    pub exemplars: usize,
    /// The exemplars themselves, only of [`read_v2_with_exemplars`].
    pub read_exemplars: Vec<Exemplar<'a>>,
}

impl Series<'_> {
    /// Keeps the memory.
    fn clear(&mut self) {
        self.labels.clear();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars = 0;
        self.read_exemplars.clear();
    }
}

#[cfg(test)]
mod tests;
