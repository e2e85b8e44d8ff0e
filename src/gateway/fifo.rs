//! The FIFO rule: after the first errored message of a group, all later messages of the group are returned. None of them is
//! dead-lettered. A rejected message does not delay its group.

use super::{Batch, Message, Trigger};
use std::collections::HashSet;

/// The groups that are held up.
#[derive(Debug)]
pub(super) struct HeldGroups<'b> {
    is_fifo: bool,
    held: HashSet<&'b str>,
}

impl<'b> HeldGroups<'b> {
    pub(super) fn new(batch: &Batch<'_>) -> Self {
        Self { is_fifo: batch.trigger == Trigger::Sqs { fifo: true }, held: HashSet::new() }
    }

    pub(super) fn holds(&self, message: &Message<'_>) -> bool {
        message.group.as_deref().is_some_and(|group| self.held.contains(group))
    }

    /// Holds up the group of an errored message.
    pub(super) fn hold(&mut self, message: &'b Message<'_>) {
        self.held.extend(message.group.as_deref().filter(|_| self.is_fifo));
    }
}
