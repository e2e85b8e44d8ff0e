//! The identities of the events that a tick counted, as blobs of 16 bytes each.

use super::{Identity, Seen};
use crate::blob::{BlobError, open, seal};
use bytes::Bytes;

const VERSION: u8 = 1;

/// Identities of one part.
const PART: usize = 21_000;

/// Returns the parts; none without identities.
pub fn write_ids(identities: &[Identity]) -> Result<Vec<Bytes>, BlobError> {
    let part = |part: &[Identity]| {
        let body: Vec<u8> = part.iter().flat_map(|identity| identity.0).collect();
        seal(VERSION, &body)
    };
    identities.chunks(PART).map(part).collect()
}

/// Tells `seen` the identities of a part. Returns how many they are.
pub fn read_ids(blob: &[u8], seen: &mut Seen) -> Result<usize, BlobError> {
    let body = open(blob, VERSION, 4 * PART * Identity::BYTES)?;
    let (identities, rest) = body.as_chunks::<{ Identity::BYTES }>();
    if !rest.is_empty() {
        return Err(BlobError::Damaged("the last identity is not complete"));
    }
    for identity in identities {
        seen.remember(Identity(*identity));
    }
    Ok(identities.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_identities_into_parts_that_fit_into_items() {
        let identities: Vec<_> = (0..50_000).map(|i| Identity::of_event("m", i)).collect();
        let parts = write_ids(&identities).unwrap();
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.len() < 350_000));
        let mut seen = Seen::default();
        let read: usize = parts.iter().map(|part| read_ids(part, &mut seen).unwrap()).sum();
        assert_eq!(read, 50_000);
        assert!(seen.is_empty() && write_ids(&[]).unwrap().is_empty());
        assert!(read_ids(&seal(1, &[0; 17]).unwrap(), &mut seen).is_err());
    }
}
