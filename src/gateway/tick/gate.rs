//! The gate is asked before each request of a tick. It closes when there is a newer head, because this tick must not send
//! samples after those of a newer one.

use super::TickError;
use crate::aggregate::Safeguard;
use crate::model::Timestamp;
use crate::remote_write::{Gate, IsOpen};
use crate::store::Store;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Debug)]
pub(super) struct HeadGate<'t> {
    store: &'t Arc<dyn Store>,
    shard: u16,
    /// The tick of the head that is sent. A deletion replaces the head and keeps its tick: its markers are sent later.
    tick: Timestamp,
    found: Mutex<Found>,
}

/// The head at the last look.
#[derive(Clone, Debug)]
enum Found {
    Own,
    Newer,
    /// Nobody knows.
    Failed(TickError),
}

impl<'t> HeadGate<'t> {
    pub(super) fn new(store: &'t Arc<dyn Store>, shard: u16, tick: Timestamp) -> Self {
        Self { store, shard, tick, found: Mutex::new(Found::Own) }
    }

    /// Returns whether a newer head was seen; an error if the last look failed.
    pub(super) fn is_overtaken(&self) -> Result<bool, TickError> {
        match &*self.found.lock().unwrap_or_else(PoisonError::into_inner) {
            Found::Own => Ok(false),
            Found::Newer => Ok(true),
            Found::Failed(error) => Err(error.clone()),
        }
    }

    async fn look(&self) -> Found {
        if !Safeguard::NewerHead.is_kept() {
            return Found::Own;
        }
        match super::head(self.store.as_ref(), self.shard).await {
            Ok(Some((head, _))) if head.tick == self.tick => Found::Own,
            Ok(_) => Found::Newer,
            Err(error) => Found::Failed(error),
        }
    }
}

impl Gate for HeadGate<'_> {
    fn is_open(&self) -> IsOpen<'_> {
        Box::pin(async {
            let found = self.look().await;
            let is_open = matches!(found, Found::Own);
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
            is_open
        })
    }
}
