//! Finds which of the entries that a tick reads were already counted by an earlier tick.
//!
//! Earlier ticks counted many more identities than one tick reads. So those are streamed, and never held in memory
//! together.

use super::Identity;
use super::journal::Journal;
use crate::blob::BlobError;
use hashbrown::HashTable;

/// The identities that a tick read.
#[derive(Default, Debug)]
pub struct Seen {
    table: HashTable<Slot>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    identity: Identity,
    counted: bool,
}

impl Seen {
    /// Adds the identities of all entries of an item.
    pub fn add(&mut self, journal: &Journal) -> Result<(), BlobError> {
        let mut reader = journal.reader()?;
        self.table.reserve(reader.left(), |slot| hash(&slot.identity));
        while let Some(entry) = reader.next_entry()? {
            self.slot(entry.identity);
        }
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Notes that an earlier tick has counted the event.
    #[inline]
    pub fn remember(&mut self, identity: Identity) {
        if let Some(slot) = self.table.find_mut(hash(&identity), |slot| slot.identity == identity) {
            slot.counted = true;
        }
    }

    /// Returns whether nobody has counted the event yet. From now on it is counted.
    pub(super) fn count(&mut self, identity: Identity) -> bool {
        !std::mem::replace(&mut self.slot(identity).counted, true)
    }

    fn slot(&mut self, identity: Identity) -> &mut Slot {
        let found = self.table.entry(hash(&identity), |slot| slot.identity == identity, |slot| hash(&slot.identity));
        found.or_insert(Slot { identity, counted: false }).into_mut()
    }
}

/// An identity is a hash already.
fn hash(identity: &Identity) -> u64 {
    identity.0.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_counted_once_and_not_at_all_if_it_was_counted_before() {
        let identity = |i| Identity::of_event("m", i);
        let mut seen = Seen::default();
        seen.slot(identity(0));
        seen.slot(identity(1));
        seen.remember(identity(1));
        seen.remember(identity(2));
        assert_eq!(seen.len(), 2);
        assert!(seen.count(identity(0)) && !seen.count(identity(0)) && !seen.count(identity(1)));
    }
}
