//! Percent-encoding of paths (RFC 3986, 2.1).

use super::PathError;
use std::borrow::Cow;

/// Decodes a path once, as Go's `net/http` does: `%2F` becomes an ordinary `/`, and `+` stays `+`.
pub fn decode_path(path: Cow<'_, str>) -> Result<Cow<'_, str>, PathError> {
    if !path.contains('%') {
        return check_path(path);
    }
    let bytes = decode(path.as_bytes()).ok_or(PathError::BadPercentSequence)?;
    let text = String::from_utf8(bytes).map_err(|_| PathError::NotUtf8)?;
    check_path(Cow::Owned(text))
}

/// Checks a path that its front has decoded.
pub fn check_path(path: Cow<'_, str>) -> Result<Cow<'_, str>, PathError> {
    if path.contains('\0') { Err(PathError::Zero) } else { Ok(path) }
}

/// Returns `None` if two hexadecimal digits do not follow a percent sign.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(if byte == b'%' { digit(*rest.next()?)? << 4 | digit(*rest.next()?)? } else { byte });
    }
    Some(decoded)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_a_path_exactly_once() {
        let table = [
            ("/metrics/job/a", Ok("/metrics/job/a")),
            ("/metrics/job/a%2Fb", Ok("/metrics/job/a/b")),
            ("/a%252Fb", Ok("/a%2Fb")),
            ("/a+b%2bc", Ok("/a+b+c")),
            ("/%CE%BB%e4%b8%96", Ok("/λ世")),
            ("/λ", Ok("/λ")),
            ("/a%", Err(PathError::BadPercentSequence)),
            ("/a%2", Err(PathError::BadPercentSequence)),
            ("/a%zz", Err(PathError::BadPercentSequence)),
            ("/a%+2", Err(PathError::BadPercentSequence)),
            ("/a%FF", Err(PathError::NotUtf8)),
            ("/a%C3", Err(PathError::NotUtf8)),
            ("/a%00", Err(PathError::Zero)),
        ];
        for (path, expected) in table {
            assert_eq!(decode_path(path.into()).as_deref(), expected.as_deref(), "{path}");
        }
    }

    #[test]
    fn rejects_a_zero_byte_in_a_path_that_is_decoded_already() {
        assert_eq!(check_path("/a%00".into()).as_deref(), Ok("/a%00"));
        assert_eq!(check_path("/a\0".into()), Err(PathError::Zero));
    }
}
