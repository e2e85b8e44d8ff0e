//! Where the events come from: files, standard input, or the command line itself.

use super::typed;
use crate::connect;
use crate::fault::Fault;
use crate::split::{self, Part};
use amp_push_gateway::model::{Reason, Rejection};
use std::fmt;
use std::path::PathBuf;

/// One file, or what stands for it.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    /// Counted from 1, in a file of JSON lines.
    pub(super) line: Option<usize>,
}

/// One message to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message<'a> {
    pub(super) place: Place<'a>,
    /// A refusal where it is no text.
    pub(super) text: Result<&'a str, Rejection>,
}

/// Reads all that is to be sent.
pub(super) fn read(files: &[PathBuf], typed: &typed::Arguments) -> Result<Vec<Input>, Fault> {
    if files.is_empty() {
        let bytes = typed::event(typed).into_bytes();
        return Ok(vec![Input { name: "--metric".to_owned(), bytes }]);
    }
    files.iter().map(|path| Ok(Input { name: path.display().to_string(), bytes: connect::read(path)? })).collect()
}

/// The messages, in order.
pub(super) fn messages(inputs: &[Input]) -> Vec<Message<'_>> {
    inputs.iter().flat_map(Input::messages).collect()
}

// === impl Input ===

impl Input {
    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        split::parts(&self.bytes).into_iter().map(|Part { line, bytes }| {
            let place = Place { name: &self.name, line };
            let text = std::str::from_utf8(bytes).map_err(|error| {
                Rejection::new(Reason::InvalidJson, format!("byte {} is not UTF-8", error.valid_up_to()))
            });
            Message { place, text }
        })
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.name),
            None => f.write_str(self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_knows_its_place() {
        let input = |name: &str, bytes: &[u8]| Input { name: name.to_owned(), bytes: bytes.to_vec() };
        let inputs = [input("a.jsonl", b"{}\n\n[]\n"), input("-", b"{\n}"), input("b", b"\xff")];
        let messages = messages(&inputs);
        let places: Vec<_> = messages.iter().map(|message| message.place.to_string()).collect();
        assert_eq!(places, ["a.jsonl:1", "a.jsonl:3", "-", "b"]);
        assert_eq!(messages[2].text, Ok("{\n}"));
        assert_eq!(messages[3].text.as_ref().unwrap_err().to_string(), "invalid_json: byte 0 is not UTF-8");
    }
}
