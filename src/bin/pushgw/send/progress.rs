//! Saves the settled messages in a file, so that a run that was ended goes on from there.

use crate::exit::CommandError;
use crate::input_file::InputFile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Messages by their outcome.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub(super) struct Totals {
    pub(super) sent: u64,
    /// Rejected before sending.
    pub(super) refused: u64,
    /// Rejected by the function or the receiver.
    pub(super) rejected: u64,
    /// Nobody can send them as they are.
    pub(super) failed: u64,
}

/// The settled messages: all below a number, and some beyond.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub(super) struct Settled {
    below: usize,
    beyond: BTreeSet<usize>,
}

/// The file's content.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Progress {
    #[serde(skip)]
    path: Option<PathBuf>,
    /// A hash of what is sent.
    input: String,
    target: String,
    settled: Settled,
    pub(super) totals: Totals,
}

impl Settled {
    pub(super) fn has(&self, number: usize) -> bool {
        number < self.below || self.beyond.contains(&number)
    }

    pub(super) fn add(&mut self, number: usize) {
        if number >= self.below {
            self.beyond.insert(number);
        }
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }
}

impl Progress {
    /// Reads the file at `path` if it exists; else nothing is settled.
    pub(super) fn open(path: Option<&Path>, inputs: &[InputFile], target: &str) -> Result<Self, CommandError> {
        let mut progress = Self {
            path: path.map(Path::to_owned),
            input: if path.is_some() { hash(inputs) } else { String::new() },
            target: target.to_owned(),
            settled: Settled::default(),
            totals: Totals::default(),
        };
        let Some(path) = path else { return Ok(progress) };
        match fs::read(path) {
            Ok(bytes) => progress.resume(path, &bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(CommandError::unreadable(path, &error)),
        }
        // Reported before anything is sent.
        progress.save(CommandError::usage)?;
        Ok(progress)
    }

    /// Takes over what `bytes`, the content of the file at `path`, have settled.
    fn resume(&mut self, path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
        let usage = |what: &str| {
            CommandError::usage(format!(
                "--resume {}: {what}; name another file, or delete this one to send everything from the beginning",
                path.display()
            ))
        };
        let saved: Self =
            serde_json::from_slice(bytes).map_err(|error| usage(&format!("it is no progress of `send`: {error}")))?;
        if saved.input != self.input {
            return Err(usage("it belongs to other events"));
        }
        if saved.target != self.target {
            return Err(usage(&format!("it belongs to a sending to {}, not to {}", saved.target, self.target)));
        }
        (self.settled, self.totals) = (saved.settled, saved.totals);
        Ok(())
    }

    pub(super) fn has(&self, number: usize) -> bool {
        self.settled.has(number)
    }

    pub(super) fn settle(&mut self, number: usize, count: impl FnOnce(&mut Totals) -> &mut u64) {
        self.settled.add(number);
        *count(&mut self.totals) += 1;
    }

    /// Replaces the file, so that it is whole at any time.
    pub(super) fn keep(&self) -> Result<(), CommandError> {
        self.save(CommandError::failed)
    }

    fn save(&self, error_of: fn(String) -> CommandError) -> Result<(), CommandError> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let content = serde_json::to_vec(self).map_err(io::Error::from);
        content
            .and_then(|content| fs::write(&beside, content))
            .and_then(|()| fs::rename(&beside, path))
            .map_err(|error| error_of(format!("--resume {}: it cannot be written: {error}", path.display())))
    }
}

/// Hashes contents and their lengths; names may change.
fn hash(inputs: &[InputFile]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update(input.bytes.len().to_le_bytes());
        hash.update(&input.bytes);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pushgw-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("events.progress")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn input(text: &str) -> Vec<InputFile> {
        vec![InputFile { name: "f".to_owned(), bytes: text.as_bytes().to_vec() }]
    }

    #[test]
    fn a_run_goes_on_where_the_last_one_stopped() {
        let folder = Folder::new("goes-on");
        let file = folder.file();
        let mut first = Progress::open(Some(&file), &input("x"), "queue q").unwrap();
        for number in [0, 1, 3] {
            first.settle(number, |totals| &mut totals.sent);
        }
        first.settle(4, |totals| &mut totals.refused);
        first.keep().unwrap();
        let second = Progress::open(Some(&file), &input("x"), "queue q").unwrap();
        assert_eq!((0..6).map(|number| second.has(number)).collect::<Vec<_>>(), [true, true, false, true, true, false]);
        assert_eq!(second.totals, Totals { sent: 3, refused: 1, ..Totals::default() });
    }

    #[test]
    fn a_file_of_another_sending_is_wrong_usage() {
        let folder = Folder::new("another");
        let file = folder.file();
        Progress::open(Some(&file), &input("x"), "queue q").unwrap();
        let error = |text: &str, target: &str| Progress::open(Some(&file), &input(text), target).unwrap_err();
        assert!(error("y", "queue q").to_string().contains("other events"));
        assert!(error("x", "queue r").to_string().contains("to queue q, not to queue r"));
        fs::write(&file, "{}").unwrap();
        assert!(error("x", "queue q").to_string().contains("no progress"));
        assert_eq!(error("x", "queue q").exit_code, 2);
    }

    #[test]
    fn reports_a_file_that_cannot_be_written_before_anything_is_sent() {
        let folder = Folder::new("unwritable");
        let error = Progress::open(Some(&folder.0.join("no/such/file")), &input("x"), "q").unwrap_err();
        assert!(error.exit_code == 2 && error.to_string().contains("cannot be written"), "{error}");
    }

    proptest! {
        #[test]
        fn holds_what_was_added_in_any_order(numbers in proptest::collection::vec(0..40_usize, 0..60)) {
            let mut settled = Settled::default();
            for &number in &numbers {
                settled.add(number);
            }
            for number in 0..41 {
                prop_assert_eq!(settled.has(number), numbers.contains(&number));
            }
            let read: Settled = serde_json::from_str(&serde_json::to_string(&settled).unwrap()).unwrap();
            prop_assert_eq!(read, settled);
        }
    }
}
