//! The envelope of everything in the table: `[version][crc32][snappy block]`.
//!
//! * The checksum covers the version and the block. If one bit has changed, the error is [`BlobError::Damaged`].
//! * If the version is unknown, the error is [`BlobError::NewerVersion`], whatever follows.
//! * Unpacking takes at most the memory that the caller allows.
//!
//! All formats use the functions in [`codec`] for their bodies.

pub mod codec;

use bytes::Bytes;
use std::fmt;

/// The version and the checksum.
const HEADER_BYTES: usize = 5;

/// Why a blob, or its body, cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlobError {
    /// A newer release wrote the blob. Nothing may be done to it.
    NewerVersion { found: u8, known: u8 },
    /// The text says what is wrong.
    Damaged(&'static str),
}

/// Returns the blob of `body`. A body of at most 350,000 bytes becomes a blob of at most 400 KB, whatever its content.
pub fn seal(version: u8, body: &[u8]) -> Result<Bytes, BlobError> {
    let mut blob = vec![0; HEADER_BYTES + snap::raw::max_compress_len(body.len())];
    let packed = snap::raw::Encoder::new().compress(body, &mut blob[HEADER_BYTES..]);
    let packed = packed.map_err(|_| BlobError::Damaged("the body is longer than a snappy block can be"))?;
    blob.truncate(HEADER_BYTES + packed);
    blob[0] = version;
    let sum = checksum(version, &blob[HEADER_BYTES..]).to_le_bytes();
    blob[1..HEADER_BYTES].copy_from_slice(&sum);
    Ok(blob.into())
}

/// Returns the body of a blob. `newest` is the newest version that the caller can read, `max_bytes` the longest body that it takes.
pub fn open(blob: &[u8], newest: u8, max_bytes: usize) -> Result<Vec<u8>, BlobError> {
    let Some(([version, sum @ ..], block)) = blob.split_first_chunk::<HEADER_BYTES>() else {
        return Err(BlobError::Damaged("the blob is shorter than its header"));
    };
    if *version > newest {
        return Err(BlobError::NewerVersion { found: *version, known: newest });
    }
    if *version == 0 || u32::from_le_bytes(*sum) != checksum(*version, block) {
        return Err(BlobError::Damaged("the checksum differs"));
    }
    match snap::raw::decompress_len(block) {
        Ok(len) if len <= max_bytes => {}
        Ok(_) => return Err(BlobError::Damaged("the body is longer than allowed")),
        Err(_) => return Err(BlobError::Damaged("the body is not a snappy block")),
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(|_| BlobError::Damaged("the body is not a snappy block"))
}

fn checksum(version: u8, block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[version]);
    hasher.update(block);
    hasher.finalize()
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewerVersion { found, known } => {
                write!(
                    f,
                    "a newer release wrote version {found} of the format, this one reads up to {known}: update it"
                )
            }
            Self::Damaged(what) => write!(f, "the blob is damaged: {what}"),
        }
    }
}

impl std::error::Error for BlobError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rejects_a_newer_version_before_it_looks_at_the_rest() {
        let error = open(&[3, 0, 0, 0, 0], 2, 100).unwrap_err();
        assert_eq!(error, BlobError::NewerVersion { found: 3, known: 2 });
        assert!(error.to_string().contains("update it"));
    }

    #[test]
    fn unpacks_at_most_the_allowed_bytes() {
        let blob = seal(1, &[7; 1_000]).unwrap();
        assert!(blob.len() < 100);
        assert_eq!(open(&blob, 1, 1_000).unwrap(), [7; 1_000]);
        assert_eq!(open(&blob, 1, 999), Err(BlobError::Damaged("the body is longer than allowed")));
    }

    #[test]
    fn a_body_of_350_000_bytes_fits_into_an_item_whatever_its_content() {
        assert!(HEADER_BYTES + snap::raw::max_compress_len(350_000) + 1_000 < 400 * 1_024);
    }

    proptest! {
        #[test]
        fn property_test_a_blob_is_opened_as_it_was_sealed(body in proptest::collection::vec(any::<u8>(), 0..600), version in 1_u8..9) {
            let blob = seal(version, &body).unwrap();
            prop_assert_eq!(open(&blob, version, 600), Ok(body));
        }

        #[test]
        fn property_test_one_wrong_bit_is_found(body in proptest::collection::vec(any::<u8>(), 0..60), bit in any::<prop::sample::Index>()) {
            let mut blob = seal(1, &body).unwrap().to_vec();
            let bit = bit.index(blob.len() * 8);
            blob[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(&blob, 1, 600).is_err());
        }

        #[test]
        fn property_test_any_bytes_are_opened_or_an_error(blob in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _any = open(&blob, 1, 600);
        }
    }
}
