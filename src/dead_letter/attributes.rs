//! Makes a dead letter that fits into the limits of SQS. Pure.

use crate::aws::sqs::{OutgoingMessage, size_of_attributes};
use crate::limits::{MAX_DETAIL_CHARS, MAX_MESSAGE_BYTES};
use crate::model::{Reason, Timestamp, escape_noncharacters};

/// The group, on a FIFO queue, of dead letters whose message had none.
pub const NO_GROUP: &str = "rejected";

/// One message that was rejected, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The original body, byte for byte. The message has escapes for two characters that SQS does not take.
    pub body: String,
    pub reason: Reason,
    pub detail: String,
    /// The id of the SQS message; of the Lambda request for events that came directly. A message that was redriven keeps the first.
    pub source_message_id: String,
    /// The position in that message of an element of an array.
    pub source_index: Option<String>,
    /// When it was sent first, so that a redriven event without a time keeps it.
    pub sent_timestamp: Option<Timestamp>,
    /// A typed event of it is in the journal.
    pub counted: bool,
    /// True if the receiver may hold it although it was not confirmed.
    pub maybe_stored: bool,
    /// The group of a message from a FIFO queue.
    pub group_id: Option<String>,
    /// Distinguishes the dead letter from others on a FIFO queue.
    pub deduplication_id: String,
}

impl DeadLetter {
    /// Returns the message attributes, with characters and lengths that SQS takes. The detail is cut, and at last left out,
    /// if body and attributes together are longer than [`MAX_MESSAGE_BYTES`].
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes = vec![("reason", self.reason.as_str().to_owned())];
        if !self.source_message_id.is_empty() {
            attributes.push(("source_message_id", allowed(&self.source_message_id)));
        }
        if let Some(index) = self.source_index.as_deref().filter(|index| !index.is_empty()) {
            attributes.push(("source_index", allowed(index)));
        }
        if let Some(sent) = self.sent_timestamp {
            attributes.push(("sent_timestamp", sent.to_string()));
        }
        if self.counted {
            attributes.push(("counted", "true".to_owned()));
        }
        if self.maybe_stored {
            attributes.push(("maybe_stored", "true".to_owned()));
        }
        let detail: String = allowed(&self.detail).chars().take(MAX_DETAIL_CHARS).collect();
        attributes.push(("detail", detail));
        let too_long = (self.body.len() + size_of_attributes(&attributes)).saturating_sub(MAX_MESSAGE_BYTES);
        if let Some((_, detail)) = attributes.last_mut() {
            detail.truncate(detail.floor_char_boundary(detail.len().saturating_sub(too_long)));
        }
        attributes.pop_if(|(_, detail)| detail.is_empty());
        attributes
    }

    /// Returns the message that goes to the queue.
    pub fn into_message(mut self, is_fifo: bool) -> OutgoingMessage {
        self.body = escape_noncharacters(self.body);
        OutgoingMessage {
            attributes: self.attributes(),
            body: self.body,
            group_id: is_fifo.then(|| self.group_id.unwrap_or_else(|| NO_GROUP.to_owned())),
            deduplication_id: is_fifo.then_some(self.deduplication_id),
        }
    }
}

/// SQS takes `#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF`; others become U+FFFD.
fn allowed(text: &str) -> String {
    let allow = |c| match c {
        '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'.. => c,
        _ => char::REPLACEMENT_CHARACTER,
    };
    text.chars().map(allow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead_letter(body: String, detail: &str) -> DeadLetter {
        DeadLetter {
            body,
            reason: Reason::InvalidValue,
            detail: detail.to_owned(),
            source_message_id: "m-1".to_owned(),
            source_index: None,
            sent_timestamp: Some(Timestamp(1_676_398_017_000)),
            counted: false,
            maybe_stored: false,
            group_id: None,
            deduplication_id: "m-1".to_owned(),
        }
    }

    fn detail(dead_letter: &DeadLetter) -> Option<String> {
        dead_letter.attributes().into_iter().find(|(name, _)| *name == "detail").map(|(_, value)| value)
    }

    #[test]
    fn attributes_carry_reason_detail_source_and_time() {
        let attributes = dead_letter("{}".to_owned(), "metrics: missing").attributes();
        let expected = [
            ("reason", "invalid_value"),
            ("source_message_id", "m-1"),
            ("sent_timestamp", "1676398017000"),
            ("detail", "metrics: missing"),
        ];
        assert_eq!(attributes, expected.map(|(name, value)| (name, value.to_owned())));
        let element = DeadLetter { source_index: Some("3".to_owned()), ..dead_letter("{}".to_owned(), "x") };
        assert!(element.attributes().contains(&("source_index", "3".to_owned())));
        let stored = DeadLetter { maybe_stored: true, ..dead_letter("{}".to_owned(), "x") };
        assert!(stored.attributes().contains(&("maybe_stored", "true".to_owned())));
        let counted = DeadLetter { counted: true, ..dead_letter("{}".to_owned(), "x") };
        assert!(counted.attributes().contains(&("counted", "true".to_owned())));
    }

    #[test]
    fn characters_that_sqs_does_not_take_become_the_replacement_character() {
        let dead_letter = dead_letter("{}".to_owned(), "a\u{0}b\u{1b}\tc\u{FFFE}d\u{FFFF}e🌡");
        assert_eq!(detail(&dead_letter).unwrap(), "a\u{FFFD}b\u{FFFD}\tc\u{FFFD}d\u{FFFD}e🌡");
    }

    /// A direct payload can have them. A message of SQS cannot.
    #[test]
    fn characters_of_json_that_sqs_does_not_take_are_escaped_in_the_body() {
        let message = dead_letter("{\"a\":\"\u{FFFF}\u{FFFE}🌡\"}".to_owned(), "x").into_message(false);
        assert_eq!(message.body, r#"{"a":"\uffff\ufffe🌡"}"#);
    }

    #[test]
    fn a_detail_is_cut_at_1000_characters() {
        assert_eq!(detail(&dead_letter("{}".to_owned(), &"é".repeat(1_001))).unwrap(), "é".repeat(1_000));
    }

    #[test]
    fn cuts_the_detail_beside_a_large_body_and_then_leaves_it_out() {
        let without = dead_letter(String::new(), "").attributes();
        let fixed = size_of_attributes(&without) + "detailString".len();
        let long = "é".repeat(100);
        let roomy = dead_letter("x".repeat(MAX_MESSAGE_BYTES - fixed - 5), &long);
        assert_eq!(detail(&roomy).unwrap(), "éé");
        assert!(roomy.into_message(false).size() <= MAX_MESSAGE_BYTES);
        let full = dead_letter("x".repeat(MAX_MESSAGE_BYTES - size_of_attributes(&without)), &long);
        assert_eq!(detail(&full), None);
        assert_eq!(full.into_message(false).size(), MAX_MESSAGE_BYTES);
    }

    #[test]
    fn only_a_message_for_a_fifo_queue_has_a_group_and_a_deduplication_id() {
        let dead_letter = dead_letter("{}".to_owned(), "x");
        let message = dead_letter.clone().into_message(true);
        assert_eq!((message.group_id.as_deref(), message.deduplication_id.as_deref()), (Some(NO_GROUP), Some("m-1")));
        let of_a_group = DeadLetter { group_id: Some("g".to_owned()), ..dead_letter.clone() };
        assert_eq!(of_a_group.into_message(true).group_id.as_deref(), Some("g"));
        let message = dead_letter.into_message(false);
        assert_eq!((message.group_id, message.deduplication_id), (None, None));
    }
}
