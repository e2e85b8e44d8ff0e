//! Parses a message of a dead-letter queue into a [`DeadLetter`] with its reason and its original message. Pure.
//!
//! Four services send there: the gateway, SQS, Lambda ([`lambda`]), and the error action of an IoT rule ([`iot`]). SQS
//! sends after `maxReceiveCount`, and Lambda after the last try of an asynchronous invocation. Attributes decide first,
//! because the text of a producer cannot imitate them.

mod iot;
mod lambda;

use amp_push_gateway::aws::sqs::ReceivedMessage;
use amp_push_gateway::model::{Reason, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// The attribute with the time at which a message was first sent.
pub(super) const SENT_TIMESTAMP: &str = "sent_timestamp";
/// The attributes by which typed events are recognised.
pub(super) const SOURCE_MESSAGE_ID: &str = "source_message_id";
pub(super) const SOURCE_INDEX: &str = "source_index";
/// The attribute of a message whose typed events are in the journal.
pub(super) const COUNTED: &str = "counted";
/// The reason of invocations whose record names none.
const DELIVERY_FAILED: &str = "delivery_failed";
const MAX_REASON_CHARS: usize = 64;

/// The sender of a dead letter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(super) enum Origin {
    /// The gateway, with its reason.
    #[default]
    Gateway,
    /// SQS, after `maxReceiveCount` deliveries.
    Queue,
    /// Lambda, after the last try of an asynchronous invocation.
    Lambda,
    /// The error action of an IoT rule.
    Iot,
}

/// The original message, as far as the dead letter has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    /// The gateway accepts it.
    Whole(String),
    /// Only a person can send it again.
    ForAFile(String),
    /// Nothing can be sent again, and why.
    Missing(&'static str),
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
    /// A typed event of it is in the journal.
    pub(super) counted: bool,
    /// The id that the message had at its first delivery, or the request id of a direct invocation.
    pub(super) source_message_id: Option<String>,
    /// Its position in that message.
    pub(super) source_index: Option<String>,
    pub(super) group: Option<String>,
}

impl DeadLetter {
    /// Parses `received`. A message of no other origin was moved by SQS, which adds nothing of its own.
    pub(super) fn read(received: &ReceivedMessage) -> Self {
        if is_of_the_gateway(received) {
            let text = |name: &str| attribute(received, name).unwrap_or_default();
            return Self {
                reason: reason_word(text("reason")).unwrap_or_default(),
                detail: text("detail").to_owned(),
                maybe_stored: text("maybe_stored") == "true",
                ..Self::of(received, Origin::Gateway)
            };
        }
        if let Some(dead_letter) = lambda::of_a_function_queue(received) {
            return dead_letter;
        }
        // The SQS action of an IoT rule encodes the body in base64 if the rule says so.
        let decoded = decoded(&received.body);
        let text = decoded.as_deref().unwrap_or(&received.body);
        let is_object = text.trim_ascii_start().starts_with('{');
        let record = || lambda::record(received, text).or_else(|| iot::record(received, text));
        is_object.then(record).flatten().unwrap_or_else(|| Self::moved(received))
    }

    /// Returns what every message has, without reason and detail. The body is the message. Only the gateway and SQS leave
    /// it the attributes and the group that it had.
    fn of(received: &ReceivedMessage, origin: Origin) -> Self {
        let is_original = matches!(origin, Origin::Gateway | Origin::Queue);
        let carried = |name: &str| {
            let text = attribute(received, name).filter(|text| is_original && !text.is_empty());
            text.map(ToOwned::to_owned)
        };
        let sent = carried(SENT_TIMESTAMP).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let sent = sent.and_then(|text| text.parse().ok());
        // A message that SQS moves from a standard queue keeps the time at which SQS took it.
        let taken = || received.attributes.get("SentTimestamp")?.parse().ok();
        Self {
            id: received.message_id.clone(),
            origin,
            reason: String::new(),
            detail: String::new(),
            message: Message::Whole(received.body.clone()),
            sent: sent.or_else(taken).map(Timestamp),
            maybe_stored: false,
            counted: carried(COUNTED).is_some_and(|counted| counted == "true"),
            source_message_id: carried(SOURCE_MESSAGE_ID),
            source_index: carried(SOURCE_INDEX),
            group: received.attributes.get("MessageGroupId").filter(|_| is_original).cloned(),
        }
    }

    fn moved(received: &ReceivedMessage) -> Self {
        let source = received.attributes.get("DeadLetterQueueSourceArn");
        let source = source.map_or(String::new(), |source| format!(" from {source}"));
        Self {
            reason: "max_receives".to_owned(),
            detail: format!(
                "moved by the queue{source} after its maxReceiveCount; the log of the function has the causes, for \
                 message {}",
                received.message_id
            ),
            ..Self::of(received, Origin::Queue)
        }
    }
}

/// Returns a message attribute that is text or a number.
fn attribute<'a>(received: &'a ReceivedMessage, name: &str) -> Option<&'a str> {
    received.message_attributes.get(name)?.string_value.as_deref()
}

/// Returns true if the attributes are the gateway's: one of its reasons, or (of another version) its other attributes
/// beside a reason. A message that SQS moved keeps the attributes of its producer, who may use `reason`, too.
fn is_of_the_gateway(received: &ReceivedMessage) -> bool {
    let has = |name: &str| attribute(received, name).is_some();
    let is_known = |reason: &str| {
        Reason::ALL.iter().any(|known| known.as_str() == reason)
            || [DELIVERY_FAILED, "dead_letter_failed"].contains(&reason)
    };
    attribute(received, "reason").is_some_and(|reason| is_known(reason) || (has("detail") && has("source_message_id")))
}

/// Returns the decoded body if it is a JSON object in base64.
fn decoded(body: &str) -> Option<String> {
    let body = body.trim_ascii();
    // `{"` in base64.
    if !body.starts_with("ey") && !body.starts_with("ew") {
        return None;
    }
    String::from_utf8(STANDARD.decode(body).ok()?).ok()
}

/// Makes a reason of `text`: one short word.
fn reason_word(text: &str) -> Option<String> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let word: String = text.trim().chars().map(|c| if blank(c) { '_' } else { c }).take(MAX_REASON_CHARS).collect();
    (!word.is_empty()).then_some(word)
}

#[cfg(test)]
mod tests;
