//! Unpacks the body of a request.
//!
//! Fronts change bodies. A REST API may unpack a body and leave the header. A front that takes a binary body for text
//! replaces bytes of it. So the first bytes decide if a body is packed; the header only says which encodings are possible.

use crate::limits::{MAX_EXCERPT_CHARS, MAX_UNPACKED_BYTES};
use flate2::bufread::GzDecoder;
use snap::read::FrameDecoder;
use std::borrow::Cow;
use std::fmt;
use std::io::Read;

/// RFC 1952, 2.3.1.
const GZIP_MAGIC: &[u8] = b"\x1F\x8B";

/// The stream identifier (<https://github.com/google/snappy/blob/main/framing_format.txt>).
const SNAPPY_MAGIC: &[u8] = b"\xFF\x06\x00\x00sNaPpY";

/// The beginnings of gzip and framed snappy after a front has replaced what is not UTF-8 by U+FFFD.
const DESTROYED_GZIP: &[u8] = b"\x1F\xEF\xBF\xBD";
const DESTROYED_SNAPPY: &[u8] = b"\xEF\xBF\xBD\x06\0\0sNaPpY";

/// Members of one gzip stream. Each costs about 5 µs, however short it is: a body of members without bytes would take a second.
const MAX_MEMBERS: usize = 10_000;

/// Memory for the first bytes that are unpacked.
const FIRST_BYTES: usize = 64 << 10;

/// A content encoding that some route takes. Identity is taken everywhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Gzip,
    /// The framing format, not the block of remote write.
    Snappy,
}

/// Why a body cannot be unpacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// The route does not take this encoding; the first characters of its name.
    UnknownEncoding(String),
    /// A front has replaced bytes in it.
    Destroyed,
    Damaged(Encoding),
    /// It is more than [`MAX_MEMBERS`] gzip streams, one after another.
    TooManyMembers,
    /// It has more than [`MAX_UNPACKED_BYTES`], packed or unpacked.
    TooLarge,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
        })
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownEncoding(name) => write!(f, "the content encoding {name:?} is not supported here"),
            Self::Destroyed => {
                f.write_str("a front has replaced bytes of the compressed body; set binaryMediaTypes of the API to */*")
            }
            Self::Damaged(encoding) => write!(f, "the {encoding} stream in the body is cut off or damaged"),
            Self::TooManyMembers => write!(f, "the gzip stream in the body has more than {MAX_MEMBERS} members"),
            Self::TooLarge => write!(f, "the body is longer than {MAX_UNPACKED_BYTES} bytes when it is unpacked"),
        }
    }
}

impl std::error::Error for BodyError {}

impl BodyError {
    /// Returns the status of the answer.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::UnknownEncoding(_) => 415,
            Self::TooLarge | Self::TooManyMembers => 413,
            Self::Destroyed | Self::Damaged(_) => 400,
        }
    }
}

/// Returns `body` unpacked. `header` is the request's `Content-Encoding`, and `taken` are the encodings of its route.
/// If a body does not begin with the magic of its encoding, it stays as it is. If it begins with the magic of gzip, it
/// is unpacked even without the header.
pub fn unpack<'a>(body: Cow<'a, [u8]>, header: Option<&str>, taken: &[Encoding]) -> Result<Cow<'a, [u8]>, BodyError> {
    let encoding = check_encoding(header, taken)?;
    if body.starts_with(DESTROYED_GZIP) || body.starts_with(DESTROYED_SNAPPY) {
        return Err(BodyError::Destroyed);
    }
    let unpacked = if body.starts_with(GZIP_MAGIC) && taken.contains(&Encoding::Gzip) {
        gunzip(&body)?
    } else if encoding == Some(Encoding::Snappy) && body.starts_with(SNAPPY_MAGIC) {
        let mut unpacked = Vec::new();
        read(&mut FrameDecoder::new(body.as_ref()), Encoding::Snappy, &mut unpacked)?;
        unpacked
    } else if body.len() > MAX_UNPACKED_BYTES {
        return Err(BodyError::TooLarge);
    } else {
        return Ok(body);
    };
    Ok(Cow::Owned(unpacked))
}

/// Returns the encoding that the header names; `None` for identity.
pub(super) fn check_encoding(header: Option<&str>, taken: &[Encoding]) -> Result<Option<Encoding>, BodyError> {
    match encoding_of(header)? {
        Some(encoding) if !taken.contains(&encoding) => Err(BodyError::UnknownEncoding(encoding.to_string())),
        encoding => Ok(encoding),
    }
}

fn gunzip(mut packed: &[u8]) -> Result<Vec<u8>, BodyError> {
    let mut unpacked = Vec::new();
    for _ in 0..MAX_MEMBERS {
        let mut member = GzDecoder::new(packed);
        read(&mut member, Encoding::Gzip, &mut unpacked)?;
        packed = member.into_inner();
        if packed.is_empty() {
            return Ok(unpacked);
        }
    }
    Err(BodyError::TooManyMembers)
}

/// Returns `None` for identity.
fn encoding_of(header: Option<&str>) -> Result<Option<Encoding>, BodyError> {
    let name = header.unwrap_or_default().trim();
    let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
    if is(&["", "identity"]) {
        Ok(None)
    } else if is(&["gzip", "x-gzip"]) {
        Ok(Some(Encoding::Gzip))
    } else if is(&["snappy"]) {
        Ok(Some(Encoding::Snappy))
    } else {
        Err(BodyError::UnknownEncoding(name.chars().take(MAX_EXCERPT_CHARS).collect()))
    }
}

/// Appends everything in `packed`. It takes at most [`MAX_UNPACKED_BYTES`] of memory. A vector that doubles its size by
/// itself would take twice as much.
fn read(packed: &mut impl Read, encoding: Encoding, unpacked: &mut Vec<u8>) -> Result<(), BodyError> {
    loop {
        if unpacked.len() == unpacked.capacity() {
            let size = (unpacked.len() * 2).clamp(FIRST_BYTES, MAX_UNPACKED_BYTES + 1);
            unpacked.reserve_exact(size - unpacked.len());
        }
        let free = unpacked.capacity() - unpacked.len();
        packed.take(free as u64).read_to_end(unpacked).map_err(|_| BodyError::Damaged(encoding))?;
        if unpacked.len() > MAX_UNPACKED_BYTES {
            return Err(BodyError::TooLarge);
        }
        if unpacked.len() < unpacked.capacity() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write as _;

    const ALL: &[Encoding] = &[Encoding::Gzip, Encoding::Snappy];

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn snappy(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = snap::write::FrameEncoder::new(SNAPPY_MAGIC[..0].to_vec());
        encoder.write_all(bytes).unwrap();
        encoder.into_inner().unwrap()
    }

    fn unpacked(body: &[u8], header: Option<&str>) -> Result<Vec<u8>, BodyError> {
        unpack(body.into(), header, ALL).map(Cow::into_owned)
    }

    #[test]
    fn unpacks_what_the_header_and_the_first_bytes_say() {
        let text = b"a 1\n";
        let block = snap::raw::Encoder::new().compress_vec(text).unwrap();
        let table: [(&[u8], Option<&str>, &[u8]); 15] = [
            (text, None, text),
            (text, Some(""), text),
            (text, Some("identity"), text),
            (text, Some("gzip"), text),
            (text, Some("snappy"), text),
            (b"", Some("gzip"), b""),
            (&gzip(text), Some("gzip"), text),
            (&gzip(text), Some(" GZip "), text),
            (&gzip(text), Some("x-gzip"), text),
            (&gzip(text), None, text),
            (&gzip(text), Some("snappy"), text),
            (&[gzip(b"a "), gzip(b""), gzip(b"1\n")].concat(), Some("gzip"), text),
            (&snappy(text), Some("Snappy"), text),
            (&snappy(text), None, &snappy(text)),
            (&block, Some("snappy"), &block),
        ];
        for (body, header, expected) in table {
            assert_eq!(unpacked(body, header).unwrap(), expected, "{header:?} {body:?}");
        }
        let two = [snappy(b"a "), snappy(b"1\n")].concat();
        assert_eq!(unpacked(&two, Some("snappy")).unwrap(), text);
        let long = vec![b'x'; 1_000_000];
        assert_eq!(unpacked(&gzip(&long), None).unwrap(), long);
        assert_eq!(unpacked(&snappy(&long), Some("snappy")).unwrap(), long);
    }

    #[test]
    fn says_why_a_body_cannot_be_unpacked() {
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
        let unknown = |name: &str| BodyError::UnknownEncoding(name.to_owned());
        let (bad_gzip, bad_snappy) = (BodyError::Damaged(Encoding::Gzip), BodyError::Damaged(Encoding::Snappy));
        let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned().into_bytes();
        let many = gzip(b"").repeat(MAX_MEMBERS);
        assert_eq!(unpacked(&many, None), Ok(Vec::new()));
        let table = [
            (b"a 1\n".to_vec(), Some("br"), unknown("br")),
            (b"a 1\n".to_vec(), Some("gzip, gzip"), unknown("gzip, gzip")),
            (Vec::new(), Some("zstd"), unknown("zstd")),
            (b"\x1F\x8B".to_vec(), None, bad_gzip.clone()),
            (cut(gzip(b"a 1\n")), Some("gzip"), bad_gzip.clone()),
            ([gzip(b"a 1\n"), b"a".to_vec()].concat(), Some("gzip"), bad_gzip),
            (cut(snappy(b"a 1\n")), Some("snappy"), bad_snappy.clone()),
            ([snappy(b"a 1\n"), b"a".to_vec()].concat(), Some("snappy"), bad_snappy),
            (lossy(gzip(b"a 1\n")), Some("gzip"), BodyError::Destroyed),
            (lossy(gzip(b"a 1\n")), None, BodyError::Destroyed),
            (lossy(snappy(b"a 1\n")), Some("snappy"), BodyError::Destroyed),
            (gzip(b"").repeat(MAX_MEMBERS + 1), None, BodyError::TooManyMembers),
            (vec![b' '; MAX_UNPACKED_BYTES + 1], None, BodyError::TooLarge),
        ];
        for (body, header, expected) in table {
            assert_eq!(unpacked(&body, header), Err(expected), "{header:?}");
        }
        assert_eq!(unpack(b"a"[..].into(), Some("snappy"), &[Encoding::Gzip]), Err(unknown("snappy")));
        assert_eq!(unpacked(b"a", Some(&"é".repeat(100))), Err(unknown(&"é".repeat(64))));
        assert!(BodyError::Destroyed.to_string().contains("binaryMediaTypes"));
    }

    #[test]
    fn takes_16_mib_unpacked_and_not_a_byte_more() {
        for pack in [gzip, snappy] {
            let most = unpacked(&pack(&vec![b' '; MAX_UNPACKED_BYTES]), Some("snappy")).unwrap();
            assert_eq!(most.len(), MAX_UNPACKED_BYTES);
            assert!(most.capacity() <= MAX_UNPACKED_BYTES + 1, "{}", most.capacity());
            let more = unpacked(&pack(&vec![b' '; MAX_UNPACKED_BYTES + 1]), Some("snappy"));
            assert_eq!(more, Err(BodyError::TooLarge));
        }
    }

    proptest! {
        /// Whatever is packed comes out again, however it is cut into members.
        #[test]
        fn unpacks_what_was_packed(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2_000), 1..4)) {
            let whole = parts.concat();
            for pack in [gzip, snappy] {
                let packed = parts.iter().map(|part| pack(part)).collect::<Vec<_>>().concat();
                prop_assert_eq!(unpacked(&packed, Some("snappy")).unwrap(), whole.clone());
            }
        }

        /// Any bytes are unpacked, or there is a reason.
        #[test]
        fn takes_any_bytes(magic in 0..4_usize, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = [[GZIP_MAGIC, SNAPPY_MAGIC, DESTROYED_GZIP, b""][magic], &bytes].concat();
            for header in [None, Some("gzip"), Some("snappy")] {
                let _result = unpacked(&body, header);
            }
        }
    }
}
