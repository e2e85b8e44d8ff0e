//! The parts of a detail: the path in the event, and an excerpt of the value at that path.

use crate::limits::MAX_EXCERPT_CHARS;

/// Returns the beginning of foreign text on one line: control characters are escaped.
pub(super) fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut cut = String::new();
    for c in chars.by_ref().take(MAX_EXCERPT_CHARS) {
        if c.is_control() { cut.extend(c.escape_default()) } else { cut.push(c) }
    }
    if chars.next().is_some() {
        cut.push('…');
    }
    cut
}

/// Returns a key as a path shows it.
pub(super) fn key(key: &str) -> String {
    if key.is_empty() { "\"\"".to_owned() } else { excerpt(key) }
}

/// Returns `metrics.ph: "abc" is not a number` from its parts.
pub(super) fn at(parent: &str, name: &str, problem: impl std::fmt::Display) -> String {
    format!("{parent}.{}: {problem}", key(name))
}

/// Returns the kind of the JSON value `literal`, for details such as `is an array`.
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
