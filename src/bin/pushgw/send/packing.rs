//! Packs messages that go together. Pure.

/// Limits of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Limits {
    pub(super) count: usize,
    /// Bytes of all of them together, and so of each.
    pub(super) bytes: usize,
    /// Several messages go as one array; else each is a message of SQS.
    pub(super) is_array: bool,
}

/// A message as far as packing is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Parcel {
    pub(super) number: usize,
    pub(super) bytes: usize,
    pub(super) is_alone: bool,
}

/// Cuts `parcels` into calls, in order. A parcel that is too large by itself travels alone.
pub(super) fn pack(parcels: &[Parcel], limits: Limits) -> Vec<Vec<usize>> {
    let mut calls: Vec<Vec<usize>> = Vec::new();
    // A comma, and the brackets together.
    let around = usize::from(limits.is_array);
    let (mut bytes, mut is_closed) = (0, true);
    for parcel in parcels {
        let added = parcel.bytes + around;
        let fits = |call: &&mut Vec<usize>| call.len() < limits.count && bytes + added + around <= limits.bytes;
        if let Some(call) = calls.last_mut().filter(|_| !is_closed && !parcel.is_alone).filter(fits) {
            call.push(parcel.number);
            bytes += added;
        } else {
            calls.push(vec![parcel.number]);
            (bytes, is_closed) = (added, parcel.is_alone);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { count: 3, bytes: 101, is_array: true };

    fn parcels(sizes: &[(usize, bool)]) -> Vec<Parcel> {
        let parcel = |(number, &(bytes, is_alone)): (usize, &(usize, bool))| Parcel { number, bytes, is_alone };
        sizes.iter().enumerate().map(parcel).collect()
    }

    #[test]
    fn calls_are_cut_by_number_by_size_and_around_those_that_travel_alone() {
        let sizes = [(1, false), (1, false), (1, false), (1, false), (98, false), (99, false), (1, true), (1, false)];
        let expected: [&[usize]; 5] = [&[0, 1, 2], &[3], &[4], &[5], &[6]];
        let packed = pack(&parcels(&sizes), LIMITS);
        assert_eq!(packed[..5], expected);
        assert_eq!(packed[5], [7]);
        assert_eq!(pack(&[], LIMITS), Vec::<Vec<usize>>::new());
    }

    proptest! {
        #[test]
        fn every_parcel_travels_once_in_order_and_within_the_limits(
            sizes in proptest::collection::vec((0..120_usize, proptest::bool::weighted(0.1)), 0..60),
        ) {
            let calls = pack(&parcels(&sizes), LIMITS);
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
