//! The table and its settings, for the use cases that keep something.

use crate::aws::{CredentialsSource, HttpTransport};
use crate::config::{StateSettings, TableSettings};
use crate::store::{DynamoDbStore, Store};
use std::sync::Arc;

/// The table, and how it is used.
#[derive(Clone, Debug)]
pub struct State {
    pub store: Arc<dyn Store>,
    pub settings: StateSettings,
}

impl State {
    /// Returns the state in the table of the settings; `None` if they name none. No call is made.
    pub fn from_settings(settings: &StateSettings, http: &HttpTransport) -> Option<Self> {
        let TableSettings { name, region, credentials } = settings.table.clone()?;
        let credentials = CredentialsSource::new(credentials, &region);
        let store = DynamoDbStore::new(name, region, http.clone(), credentials);
        Some(Self { store: Arc::new(store), settings: settings.clone() })
    }
}
