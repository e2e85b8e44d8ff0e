//! Decodes bytes as text, and says why a text is not JSON.

use super::foreign;
use crate::model::{Reason, Rejection};
use std::borrow::Cow;
use std::fmt::Display;
use std::str::Utf8Error;
use std::string::FromUtf8Error;

const NOT_JSON: &str = "the message is not JSON: ";

pub(super) fn invalid_json(error: impl Display) -> Rejection {
    Rejection::new(Reason::InvalidJson, format!("{NOT_JSON}{error}"))
}

/// Puts the cause in front of the error text of the parser.
pub(super) fn because(sentence: &str, rejection: &Rejection) -> Rejection {
    let error = rejection.detail.strip_prefix(NOT_JSON).unwrap_or(&rejection.detail);
    Rejection::new(rejection.reason, format!("{NOT_JSON}{sentence} ({error})"))
}

/// The byte-order mark of UTF-8, which Windows puts in front of files.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Returns `bytes` as text, or a rejection if they are not UTF-8.
pub(crate) fn from_utf8(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Rejection> {
    let rejected = |bytes: &[u8], error: Utf8Error| {
        let rejection = invalid_json(error);
        match foreign::not_utf8(bytes) {
            Some(sentence) => because(sentence, &rejection),
            None => rejection,
        }
    };
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|error| rejected(bytes, error)),
        Cow::Owned(bytes) => {
            let error = |error: FromUtf8Error| rejected(error.as_bytes(), error.utf8_error());
            String::from_utf8(bytes).map(Cow::Owned).map_err(error)
        }
    }
}

/// Rejects text with an escape of half a surrogate pair. `serde_json` sees those only in strings that it unescapes; in
/// another string half a character would reach a dead letter.
pub(super) fn reject_lone_surrogates(text: &str) -> Result<(), Rejection> {
    if !text.contains("\\u") {
        return Ok(());
    }
    match lone_surrogate(text.as_bytes()) {
        None => Ok(()),
        Some(index) => Err(invalid_json(format_args!("lone surrogate escape at byte {index}"))),
    }
}

fn lone_surrogate(text: &[u8]) -> Option<usize> {
    let mut i = 0;
    while i < text.len() {
        if text[i] != b'\\' {
            i += 1;
            continue;
        }
        match code_unit(text, i) {
            Some(0xD800..=0xDBFF) if matches!(code_unit(text, i + 6), Some(0xDC00..=0xDFFF)) => i += 12,
            Some(0xD800..=0xDFFF) => return Some(i),
            Some(_) => i += 6,
            None => i += 2,
        }
    }
    None
}

/// Returns the code unit of the escape `\uXXXX` at `index`.
fn code_unit(text: &[u8], index: usize) -> Option<u16> {
    let digits = text.get(index..index + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_half_a_surrogate_pair_wherever_it_is() {
        let table = [
            (r#""\ud83c\udf21""#, None),
            (r#""\\ud83c""#, None),
            (r#""\u0041""#, None),
            (r#""\ud83c""#, Some(1)),
            (r#""a\ud83c\u0041""#, Some(2)),
            (r#""\udf21\ud83c""#, Some(1)),
        ];
        for (text, expected) in table {
            assert_eq!(lone_surrogate(text.as_bytes()), expected, "{text}");
            assert_eq!(reject_lone_surrogates(text).is_err(), expected.is_some(), "{text}");
        }
    }
}
