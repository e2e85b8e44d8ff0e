//! Words for details: the place, and an excerpt of what stands there.

use std::fmt::Write as _;

/// Characters of a key or value that a detail shows: enough to find it, and details stay small.
const EXCERPT_CHARS: usize = 64;

/// `text`, cut to [`EXCERPT_CHARS`].
pub(super) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut cut: String = chars.by_ref().take(EXCERPT_CHARS).collect();
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

/// `metrics.ph: "abc" is not a number`, from its parts.
pub(super) fn at(parent: &str, key: &str, fault: impl std::fmt::Display) -> String {
    let key = if key.is_empty() { "\"\"".to_owned() } else { excerpt(key) };
    let mut detail = format!("{parent}.{key}");
    // Writing into a String cannot fail.
    let _infallible = write!(detail, ": {fault}");
    detail
}

/// What kind of JSON value `literal` is, for sentences such as `is an array`.
pub(super) fn kind(literal: &str) -> &'static str {
    match literal.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
