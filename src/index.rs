//! Finds positions in a vector by the hashes of what stands there. An index keeps the hashes, so nothing is hashed again when it grows.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Positions by hash. The vector and the hashes are the caller's.
#[derive(Clone, Default, Debug)]
pub struct Index(HashTable<Slot>);

/// Half of a hash and a position. More of the hash would double the memory, and only find the rare equal halves sooner.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    position: u32,
}

impl Index {
    /// Returns the position with this hash that `is_it`.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let half = half(hash);
        self.0.find(whole(half), |slot| slot.hash == half && is_it(slot.position)).map(|slot| slot.position)
    }

    /// Returns the position with this hash that `is_it`. If there is none, adds `next` and returns it.
    pub fn find_or_insert(&mut self, hash: u64, next: u32, is_it: impl Fn(u32) -> bool) -> u32 {
        let half = half(hash);
        let is_it = |slot: &Slot| slot.hash == half && is_it(slot.position);
        match self.0.entry(whole(half), is_it, |slot| whole(slot.hash)) {
            Entry::Occupied(found) => found.get().position,
            Entry::Vacant(place) => place.insert(Slot { hash: half, position: next }).get().position,
        }
    }

    /// Replaces a position that has this hash, or removes it if `new` is `None`.
    pub fn replace(&mut self, hash: u64, position: u32, new: Option<u32>) {
        let Ok(mut found) = self.0.find_entry(whole(half(hash)), |slot| slot.position == position) else { return };
        match new {
            Some(new) => found.get_mut().position = new,
            None => {
                found.remove();
            }
        }
    }
}

fn half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A hash table takes its place from the lower bits, and compares the upper ones first.
fn whole(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every value has the same few hashes, so that many of them are equal.
    fn hash(value: u8) -> u64 {
        u64::from(value % 5) << 40
    }

    proptest! {
        /// An index says the same as a search through the vector, whatever is added, removed and moved.
        #[test]
        fn property_test_finds_what_a_search_finds(steps in proptest::collection::vec((any::<bool>(), any::<u8>()), 0..200)) {
            let (mut index, mut values) = (Index::default(), Vec::new());
            for (is_removal, value) in steps {
                let position = |values: &[u8]| values.iter().position(|other| *other == value).map(|i| u32::try_from(i).unwrap());
                let expected = position(&values);
                prop_assert_eq!(index.find(hash(value), |i| values[i as usize] == value), expected);
                match expected {
                    Some(found) if is_removal => {
                        let last = u32::try_from(values.len() - 1).unwrap();
                        index.replace(hash(value), found, None);
                        if found != last {
                            index.replace(hash(values[last as usize]), last, Some(found));
                        }
                        values.swap_remove(found as usize);
                    }
                    _ => {
                        let next = u32::try_from(values.len()).unwrap();
                        let found = index.find_or_insert(hash(value), next, |i| values[i as usize] == value);
                        prop_assert_eq!(found, expected.unwrap_or(next));
                        if found == next {
                            values.push(value);
                        }
                    }
                }
            }
        }
    }
}
