//! Reads several JSON texts in one message: lines of JSON (NDJSON), or concatenated JSON.
//!
//! * A text may have several lines. If a line is no JSON and begins none, it is passed on as [`Text::Broken`].
//! * Each byte is parsed at most twice. If a text of several lines fails, its lines up to the failure are parsed one by
//!   one. Then only a line that begins with `{` in the first column can be a text. An indented line is a part of something
//!   broken.

use serde_json::value::RawValue;

#[derive(Debug)]
pub(super) enum Text<'a> {
    Json(&'a str),
    Broken(&'a str, serde_json::Error),
}

/// Returns whether `text` is several texts, at least one of them with an object.
pub(super) fn is_several(text: &str) -> bool {
    let (mut texts, mut objects, mut in_the_middle) = (0, 0, false);
    for part in Texts::of(text) {
        texts += 1;
        match part {
            Text::Json(json) => objects += u32::from(holds_objects(json)),
            Text::Broken(broken, _) => {
                let start = broken.as_ptr().addr() - text.as_ptr().addr();
                in_the_middle |= !text[..start].trim_end_matches([' ', '\t']).ends_with('\n') && start > 0;
            }
        }
        // Garbage after a text makes its whole line wrong.
        if texts >= 3 && objects >= 2 {
            return true;
        }
    }
    texts >= 2 && objects >= 1 && (!in_the_middle || objects >= 2)
}

/// Returns whether `json` begins as an object, an array of objects, or a string with an object in it.
fn holds_objects(json: &str) -> bool {
    let inner = json.strip_prefix(['[', '"']).unwrap_or(json);
    inner.trim_ascii_start().starts_with('{')
}

/// The texts of a message, in order.
pub(super) struct Texts<'a> {
    rest: &'a str,
    /// If the rest is longer than this, it is read line by line.
    by_line_above: usize,
}

impl<'a> Texts<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text, by_line_above: usize::MAX }
    }

    /// Takes a text from the start of the rest, within `limit` bytes.
    fn take(&mut self, limit: usize) -> Result<&'a str, serde_json::Error> {
        let rest = self.rest;
        let mut stream = serde_json::Deserializer::from_str(&rest[..limit]).into_iter::<&'a RawValue>();
        let end = || Err(serde::de::Error::custom("no text begins here"));
        let json = stream.next().unwrap_or_else(end)?.get();
        self.rest = &rest[stream.byte_offset()..];
        Ok(json)
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = Text<'a>;

    fn next(&mut self) -> Option<Text<'a>> {
        let before = self.rest;
        self.rest = before.trim_start_matches([' ', '\t', '\r', '\n', '\u{feff}']);
        if self.rest.is_empty() {
            return None;
        }
        let rest = self.rest;
        let line = rest.find('\n').unwrap_or(rest.len());
        let by_line = rest.len() > self.by_line_above;
        let is_indented = before[..before.len() - rest.len()].ends_with([' ', '\t']);
        let taken = if by_line && (is_indented || !rest.starts_with('{')) {
            Err(serde::de::Error::custom("no text begins here"))
        } else {
            self.take(if by_line { line } else { rest.len() })
        };
        Some(match taken {
            Ok(json) => Text::Json(json),
            Err(error) => {
                if !by_line {
                    self.by_line_above = rest.len() - failed_at(rest, &error);
                }
                self.rest = &rest[line..];
                Text::Broken(rest[..line].trim_end(), error)
            }
        })
    }
}

/// Returns the position in `text` at which it failed.
fn failed_at(text: &str, error: &serde_json::Error) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    (before + error.column()).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        let show = |text: Text<'_>| match text {
            Text::Json(json) => json.to_owned(),
            Text::Broken(broken, _) => format!("broken: {broken}"),
        };
        Texts::of(text).map(show).collect()
    }

    #[test]
    fn takes_texts_apart_with_and_without_line_breaks() {
        let table: [(&str, &[&str]); 9] = [
            ("{}\n{}\n", &["{}", "{}"]),
            ("{}{}", &["{}", "{}"]),
            ("{}\r\n\r\n \u{feff}{}", &["{}", "{}"]),
            ("{\n \"a\": 1\n}\n{\n}", &["{\n \"a\": 1\n}", "{\n}"]),
            ("{}\noops\n{}", &["{}", "broken: oops", "{}"]),
            ("{}\n{\"a\n{}", &["{}", "broken: {\"a", "{}"]),
            ("{\"a\": \n{}", &["broken: {\"a\":", "{}"]),
            ("{} x\n{}", &["{}", "broken: x", "{}"]),
            ("[1]\n\"x\" 2", &["[1]", "\"x\"", "2"]),
        ];
        for (text, expected) in table {
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn tells_several_texts_from_one_that_is_broken() {
        let table = [
            ("{}\n{}", true),
            ("{}\n", false),
            ("{}", false),
            ("", false),
            ("{}\noops", true),
            ("oops\n{}", true),
            ("{} oops", false),
            ("{}}", false),
            ("oops\nmore", false),
            ("1\n2", false),
            ("1,2,3\n4,5,6", false),
            ("\"{}\"\n\"{}\"", true),
            ("{\n  \"metrics\": {\"a\": 1},\n}", false),
            ("{\n  \"events\": [\n  {\"a\": 1}\n  ],\n}", false),
            ("[{}\n{}]", false),
            ("[{}]\n[{}]", true),
            ("[1]\n[2]", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_several(text), expected, "{text:?}");
        }
    }

    #[test]
    fn parses_each_byte_of_hostile_text_a_bounded_number_of_times() {
        for line in ["{\"a\":\n", "[\n", "{\n", "\"\n", "{\"a\":[\n"] {
            let text = line.repeat(200_000) + "!";
            assert!(!is_several(&text), "{line:?}");
        }
    }
}
