//! Unwraps base64 around a message, as the SQS action of an IoT rule makes it, and gzip inside.

use crate::limits::MAX_UNPACKED_BYTES;
use ::base64::Engine as _;
use ::base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::bufread::MultiGzDecoder;
use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

/// The first bytes of a gzip stream (RFC 1952, 2.3.1).
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GzipError {
    is_too_large: bool,
}

impl fmt::Display for GzipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_too_large {
            write!(f, "its gzip stream unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        } else {
            f.write_str("its gzip stream is cut off or damaged")
        }
    }
}

impl std::error::Error for GzipError {}

/// Returns the bytes in `text`; `None` if it is not base64, or empty. It takes the standard and the URL-safe alphabet, with or without
/// padding, and line breaks.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = if text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        Cow::Owned(text.split_ascii_whitespace().collect())
    } else {
        Cow::Borrowed(text)
    };
    let is_url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = engine(if is_url_safe { &URL_SAFE } else { &STANDARD });
    engine.decode(text.as_bytes()).ok().filter(|bytes| !bytes.is_empty())
}

/// IoT pads, other senders may not.
fn engine(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

/// Unpacks a gzip stream, which may have several members. Other bytes stay as they are.
pub(super) fn unpack(bytes: Vec<u8>) -> Result<Vec<u8>, GzipError> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    let bound = MAX_UNPACKED_BYTES as u64 + 1;
    let read = MultiGzDecoder::new(bytes.as_slice()).take(bound).read_to_end(&mut unpacked);
    match read {
        Ok(_) if unpacked.len() > MAX_UNPACKED_BYTES => Err(GzipError { is_too_large: true }),
        Ok(_) => Ok(unpacked),
        Err(_) => Err(GzipError { is_too_large: false }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn decodes_both_alphabets_with_or_without_padding_and_line_breaks() {
        let table = [
            ("eyJhIjoxfQ==", Some("{\"a\":1}")),
            ("eyJhIjoxfQ", Some("{\"a\":1}")),
            (" eyJhIjoxfQ==\n", Some("{\"a\":1}")),
            ("eyJh\r\nIjox\nfQ==", Some("{\"a\":1}")),
            ("Pz8/Pj4+", Some("???>>>")),
            ("Pz8_Pj4-", Some("???>>>")),
            ("Pz8_Pj4+", None),
            ("", None),
            ("{}", None),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text).as_deref(), expected.map(str::as_bytes), "{text:?}");
        }
    }

    #[test]
    fn unpacks_gzip_within_its_bound() {
        let two_members = [gzip(b"{\"a\":"), gzip(b"1}")].concat();
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
        let damaged = Err(GzipError { is_too_large: false });
        let table = [
            (b"{}".to_vec(), Ok(b"{}".to_vec())),
            (gzip(b"{}"), Ok(b"{}".to_vec())),
            (two_members, Ok(b"{\"a\":1}".to_vec())),
            (gzip(b""), Ok(Vec::new())),
            (cut(gzip(b"{}")), damaged.clone()),
            (vec![0x1F, 0x8B], damaged),
            (gzip(&vec![b' '; MAX_UNPACKED_BYTES + 1]), Err(GzipError { is_too_large: true })),
        ];
        for (bytes, expected) in table {
            assert_eq!(unpack(bytes), expected);
        }
        assert_eq!(unpack(gzip(&vec![b' '; MAX_UNPACKED_BYTES])).unwrap().len(), MAX_UNPACKED_BYTES);
    }
}
