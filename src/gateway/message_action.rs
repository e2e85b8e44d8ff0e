//! Decides the action for each message by the outcomes of its events. Pure.

use super::Batch;
use super::fifo::HeldGroups;
use super::ledger::Ledger;
use crate::model::{Outcome, Reason};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageAction {
    /// All of it is stored or reported.
    Acknowledge,
    /// It goes to the dead-letter queue with the reason of its first rejected event.
    DeadLetter {
        reason: Reason,
        /// The detail of the reason, and how many more events were rejected.
        detail: String,
    },
    /// It is delivered again.
    Return {
        /// A [`Reason`], `errored`, or `held_back` after an earlier message of its group.
        reason: &'static str,
        detail: String,
    },
}

/// Returns the action for every message, before anything is dead-lettered. `failure` says why events are errored.
pub(super) fn actions(batch: &Batch<'_>, ledger: &Ledger, failure: Option<&str>) -> Vec<MessageAction> {
    let mut groups = HeldGroups::new(batch);
    let mut actions = Vec::with_capacity(batch.messages.len());
    for (number, message) in batch.messages.iter().enumerate() {
        actions.push(match ledger.worst_outcome(number) {
            _ if groups.holds(message) => MessageAction::Return {
                reason: "held_back",
                detail: "an earlier message of its group is returned".to_owned(),
            },
            Outcome::Errored => {
                groups.hold(message);
                let detail = failure.unwrap_or("it could not be sent").to_owned();
                MessageAction::Return { reason: "errored", detail }
            }
            Outcome::Rejected(_) => dead_letter(ledger, number),
            Outcome::Delivered => MessageAction::Acknowledge,
        });
    }
    actions
}

fn dead_letter(ledger: &Ledger, message: usize) -> MessageAction {
    let mut rejected = ledger.rejected_in(message);
    let Some(first) = rejected.next() else { return MessageAction::Acknowledge };
    let mut detail = first.detail().into_owned();
    let more = ledger.rejected_count_in(message).saturating_sub(1);
    if more > 0 {
        // A detail is cut to 1,000 characters; the count must survive.
        detail = detail.chars().take(900).collect();
        detail.extend(["; and ", &more.to_string(), " more"]);
    }
    MessageAction::DeadLetter { reason: first.reason, detail }
}

impl MessageAction {
    /// Returns a message that should be dead-lettered, since that is not possible.
    pub(super) fn return_instead(&mut self, why: &str) {
        if let Self::DeadLetter { reason, detail } = self {
            *self = Self::Return { reason: reason.as_str(), detail: format!("{detail} ({why})") };
        }
    }
}
