//! The attributes of a message that `redrive` sends back: its time, and the id by which the gateway recognises its typed
//! events. Pure.
//!
//! * A typed event that may be counted keeps its identity and its time. If it is counted, the gateway drops it. When the
//!   gateway no longer remembers it, it is too old.
//! * If a typed event is certainly not counted, it gets the id of its dead letter. So a repeated run sends the same
//!   message.
//! * A tick can send an owed dead letter twice. Both copies have the same source, which is not a message. `redrive` keeps this
//!   source, so that their events count once.

use super::age::Ages;
use super::dead_letter::{COUNTED, DeadLetter, Origin, SENT_TIMESTAMP, SOURCE_INDEX, SOURCE_MESSAGE_ID};
use amp_push_gateway::aggregate::OwedReason;

/// Returns the attributes of `dead_letter` when it is sent back.
pub(super) fn of(dead_letter: &DeadLetter, ages: Option<&Ages>) -> Vec<(&'static str, String)> {
    let is_new = ages.is_some_and(|ages| ages.is_new);
    let sent = dead_letter.sent.filter(|_| !is_new);
    let mut attributes: Vec<_> = sent.map(|sent| (SENT_TIMESTAMP, sent.to_string())).into_iter().collect();
    if !ages.is_some_and(|ages| ages.any_typed) {
        return attributes;
    }
    if dead_letter.origin == Origin::Gateway && !dead_letter.counted {
        attributes.push((SOURCE_MESSAGE_ID, source_of_a_tick(dead_letter).unwrap_or(&dead_letter.id).clone()));
        return attributes;
    }
    let id = dead_letter.source_message_id.as_ref().unwrap_or(&dead_letter.id);
    attributes.push((SOURCE_MESSAGE_ID, id.clone()));
    attributes.extend(dead_letter.source_index.clone().map(|index| (SOURCE_INDEX, index)));
    attributes.extend(dead_letter.counted.then(|| (COUNTED, "true".to_owned())));
    attributes
}

/// Returns the source of a dead letter that a tick owed: an identity, and the reason behind a colon. No message has such an id.
fn source_of_a_tick(dead_letter: &DeadLetter) -> Option<&String> {
    let is_of_a_tick = |source: &&String| {
        let (identity, reason) = source.split_once(':').unwrap_or_default();
        let is_hexadecimal = identity.len() == 32 && identity.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hexadecimal && reason == dead_letter.reason && OwedReason::ALL.iter().any(|owed| owed.as_str() == reason)
    };
    dead_letter.source_message_id.as_ref().filter(is_of_a_tick)
}

#[cfg(test)]
mod tests {
    use super::super::dead_letter::Message;
    use super::*;
    use amp_push_gateway::model::Timestamp;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const HOUR: i64 = 3_600_000;
    const TYPED: &str = r#"{"type":"counter","name":"c","value":1}"#;
    const PLAIN: &str = r#"{"metrics":{"a":1}}"#;
    const TIMED: &str = r#"{"metrics":{"a":1},"timestamp":1700000000000}"#;

    fn dead_letter(origin: Origin, counted: bool, body: &str) -> DeadLetter {
        DeadLetter {
            id: "own".to_owned(),
            origin,
            reason: "needs_state".to_owned(),
            detail: String::new(),
            message: Message::Whole(body.to_owned()),
            sent: Some(Timestamp(NOW.0 - 2 * HOUR)),
            maybe_stored: false,
            counted,
            source_message_id: (origin != Origin::Queue).then(|| "first".to_owned()),
            source_index: (origin == Origin::Gateway).then(|| "3".to_owned()),
            group: None,
        }
    }

    #[test]
    fn typed_events_keep_their_identity_if_they_may_be_counted_and_are_new_if_they_are_not() {
        let typed_and_plain = format!("[{TYPED},{PLAIN}]");
        let typed_and_timed = format!("[{TYPED},{TIMED}]");
        let sent = "sent_timestamp=1699992800000";
        let kept = format!("{sent} source_message_id=first source_index=3 counted=true");
        let table = [
            (Origin::Gateway, false, PLAIN, sent.to_owned(), true),
            (Origin::Gateway, true, PLAIN, sent.to_owned(), true),
            (Origin::Queue, false, PLAIN, sent.to_owned(), true),
            (Origin::Gateway, false, TYPED, "source_message_id=own".to_owned(), false),
            (Origin::Gateway, false, typed_and_timed.as_str(), "source_message_id=own".to_owned(), false),
            (Origin::Gateway, false, typed_and_plain.as_str(), format!("{sent} source_message_id=own"), true),
            (Origin::Gateway, true, TYPED, kept.clone(), true),
            (Origin::Gateway, true, typed_and_timed.as_str(), kept.clone(), true),
            (Origin::Queue, false, TYPED, format!("{sent} source_message_id=own"), true),
            (Origin::Lambda, false, TYPED, format!("{sent} source_message_id=first"), true),
        ];
        for (origin, counted, body, expected, too_old) in table {
            let dead_letter = dead_letter(origin, counted, body);
            let ages = Ages::of(&dead_letter, NOW);
            let shown: Vec<_> =
                of(&dead_letter, ages.as_ref()).iter().map(|(name, text)| format!("{name}={text}")).collect();
            assert_eq!(shown.join(" "), expected, "{origin:?} {counted} {body}");
            assert_eq!(ages.unwrap().is_too_old(origin, NOW, HOUR), too_old, "{origin:?} {counted} {body}");
        }
    }

    #[test]
    fn the_copies_of_a_dead_letter_that_a_tick_owed_have_one_source() {
        let identity = "0123456789abcdef0123456789abcdef";
        let own = "own".to_owned();
        for (source, reason, expected) in [
            (format!("{identity}:type_conflict"), "type_conflict", format!("{identity}:type_conflict")),
            (format!("{identity}:series_limit"), "series_limit", format!("{identity}:series_limit")),
            (format!("{identity}:type_conflict"), "too_old", own.clone()),
            (format!("{identity}:too_old"), "too_old", own.clone()),
            (identity.to_owned(), "type_conflict", own.clone()),
            ("m-1:type_conflict".to_owned(), "type_conflict", own),
        ] {
            let dead_letter = DeadLetter {
                reason: reason.to_owned(),
                source_message_id: Some(source.clone()),
                source_index: None,
                ..dead_letter(Origin::Gateway, false, TYPED)
            };
            let ages = Ages::of(&dead_letter, NOW);
            assert_eq!(of(&dead_letter, ages.as_ref()), [(SOURCE_MESSAGE_ID, expected)], "{source} {reason}");
        }
    }

    #[test]
    fn a_typed_event_with_an_old_time_of_its_own_is_too_old_as_a_new_message_too() {
        let old = format!(r#"{{"type":"gauge","name":"g","value":1,"timestamp":{}}}"#, NOW.0 - HOUR - 1);
        let ages = Ages::of(&dead_letter(Origin::Gateway, false, &old), NOW).unwrap();
        assert!(ages.is_new && ages.is_too_old(Origin::Gateway, NOW, HOUR), "{ages:?}");
    }
}
