//! The scanner of the text formats. It cuts bytes into names, quoted texts, words and lines, and reads each byte once.
//!
//! It stops only at ASCII characters, so each span begins and ends between characters of UTF-8.

use super::error::{Excerpt, Problem};
use super::families::Span;
use crate::limits::MAX_EXCERPT_CHARS;
use std::ops::Range;

#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// The position of the next byte.
    pub(super) at: usize,
    /// The line of that byte, from 1.
    pub(super) line: u32,
    /// The name of a metric that was found last.
    last_name: Range<usize>,
}

/// The text between two quotes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub(super) span: Span,
    pub(super) has_escapes: bool,
}

/// A letter, a digit or an underscore.
const NAME: u8 = 1;
/// A colon may be in the name of a metric only.
const COLON: u8 = 2;
/// Characters that matter in a quoted text: the quote, the backslash and the end of a line.
const QUOTED: u8 = 4;
/// The end of a value or of a timestamp.
const WORD_END: u8 = 8;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let c = byte as u8;
        classes[byte] = match c {
            b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => NAME,
            b':' => COLON,
            b'"' | b'\\' => QUOTED,
            b'\n' => QUOTED | WORD_END,
            b' ' | b'\t' | b'\r' | b'{' => WORD_END,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, last_name: 0..0 }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps over `byte` if it is the next one.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Steps over `text` if it is next.
    pub(super) fn eat_text(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text.as_bytes());
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }

    pub(super) fn blanks(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Returns the name of a metric, or None if no name begins here.
    pub(super) fn metric_name(&mut self) -> Option<Span> {
        // Most lines have the name of the line before.
        let last = &self.text.as_bytes()[self.last_name.clone()];
        let end = self.at + last.len();
        let is_end = |byte: &u8| CLASSES[usize::from(*byte)] & (NAME | COLON) == 0;
        if !last.is_empty() && self.rest().starts_with(last) && self.text.as_bytes().get(end).is_none_or(is_end) {
            let span = Span::new(self.at, end);
            self.at = end;
            return Some(span);
        }
        let name = self.name(NAME | COLON)?;
        self.last_name = name.range();
        Some(name)
    }

    pub(super) fn label_name(&mut self) -> Option<Span> {
        self.name(NAME)
    }

    fn name(&mut self, classes: u8) -> Option<Span> {
        let start = self.at;
        if self.peek()?.is_ascii_digit() {
            return None;
        }
        self.at += self.run(|class| class & classes != 0);
        (self.at > start).then(|| Span::new(start, self.at))
    }

    /// Returns the text up to the next quote without a backslash before it. The first quote is already read.
    pub(super) fn quoted(&mut self, may_have_lines: bool) -> Result<Quoted, Problem> {
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.at += self.run(|class| class & QUOTED == 0);
            match self.peek() {
                Some(b'"') => {
                    let span = Span::new(start, self.at);
                    self.at += 1;
                    return Ok(Quoted { span, has_escapes });
                }
                Some(b'\n') if may_have_lines => {
                    self.line += 1;
                    self.at += 1;
                }
                Some(b'\\') if !matches!(self.rest().get(1), None | Some(b'\n')) => {
                    has_escapes = true;
                    // A character of several bytes may follow: its other bytes are of no class.
                    self.at += 2;
                }
                _ => {
                    let found = Excerpt::new(&self.text[start..]);
                    return Err(Problem::Unexpected { expected: "a quote at the end of a quoted text", found });
                }
            }
        }
    }

    /// Returns the bytes up to the next blank, brace or end of the line.
    pub(super) fn word(&mut self) -> Span {
        let start = self.at;
        self.at += self.run(|class| class & WORD_END == 0);
        Span::new(start, self.at)
    }

    /// Returns the rest of the line without its end, which comes next.
    pub(super) fn rest_of_line(&mut self) -> Span {
        let start = self.at;
        let len = memchr::memchr(b'\n', self.rest()).unwrap_or(self.rest().len());
        let end = start + len - usize::from(self.rest()[..len].ends_with(b"\r"));
        self.at = end;
        Span::new(start, end)
    }

    /// Steps over the end of the line, or of the text, if it is here.
    pub(super) fn end_of_line(&mut self) -> bool {
        let len = match self.rest() {
            [] => return true,
            [b'\n', ..] | [b'\r'] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return false,
        };
        self.at += len;
        self.line += 1;
        true
    }

    pub(super) fn unexpected(&self, expected: &'static str) -> Problem {
        Problem::Unexpected { expected, found: self.found() }
    }

    /// Returns the line from here, without its end.
    fn found(&self) -> Excerpt {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return Excerpt::new("the end of the body");
        }
        if rest.starts_with(['\n', '\r']) {
            return Excerpt::new("the end of the line");
        }
        // An excerpt is short, and the line may be long.
        let short: usize = rest.chars().take(MAX_EXCERPT_CHARS + 1).map(char::len_utf8).sum();
        Excerpt::new(rest[..short].lines().next().unwrap_or_default())
    }

    /// Returns the number of bytes from here whose class `is_in`.
    fn run(&self, is_in: impl Fn(u8) -> bool) -> usize {
        let rest = self.rest();
        rest.iter().position(|byte| !is_in(CLASSES[usize::from(*byte)])).unwrap_or(rest.len())
    }
}
