//! Appends typed events to the journal in the table.
//!
//! * Each put has a new key, even a retry of the same item. So a late put can only add a repetition, which the fold drops.
//! * The gateway puts the items of one shard one after another, and none after an item that was not confirmed. So the keys of an
//!   invocation have the order of its events, even after retries and repeated messages. The fold reads in this order: of two
//!   gauges with one time it takes the later one of the message.
//! * The gateway gives up a put after [`PUT_TIMEOUT`]. A tick reads the last two minutes again, which is much longer. So no
//!   item appears where no tick reads.
//! * A batch without typed events makes no call.

use super::state::ReadUntil;
use super::tick::{expires, journal_partition};
use super::{Batch, Message, State, Trigger};
use crate::aggregate::journal::{JournalBuilder, JournalItem};
use crate::aggregate::{Identity, Safeguard, shard_of};
use crate::model::{DEFECT, ItemId, Reason, Rejection, Timestamp, TypedMetric};
use crate::remote_write::Backoff;
use crate::store::{Item, Key, Store, StoreError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A put is given up after this.
const PUT_TIMEOUT: Duration = Duration::from_secs(5);

/// With less time left no put is begun.
const SHORTEST_PUT: Duration = Duration::from_millis(100);

/// The function waits for an outage of some seconds. For a longer one the messages wait on the queue.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1), tries: 4 };

/// Puts at the same time, each for another shard.
const PUTS: usize = 8;

/// Collects the typed events of a batch.
#[derive(Debug)]
pub(super) struct Journal<'b> {
    state: &'b State,
    builder: JournalBuilder,
    /// Each event, and the number of its item.
    events: Vec<(ItemId, u32)>,
    /// The message whose events are added.
    message: MessageIdentity<'b>,
    sent: Timestamp,
}

/// Which typed events are in the journal.
#[derive(Default, Debug)]
pub(super) struct Journalled {
    /// Each event, and whether its item was confirmed.
    pub(super) events: Vec<(ItemId, bool)>,
    /// Why an item was not confirmed.
    pub(super) failure: Option<String>,
}

/// The identity of a message. It distinguishes the events of the message from others, and is the same if the message
/// comes again.
#[derive(Debug)]
struct MessageIdentity<'m>(Cow<'m, str>);

#[derive(Debug)]
enum PutError {
    Store(StoreError),
    OutOfTime,
}

impl<'m> MessageIdentity<'m> {
    /// Returns an identity that is the same at each delivery of the message. If the message has none, it gets one that
    /// no other message has.
    fn of(message: &'m Message<'_>, trigger: Trigger) -> Self {
        let some = |text: &'m Option<Cow<'_, str>>| text.as_deref().filter(|text| !text.is_empty());
        // A line break is in no id, so these forms cannot be mixed up.
        Self(match (some(&message.source_message_id), some(&message.source_index)) {
            (Some(id), Some(index)) => Cow::Owned(format!("{id}\n{index}")),
            (Some(id), None) => Cow::Borrowed(id),
            (None, _) => match (some(&message.idempotency_key), trigger) {
                (Some(key), _) => Cow::Owned(format!("\n{key}")),
                (None, Trigger::Sqs { .. } | Trigger::Direct) if !message.id.is_empty() => Cow::Borrowed(&message.id),
                _ => Cow::Owned(format!("\n\n{:032x}", fastrand::u128(..))),
            },
        })
    }
}

impl<'b> Journal<'b> {
    pub(super) fn new(state: &'b State) -> Self {
        Self {
            state,
            builder: builder(),
            events: Vec::new(),
            message: MessageIdentity(Cow::Borrowed("")),
            sent: Timestamp(0),
        }
    }

    /// Begins a message: events that are added belong to it.
    pub(super) fn open_message(&mut self, message: &'b Message<'_>, batch: &Batch<'_>) {
        self.message = MessageIdentity::of(message, batch.trigger);
        // A clock of the queue that runs ahead is cut.
        self.sent = message.sent.map_or(batch.started, |sent| sent.min(batch.started));
    }

    /// Adds an event. `index` is its position in its message. Returns an error if it is too large for the journal.
    pub(super) fn add(&mut self, event: ItemId, metric: &TypedMetric<'_>, index: u32) -> Result<(), Rejection> {
        let identity = match &metric.id {
            Some(id) => Identity::of_id(id, metric.update.metric_type(), &metric.name, &metric.labels),
            None => Identity::of_event(&self.message.0, index.into()),
        };
        self.add_as(identity, event, metric, self.sent)
    }

    /// Adds an event that has this identity. `sent` is when its sender sent it.
    pub(super) fn add_as(
        &mut self,
        identity: Identity,
        event: ItemId,
        metric: &TypedMetric<'_>,
        sent: Timestamp,
    ) -> Result<(), Rejection> {
        let shard = shard_of(&metric.name, &metric.labels, self.state.settings.shards);
        let added = self.builder.add(shard, identity, metric, sent);
        let item = added.map_err(|error| Rejection::new(Reason::TooLarge, error.to_string()))?;
        // A payload has fewer items than events.
        self.events.push((event, u32::try_from(item).unwrap_or(u32::MAX)));
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn into_items(self) -> Result<Vec<JournalItem>, crate::blob::BlobError> {
        self.builder.finish()
    }

    async fn write(self, deadline: Instant) -> Journalled {
        let Self { state, builder, events, .. } = self;
        let (confirmed, failure) = match builder.finish() {
            Ok(items) => put_all(state, items, deadline).await,
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let is_confirmed = |item: u32| confirmed.get(item as usize).copied().unwrap_or(false);
        Journalled { events: events.into_iter().map(|(event, item)| (event, is_confirmed(item))).collect(), failure }
    }
}

/// Puts all items of `journal` before `deadline`.
pub(super) async fn write(journal: Option<Journal<'_>>, deadline: Instant) -> Journalled {
    match journal {
        Some(journal) if !journal.events.is_empty() => journal.write(deadline).await,
        _ => Journalled::default(),
    }
}

/// Returns why events are errored.
pub(super) fn joined(receiver: Option<String>, table: Option<String>) -> Option<String> {
    match (receiver, table) {
        (Some(receiver), Some(table)) => Some(format!("{receiver}; {table}")),
        (receiver, table) => receiver.or(table),
    }
}

/// Returns for each item whether it was confirmed, and the first failure.
async fn put_all(state: &State, items: Vec<JournalItem>, deadline: Instant) -> (Vec<bool>, Option<String>) {
    let mut confirmed = vec![false; items.len()];
    let mut failure = None;
    let mut waiting = in_order(items);
    let mut puts = JoinSet::new();
    loop {
        while puts.len() < PUTS
            && let Some(items) = waiting.pop_first()
        {
            let (store, keys) = (Arc::clone(&state.store), Keys::from(&state.read_until));
            puts.spawn(async move { put_in_order(store.as_ref(), keys, items.1, deadline).await });
        }
        match puts.join_next().await {
            None => return (confirmed, failure),
            Some(Ok((numbers, done))) => {
                for number in numbers {
                    confirmed[number] = true;
                }
                if let Err(error) = done {
                    failure.get_or_insert_with(|| error.to_string());
                }
            }
            Some(Err(_)) => _ = failure.get_or_insert_with(|| DEFECT.to_owned()),
        }
    }
}

/// Returns the items that must be put one after another, with their numbers: those of each shard.
fn in_order(items: Vec<JournalItem>) -> BTreeMap<usize, Vec<(usize, JournalItem)>> {
    let mut queues: BTreeMap<usize, Vec<_>> = BTreeMap::new();
    for (number, item) in items.into_iter().enumerate() {
        let queue = if Safeguard::PutsInOrder.is_kept() { item.shard.into() } else { number };
        queues.entry(queue).or_default().push((number, item));
    }
    queues
}

/// Puts items one after another until one fails. Returns the numbers of those that were confirmed.
async fn put_in_order(
    store: &dyn Store,
    mut keys: Keys,
    items: Vec<(usize, JournalItem)>,
    deadline: Instant,
) -> (Vec<usize>, Result<(), PutError>) {
    let mut confirmed = Vec::new();
    for (number, item) in items {
        if let Err(error) = put(store, &mut keys, &item, deadline).await {
            return (confirmed, Err(error));
        }
        confirmed.push(number);
    }
    (confirmed, Ok(()))
}

/// Puts an item, under a new key at each try.
async fn put(store: &dyn Store, keys: &mut Keys, item: &JournalItem, deadline: Instant) -> Result<(), PutError> {
    let (mut tries, mut last) = (0, None);
    let mut next = keys.item(item);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < SHORTEST_PUT {
            return Err(last.map_or(PutError::OutOfTime, PutError::Store));
        }
        if tries > 0 && Safeguard::FreshKeys.is_kept() {
            next = keys.item(item);
        }
        let error = match store.put(next.clone(), left.min(PUT_TIMEOUT)).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        tries += 1;
        match BACKOFF.wait(tries, fastrand::f64()).filter(|_| error.is_transient()) {
            Some(wait) if wait + SHORTEST_PUT < deadline.saturating_duration_since(Instant::now()) => {
                tracing::warn!(tries, error = %error, "journal put failed");
                tokio::time::sleep(wait).await;
                last = Some(error);
            }
            _ => return Err(PutError::Store(error)),
        }
    }
}

/// The keys of the items that are put one after another. They ascend.
#[derive(Debug)]
struct Keys {
    last: Duration,
    count: u32,
}

impl From<&ReadUntil> for Keys {
    fn from(read_until: &ReadUntil) -> Self {
        Self { last: Duration::from_millis(u64::try_from(read_until.get().0).unwrap_or(0)), count: 0 }
    }
}

impl Keys {
    /// Returns a journal item under a fresh key. The key begins with the time of the put, because a tick reads in this order. The running
    /// number tells items of one millisecond apart.
    fn item(&mut self, JournalItem { shard, blob, .. }: &JournalItem) -> Item {
        let now = now();
        // A clock that is set back does not count.
        self.last = now.max(self.last);
        self.count += 1;
        let sort = format!("{:013}#{:04x}#{:016x}", self.last.as_millis(), self.count, fastrand::u64(..));
        let expires = expires(Timestamp(i64::try_from(now.as_millis()).unwrap_or(i64::MAX)));
        Item { key: Key::new(journal_partition(*shard), sort), version: 1, expires: Some(expires), body: blob.clone() }
    }
}

/// Returns a builder of items.
fn builder() -> JournalBuilder {
    #[cfg(test)]
    if super::chaos::clock().is_some() && fastrand::bool() {
        return JournalBuilder::of_small_items();
    }
    JournalBuilder::default()
}

/// Returns the time of the clock, since 1970. The clock of the machine goes on while a function is frozen.
fn now() -> Duration {
    #[cfg(test)]
    if let Some(now) = super::chaos::clock() {
        return now;
    }
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::OutOfTime => f.write_str("the invocation ran out of time before all typed metrics were in the table"),
        }
    }
}
