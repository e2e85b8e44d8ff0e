//! Words for details: the place, and an excerpt of what stands there.

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

/// A key as places name it.
pub(super) fn key(key: &str) -> String {
    if key.is_empty() { "\"\"".to_owned() } else { excerpt(key) }
}

/// `metrics.ph: "abc" is not a number`, from its parts.
pub(super) fn at(parent: &str, name: &str, fault: impl std::fmt::Display) -> String {
    format!("{parent}.{}: {fault}", key(name))
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
