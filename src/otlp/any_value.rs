//! Values of attributes as text, as the Collector's library writes them (`pcommon.Value.AsString`): a list or an object is JSON.
//!
//! If a text is longer than any label's value may be, it is cut somewhere after that length. Its label is rejected anyway.

use crate::limits::MAX_LABEL_VALUE_BYTES;
use crate::order::sort_by;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// Lists and objects, one in another.
pub(super) const MAX_DEPTH: usize = 32;

pub(super) fn boolean(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Writes a double as JavaScript does.
pub(super) fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if magnitude < 1.0 { text } else { text.replace('e', "e+") }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(&bytes[..bytes.len().min(MAX_LABEL_VALUE_BYTES)])
}

/// Reports whether there is no need to write more.
pub(super) fn is_full(json: &str) -> bool {
    json.len() > MAX_LABEL_VALUE_BYTES
}

/// Writes bytes, which are base64 already, in a list or an object. The Collector's library has none for empty ones.
pub(super) fn write_base64(base64: &str, json: &mut String) {
    if base64.is_empty() { json.push_str("null") } else { write_text(base64, json) }
}

/// Writes a double in a list or an object. JSON has no NaN and no infinity: they are texts.
pub(super) fn write_double(value: f64, json: &mut String) {
    let text = double(value);
    if value.is_finite() { json.push_str(&text) } else { write_text(&text, json) }
}

/// Writes text with the escapes of Go's `encoding/json`.
pub(super) fn write_text(text: &str, json: &mut String) {
    json.push('"');
    for c in text.chars() {
        match c {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..'\u{20}' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string does not fail.
                let _written = write!(json, "\\u{:04x}", u32::from(c));
            }
            _ => json.push(c),
        }
        if is_full(json) {
            break;
        }
    }
    json.push('"');
}

/// The members of an object, each with its value as JSON.
#[derive(Default)]
pub(super) struct Object {
    members: Vec<(String, String)>,
    bytes: usize,
}

impl Object {
    /// Reports whether there is no need for more members.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > MAX_LABEL_VALUE_BYTES
    }

    pub(super) fn push(&mut self, key: String, value: String) {
        self.bytes += key.len() + value.len() + 4;
        self.members.push((key, value));
    }

    /// Writes the members in the order of their keys. The last one of equal keys counts. Writes all if they are too many, so that
    /// the text stays too long.
    pub(super) fn write(mut self, json: &mut String) {
        self.members.reverse();
        sort_by(&mut self.members, |(a, _), (b, _)| a.cmp(b));
        if !self.is_full() {
            self.members.dedup_by(|(later, _), (earlier, _)| later == earlier);
        }
        json.push('{');
        for (i, (key, value)) in self.members.iter().enumerate() {
            json.push_str(if i > 0 { "," } else { "" });
            write_text(key, json);
            json.push(':');
            json.push_str(value);
        }
        json.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right column is what `pcommon.Value.AsString` returns.
    #[test]
    fn writes_doubles_as_javascript_does() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1e-6, "0.000001"),
            (1.5e-7, "1.5e-7"),
            (1e-10, "1e-10"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, expected) in table {
            assert_eq!(double(value), expected);
        }
    }

    #[test]
    fn writes_members_by_their_keys_and_the_last_of_equal_ones() {
        let mut object = Object::default();
        for (key, value) in [("b", "1"), ("a\"", "2"), ("b", "3")] {
            object.push(key.to_owned(), value.to_owned());
        }
        let mut json = String::new();
        object.write(&mut json);
        assert_eq!(json, r#"{"a\"":2,"b":3}"#);
    }

    #[test]
    fn escapes_text_as_go_does_and_cuts_what_is_too_long() {
        let mut json = String::new();
        write_text("a<\u{1}\u{8}\n\u{2028}é\u{7f}", &mut json);
        assert_eq!(json, "\"a<\\u0001\\b\\n\\u2028é\u{7f}\"");
        let mut json = String::new();
        write_text(&"x".repeat(1_000_000), &mut json);
        assert!(is_full(&json) && json.len() < MAX_LABEL_VALUE_BYTES + 16);
        assert!(is_full(&base64(&vec![0; 1_000_000])));
    }
}
