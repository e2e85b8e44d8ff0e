//! Foreign text in a sentence.

use crate::limits::MAX_EXCERPT_CHARS;

/// Returns the beginning of foreign text in quotes, at most [`MAX_EXCERPT_CHARS`] characters of it.
pub fn excerpt(text: &str) -> String {
    format!("{:?}", text.chars().take(MAX_EXCERPT_CHARS).collect::<String>())
}
