//! What a message is, and whether it may be sent: by the rules of the gateway, and by those of who takes it. Pure.

use super::input::Message;
use amp_push_gateway::event::{EventTimes, Rules, Shape, read_message};
use amp_push_gateway::model::{Reason, Rejection};

/// What whoever takes messages wants of each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Wants {
    /// Bytes of one message.
    pub(super) bytes: usize,
    /// Whether SQS takes it, which refuses some characters and empty bodies.
    pub(super) sqs: bool,
}

/// What is known of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Judged {
    /// Events in it, good and refused.
    pub(super) events: u64,
    /// Whether it is one event and nothing around it, so that it may stand in an array with others.
    pub(super) is_bare_event: bool,
    /// Why it is not to be sent.
    pub(super) refusal: Option<Rejection>,
}

/// Judges one message. A message is sent whole or not at all: it is refused where any event of it is. Without `rules`
/// only what cannot be sent at all is refused.
pub(super) fn judge(message: &Message<'_>, clock: &EventTimes, rules: Option<&Rules>, wants: Wants) -> Judged {
    let text = match &message.text {
        Ok(text) => *text,
        Err(refusal) => return Judged { events: 1, is_bare_event: false, refusal: Some(refusal.clone()) },
    };
    let (mut events, mut refused, mut is_bare) = (0, None, false);
    let any = Rules::default();
    let shape = read_message(text, clock, rules.unwrap_or(&any), &mut |found| {
        events += 1;
        // Text that was unwrapped is another; text that is no JSON would break the array.
        is_bare = found.text.len() == text.len();
        let refusal = found.event.err();
        is_bare &= refusal.as_ref().is_none_or(|refusal| refusal.reason != Reason::InvalidJson);
        refused = refused.take().or(refusal);
    });
    let is_object = text.trim_ascii_start().starts_with('{');
    Judged {
        events,
        is_bare_event: shape == Shape::Single && is_bare && is_object,
        refusal: unfit(text, wants).or(refused.filter(|_| rules.is_some())),
    }
}

/// What keeps a text from being sent, whatever is in it.
fn unfit(text: &str, wants: Wants) -> Option<Rejection> {
    if text.len() > wants.bytes {
        let detail = format!(
            "the message has {} bytes, and at most {} are taken; give its events as JSON lines",
            text.len(),
            wants.bytes
        );
        return Some(Rejection::new(Reason::TooLarge, detail));
    }
    if text.is_empty() {
        return Some(Rejection::new(Reason::InvalidJson, "the message is empty"));
    }
    let unsendable =
        |c: char| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    let wrong = text.char_indices().find(|(_, c)| wants.sqs && unsendable(*c));
    wrong.map(|(byte, c)| {
        Rejection::new(Reason::InvalidJson, format!("byte {byte} is {c:?}, which SQS does not take (\\u escapes pass)"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::input::Place;
    use super::*;
    use amp_push_gateway::model::Timestamp;

    const NOW: i64 = 1_676_398_017_000;

    fn judged(text: &str, checked: bool, wants: Wants) -> Judged {
        let clock = EventTimes { now: Timestamp(NOW), sent: None };
        let message = Message { place: Place { name: "f", line: None }, text: Ok(text) };
        judge(&message, &clock, checked.then(Rules::default).as_ref(), wants)
    }

    const ANY: Wants = Wants { bytes: 1_000, sqs: true };

    #[test]
    fn events_are_counted_and_bare_ones_told_from_wrapped_ones() {
        let table = [
            (r#"{"metrics":{"a":1}}"#, 1, true),
            (" {\"metrics\":{\"a\":1}}\n", 1, true),
            (r#"[{"metrics":{"a":1}},{"metrics":{"a":2}}]"#, 2, false),
            (r#"[{"metrics":{"a":1}}]"#, 1, false),
            ("[]", 0, false),
            (r#"{"detail-type":"x","source":"y","detail":{"metrics":{"a":1}}}"#, 1, false),
            ("eyJtZXRyaWNzIjp7ImEiOjF9fQ==", 1, false),
        ];
        for (text, events, is_bare_event) in table {
            assert_eq!(judged(text, true, ANY), Judged { events, is_bare_event, refusal: None }, "{text}");
        }
    }

    #[test]
    fn a_message_with_a_refused_event_is_refused_with_the_words_of_the_gateway() {
        let refusal = |text: &str| judged(text, true, ANY).refusal.map(|refusal| refusal.to_string());
        let table = [
            (r#"{"metrics":{"ph":"abc"}}"#, "invalid_value: metrics.ph: \"abc\" is not a number"),
            (
                r#"[{"metrics":{"a":1}},{"metrics":{"ph":"abc"}}]"#,
                "invalid_value: [1].metrics.ph: \"abc\" is not a number",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(refusal(text).as_deref(), Some(expected), "{text}");
            assert_eq!(judged(text, false, ANY).refusal, None, "{text}: unchecked");
        }
    }

    #[test]
    fn what_is_no_json_stands_in_no_array() {
        let judged = judged("{", false, ANY);
        assert_eq!((judged.is_bare_event, judged.refusal), (false, None));
    }

    #[test]
    fn what_cannot_be_sent_is_refused_unchecked_too() {
        let table = [
            ("", "invalid_json: the message is empty"),
            ("\"\u{1}\"", "invalid_json: byte 1 is '\\u{1}', which SQS does not take (\\u escapes pass)"),
            ("123456", "too_large: the message has 6 bytes, and at most 5 are taken; give its events as JSON lines"),
        ];
        for (text, expected) in table {
            let refusal = judged(text, false, Wants { bytes: 5, sqs: true }).refusal.unwrap();
            assert_eq!(refusal.to_string(), expected);
        }
        assert_eq!(judged("\"\u{1}\"", false, Wants { bytes: 5, sqs: false }).refusal, None);
    }
}
