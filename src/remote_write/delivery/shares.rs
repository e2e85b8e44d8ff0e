//! Fair shares of the requests of an invocation: one message with many culprits must not use up the requests of the others.

use crate::limits::MAX_REQUESTS;
use crate::model::ItemId;
use std::collections::{BTreeMap, BTreeSet, HashSet};

#[derive(Debug)]
pub(super) struct Shares<'t> {
    /// The first item of each message.
    messages: &'t [ItemId],
    /// Requests that were answered, all together.
    pub(super) requests: u64,
    by_message: BTreeMap<u32, Share>,
    pub(super) given_up: BTreeSet<u32>,
}

#[derive(Debug)]
struct Share {
    limit: u64,
    spent: u64,
}

impl<'t> Shares<'t> {
    pub(super) fn new(messages: &'t [ItemId]) -> Self {
        Self { messages, requests: 0, by_message: BTreeMap::new(), given_up: BTreeSet::new() }
    }

    pub(super) fn message_of(&self, item: ItemId) -> u32 {
        let number = self.messages.partition_point(|first| *first <= item);
        u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    pub(super) fn is_given_up(&self, item: ItemId) -> bool {
        !self.given_up.is_empty() && self.given_up.contains(&self.message_of(item))
    }

    /// Counts a request for one message. Returns true if its share has ended while others wait. `waiting` returns the items that are
    /// not settled; it is called once for each message.
    pub(super) fn spend<I: Iterator<Item = ItemId>>(&mut self, message: u32, waiting: impl Fn() -> I) -> bool {
        if !self.by_message.contains_key(&message) {
            let messages: HashSet<u32> = waiting().map(|item| self.message_of(item)).collect();
            let own = waiting().filter(|&item| self.message_of(item) == message).count() as u64;
            let left = MAX_REQUESTS.saturating_sub(self.requests);
            let fair = left / (messages.len() as u64).max(1);
            // Enough to find one culprit: without any the message could not be rejected.
            let least = 2 * u64::from(own.max(1).ilog2()) + 4;
            self.by_message.insert(message, Share { limit: fair.max(least), spent: 0 });
        }
        let Some(share) = self.by_message.get_mut(&message) else { return false };
        share.spent += 1;
        share.spent >= share.limit && self.given_up.insert(message)
    }
}
