//! Limits the memory of one request. Two bytes of a request can take hundreds of bytes in memory.

use super::{ReadError, ReadProblem};
use crate::limits::MAX_INCOMING_MEMORY;
use crate::model::{Label, NativeHistogram};
use crate::series::{Sample, SeriesId};
use crate::wire::Exemplar;

/// The memory of the parts of a request, here and in the sample table.
pub(super) const LABEL: usize = size_of::<Label<'_>>();
pub(super) const SAMPLE: usize = size_of::<Sample>();
pub(super) const EXEMPLAR: usize = size_of::<(SeriesId, Exemplar<'_>)>();
pub(super) const HISTOGRAM: usize = size_of::<Sample>() + size_of::<NativeHistogram>();
pub(super) const NUMBER: usize = size_of::<f64>();
pub(super) const SYMBOL: usize = size_of::<&str>();

#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: MAX_INCOMING_MEMORY }
    }

    pub(super) fn take(&mut self, bytes: usize, offset: usize) -> Result<(), ReadError> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ReadError { offset, problem: ReadProblem::TooLarge }),
        }
    }
}
