//! Finds out how old the events of a message are. Pure.

use super::dead_letter::{DeadLetter, Message, Origin};
use amp_push_gateway::event::{Event, EventTimes, Rules, read_message, read_timestamp};
use amp_push_gateway::model::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ages {
    pub(super) oldest: Timestamp,
    pub(super) newest: Timestamp,
    /// Plain events without a time; a typed one needs none.
    pub(super) any_without_time: bool,
    pub(super) any_typed: bool,
    /// It goes back as a new message, without the time at which it was sent first.
    pub(super) is_new: bool,
}

impl Ages {
    /// Returns `None` if `dead_letter` has no message, or one without events.
    pub(super) fn of(dead_letter: &DeadLetter, now: Timestamp) -> Option<Self> {
        match &dead_letter.message {
            Message::Whole(text) => {
                // No typed event of it is counted, so each may come as a new one.
                let is_uncounted = dead_letter.origin == Origin::Gateway && !dead_letter.counted;
                let ages = read(text, dead_letter.sent, now, is_uncounted)?;
                if !is_uncounted || !ages.any_typed {
                    return Some(ages);
                }
                if ages.any_without_time {
                    // The plain events need the time. The typed ones keep it, too.
                    return read(text, dead_letter.sent, now, false);
                }
                Some(Self { is_new: true, ..ages })
            }
            Message::ForAFile(_) => dead_letter.sent.map(|sent| Self {
                oldest: sent,
                newest: sent,
                any_without_time: true,
                any_typed: false,
                is_new: false,
            }),
            Message::Missing(_) => None,
        }
    }

    /// Returns true if the gateway would only reject the message again. The good events of its own dead letters are stored
    /// already, so one event that is too old is enough; of others, all must be.
    pub(super) fn is_too_old(&self, origin: Origin, now: Timestamp, max_age_ms: i64) -> bool {
        let decisive = if origin == Origin::Gateway { self.oldest } else { self.newest };
        now.since(decisive) > max_age_ms
    }
}

/// `typed_as_new`: the age of a typed event is that of its own time alone.
fn read(text: &str, sent: Option<Timestamp>, now: Timestamp, typed_as_new: bool) -> Option<Ages> {
    let rules = Rules { max_sample_age_ms: i64::MAX, max_sample_lead_ms: i64::MAX, ..Rules::default() };
    let mut ages: Option<Ages> = None;
    read_message(text, &EventTimes { now, sent }, &rules, &mut |parsed| {
        let own = own_time(&parsed.text);
        let time = if parsed.is_typed {
            let sent = sent.filter(|_| !typed_as_new);
            own.unwrap_or(now).min(sent.unwrap_or(now))
        } else {
            let taken = parsed.event.as_ref().ok().map(Event::timestamp);
            taken.or(own).or(parsed.sent).or(sent).unwrap_or(now)
        };
        let all = ages.get_or_insert(Ages {
            oldest: time,
            newest: time,
            any_without_time: false,
            any_typed: false,
            is_new: false,
        });
        all.oldest = all.oldest.min(time);
        all.newest = all.newest.max(time);
        all.any_without_time |= own.is_none() && !parsed.is_typed;
        all.any_typed |= parsed.is_typed;
    });
    ages
}

/// Returns the time in an event that may be rejected for another reason.
fn own_time(event: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Timed<'a> {
        #[serde(borrow)]
        timestamp: Option<&'a RawValue>,
    }
    let timed: Timed<'_> = serde_json::from_str(event).ok()?;
    read_timestamp(timed.timestamp?.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOUR: i64 = 3_600_000;

    fn ages(text: &str, sent: Option<i64>) -> Option<(i64, i64, bool)> {
        let ages = read(text, sent.map(Timestamp), Timestamp(NOW), false)?;
        Some((NOW - ages.oldest.0, NOW - ages.newest.0, ages.any_without_time))
    }

    #[test]
    fn the_age_is_that_of_the_event_else_of_the_sending() {
        let at = |age: i64| format!("{{\"timestamp\":{},\"metrics\":{{\"ph\":6.7}}}}", NOW - age);
        let rejected = format!("{{\"timestamp\":\"{}\",\"metrics\":{{\"ph\":\"abc\"}}}}", NOW - 7);
        let seconds = "{\"timestamp\":1700000000,\"metrics\":{\"ph\":1}}";
        let fraction = format!("{{\"timestamp\":{}.75,\"metrics\":{{}}}}", NOW - 8);
        let table = [
            (at(5), Some(9), Some((5, 5, false))),
            ("{\"metrics\":{\"ph\":6.7}}".to_owned(), Some(9), Some((9, 9, true))),
            ("{\"metrics\":{\"ph\":6.7}}".to_owned(), None, Some((0, 0, true))),
            (rejected, Some(9), Some((7, 7, false))),
            (fraction, Some(9), Some((8, 8, false))),
            (seconds.to_owned(), Some(9), Some((0, 0, false))),
            ("temperature=14.3".to_owned(), Some(9), Some((9, 9, true))),
            (format!("[{},{}]", at(5), at(HOUR)), Some(9), Some((HOUR, 5, false))),
            ("[]".to_owned(), Some(9), None),
        ];
        for (text, sent, expected) in table {
            assert_eq!(ages(&text, sent.map(|age: i64| NOW - age)), expected, "{text}");
        }
    }

    #[test]
    fn one_old_event_of_our_own_dead_letter_is_enough_and_all_of_another() {
        let mixed = Ages {
            oldest: Timestamp(NOW - 2 * HOUR),
            newest: Timestamp(NOW),
            any_without_time: false,
            any_typed: false,
            is_new: false,
        };
        let old = Ages { newest: Timestamp(NOW - HOUR - 1), ..mixed };
        let edge = Ages { oldest: Timestamp(NOW - HOUR), ..mixed };
        for (ages, origin, expected) in [
            (mixed, Origin::Gateway, true),
            (mixed, Origin::Queue, false),
            (mixed, Origin::Lambda, false),
            (old, Origin::Queue, true),
            (edge, Origin::Gateway, false),
        ] {
            assert_eq!(ages.is_too_old(origin, Timestamp(NOW), HOUR), expected, "{ages:?} {origin:?}");
        }
    }
}
