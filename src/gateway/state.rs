//! The table and its settings, for the use cases that keep something.

#[cfg(feature = "cli")]
use super::tick::head;
use crate::aws::{CredentialsSource, HttpTransport};
use crate::config::{StateSettings, TableSettings};
use crate::model::Timestamp;
use crate::store::{DynamoDbStore, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// The table, and how it is used.
#[derive(Clone, Debug)]
pub struct State {
    pub store: Arc<dyn Store>,
    pub settings: StateSettings,
    pub(super) read_until: ReadUntil,
}

/// The time up to which ticks have read the journal, as far as this process knows: the latest cursor.
///
/// `serve` ticks itself, on a machine whose clock may be set back. A journal item of the time that the clock then shows would lie
/// where no tick reads, and its events would be lost. So no item gets an earlier time than this. A function only knows it if it
/// ticks, and Lambda's clocks are right.
#[derive(Clone, Default, Debug)]
pub(super) struct ReadUntil(Arc<AtomicI64>);

impl ReadUntil {
    pub(super) fn note(&self, cursor: Timestamp) {
        self.0.fetch_max(cursor.0, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

impl State {
    /// Returns the state in this table. No call is made.
    pub fn new(store: Arc<dyn Store>, settings: StateSettings) -> Self {
        Self { store, settings, read_until: ReadUntil::default() }
    }

    /// Reads how far the ticks of earlier processes have read the journal. A shard that cannot be read is left out: its ticks
    /// report the error.
    #[cfg(feature = "cli")]
    pub async fn resume(&self) {
        for shard in 0..self.settings.shards {
            if let Ok(Some((head, _))) = head(self.store.as_ref(), shard).await {
                self.read_until.note(head.cursor);
            }
        }
    }

    /// Returns the state in the table of the settings; `None` if they name none. No call is made.
    pub fn from_settings(settings: &StateSettings, http: &HttpTransport) -> Option<Self> {
        let TableSettings { name, region, credentials } = settings.table.clone()?;
        let credentials = CredentialsSource::new(credentials, &region);
        let store = DynamoDbStore::new(name, region, http.clone(), credentials);
        Some(Self::new(Arc::new(store), settings.clone()))
    }
}
