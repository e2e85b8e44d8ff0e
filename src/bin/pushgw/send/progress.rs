//! Saves in a file which messages are settled, so that the next run continues from there.
//!
//! * The file is a journal: a line about the run, then a line for each settled message. It only grows, by a few bytes a
//!   message.
//! * If the end of a process or of the machine cut a line off, it is left out, and its message is sent again.
//! * Only one run at a time has the lock of the file. A symbolic link is not followed.

use crate::appended_file;
use crate::exit::CommandError;
use crate::input_file::InputFile;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file reaches the disk at least so often.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// The first line has the name of the target.
const MAX_LINE_BYTES: u64 = 64 << 10;

const NO_PROGRESS: &str = "it is not a progress file of `send`";

/// The outcome of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Sent,
    /// Rejected before sending.
    Refused,
    /// Rejected by the function or the receiver.
    Rejected,
    /// Nobody can send it as it is.
    Failed,
}

/// Messages by their outcome.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Totals {
    pub(super) sent: u64,
    pub(super) refused: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
}

/// The settled messages: all below a number, and some beyond.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Settled {
    below: u64,
    beyond: BTreeSet<u64>,
}

/// The first line of the file.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Header {
    /// A hash of what is sent.
    input: String,
    target: String,
    run: String,
}

#[derive(Debug)]
pub(super) struct Progress {
    journal: Option<Journal>,
    /// Tells this run from others; a run that is resumed keeps it.
    pub(super) run: String,
    settled: Settled,
    pub(super) totals: Totals,
}

#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    /// Lines that are not written yet.
    lines: String,
    synced: Instant,
}

/// Returns a name that no other run has.
pub(super) fn new_run() -> String {
    format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

impl Kind {
    const ALL: [Self; 4] = [Self::Sent, Self::Refused, Self::Rejected, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

impl Totals {
    pub(super) fn settled(self) -> u64 {
        let Self { sent, refused, rejected, failed } = self;
        sent + refused + rejected + failed
    }
}

impl Settled {
    fn has(&self, number: u64) -> bool {
        number < self.below || self.beyond.contains(&number)
    }

    fn add(&mut self, number: u64) {
        if number >= self.below {
            self.beyond.insert(number);
        }
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }
}

/// Why a line of a file is not taken over.
#[derive(Debug)]
enum LineError {
    NoHeader(serde_json::Error),
    OtherEvents,
    OtherTarget { own: String, found: String },
    NoLine(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHeader(error) => write!(f, "{NO_PROGRESS}: {error}"),
            Self::OtherEvents => f.write_str("it belongs to other events"),
            Self::OtherTarget { own, found } => write!(f, "it belongs to a run that sends to {found}, not to {own}"),
            Self::NoLine(line) => write!(f, "{line:?} is not a line of a progress file of `send`"),
        }
    }
}

impl Progress {
    /// Reads the file at `path` if it exists; else nothing is settled.
    pub(super) fn open(path: Option<&Path>, inputs: &[InputFile], target: &str) -> Result<Self, CommandError> {
        let mut progress =
            Self { journal: None, run: new_run(), settled: Settled::default(), totals: Totals::default() };
        let Some(path) = path else { return Ok(progress) };
        let usage = |what: &str| {
            CommandError::usage(format!(
                "--resume {}: {what}; name another file, or delete this one to send everything from the beginning",
                path.display()
            ))
        };
        let unusable = |error: &io::Error| usage(&format!("it cannot be written: {error}"));
        let file = appended_file::open(path).map_err(|error| unusable(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(usage("another run of `send` is using it")),
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
        }
        let header = Header { input: hash(inputs)?, target: target.to_owned(), run: progress.run.clone() };
        let mut reader = BufReader::new(&file);
        let (mut whole, mut line) = (0, Vec::new());
        loop {
            line.clear();
            let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
            let read = read.map_err(|error| CommandError::unreadable(path, &error))? as u64;
            if line.last() != Some(&b'\n') {
                if read == MAX_LINE_BYTES {
                    return Err(usage(NO_PROGRESS));
                }
                break;
            }
            let text = str::from_utf8(&line).map_err(|_| usage(NO_PROGRESS))?.trim_end();
            let resumed = if whole == 0 { progress.resume_run(text, &header) } else { progress.resume_line(text) };
            resumed.map_err(|error| usage(&error.to_string()))?;
            whole += read;
        }
        let mut journal = Journal { path: path.to_owned(), file, lines: String::new(), synced: Instant::now() };
        if whole == 0 {
            // A whole object without a line end is no header that was cut off.
            let is_cut_off = line.starts_with(b"{\"input\":") && serde_json::from_slice::<IgnoredAny>(&line).is_err();
            if !line.is_empty() && !is_cut_off {
                return Err(usage(NO_PROGRESS));
            }
            // These types hold strings, which always serialise.
            journal.lines = serde_json::to_string(&header).unwrap_or_default() + "\n";
        }
        // Without a line that was cut off.
        journal.file.set_len(whole).map_err(|error| unusable(&error))?;
        // Reported before anything is sent.
        journal.write(true).map_err(|error| unusable(&error))?;
        progress.journal = Some(journal);
        Ok(progress)
    }

    /// Takes over the run of a file's first line.
    fn resume_run(&mut self, line: &str, own: &Header) -> Result<(), LineError> {
        let header: Header = serde_json::from_str(line).map_err(LineError::NoHeader)?;
        if header.input != own.input {
            return Err(LineError::OtherEvents);
        }
        if header.target != own.target {
            return Err(LineError::OtherTarget { own: own.target.clone(), found: header.target });
        }
        self.run = header.run;
        Ok(())
    }

    /// Takes over what another line has settled.
    fn resume_line(&mut self, line: &str) -> Result<(), LineError> {
        let read = line.split_once(' ').and_then(|(name, number)| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name)?;
            Some((kind, number.parse().ok()?))
        });
        let (kind, number) = read.ok_or_else(|| LineError::NoLine(line.to_owned()))?;
        self.count(number, kind);
        Ok(())
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.settled.has(number)
    }

    pub(super) fn settle(&mut self, number: u64, kind: Kind) {
        self.count(number, kind);
        if let Some(journal) = &mut self.journal {
            journal.lines.push_str(&format_args!("{} {number}\n", kind.as_str()).to_string());
        }
    }

    fn count(&mut self, number: u64, kind: Kind) {
        self.settled.add(number);
        *match kind {
            Kind::Sent => &mut self.totals.sent,
            Kind::Refused => &mut self.totals.refused,
            Kind::Rejected => &mut self.totals.rejected,
            Kind::Failed => &mut self.totals.failed,
        } += 1;
    }

    /// Appends what was settled to the file, so that it survives the end of this process. The machine's end may cost the last second.
    pub(super) fn keep(&mut self) -> Result<(), CommandError> {
        self.write(false)
    }

    /// Appends what was settled, and waits until it is on the disk.
    pub(super) fn finish(&mut self) -> Result<(), CommandError> {
        self.write(true)
    }

    fn write(&mut self, syncs: bool) -> Result<(), CommandError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let path = journal.path.clone();
        let written = journal.write(syncs);
        written.map_err(|error| {
            CommandError::failed(format!("--resume {}: it cannot be written: {error}", path.display()))
        })
    }
}

impl Journal {
    fn write(&mut self, syncs: bool) -> io::Result<()> {
        self.file.write_all(self.lines.as_bytes())?;
        self.lines.clear();
        if syncs || self.synced.elapsed() >= SYNC_INTERVAL {
            self.file.sync_data()?;
            self.synced = Instant::now();
        }
        Ok(())
    }
}

/// Hashes contents and their lengths; names may change.
fn hash(inputs: &[InputFile]) -> Result<String, CommandError> {
    let mut hash = Sha256::new();
    for input in inputs {
        input.hash(&mut |bytes| hash.update(bytes))?;
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

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
        vec![InputFile::text("f", text)]
    }

    #[test]
    fn a_run_goes_on_where_the_last_one_stopped() {
        let folder = Folder::new("goes-on");
        let file = folder.file();
        let mut first = Progress::open(Some(&file), &input("x"), "queue q").unwrap();
        for number in [0, 1, 3] {
            first.settle(number, Kind::Sent);
        }
        first.settle(4, Kind::Refused);
        first.keep().unwrap();
        let error = Progress::open(Some(&file), &input("x"), "queue q").unwrap_err();
        assert!(error.to_string().contains("another run"), "{error}");
        let run = first.run.clone();
        drop(first);
        // The end of a process can cut a line off.
        fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"sent 2").unwrap();
        let second = Progress::open(Some(&file), &input("x"), "queue q").unwrap();
        assert_eq!(second.run, run);
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
        assert!(error("x", "queue q").to_string().contains(NO_PROGRESS));
        let of_old = r#"{"input":"a","target":"queue q","settled":{"below":2,"beyond":[]},"totals":{"sent":2}}"#;
        fs::write(&file, of_old).unwrap();
        assert!(error("x", "queue q").to_string().contains(NO_PROGRESS));
        assert_eq!(fs::read_to_string(&file).unwrap(), of_old);
        fs::write(&file, "{}\n").unwrap();
        assert!(error("x", "queue q").to_string().contains(NO_PROGRESS));
        assert_eq!(error("x", "queue q").exit_code, 2);
    }

    #[test]
    fn writes_a_few_bytes_for_each_message() {
        let folder = Folder::new("bytes");
        let mut progress = Progress::open(Some(&folder.file()), &input("x"), "queue q").unwrap();
        // The last first: all but one are beyond the settled beginning.
        for number in (0..10_000).rev() {
            progress.settle(number, Kind::Sent);
            progress.keep().unwrap();
        }
        assert!(fs::metadata(folder.file()).unwrap().len() < 120_000);
    }

    #[test]
    fn reports_a_file_that_cannot_be_written_before_anything_is_sent() {
        let folder = Folder::new("unwritable");
        let error = Progress::open(Some(&folder.0.join("no/such/file")), &input("x"), "q").unwrap_err();
        assert!(error.exit_code == 2 && error.to_string().contains("cannot be written"), "{error}");
    }

    proptest! {
        #[test]
        fn holds_what_was_added_in_any_order(numbers in proptest::collection::vec(0..40_u64, 0..60)) {
            let mut settled = Settled::default();
            for &number in &numbers {
                settled.add(number);
            }
            for number in 0..41 {
                prop_assert_eq!(settled.has(number), numbers.contains(&number));
            }
        }
    }
}
