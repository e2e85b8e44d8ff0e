//! The file of `--to-file`: one line of JSON for each message. Lines are only appended.

use crate::appended_file;
use crate::exit::CommandError;
use serde::de::IgnoredAny;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct JsonLines {
    file: File,
    path: PathBuf,
    /// Bytes that are safely on the disk.
    length: u64,
}

impl JsonLines {
    pub(super) fn open(path: &Path) -> Result<Self, CommandError> {
        if path == Path::new("-") {
            return Err(CommandError::usage(
                "--to-file: standard output does not keep messages; expected the path of a file".to_owned(),
            ));
        }
        let opened = Self::opened(path);
        opened.map_err(|error| CommandError::usage(format!("{} cannot be appended to: {error}", path.display())))
    }

    fn opened(path: &Path) -> io::Result<Self> {
        let mut file = appended_file::open(path)?;
        let mut length = file.seek(SeekFrom::End(0))?;
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // A line that was never finished: its message is still on its queue.
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        file.sync_all()?;
        // The name of a new file is the folder's to keep.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(Self { file, path: path.to_owned(), length })
    }

    /// Appends a line for each of `messages`; they are on the disk when this returns, or none of them is in the file.
    pub(super) fn append(&mut self, messages: &[String]) -> Result<(), CommandError> {
        let lines: String = messages.iter().map(|message| line(message) + "\n").collect();
        let written = self.file.write_all(lines.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // A line that is half written is no message. If this fails, too, the next opening ends the line.
            let _is_cut = self.file.set_len(self.length).is_ok();
            return Err(CommandError::failed(format!("{}: {error}", self.path.display())));
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}

/// Puts JSON on one line: a line end can only stand between its parts. Any other text becomes a JSON string.
fn line(message: &str) -> String {
    if serde_json::from_str::<IgnoredAny>(message).is_ok() {
        return message.trim().replace(['\n', '\r'], " ");
    }
    serde_json::Value::from(message).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stands_as_it_is_and_other_text_as_a_json_string() {
        let table = [
            (r#"{"metrics": {"a": 1.0}}"#, r#"{"metrics": {"a": 1.0}}"#),
            ("\n{\"a\":\r\n1e3}\n", "{\"a\":  1e3}"),
            (r#"{"a":"x\ny"}"#, r#"{"a":"x\ny"}"#),
            ("ph=6.7\n", r#""ph=6.7\n""#),
            ("{\"a\":", r#""{\"a\":""#),
            ("", r#""""#),
        ];
        for (message, expected) in table {
            assert_eq!(line(message), expected);
        }
    }

    #[test]
    fn a_file_is_appended_to_and_a_torn_line_is_ended() {
        let path = std::env::temp_dir().join(format!("pushgw-redrive-{}.jsonl", std::process::id()));
        std::fs::write(&path, "{\"torn").unwrap();
        let mut file = JsonLines::open(&path).unwrap();
        file.append(&["1".to_owned(), "2".to_owned()]).unwrap();
        JsonLines::open(&path).unwrap().append(&["3".to_owned()]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"torn\n1\n2\n3\n");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(JsonLines::open(Path::new("/nowhere/x.jsonl")).unwrap_err().exit_code, 2);
    }
}
