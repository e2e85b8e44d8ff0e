//! Parses a message of a dead-letter queue into a [`DeadLetter`] with its reason and its original message. Pure.
//!
//! Four services send messages there. The gateway itself; SQS, after `maxReceiveCount`; Lambda, after the last try of an
//! asynchronous invocation ([`lambda`]); the error action of an IoT rule ([`iot`]). Attributes are looked at first: no
//! producer's text can imitate them.

mod iot;
mod lambda;

use amp_push_gateway::model::{Reason, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// The reason of messages that SQS moved.
pub(super) const MAX_RECEIVES: &str = "max_receives";
/// The reason of invocations whose record names none.
pub(super) const DELIVERY_FAILED: &str = "delivery_failed";
/// Error types of the function beside [`Reason`].
const OF_THE_FUNCTION: [&str; 2] = [DELIVERY_FAILED, "dead_letter_failed"];
const MAX_REASON_CHARS: usize = 64;

/// A message as the queue hands it over.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Received {
    pub(super) id: String,
    pub(super) body: String,
    /// Message attributes that are text or numbers.
    pub(super) attributes: BTreeMap<String, String>,
    /// When SQS took it. A message that SQS moves from a standard queue keeps it.
    pub(super) sent: Option<Timestamp>,
    /// The queue from which SQS moved it.
    pub(super) moved_from: Option<String>,
    /// Its group on a FIFO queue.
    pub(super) group: Option<String>,
}

/// Who sent it there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Origin {
    /// The gateway, with its reason.
    Gateway,
    /// SQS, after `maxReceiveCount` deliveries.
    Queue,
    /// Lambda, after the last try of an asynchronous invocation.
    Lambda,
    /// The error action of an IoT rule.
    Iot,
}

/// The original message, as far as it is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// The gateway accepts it.
    Whole(String),
    /// Only a person can send it again, and why.
    ForAFile { text: String, why: &'static str },
    /// Nothing can be sent again, and why.
    Missing { why: &'static str },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct DeadLetter {
    /// The id that the message has on the dead-letter queue.
    pub(super) id: String,
    pub(super) origin: Origin,
    pub(super) reason: String,
    pub(super) detail: String,
    pub(super) message: Message,
    /// When it was first sent: the time of an event without a timestamp.
    pub(super) sent: Option<Timestamp>,
    pub(super) maybe_stored: bool,
    pub(super) group: Option<String>,
}

// === impl Origin ===

impl Origin {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Queue => "queue",
            Self::Lambda => "lambda",
            Self::Iot => "iot",
        }
    }
}

// === impl DeadLetter ===

impl DeadLetter {
    /// Parses `received`. A message of no other origin was moved by SQS, which adds nothing of its own.
    pub(super) fn read(received: Received) -> Self {
        if received.is_of_the_gateway() {
            return Self::of_the_gateway(received);
        }
        if let Some(dead_letter) = lambda::of_a_function_queue(&received) {
            return dead_letter;
        }
        // An IoT rule's action for SQS encodes in base64 where it is told to.
        let decoded = received.decoded();
        let text = decoded.as_deref().unwrap_or(&received.body);
        lambda::record(&received, text)
            .or_else(|| iot::record(&received, text))
            .unwrap_or_else(|| Self::moved(received))
    }

    fn of_the_gateway(mut received: Received) -> Self {
        let sent = received.carried_sent_timestamp().or(received.sent);
        let mut take = |name: &str| received.attributes.remove(name).unwrap_or_default();
        Self {
            origin: Origin::Gateway,
            reason: reason_word(&take("reason")).unwrap_or_default(),
            detail: take("detail"),
            maybe_stored: take("maybe_stored") == "true",
            message: Message::Whole(received.body),
            sent,
            id: received.id,
            group: received.group,
        }
    }

    fn moved(received: Received) -> Self {
        let source = received.moved_from.as_deref().map_or(String::new(), |source| format!(" from {source}"));
        Self {
            origin: Origin::Queue,
            reason: MAX_RECEIVES.to_owned(),
            detail: format!(
                "moved by the queue{source} after its maxReceiveCount; why is in the log lines of the function for \
                 message {}",
                received.id
            ),
            sent: received.carried_sent_timestamp().or(received.sent),
            message: Message::Whole(received.body),
            maybe_stored: false,
            id: received.id,
            group: received.group,
        }
    }
}

// === impl Received ===

impl Received {
    /// Returns true if the attributes are the gateway's: one of its reasons, or (of another version) its other attributes
    /// beside a reason. A message that SQS moved keeps the attributes of its producer, who may use `reason`, too.
    fn is_of_the_gateway(&self) -> bool {
        let has = |name: &str| self.attributes.contains_key(name);
        let reason = self.attributes.get("reason");
        reason.is_some_and(|reason| is_known(reason) || (has("detail") && has("source_message_id")))
    }

    fn carried_sent_timestamp(&self) -> Option<Timestamp> {
        let text = self.attributes.get("sent_timestamp")?;
        let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_digits { text.parse().ok().map(Timestamp) } else { None }
    }

    /// Returns the decoded body if it is a JSON object in base64.
    fn decoded(&self) -> Option<String> {
        let body = self.body.trim_ascii();
        // `{"` in base64.
        if !body.starts_with("ey") && !body.starts_with("ew") {
            return None;
        }
        String::from_utf8(STANDARD.decode(body).ok()?).ok()
    }
}

/// Returns true if the gateway, or the function in front of it, uses this reason.
pub(super) fn is_known(reason: &str) -> bool {
    Reason::ALL.iter().any(|known| known.as_str() == reason) || OF_THE_FUNCTION.contains(&reason)
}

/// Makes a reason of `text`: one short word.
pub(super) fn reason_word(text: &str) -> Option<String> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let word: String = text.trim().chars().map(|c| if blank(c) { '_' } else { c }).take(MAX_REASON_CHARS).collect();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests;
