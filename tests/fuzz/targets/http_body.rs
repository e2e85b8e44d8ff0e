//! Unpacks any bytes as the body of a request. It stays within its bound, and what has no magic stays as it is.
//!
//! The first byte chooses the header: gzip, snappy, none.

#![no_main]

use amp_push_gateway::http::{BodyError, Encoding, unpack};
use amp_push_gateway::limits::MAX_UNPACKED_BYTES;
use libfuzzer_sys::fuzz_target;
use std::borrow::Cow;

const MAGICS: [&[u8]; 4] =
    [b"\x1F\x8B", b"\xFF\x06\x00\x00sNaPpY", b"\x1F\xEF\xBF\xBD", b"\xEF\xBF\xBD\x06\x00\x00sNaPpY"];

fuzz_target!(|input: &[u8]| {
    let Some((flags, body)) = input.split_first() else { return };
    let header = [Some("gzip"), Some("snappy"), None][usize::from(flags % 3)];
    let has_magic = MAGICS.iter().any(|magic| body.starts_with(magic));
    match unpack(Cow::Borrowed(body), header, &[Encoding::Gzip, Encoding::Snappy]) {
        Ok(unpacked) => {
            assert!(unpacked.len() <= MAX_UNPACKED_BYTES);
            assert!(has_magic || unpacked == body, "a body without magic was altered");
        }
        Err(BodyError::UnknownEncoding(name)) => panic!("{name:?} is known"),
        Err(error) => assert!(has_magic, "{error}"),
    }
});
