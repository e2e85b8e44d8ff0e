//! A dead letter within the limits of SQS. Pure.
//!
//! Limits: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>.

use crate::model::{Reason, Timestamp};

/// Longest detail in characters.
pub const MAX_DETAIL_CHARS: usize = 1_000;

/// Body and attributes (names, types and values) of a message, and of a batch of ten, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// The group on a FIFO queue of letters whose message had none.
pub const NO_GROUP: &str = "rejected";

/// The data type of each attribute, which counts as part of the message.
const STRING: &str = "String";

/// One message that was refused, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// The original body, byte for byte.
    pub body: String,
    /// Why it was refused.
    pub reason: Reason,
    /// The sentence to the reason.
    pub detail: String,
    /// The id of the SQS message; of the Lambda request for events that came directly.
    pub source_message_id: String,
    /// When it was sent first, so that a redriven event without a time keeps it.
    pub sent_timestamp: Option<Timestamp>,
    /// Whether the receiver may hold it all the same.
    pub maybe_stored: bool,
    /// The group of a message from a FIFO queue.
    pub group_id: Option<String>,
    /// Tells the letter from others on a FIFO queue.
    pub deduplication_id: String,
}

/// The body leaves no room for the attributes within [`MAX_MESSAGE_BYTES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong;

// === impl DeadLetter ===

impl DeadLetter {
    /// The message attributes, with characters and lengths that SQS takes. The detail is cut where body and attributes
    /// together are too long.
    ///
    /// # Errors
    /// [`TooLong`] where that is not enough.
    pub fn attributes(&self) -> Result<Vec<(&'static str, String)>, TooLong> {
        let mut attributes = vec![("reason", self.reason.as_str().to_owned())];
        if !self.source_message_id.is_empty() {
            attributes.push(("source_message_id", allowed(&self.source_message_id)));
        }
        if let Some(sent) = self.sent_timestamp {
            attributes.push(("sent_timestamp", sent.to_string()));
        }
        if self.maybe_stored {
            attributes.push(("maybe_stored", "true".to_owned()));
        }
        let room = MAX_MESSAGE_BYTES.checked_sub(self.body.len() + size(&attributes)).ok_or(TooLong)?;
        let mut detail: String = allowed(&self.detail).chars().take(MAX_DETAIL_CHARS).collect();
        let room = room.saturating_sub("detail".len() + STRING.len());
        detail.truncate(detail.floor_char_boundary(room));
        if !detail.is_empty() {
            attributes.push(("detail", detail));
        }
        Ok(attributes)
    }

    /// What SQS counts: body, and names, types and values of the attributes.
    #[must_use]
    pub fn size_with(&self, attributes: &[(&'static str, String)]) -> usize {
        self.body.len() + size(attributes)
    }
}

fn size(attributes: &[(&'static str, String)]) -> usize {
    attributes.iter().map(|(name, value)| name.len() + STRING.len() + value.len()).sum()
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

    fn letter(body: String, detail: &str) -> DeadLetter {
        DeadLetter {
            body,
            reason: Reason::InvalidValue,
            detail: detail.to_owned(),
            source_message_id: "m-1".to_owned(),
            sent_timestamp: Some(Timestamp(1_676_398_017_000)),
            maybe_stored: false,
            group_id: None,
            deduplication_id: "m-1".to_owned(),
        }
    }

    fn detail(letter: &DeadLetter) -> Option<String> {
        letter.attributes().unwrap().into_iter().find(|(name, _)| *name == "detail").map(|(_, value)| value)
    }

    #[test]
    fn attributes_carry_reason_detail_source_and_time() {
        let attributes = letter("{}".to_owned(), "metrics: missing").attributes().unwrap();
        let expected = [
            ("reason", "invalid_value"),
            ("source_message_id", "m-1"),
            ("sent_timestamp", "1676398017000"),
            ("detail", "metrics: missing"),
        ];
        assert_eq!(attributes, expected.map(|(name, value)| (name, value.to_owned())));
        let stored = DeadLetter { maybe_stored: true, ..letter("{}".to_owned(), "x") };
        assert!(stored.attributes().unwrap().contains(&("maybe_stored", "true".to_owned())));
    }

    #[test]
    fn characters_that_sqs_does_not_take_become_the_replacement_character() {
        let letter = letter("{}".to_owned(), "a\u{0}b\u{1b}\tc\u{FFFE}d\u{FFFF}e🌡");
        assert_eq!(detail(&letter).unwrap(), "a\u{FFFD}b\u{FFFD}\tc\u{FFFD}d\u{FFFD}e🌡");
    }

    #[test]
    fn a_detail_is_cut_at_1000_characters() {
        assert_eq!(detail(&letter("{}".to_owned(), &"é".repeat(1_001))).unwrap(), "é".repeat(1_000));
    }

    #[test]
    fn beside_a_large_body_the_detail_is_cut_and_then_the_letter_refused() {
        let without = letter(String::new(), "").attributes().unwrap();
        let fixed = size(&without) + "detail".len() + STRING.len();
        let long = "é".repeat(100);
        let roomy = letter("x".repeat(MAX_MESSAGE_BYTES - fixed - 5), &long);
        assert_eq!(detail(&roomy).unwrap(), "éé");
        assert!(roomy.size_with(&roomy.attributes().unwrap()) <= MAX_MESSAGE_BYTES);
        let full = letter("x".repeat(MAX_MESSAGE_BYTES - size(&without)), &long);
        assert_eq!(detail(&full), None);
        let over = letter("x".repeat(MAX_MESSAGE_BYTES - size(&without) + 1), &long);
        assert_eq!(over.attributes(), Err(TooLong));
    }
}
