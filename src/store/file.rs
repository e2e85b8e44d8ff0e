//! A table in a file of this machine, for one process.
//!
//! The file is a database of redb, whose format is stable. The answer to a change comes when it is on disk. So a killed
//! process loses no change that was answered, and the file never holds half of a change. One thread makes the changes. Each
//! commit waits for the disk. Meanwhile other changes arrive, and the thread makes all of them in its next commit.

use super::{BoxFuture, Item, Key, Page, Range, Replaced, Store, StoreError, page::PageBuilder};
use bytes::Bytes;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition};
use std::fmt;
use std::ops::Bound;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Partition and sort key.
type StoredKey = (&'static str, &'static str);

/// Version, expiry and body.
type StoredItem = (u64, Option<i64>, &'static [u8]);

const ITEMS: TableDefinition<'_, StoredKey, StoredItem> = TableDefinition::new("items");

/// The format of the items, under [`FORMAT_KEY`].
const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");
const FORMAT_KEY: &str = "format";
const FORMAT: u64 = 1;

/// The memory for pages of the file.
const CACHE_BYTES: usize = 64 << 20;

/// Changes that wait, and changes of one commit.
const MAX_CHANGES: usize = 256;

pub struct FileStore {
    path: PathBuf,
    database: Arc<Database>,
    /// `None` once it is dropped.
    changes: Option<mpsc::Sender<Change>>,
    /// A thread that ends when `changes` is dropped.
    writer: Option<JoinHandle<()>>,
}

/// Why a file cannot be opened. Its text names the file, and what to do.
#[derive(Debug)]
pub struct FileError {
    pub path: PathBuf,
    pub problem: FileProblem,
}

#[derive(Debug)]
pub enum FileProblem {
    /// Another process has it open.
    InUse,
    NewerFormat {
        found: u64,
    },
    /// It is no file of this kind, or it is damaged.
    Damaged(String),
    Io(std::io::Error),
}

enum Operation {
    Put(Item),
    Replace(Item, Option<u64>),
    Delete(Key, Option<u64>),
    DeleteExpired(i64),
}

struct Change {
    operation: Operation,
    answer: oneshot::Sender<Result<Changed, StoreError>>,
}

#[derive(Clone, Copy)]
enum Changed {
    Replaced(Replaced),
    Deleted(usize),
}

type Items<'t> = redb::Table<'t, StoredKey, StoredItem>;

impl FileStore {
    /// Opens the file, or creates it. This blocks: after a kill the file is checked first.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |problem| FileError { path: path.to_owned(), problem };
        // redb panics at some kinds of damage, in builds with debug assertions.
        let database = catch_unwind(|| open(path)).unwrap_or_else(|_| Err(FileProblem::Damaged("a panic".to_owned())));
        let database = Arc::new(database.map_err(failed)?);
        let (sender, receiver) = mpsc::channel(MAX_CHANGES);
        let written = Arc::clone(&database);
        let writer = std::thread::Builder::new().name("state".to_owned()).spawn(move || write(&written, receiver));
        let writer = writer.map_err(|error| failed(FileProblem::Io(error)))?;
        Ok(Self { path: path.to_owned(), database, changes: Some(sender), writer: Some(writer) })
    }

    /// Deletes the items that expired before `now`, in seconds since 1970, and returns their number.
    pub async fn delete_expired(&self, now: i64) -> Result<usize, StoreError> {
        match self.change(Operation::DeleteExpired(now)).await? {
            Changed::Deleted(items) => Ok(items),
            Changed::Replaced(_) => Ok(0),
        }
    }

    async fn change(&self, operation: Operation) -> Result<Changed, StoreError> {
        let (sender, answer) = oneshot::channel();
        let sent = match &self.changes {
            Some(changes) => changes.send(Change { operation, answer: sender }).await.is_ok(),
            None => false,
        };
        if !sent {
            return Err(ended(true));
        }
        answer.await.unwrap_or_else(|_| Err(ended(false)))
    }

    async fn replaced(&self, operation: Operation) -> Result<Replaced, StoreError> {
        match self.change(operation).await? {
            Changed::Replaced(replaced) => Ok(replaced),
            Changed::Deleted(_) => Ok(Replaced::Done),
        }
    }

    /// Reads on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        let read = tokio::task::spawn_blocking(move || read(&database)).await;
        read.map_err(|_| StoreError::Damaged("the file; its reader has panicked".to_owned()))?
            .map_err(|error| store_error(&error))
    }
}

/// The thread has panicked, which is a defect or damage.
fn ended(had_no_effect: bool) -> StoreError {
    StoreError::Unavailable { cause: "the writer of the file has ended".to_owned(), had_no_effect }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.changes = None;
        if let Some(writer) = self.writer.take() {
            // A panic of the thread was reported to those who wait for it.
            let _ended = writer.join();
        }
    }
}

impl Store for FileStore {
    /// A change that is not on disk after `timeout` may still get there.
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            item.check()?;
            let put = tokio::time::timeout(timeout, self.replaced(Operation::Put(item))).await;
            put.unwrap_or(Err(StoreError::Timeout)).map(|_| ())
        })
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        let key = key.clone();
        Box::pin(self.read(move |database| {
            let items = database.begin_read()?.open_table(ITEMS)?;
            let found = items.get((key.partition.as_str(), key.sort.as_str()))?;
            Ok(found.map(|found| item(key, found.value())))
        }))
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        let (range, after) = (range.clone(), after.map(str::to_owned));
        Box::pin(self.read(move |database| {
            let items = database.begin_read()?.open_table(ITEMS)?;
            let mut page = PageBuilder::new(&range);
            let (sort, is_included) = page.start(after.as_deref());
            let first = (range.partition.as_str(), sort);
            let first = if is_included { Bound::Included(first) } else { Bound::Excluded(first) };
            for found in items.range::<(&str, &str)>((first, Bound::Unbounded))? {
                let (key, value) = found?;
                let (partition, sort) = key.value();
                if !page.add(item(Key::new(partition, sort), value.value())) {
                    break;
                }
            }
            Ok(page.finish())
        }))
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        Box::pin(async move {
            item.check()?;
            self.replaced(Operation::Replace(item, expected)).await
        })
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        Box::pin(self.replaced(Operation::Delete(key.clone(), expected)))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("path", &self.path).finish_non_exhaustive()
    }
}

fn item(key: Key, (version, expires, body): (u64, Option<i64>, &[u8])) -> Item {
    Item { key, version, expires, body: Bytes::copy_from_slice(body) }
}

fn open(path: &Path) -> Result<Database, FileProblem> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).create(path)?;
    check_format(&database)?;
    Ok(database)
}

fn check_format(database: &Database) -> Result<(), FileProblem> {
    let damaged = |error: redb::Error| FileProblem::Damaged(error.to_string());
    let transaction = database.begin_write().map_err(|error| damaged(error.into()))?;
    let found = {
        let mut about = transaction.open_table(ABOUT).map_err(|error| damaged(error.into()))?;
        let found = about.get(FORMAT_KEY).map_err(|error| damaged(error.into()))?.map(|found| found.value());
        if found.is_none() {
            about.insert(FORMAT_KEY, FORMAT).map_err(|error| damaged(error.into()))?;
            transaction.open_table(ITEMS).map_err(|error| damaged(error.into()))?;
        }
        found
    };
    match found {
        None => transaction.commit().map_err(|error| damaged(error.into())),
        Some(FORMAT) => Ok(()),
        Some(found) => Err(FileProblem::NewerFormat { found }),
    }
}

/// Makes changes until nobody can send any.
fn write(database: &Database, mut changes: mpsc::Receiver<Change>) {
    let mut waiting = Vec::new();
    while changes.blocking_recv_many(&mut waiting, MAX_CHANGES) > 0 {
        let committed = commit(database, &waiting);
        for (position, change) in waiting.drain(..).enumerate() {
            let answer = match &committed {
                Ok(results) => Ok(results[position]),
                Err(error) => Err(store_error(error)),
            };
            // Nobody waits for the answer of a call that was dropped.
            let _sent = change.answer.send(answer);
        }
    }
}

fn commit(database: &Database, changes: &[Change]) -> Result<Vec<Changed>, redb::Error> {
    let transaction = database.begin_write()?;
    let results = {
        let mut items = transaction.open_table(ITEMS)?;
        changes.iter().map(|change| make(&mut items, &change.operation)).collect::<Result<_, _>>()?
    };
    transaction.commit()?;
    Ok(results)
}

fn make(items: &mut Items<'_>, operation: &Operation) -> Result<Changed, StorageError> {
    let version = |items: &Items<'_>, key: (&str, &str)| -> Result<Option<u64>, StorageError> {
        Ok(items.get(key)?.map(|found| found.value().0))
    };
    match operation {
        Operation::Put(item) => insert(items, item)?,
        Operation::Replace(item, expected) => {
            if version(items, key_of(&item.key))? != *expected {
                return Ok(Changed::Replaced(Replaced::Conflict));
            }
            insert(items, item)?;
        }
        Operation::Delete(key, expected) => {
            let key = key_of(key);
            if expected.is_some() && version(items, key)? != *expected {
                return Ok(Changed::Replaced(Replaced::Conflict));
            }
            items.remove(key)?;
        }
        Operation::DeleteExpired(now) => {
            let mut deleted = 0;
            items.retain(|_, (_, expires, _)| {
                let is_kept = expires.is_none_or(|expires| expires >= *now);
                deleted += usize::from(!is_kept);
                is_kept
            })?;
            return Ok(Changed::Deleted(deleted));
        }
    }
    Ok(Changed::Replaced(Replaced::Done))
}

fn key_of(key: &Key) -> (&str, &str) {
    (&key.partition, &key.sort)
}

fn insert(items: &mut Items<'_>, item: &Item) -> Result<(), StorageError> {
    items.insert(key_of(&item.key), (item.version, item.expires, item.body.as_ref()))?;
    Ok(())
}

fn store_error(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } | redb::Error::TableDoesNotExist(_) => {
            StoreError::Damaged(error.to_string())
        }
        _ => StoreError::Unavailable { cause: error.to_string(), had_no_effect: false },
    }
}

impl From<DatabaseError> for FileProblem {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::InUse,
            DatabaseError::Storage(StorageError::Io(error)) => match error.kind() {
                // redb gives this error for a file that does not begin as its files do.
                std::io::ErrorKind::InvalidData => Self::Damaged(error.to_string()),
                _ => Self::Io(error),
            },
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.problem {
            FileProblem::InUse => {
                write!(f, "another process uses the state in {path}; stop it, or choose another file")
            }
            FileProblem::NewerFormat { found } => write!(
                f,
                "the state in {path} has format {found}, and this version knows formats up to {FORMAT}; use the newer version \
                 that wrote it"
            ),
            FileProblem::Damaged(cause) => {
                write!(f, "{path} is not a file of the state, or it is damaged: {cause}; choose another file")
            }
            FileProblem::Io(error) => write!(f, "cannot open the state in {path}: {error}"),
        }
    }
}

impl std::error::Error for FileError {}

#[cfg(test)]
mod tests;
