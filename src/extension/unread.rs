//! Deliveries that wait to be read.
//!
//! Between two invocations other programs run, and the processor forgets the parser. So reading a delivery takes several times as long
//! as reading it after another one. Deliveries are kept as they came, and read together.

use crate::limits::MAX_UNREAD_BYTES;
use crate::model::Timestamp;
use memchr::memmem::find_iter;

/// The key of each record. Some records have it in their content, too.
const TYPE: &[u8] = b"\"type\"";

#[derive(Default, Debug)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    /// The end of each delivery in `bytes`, and the time when it came.
    deliveries: Vec<(usize, Timestamp)>,
    records: usize,
}

impl Unread {
    /// Keeps a delivery if there is room.
    pub(super) fn keep(&mut self, body: &[u8], came: Timestamp) -> bool {
        // An empty delivery takes memory, too.
        let held = self.bytes.len() + size_of_val(self.deliveries.as_slice());
        let has_room = held + size_of::<(usize, Timestamp)>() + body.len() <= MAX_UNREAD_BYTES;
        if has_room {
            self.bytes.extend_from_slice(body);
            self.deliveries.push((self.bytes.len(), came));
            self.records += find_iter(body, TYPE).count();
        }
        has_room
    }

    /// Returns how many records there are, or a few more.
    pub(super) fn most_records(&self) -> u32 {
        u32::try_from(self.records).unwrap_or(u32::MAX)
    }

    /// Calls `each` for every delivery, in order, and forgets them.
    pub(super) fn read(&mut self, mut each: impl FnMut(&[u8], Timestamp)) {
        let mut begin = 0;
        for &(end, came) in &self.deliveries {
            each(&self.bytes[begin..end], came);
            begin = end;
        }
        self.bytes.clear();
        self.deliveries.clear();
        self.records = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_deliveries_up_to_its_bound_however_short_they_are() {
        for body in [&b""[..], b"[]", &[b' '; 1_000]] {
            let mut unread = Unread::default();
            let kept = (0..10_000).take_while(|_| unread.keep(body, Timestamp(1))).count();
            assert_eq!(kept, MAX_UNREAD_BYTES / (body.len() + 16));
            assert!(!unread.keep(body, Timestamp(1)));
            let mut read = 0;
            unread.read(|found, came| {
                assert_eq!((found, came), (body, Timestamp(1)));
                read += 1;
            });
            assert!(read == kept && unread.keep(body, Timestamp(1)));
        }
    }
}
