//! Equal samples of several items: they share every answer.

use super::sample_state::SampleState;
use crate::remote_write::{Answered, may_be_stored};
use crate::series::Sample;
use std::ops::Range;

/// Marks what an answer may have stored: all samples of the part but the one that it names as refused.
pub(super) fn mark_maybe_stored(
    samples: &[Sample],
    states: &mut [SampleState],
    answer: &Answered,
    part: &[usize],
    named: &[usize],
) {
    if may_be_stored(answer) {
        let others: Vec<_> = part.iter().copied().filter(|sample| named.binary_search(sample).is_err()).collect();
        for sample in with_equals(samples, &others) {
            states[sample].set_maybe_stored();
        }
    }
}

/// Returns the samples of `part`, which are in order, and those of other items that are equal to them.
pub(super) fn with_equals(samples: &[Sample], part: &[usize]) -> impl Iterator<Item = usize> {
    let distinct = part.chunk_by(|&a, &b| samples[a].is_same_sample(&samples[b]));
    distinct.flat_map(|equals| equal_samples(samples, equals[0]))
}

/// Returns the range of samples that are equal to this one, itself included.
pub(super) fn equal_samples(samples: &[Sample], sample: usize) -> Range<usize> {
    let is_other = |other: &Sample| !other.is_same_sample(&samples[sample]);
    let start = samples[..sample].iter().rposition(is_other).map_or(0, |before| before + 1);
    let end = samples[sample..].iter().position(is_other).map_or(samples.len(), |after| sample + after);
    start..end
}
