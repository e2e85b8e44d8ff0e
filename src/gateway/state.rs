//! The table behind the use cases that keep something.

use crate::config::StateSettings;
use crate::store::Store;
use std::sync::Arc;

/// The table, and how it is used.
#[derive(Clone, Debug)]
pub struct State {
    pub store: Arc<dyn Store>,
    pub settings: StateSettings,
}
