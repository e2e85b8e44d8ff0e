//! The places of a listener: which connection to close if a new one finds all taken.
//!
//! Clients keep connections that they may never use again. Nobody can tell those from the others, so the one that was idle for the
//! longest time is closed.

use super::lengths::Lengths;
use super::watched::lock;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task;

/// The connections that are open.
#[derive(Default)]
pub(super) struct Places {
    open: HashMap<task::Id, Arc<Place>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Counts the requests of all connections, as a clock.
    requests: AtomicU64,
    /// A request was answered.
    answered: Notify,
}

/// The place of one connection.
pub(super) struct Place {
    pub(super) lengths: Arc<Mutex<Lengths>>,
    answers: AtomicU64,
    /// The last of all requests when this connection came, or had its last answer.
    used: AtomicU64,
    close: Notify,
    shared: Arc<Shared>,
}

impl Places {
    pub(super) fn place(&self) -> Arc<Place> {
        Arc::new(Place {
            lengths: Arc::new(Mutex::new(Lengths::new())),
            answers: AtomicU64::new(0),
            used: AtomicU64::new(self.shared.tick()),
            close: Notify::new(),
            shared: Arc::clone(&self.shared),
        })
    }

    pub(super) fn take(&mut self, id: task::Id, place: Arc<Place>) {
        self.open.insert(id, place);
    }

    pub(super) fn free(&mut self, id: task::Id) {
        self.open.remove(&id);
    }

    pub(super) fn taken(&self) -> usize {
        self.open.len()
    }

    /// Closes the connection that is idle for the longest time. If none is idle, one of those that get an answer is closed after it.
    pub(super) fn close_one(&self) {
        let closable = self.open.values().filter_map(|place| Some((place.busy()?, place.used.load(Relaxed), place)));
        if let Some((.., place)) = closable.min_by_key(|(busy, used, _)| (*busy, *used)) {
            place.close.notify_one();
        }
    }

    /// Waits until a request is answered.
    pub(super) async fn answered(&self) {
        self.shared.answered.notified().await;
    }
}

impl Shared {
    fn tick(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed)
    }
}

impl Place {
    /// Returns the number of the next request, from 0.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    /// Counts an answer.
    pub(super) fn count_answer(&self) {
        self.answers.fetch_add(1, Relaxed);
        self.used.store(self.shared.tick(), Relaxed);
        self.shared.answered.notify_one();
    }

    /// Waits until the place is wanted for another connection.
    pub(super) async fn wanted(&self) {
        self.close.notified().await;
    }

    /// Reports whether a whole head waits for its answer. `None` while a request is on its way: it has a limit of its own.
    fn busy(&self) -> Option<bool> {
        let lengths = lock(&self.lengths);
        let is_answered = lengths.heads() == self.answers();
        (!is_answered || lengths.is_between_requests()).then_some(!is_answered)
    }
}
