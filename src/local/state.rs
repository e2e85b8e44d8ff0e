//! The table of the state on one machine: a file, or memory.

use crate::model::Timestamp;
use crate::store::{FileError, FileStore, MemoryStore, Store, StoreError};
use std::path::Path;
use std::sync::Arc;

/// DynamoDB deletes expired items itself. Here the caller must ask for it.
#[derive(Clone, Debug)]
pub enum LocalTable {
    InMemory(Arc<MemoryStore>),
    File(Arc<FileStore>),
}

impl LocalTable {
    /// Opens the file, or creates it. Without one, the table is in memory.
    pub fn open(path: Option<&Path>) -> Result<Self, FileError> {
        match path {
            Some(path) => Ok(Self::File(Arc::new(FileStore::open(path)?))),
            None => Ok(Self::InMemory(Arc::default())),
        }
    }

    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::InMemory(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::File(store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Deletes what expired before `now`, and returns the number of items.
    pub async fn delete_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        let seconds = now.0.div_euclid(1_000);
        match self {
            Self::InMemory(store) => Ok(store.delete_expired(seconds)),
            Self::File(store) => store.delete_expired(seconds).await,
        }
    }
}
