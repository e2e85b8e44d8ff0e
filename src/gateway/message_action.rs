//! Outcomes of events to actions of messages. Pure.

use super::ledger::{Ledger, Verdict};
use super::{Batch, Trigger};
use crate::instrumentation::MetricLine;
use crate::model::Reason;
use std::collections::HashSet;

/// What is done with a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MessageAction {
    /// Done with: all of it is stored, or there is nothing to do.
    Acknowledge,
    /// To be put aside, and when that is done, put aside; with the reason of its first rejected event.
    DeadLetter {
        /// The reason.
        reason: Reason,
        /// The sentence to it, with how many more events were refused.
        detail: String,
    },
    /// It is to be delivered again.
    Return {
        /// A reason of the vocabulary, `errored`, or `held_back` behind an earlier message of its group.
        reason: &'static str,
        /// In words.
        detail: String,
    },
}

/// The action of every message. A rejected one is still to be put aside.
pub(super) fn actions(batch: &Batch<'_>, ledger: &Ledger, failure: Option<&str>) -> Vec<MessageAction> {
    let mut held: HashSet<&str> = HashSet::new();
    let mut actions = Vec::with_capacity(batch.messages.len());
    for (number, message) in batch.messages.iter().enumerate() {
        let group = match (batch.trigger, &message.group) {
            (Trigger::Sqs { fifo: true }, Some(group)) => Some(group.as_ref()),
            _ => None,
        };
        let action = match ledger.verdict(number) {
            _ if group.is_some_and(|group| held.contains(group)) => MessageAction::Return {
                reason: "held_back",
                detail: "an earlier message of its group is to be tried again".to_owned(),
            },
            Verdict::Errored => {
                held.extend(group);
                let detail = failure.unwrap_or("it could not be sent").to_owned();
                MessageAction::Return { reason: "errored", detail }
            }
            Verdict::Rejected => first_refusal(ledger, number),
            Verdict::Delivered => MessageAction::Acknowledge,
        };
        actions.push(action);
    }
    actions
}

pub(super) fn count_into(actions: &[MessageAction], metrics: &mut MetricLine) {
    metrics.messages = actions.len() as u64;
    for action in actions {
        match action {
            MessageAction::Acknowledge => metrics.acknowledged += 1,
            MessageAction::DeadLetter { .. } => metrics.dead_lettered += 1,
            MessageAction::Return { .. } => metrics.handed_back += 1,
        }
    }
}

fn first_refusal(ledger: &Ledger, message: usize) -> MessageAction {
    let mut refused = ledger.refused_of(message).filter(|refused| !ledger.drops(refused.reason));
    let Some(first) = refused.next() else {
        return MessageAction::Acknowledge;
    };
    let mut detail = first.words().into_owned();
    let more = refused.count();
    if more > 0 {
        // The end must survive the cut of the whole.
        detail = detail.chars().take(900).collect();
        detail.extend(["; and ", &more.to_string(), " more"]);
    }
    MessageAction::DeadLetter { reason: first.reason, detail }
}
