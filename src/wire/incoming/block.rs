//! The snappy block of a request.

use crate::limits::MAX_UNPACKED_BYTES;
use std::error::Error;
use std::fmt;

/// The first bytes of snappy's other format, which remote write does not use.
const FRAMED: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// No byte of a block becomes more: the shortest copy of 64 bytes takes three.
const MAX_EXPANSION: usize = 22;

/// Why a body is no snappy block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlockError {
    Empty,
    /// The body is in snappy's framed format.
    Framed,
    /// The block would have so many bytes, more than [`MAX_UNPACKED_BYTES`].
    TooLarge(usize),
    Snappy(snap::Error),
}

/// Unpacks a block. Its first bytes say how long the result is: a length over the bound is an error before anything is allocated.
pub fn decode_block(body: &[u8]) -> Result<Vec<u8>, BlockError> {
    if body.is_empty() {
        return Err(BlockError::Empty);
    }
    if body.starts_with(FRAMED) {
        return Err(BlockError::Framed);
    }
    let len = snap::raw::decompress_len(body).map_err(BlockError::Snappy)?;
    if len > MAX_UNPACKED_BYTES {
        return Err(BlockError::TooLarge(len));
    }
    if len > MAX_EXPANSION * body.len() {
        let (expected_len, got_len) = (len as u64, body.len() as u64);
        return Err(BlockError::Snappy(snap::Error::HeaderMismatch { expected_len, got_len }));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(BlockError::Snappy)
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("expected a snappy block, the body is empty"),
            Self::Framed => f.write_str("expected a snappy block, the body is in snappy's framed format"),
            Self::TooLarge(len) => {
                write!(f, "the request has {len} bytes unpacked, at most {MAX_UNPACKED_BYTES} are taken")
            }
            Self::Snappy(error) => write!(f, "expected a snappy block: {error}"),
        }
    }
}

impl Error for BlockError {}
