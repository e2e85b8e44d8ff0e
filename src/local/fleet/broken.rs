//! Events that must be refused, each for another reason, and the messages they come in.

use super::payload::{self, Message, Sent};
use super::sensor::Reading;
use super::{Expected, PlannedEvent, Sending};
use crate::model::{Reason, Timestamp};

/// Three hours ago: AMP takes samples of one hour.
const TOO_LATE_MS: i64 = 3 * 3_600_000;

/// Adds the broken messages of batch `number`, which holds `readings`.
pub(super) fn add_to_batch(number: usize, readings: &[Reading], now: Timestamp, messages: &mut Vec<Message>) {
    let Some(reading) = readings.first() else { return };
    let at = reading.timestamp;
    let dimensions = reading.dimensions();
    let mut add = |place: usize, reason: Reason, body: String| {
        messages.insert(place.min(messages.len()), Message::refused(reason, body, at));
    };
    match number {
        0 => {
            let value = format!("{{\"dimensions\":{dimensions},\"timestamp\":{at},\"metrics\":{{\"ph\":\"n/a\"}}}}");
            add(3, Reason::InvalidValue, value);
            add(6, Reason::InvalidEvent, format!("{{\"dimensions\":{dimensions},\"timestamp\":{at}}}"));
            let typo = format!("{{\"dimension\":{dimensions},\"timestamp\":{at},\"metrics\":{{\"ph\":6.9}}}}");
            add(9, Reason::InvalidEvent, typo);
        }
        1 => {
            let late = Timestamp(now.0 - TOO_LATE_MS);
            let old = format!("{{\"dimensions\":{dimensions},\"timestamp\":{late},\"metrics\":{{\"ph\":6.9}}}}");
            add(2, Reason::TooOld, old);
            let metrics = "{\"battery-level\":87,\"battery_level\":86}";
            let twice = format!("{{\"dimensions\":{dimensions},\"timestamp\":{at},\"metrics\":{metrics}}}");
            add(5, Reason::MetricCollision, twice);
        }
        2 => {
            add(4, Reason::InvalidJson, "temperature=14.3 ph=6.7".to_owned());
            // After the reading whose time it shares.
            let sample = reading.samples(false).into_iter().next();
            let at = sample.map_or(at, |sample| sample.timestamp);
            let metrics = "{\"temperature\":\"99.9\"}";
            let other = format!("{{\"dimensions\":{dimensions},\"timestamp\":{at},\"metrics\":{metrics}}}");
            add(1, Reason::DuplicateTimestamp, other);
        }
        3 => array_message(readings, messages),
        _ => {}
    }
}

/// The first two readings and a broken event as one message: the good are stored, the whole is put aside.
fn array_message(readings: &[Reading], messages: &mut Vec<Message>) {
    let [first, second, ..] = readings else { return };
    let bad = format!("{{\"dimensions\":{},\"metrics\":{{\"ph\":null}}}}", first.dimensions());
    let body = format!("[{},{bad},{}]", first.event(true), second.event(true));
    let expected = vec![
        Expected::Stored(first.samples(true)),
        Expected::PutAside { reason: Reason::InvalidValue, body: body.clone() },
        Expected::Stored(second.samples(true)),
    ];
    messages.splice(..2, [Message { body, expected, at: first.timestamp }]);
}

/// Direct invocations: a single broken event, whose caller hears of it at once, and an array with one, whose caller
/// gets a report.
pub(super) fn direct(now: Timestamp) -> [Sending; 2] {
    let dimensions = "{\"customerId\":\"customer1\",\"deviceId\":\"hand-held\"}";
    let event = |metrics: &str| format!("{{\"dimensions\":{dimensions},\"timestamp\":{now},\"metrics\":{metrics}}}");
    let single = event("{\"temperature\":\"warm\"}");
    let refused = PlannedEvent { message_id: None, expected: Expected::HandedBack { reason: Reason::InvalidValue } };
    let single = Sending { trigger: super::Trigger::Direct, payload: single, events: vec![refused] };
    let bad = event("{\"\":1}");
    let expected = vec![Expected::PutAside { reason: Reason::InvalidMetricName, body: bad.clone() }];
    let array = payload::direct(Message { body: format!("[{bad}]"), expected, at: now });
    [single, array]
}

// === impl Message ===

impl Message {
    /// A message of one event that must be put aside.
    fn refused(reason: Reason, body: String, at: Timestamp) -> Self {
        Self { expected: vec![Expected::PutAside { reason, body: body.clone() }], body, at }
    }

    /// A reading as it comes over the queue.
    pub(super) fn of_reading(reading: &Reading) -> Self {
        Self::of_reading_sent(reading, Sent::ByQueue)
    }

    /// A reading as it comes either way.
    pub(super) fn of_reading_sent(reading: &Reading, sent: Sent) -> Self {
        let directly = sent == Sent::Directly;
        Self {
            body: reading.event(directly),
            expected: vec![Expected::Stored(reading.samples(directly))],
            at: reading.timestamp,
        }
    }
}
