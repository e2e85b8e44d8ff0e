//! Exemplars, which only requests of 2.0 pass on.

use crate::model::Timestamp;
use crate::order;
use crate::series::SeriesId;

/// An exemplar as a sender gave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exemplar<'a> {
    pub labels: Vec<(&'a str, &'a str)>,
    /// The bits of the double.
    pub bits: u64,
    pub timestamp: Timestamp,
}

impl Default for Exemplar<'_> {
    fn default() -> Self {
        Self { labels: Vec::new(), bits: 0, timestamp: Timestamp(0) }
    }
}

/// The exemplars of series of a sample table.
#[derive(Default, Debug)]
pub struct Exemplars<'a>(Vec<(SeriesId, Exemplar<'a>)>);

impl<'a> Exemplars<'a> {
    pub fn new(mut exemplars: Vec<(SeriesId, Exemplar<'a>)>) -> Self {
        order::sort_by(&mut exemplars, |(a, _), (b, _)| a.cmp(b));
        Self(exemplars)
    }

    /// Returns those of a series, in the order in which they came.
    pub(super) fn of(&self, series: SeriesId) -> &[(SeriesId, Exemplar<'a>)] {
        let start = self.0.partition_point(|(other, _)| *other < series);
        let len = self.0[start..].partition_point(|(other, _)| *other == series);
        &self.0[start..start + len]
    }
}
