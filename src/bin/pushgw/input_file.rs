//! The files of `check` and `send`, and their messages: the whole text, or each of its lines.
//!
//! * JSON lines are never held together. Memory is limited by [`MAX_LINE_BYTES`], however long a file or a pipe is.
//! * A file that is not JSON lines is one message of at most [`MAX_TEXT_BYTES`].

mod form;

use super::exit::CommandError;
use amp_push_gateway::model::{Reason, Rejection};
use form::Form;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A payload of Lambda has at most 6 MiB; `check` takes more.
const MAX_TEXT_BYTES: u64 = 256 << 20;
/// No target takes a longer one.
const MAX_LINE_BYTES: u64 = 8 << 20;
/// The size of the beginning that decides whether a text has lines. It doubles until the decision is possible.
const BEGINNING_BYTES: u64 = 1 << 20;
const BUFFER_BYTES: usize = 64 << 10;

#[derive(Clone, Debug)]
pub(crate) struct InputFile {
    name: Arc<str>,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    StandardInput,
    Path(PathBuf),
    /// A regular file as it was at the start: it is read a second time, up to the length that it had.
    Regular {
        path: PathBuf,
        device_and_inode: (u64, u64),
        bytes: u64,
    },
    Text(Arc<[u8]>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileMessage {
    pub(crate) place: Place,
    /// A rejection if it is not UTF-8, or a line that is too long.
    pub(crate) text: Result<String, Rejection>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    /// Counted from 1, in a file of JSON lines.
    pub(crate) line: Option<usize>,
}

/// The messages of a file, one after another.
pub(crate) struct Messages {
    place: Place,
    is_over: bool,
    reader: Box<dyn BufRead + Send>,
    bytes: Vec<u8>,
}

/// Fails at an early end.
struct Exactly<R>(io::Take<R>);

impl InputFile {
    /// The file at `path`, or standard input for `-`.
    pub(crate) fn at(path: &Path) -> Self {
        let is_dash = path.as_os_str() == "-";
        let source = if is_dash { Source::StandardInput } else { Source::Path(path.to_owned()) };
        Self { name: path.display().to_string().into(), source }
    }

    pub(crate) fn text(name: &str, text: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), source: Source::Text(text.into().into()) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Reading it may wait for another program, and is possible once.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.source, Source::StandardInput | Source::Path(_))
    }

    /// From now on, a regular file is read as it is now, as often as needed.
    pub(crate) fn fix(&mut self) -> Result<(), CommandError> {
        let Source::Path(path) = &self.source else { return Ok(()) };
        let unreadable = |error: io::Error| CommandError::unreadable(path, &error);
        let metadata = fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        if metadata.is_file() {
            let (device_and_inode, bytes) = (device_and_inode(&metadata), metadata.len());
            self.source = Source::Regular { path: path.clone(), device_and_inode, bytes };
        }
        Ok(())
    }

    /// Reads a stream to its end, so that it can be read again. It must have at most [`MAX_TEXT_BYTES`].
    pub(crate) fn hold(&mut self) -> Result<(), CommandError> {
        if self.is_stream() {
            self.source = Source::Text(self.read()?.into());
        }
        Ok(())
    }

    /// Returns the whole text.
    pub(crate) fn read(&self) -> Result<Vec<u8>, CommandError> {
        let mut bytes = Vec::new();
        let mut reader = self.reader()?.take(MAX_TEXT_BYTES + 1);
        reader.read_to_end(&mut bytes).map_err(|error| self.unreadable(&error))?;
        if bytes.len() as u64 > MAX_TEXT_BYTES {
            return Err(CommandError::usage(format!("{} has more than {} MiB", self.name, MAX_TEXT_BYTES >> 20)));
        }
        Ok(bytes)
    }

    /// Gives its length and its bytes to a hash. The length of a stream is not known.
    pub(crate) fn hash(&self, update: &mut dyn FnMut(&[u8])) -> Result<(), CommandError> {
        let bytes = match &self.source {
            Source::Regular { bytes, .. } => *bytes,
            Source::Text(text) => text.len() as u64,
            Source::StandardInput | Source::Path(_) => 0,
        };
        update(&bytes.to_le_bytes());
        let (mut reader, mut buffer) = (self.reader()?, vec![0; BUFFER_BYTES]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
    }

    /// Returns the number of its messages.
    pub(crate) fn count(&self) -> Result<u64, CommandError> {
        let (mut messages, mut count) = (self.messages()?, 0);
        while messages.advance().map_err(|error| self.unreadable(&error))?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    /// Reads the beginning, and decides whether the messages are the lines.
    pub(crate) fn messages(&self) -> Result<Messages, CommandError> {
        let mut reader = self.reader()?;
        let (mut bytes, mut size) = (Vec::new(), BEGINNING_BYTES);
        let form = loop {
            let missing = size - bytes.len() as u64;
            let read = reader.by_ref().take(missing).read_to_end(&mut bytes);
            let read = read.map_err(|error| self.unreadable(&error))? as u64;
            if let Some(form) = Form::of(&bytes, read < missing) {
                break form;
            }
            if size > MAX_TEXT_BYTES {
                return Err(CommandError::usage(format!(
                    "{} has more than {} MiB and is not line by line; give its events as JSON lines, one message a line",
                    self.name,
                    MAX_TEXT_BYTES >> 20
                )));
            }
            size = (size * 2).min(MAX_TEXT_BYTES + 1);
        };
        let place = Place { name: Arc::clone(&self.name), line: (form == Form::Lines).then_some(0) };
        let (bytes, reader): (_, Box<dyn BufRead + Send>) = match form {
            Form::Text => (bytes, Box::new(io::empty())),
            Form::Lines => {
                let all = Cursor::new(bytes).chain(reader);
                (Vec::new(), Box::new(BufReader::with_capacity(BUFFER_BYTES, all)))
            }
        };
        Ok(Messages { place, is_over: false, reader, bytes })
    }

    fn reader(&self) -> Result<Box<dyn Read + Send>, CommandError> {
        Ok(match &self.source {
            Source::StandardInput => Box::new(io::stdin()),
            Source::Text(text) => Box::new(Cursor::new(Arc::clone(text))),
            Source::Path(path) => Box::new(File::open(path).map_err(|error| self.unreadable(&error))?),
            Source::Regular { path, device_and_inode: known, bytes } => {
                let opened = File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
                let (file, metadata) = opened.map_err(|error| self.unreadable(&error))?;
                if device_and_inode(&metadata) != *known {
                    return Err(self.unreadable(&io::Error::other("another file has taken its place")));
                }
                Box::new(Exactly(file.take(*bytes)))
            }
        })
    }

    pub(crate) fn unreadable(&self, error: &io::Error) -> CommandError {
        CommandError::unreadable(Path::new(&*self.name), error)
    }
}

fn device_and_inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.0.limit() > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        Ok(read)
    }
}

impl Messages {
    /// Reads the next message into `bytes`, without the blanks around a line. Returns its length, which is larger than that of
    /// `bytes` if the line is too long.
    fn advance(&mut self) -> io::Result<Option<u64>> {
        let Some(line) = &mut self.place.line else {
            let is_over = std::mem::replace(&mut self.is_over, true);
            return Ok((!is_over).then_some(self.bytes.len() as u64));
        };
        loop {
            self.bytes.clear();
            let read = self.reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut self.bytes)? as u64;
            if read == 0 {
                self.is_over = true;
                return Ok(None);
            }
            *line += 1;
            if read > MAX_LINE_BYTES && self.bytes.last() != Some(&b'\n') {
                self.bytes.clear();
                return Ok(Some(read + self.reader.skip_until(b'\n')? as u64));
            }
            let end = self.bytes.trim_ascii_end().len();
            self.bytes.truncate(end);
            self.bytes.drain(..end - self.bytes.trim_ascii_start().len());
            if !self.bytes.is_empty() {
                return Ok(Some(self.bytes.len() as u64));
            }
        }
    }

    /// Returns the next message, or none at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<FileMessage>> {
        let Some(length) = self.advance()? else { return Ok(None) };
        let text = if length > self.bytes.len() as u64 {
            let detail = format!("the line has {length} bytes, and at most {MAX_LINE_BYTES} are read");
            Err(Rejection::new(Reason::TooLarge, detail))
        } else {
            let bytes = if self.place.line.is_some() { self.bytes.clone() } else { std::mem::take(&mut self.bytes) };
            String::from_utf8(bytes).map_err(|error| {
                let byte = error.utf8_error().valid_up_to();
                Rejection::new(Reason::InvalidJson, format!("byte {byte} is not UTF-8"))
            })
        };
        Ok(Some(FileMessage { place: self.place.clone(), text }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(name: &str, bytes: &[u8]) -> Vec<FileMessage> {
        let mut messages = InputFile::text(name, bytes).messages().unwrap();
        std::iter::from_fn(|| messages.next().unwrap()).collect()
    }

    #[test]
    fn each_message_knows_its_place() {
        let files = [("a.jsonl", "{}\n\n[]\n".as_bytes()), ("-", b"{\n}"), ("b", b"\xff"), ("c", b"")];
        let messages: Vec<_> = files.iter().flat_map(|(name, bytes)| messages(name, bytes)).collect();
        let places: Vec<_> = messages.iter().map(|message| message.place.to_string()).collect();
        assert_eq!(places, ["a.jsonl:1", "a.jsonl:3", "-", "b", "c"]);
        assert_eq!(messages[2].text.as_deref(), Ok("{\n}"));
        assert_eq!(messages[3].text.as_ref().unwrap_err().to_string(), "invalid_json: byte 0 is not UTF-8");
        assert_eq!(messages[4].text.as_deref(), Ok(""));
    }

    #[test]
    fn lines_have_no_blanks_around_them() {
        let found = messages("f", b" {}\t\r\n  \r\n[\"\xff\"]\n{\"a\": 1} ");
        let lines: Vec<_> = found.iter().map(|message| (message.place.line, message.text.as_deref().ok())).collect();
        assert_eq!(lines, [(Some(1), Some("{}")), (Some(3), None), (Some(4), Some("{\"a\": 1}"))]);
    }

    #[test]
    fn a_line_that_no_target_takes_is_not_held() {
        let limit = usize::try_from(MAX_LINE_BYTES).unwrap();
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
        let text = format!("{{}}\n{}\n{}\n[]\n[]\n[]\n", long(limit + 1), long(limit));
        let found = messages("f", text.as_bytes());
        assert_eq!(found.len(), 6);
        let expected = format!("too_large: the line has {} bytes, and at most {limit} are read", limit + 2);
        assert_eq!(found[1].text.as_ref().unwrap_err().to_string(), expected);
        assert_eq!(found[2].text.as_ref().unwrap().len(), limit);
        assert_eq!((found[3].place.line, found[3].text.as_deref()), (Some(4), Ok("[]")));
    }

    #[test]
    fn a_regular_file_is_read_as_it_was_at_first() {
        let path = std::env::temp_dir().join(format!("pushgw-input-{}", std::process::id()));
        fs::write(&path, "{}\n{}\n").unwrap();
        let mut file = InputFile::at(&path);
        file.fix().unwrap();
        fs::write(&path, "{}\n{}\n{}\n").unwrap();
        assert_eq!((file.is_stream(), file.count().unwrap()), (false, 2));
        fs::write(&path, "{}\n").unwrap();
        assert!(file.count().unwrap_err().to_string().contains("shorter"));
        let other = path.with_extension("other");
        fs::write(&other, "{}\n{}\n").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(file.count().unwrap_err().to_string().contains("another file"));
        fs::remove_file(&path).unwrap();
        assert_eq!(InputFile::at(&path).fix().unwrap_err().exit_code, 2);
        assert_eq!(InputFile::at(&std::env::temp_dir()).fix().unwrap_err().exit_code, 2);
    }
}
