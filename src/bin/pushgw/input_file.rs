//! The files of `check` and `send`, and their messages: the whole file, or each of its lines.

use super::exit::CommandError;
use amp_push_gateway::model::{Reason, Rejection};
use serde::de::IgnoredAny;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A payload of Lambda has at most 6 MiB; `check` takes more.
const MAX_FILE_BYTES: u64 = 256 << 20;

#[derive(Debug)]
pub(crate) struct InputFile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileMessage<'a> {
    pub(crate) place: Place<'a>,
    /// A rejection if it is not UTF-8.
    pub(crate) text: Result<&'a str, Rejection>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) name: &'a str,
    /// Counted from 1, in a file of JSON lines.
    pub(crate) line: Option<usize>,
}

impl InputFile {
    /// Reads the file at `path`, or standard input for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, CommandError> {
        let mut bytes = Vec::new();
        let read = if path.as_os_str() == "-" {
            io::stdin().lock().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        };
        read.map_err(|error| CommandError::unreadable(path, &error))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(CommandError::usage(format!("{} has more than {} MiB", path.display(), MAX_FILE_BYTES >> 20)));
        }
        Ok(Self { name: path.display().to_string(), bytes })
    }

    /// Returns its messages. It has JSON lines if it is not JSON as a whole, but at least every second line is.
    pub(crate) fn messages(&self) -> Vec<FileMessage<'_>> {
        let lines = self.bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
        let lines: Vec<_> = lines.filter(|(_, line)| !line.is_empty()).collect();
        let good = lines.iter().filter(|(_, line)| matches!(line[0], b'{' | b'[') && is_json(line)).count();
        if is_json(&self.bytes) || lines.len() < 2 || good * 2 < lines.len() {
            return vec![self.message(None, &self.bytes)];
        }
        lines.into_iter().map(|(number, line)| self.message(Some(number + 1), line)).collect()
    }

    fn message<'a>(&'a self, line: Option<usize>, bytes: &'a [u8]) -> FileMessage<'a> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Rejection::new(Reason::InvalidJson, format!("byte {} is not UTF-8", error.valid_up_to())));
        FileMessage { place: Place { name: &self.name, line }, text }
    }
}

/// `serde_json` does not recurse into what it ignores, so any depth will do.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
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

    fn file(name: &str, bytes: &[u8]) -> InputFile {
        InputFile { name: name.to_owned(), bytes: bytes.to_vec() }
    }

    #[test]
    fn a_file_is_one_message_or_json_lines() {
        let table: [(&str, &[Option<usize>]); 9] = [
            ("{}", &[None]),
            ("[{},\n{}]", &[None]),
            ("{\n  \"metrics\": {}\n}\n", &[None]),
            ("", &[None]),
            ("{", &[None]),
            ("eyJtZXRyaWNzIjp7ImEiOjF9fQ==", &[None]),
            ("{}\n{}\n", &[Some(1), Some(2)]),
            ("{}\r\n\r\n{}", &[Some(1), Some(3)]),
            ("{}\n{\n[{}]\n", &[Some(1), Some(2), Some(3)]),
        ];
        for (text, expected) in table {
            let file = file("f", text.as_bytes());
            let lines: Vec<_> = file.messages().iter().map(|message| message.place.line).collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }

    #[test]
    fn each_message_knows_its_place() {
        let files = [file("a.jsonl", b"{}\n\n[]\n"), file("-", b"{\n}"), file("b", b"\xff")];
        let messages: Vec<_> = files.iter().flat_map(InputFile::messages).collect();
        let places: Vec<_> = messages.iter().map(|message| message.place.to_string()).collect();
        assert_eq!(places, ["a.jsonl:1", "a.jsonl:3", "-", "b"]);
        assert_eq!(messages[2].text, Ok("{\n}"));
        assert_eq!(messages[3].text.as_ref().unwrap_err().to_string(), "invalid_json: byte 0 is not UTF-8");
    }
}
