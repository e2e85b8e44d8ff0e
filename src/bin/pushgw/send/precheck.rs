//! Checks a message before it is sent, by the rules of the gateway and the limits of its target. Pure.

use super::packing::Limits;
use crate::input_file::FileMessage;
use amp_push_gateway::event::{EventTimes, Rules, Shape, read_message};
use amp_push_gateway::model::{Reason, Rejection};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Checked {
    /// Events in it, good and rejected.
    pub(super) events: u64,
    /// It is one event and nothing around it, so that it may stand in an array with others.
    pub(super) is_bare_event: bool,
    /// Why it is not to be sent.
    pub(super) rejection: Option<Rejection>,
}

/// Checks one message. It is rejected as a whole if one of its events is rejected. Without `rules` the check rejects only a message
/// that no queue or function could take.
pub(super) fn precheck(message: &FileMessage, times: &EventTimes, rules: Option<&Rules>, limits: Limits) -> Checked {
    let text = match &message.text {
        Ok(text) => text.as_str(),
        Err(rejection) => return Checked { events: 1, is_bare_event: false, rejection: Some(rejection.clone()) },
    };
    let (mut events, mut rejected, mut is_bare) = (0, None, false);
    let any = Rules::default();
    let shape = read_message(text, times, rules.unwrap_or(&any), &mut |parsed| {
        events += 1;
        // Unwrapped text differs from the message, and text that is not JSON would break the array.
        is_bare = parsed.text.len() == text.len();
        let rejection = parsed.event.err();
        is_bare &= rejection.as_ref().is_none_or(|rejection| rejection.reason != Reason::InvalidJson);
        rejected = rejected.take().or(rejection);
    });
    let is_object = text.trim_ascii_start().starts_with('{');
    Checked {
        events,
        is_bare_event: shape == Shape::Single && is_bare && is_object,
        rejection: unfit(text, limits).or(rejected.filter(|_| rules.is_some())),
    }
}

/// Returns why no target takes the text, whatever it says.
fn unfit(text: &str, limits: Limits) -> Option<Rejection> {
    if text.len() > limits.bytes {
        let detail = format!(
            "the message has {} bytes, and at most {} are taken; give its events as JSON lines",
            text.len(),
            limits.bytes
        );
        return Some(Rejection::new(Reason::TooLarge, detail));
    }
    if text.is_empty() {
        return Some(Rejection::new(Reason::InvalidJson, "the message is empty"));
    }
    let unsendable =
        |c: char| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    let wrong = text.char_indices().find(|(_, c)| !limits.is_array && unsendable(*c));
    wrong.map(|(byte, c)| {
        Rejection::new(Reason::InvalidJson, format!("byte {byte} is {c:?}, which SQS does not take (\\u escapes pass)"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input_file::Place;
    use amp_push_gateway::model::Timestamp;

    const NOW: i64 = 1_676_398_017_000;

    fn checked(text: &str, checked: bool, limits: Limits) -> Checked {
        let times = EventTimes { now: Timestamp(NOW), sent: None };
        let message = FileMessage { place: Place { name: "f".into(), line: None }, text: Ok(text.to_owned()) };
        precheck(&message, &times, checked.then(Rules::default).as_ref(), limits)
    }

    const ANY: Limits = Limits { count: 10, bytes: 1_000, is_array: false };

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
            assert_eq!(checked(text, true, ANY), Checked { events, is_bare_event, rejection: None }, "{text}");
        }
    }

    #[test]
    fn rejects_a_message_with_a_rejected_event_with_the_detail_of_the_gateway() {
        let rejection = |text: &str| checked(text, true, ANY).rejection.map(|rejection| rejection.to_string());
        let table = [
            (r#"{"metrics":{"ph":"abc"}}"#, "invalid_value: metrics.ph: \"abc\" is not a number"),
            (
                r#"[{"metrics":{"a":1}},{"metrics":{"ph":"abc"}}]"#,
                "invalid_value: [1].metrics.ph: \"abc\" is not a number",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(rejection(text).as_deref(), Some(expected), "{text}");
            assert_eq!(checked(text, false, ANY).rejection, None, "{text}: unchecked");
        }
    }

    #[test]
    fn puts_no_text_that_is_not_json_into_an_array() {
        let checked = checked("{", false, ANY);
        assert_eq!((checked.is_bare_event, checked.rejection), (false, None));
    }

    #[test]
    fn rejects_unchecked_too_what_cannot_be_sent() {
        let table = [
            ("", "invalid_json: the message is empty"),
            ("\"\u{1}\"", "invalid_json: byte 1 is '\\u{1}', which SQS does not take (\\u escapes pass)"),
            ("123456", "too_large: the message has 6 bytes, and at most 5 are taken; give its events as JSON lines"),
        ];
        for (text, expected) in table {
            let rejection = checked(text, false, Limits { bytes: 5, ..ANY }).rejection.unwrap();
            assert_eq!(rejection.to_string(), expected);
        }
        assert_eq!(checked("\"\u{1}\"", false, Limits { bytes: 5, is_array: true, ..ANY }).rejection, None);
    }
}
