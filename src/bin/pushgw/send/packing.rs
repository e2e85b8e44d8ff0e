//! Packs messages that go together. Pure.

/// Limits of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    pub(super) count: usize,
    /// The most bytes of all items together.
    pub(super) bytes: usize,
    /// Several messages go as one array; else each is a message of SQS.
    pub(super) is_array: bool,
}

/// Cuts items into calls, in order. An item that is too large by itself travels alone.
#[derive(Debug)]
pub(super) struct Packer<T> {
    limits: Limits,
    call: Vec<T>,
    bytes: usize,
    is_closed: bool,
}

impl<T> Packer<T> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, call: Vec::new(), bytes: 0, is_closed: false }
    }

    /// Adds an item. Returns the call before, if the item does not fit into it.
    pub(super) fn add(&mut self, item: T, bytes: usize, is_alone: bool) -> Option<Vec<T>> {
        // A comma, and the brackets together.
        let around = usize::from(self.limits.is_array);
        let added = bytes + around;
        let fits = !self.is_closed
            && !is_alone
            && self.call.len() < self.limits.count
            && self.bytes + added + around <= self.limits.bytes;
        if fits || self.call.is_empty() {
            self.call.push(item);
            self.bytes += added;
            self.is_closed = is_alone;
            return None;
        }
        (self.bytes, self.is_closed) = (added, is_alone);
        Some(std::mem::replace(&mut self.call, vec![item]))
    }

    /// The last call so far.
    pub(super) fn call(&self) -> &[T] {
        &self.call
    }

    pub(super) fn take(&mut self) -> Vec<T> {
        (self.bytes, self.is_closed) = (0, false);
        std::mem::take(&mut self.call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { count: 3, bytes: 101, is_array: true };

    /// Returns the numbers of the items of each call.
    fn packed(sizes: &[(usize, bool)]) -> Vec<Vec<usize>> {
        let mut packer = Packer::new(LIMITS);
        let added =
            sizes.iter().enumerate().filter_map(|(number, &(bytes, is_alone))| packer.add(number, bytes, is_alone));
        let mut calls: Vec<_> = added.collect();
        calls.extend(Some(packer.take()).filter(|last| !last.is_empty()));
        calls
    }

    #[test]
    fn calls_are_cut_by_number_by_size_and_around_those_that_travel_alone() {
        let sizes = [(1, false), (1, false), (1, false), (1, false), (98, false), (99, false), (1, true), (1, false)];
        let expected: [&[usize]; 5] = [&[0, 1, 2], &[3], &[4], &[5], &[6]];
        let packed = packed(&sizes);
        assert_eq!(packed[..5], expected);
        assert_eq!(packed[5], [7]);
    }

    proptest! {
        #[test]
        fn every_parcel_travels_once_in_order_and_within_the_limits(
            sizes in proptest::collection::vec((0..120_usize, proptest::bool::weighted(0.1)), 0..60),
        ) {
            let calls = packed(&sizes);
            let travelled: Vec<_> = calls.concat();
            prop_assert_eq!(travelled, (0..sizes.len()).collect::<Vec<_>>());
            for call in &calls {
                let bytes: usize = call.iter().map(|&number| sizes[number].0 + 1).sum();
                prop_assert!(call.len() == 1 || (call.len() <= 3 && bytes <= 100));
                prop_assert!(call.len() == 1 || call.iter().all(|&number| !sizes[number].1));
            }
            // No two calls that could have been one.
            for pair in calls.windows(2) {
                let joined: Vec<_> = pair[0].iter().chain(pair[1].first()).collect();
                let bytes: usize = joined.iter().map(|&&number| sizes[number].0 + 1).sum();
                prop_assert!(joined.len() > 3 || bytes > 100 || joined.iter().any(|&&number| sizes[number].1));
            }
        }
    }
}
