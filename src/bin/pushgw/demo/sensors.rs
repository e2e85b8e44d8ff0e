//! The events of the demo: readings of water sensors in the last minutes, and some broken events, in the formats of AWS.
//!
//! Pure and seeded.

use crate::load::generator::{Device, Expected, Literal, Metric, PlannedEvent};
use amp_push_gateway::model::{Reason, Timestamp};
use fastrand::Rng;
use serde_json::json;
use std::sync::Arc;

/// Readings of each sensor, one a minute: well inside the hour that AMP accepts.
pub(super) const READINGS: u32 = 15;
const READING_INTERVAL_MS: i64 = 60_000;
/// From a reading to its record on the queue.
const QUEUE_DELAY_MS: i64 = 40;
const SENSORS_PER_CUSTOMER: u32 = 2;

/// The broken events of the first batches: before which message, and the reason.
const BROKEN: [&[(usize, Reason)]; 3] = [
    &[(3, Reason::InvalidValue), (6, Reason::InvalidEvent), (9, Reason::InvalidMetricName)],
    &[(2, Reason::TooOld), (5, Reason::MetricCollision)],
    // The second is at the time of the first reading, which comes before it.
    &[(4, Reason::InvalidJson), (1, Reason::DuplicateTimestamp)],
];

#[derive(Clone, Debug)]
pub(super) struct Invocation {
    pub(super) payload: String,
    /// Its messages come from a queue; else it is one message of a direct caller.
    pub(super) is_batch: bool,
    pub(super) messages: Vec<Message>,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Empty if a direct caller sends it.
    pub(super) id: String,
    pub(super) expected: Vec<Expected>,
}

struct Reading {
    device: Device,
    at: Timestamp,
    /// Without a clock an event has no timestamp, and takes the queue's.
    has_clock: bool,
}

/// A message before it has an id.
struct Body {
    text: String,
    expected: Vec<Expected>,
    sent: Timestamp,
}

/// Returns all invocations of the sensors that measured until `now`, the oldest readings first.
pub(super) fn invocations(devices: u32, seed: u64, now: Timestamp) -> Vec<Invocation> {
    let mut rng = Rng::with_seed(seed);
    let mut readings = readings(devices, now, &mut rng);
    let recent = devices.div_ceil(3).min(100) as usize;
    let directly = readings.split_off(readings.len().saturating_sub(recent));
    let batch = (readings.len() / 4).clamp(10, 1_000);
    let batches = readings.chunks(batch).enumerate();
    let mut invocations: Vec<_> =
        batches.map(|(number, readings)| queue_batch(bodies(number, readings), &mut rng)).collect();
    invocations.extend(directly.iter().map(|reading| direct(reading.device.event(reading.at, true))));
    let hand_held = Device::new(&[("customerId", "customer1"), ("deviceId", "hand-held")], &metrics(), &mut rng);
    // The caller of a single event hears its reason as an error, the caller of an array in a report.
    let single = hand_held.broken(Reason::InvalidValue, now).text;
    invocations.push(direct(PlannedEvent { text: single, expected: Expected::Returned(Reason::InvalidValue) }));
    let PlannedEvent { text, expected } = hand_held.broken(Reason::InvalidMetricName, now);
    invocations.push(direct(PlannedEvent { text: format!("[{text}]"), expected }));
    invocations
}

fn metrics() -> Arc<[Metric]> {
    let metric = |name: &str, literal, first, change| Metric { name: name.to_owned(), literal, first, change };
    Arc::new([
        metric("temperature", Literal::DecimalString(1), 80..180, -3..=3),
        metric("ph", Literal::Number(2), 650..770, -5..=5),
        metric("battery", Literal::Integer, 60..100, -1..=0),
    ])
}

fn readings(devices: u32, now: Timestamp, rng: &mut Rng) -> Vec<Reading> {
    let metrics = metrics();
    let mut readings = Vec::new();
    for number in 0..devices {
        let customer = format!("customer{}", number / SENSORS_PER_CUSTOMER + 1);
        // The number keeps sensors apart if the random parts are equal.
        let id = format!("sensor{}-{:06x}", number + 1, rng.u32(0..1 << 24));
        let mut device = Device::new(&[("customerId", &customer), ("deviceId", &id)], &metrics, rng);
        let phase = rng.i64(0..READING_INTERVAL_MS);
        for minute in 0..READINGS {
            device.measure(rng);
            let at = Timestamp(now.0 - i64::from(READINGS - minute) * READING_INTERVAL_MS + phase);
            readings.push(Reading { device: device.clone(), at, has_clock: number % 5 != 1 });
        }
    }
    readings.sort_by_key(|reading| reading.at);
    readings
}

/// Returns the messages of batch `number`: its readings, and its broken events between them.
fn bodies(number: usize, readings: &[Reading]) -> Vec<Body> {
    let mut bodies: Vec<_> = readings.iter().map(Reading::body).collect();
    let [first, second, ..] = readings else { return bodies };
    for &(position, reason) in BROKEN.get(number).copied().unwrap_or_default() {
        let at = if reason == Reason::DuplicateTimestamp { first.queue_time() } else { first.at };
        let PlannedEvent { text, expected } = first.device.broken(reason, at);
        bodies.insert(position.min(bodies.len()), Body { text, expected: vec![expected], sent: first.sent() });
    }
    if number == BROKEN.len() {
        // One message of three events: the good ones are stored, and the whole message becomes a dead letter.
        let events = [
            first.device.event(first.at, true),
            first.device.broken(Reason::InvalidValue, first.at),
            second.device.event(second.at, true),
        ];
        let text = format!("[{}]", events.each_ref().map(|event| event.text.as_str()).join(","));
        let expected = events.map(|event| event.expected).to_vec();
        bodies.splice(..2, [Body { text, expected, sent: first.sent() }]);
    }
    bodies
}

/// Returns the batch as the SQS event source hands it to a function.
fn queue_batch(bodies: Vec<Body>, rng: &mut Rng) -> Invocation {
    let (records, messages): (Vec<_>, Vec<_>) = bodies
        .into_iter()
        .map(|Body { text, expected, sent }| {
            let id = format!("{:032x}", rng.u128(..));
            (record(&id, &text, sent, "water-sensors"), Message { id, expected })
        })
        .unzip();
    Invocation { payload: json!({ "Records": records }).to_string(), is_batch: true, messages }
}

/// Returns a message as the SQS event source gives it to a function.
pub(super) fn record(id: &str, body: &str, sent: Timestamp, queue: &str) -> serde_json::Value {
    let sent = sent.to_string();
    json!({
        "messageId": id,
        "receiptHandle": format!("AQEB{id}"),
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": format!("AROAEXAMPLE:{queue}"),
            "ApproximateFirstReceiveTimestamp": sent,
        },
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:eu-central-1:000000000000:{queue}"),
        "awsRegion": "eu-central-1",
    })
}

fn direct(event: PlannedEvent) -> Invocation {
    let message = Message { id: String::new(), expected: vec![event.expected] };
    Invocation { payload: event.text, is_batch: false, messages: vec![message] }
}

impl Reading {
    fn sent(&self) -> Timestamp {
        Timestamp(self.at.0 + QUEUE_DELAY_MS)
    }

    /// The time that its event has if it comes over the queue.
    fn queue_time(&self) -> Timestamp {
        if self.has_clock { self.at } else { self.sent() }
    }

    fn body(&self) -> Body {
        let PlannedEvent { text, expected } = self.device.event(self.queue_time(), self.has_clock);
        Body { text, expected: vec![expected], sent: self.sent() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::event::{EventTimes, Rules, read_message};
    use amp_push_gateway::lambda::read_messages;
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn expected(invocation: &Invocation) -> impl Iterator<Item = &Expected> {
        invocation.messages.iter().flat_map(|message| &message.expected)
    }

    #[test]
    fn the_same_seed_gives_the_same_sensors_and_another_seed_others() {
        let plan = |seed| format!("{:?}", invocations(3, seed, NOW));
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn each_series_is_sent_in_order_and_within_the_age_that_amp_accepts() {
        for devices in [1, 6, 200] {
            let (mut newest, mut samples) = (BTreeMap::new(), 0);
            for invocation in invocations(devices, 7, NOW) {
                for sample in expected(&invocation).filter_map(Expected::samples).flatten() {
                    samples += 1;
                    assert!((0..=1_800_000).contains(&NOW.since(sample.timestamp)), "{sample:?}");
                    let last = newest.insert(sample.labels.clone(), sample.timestamp);
                    assert!(last.is_none_or(|last| last < sample.timestamp));
                }
            }
            assert_eq!(samples, devices * 3 * READINGS);
        }
    }

    #[test]
    fn batches_keep_the_limits_of_lambda() {
        for invocation in invocations(2_000, 7, NOW) {
            assert!(invocation.payload.len() < 6 << 20 && expected(&invocation).count() <= 10_000);
        }
    }

    #[test]
    fn events_are_planned_in_the_order_in_which_they_are_read() {
        for invocation in invocations(6, 7, NOW) {
            let mut reasons = Vec::new();
            let times = EventTimes { now: NOW, sent: None };
            for message in read_messages(invocation.payload.as_bytes(), "id").1 {
                read_message(&message.body.unwrap(), &times, &Rules::default(), &mut |parsed| {
                    reasons.push(parsed.event.err().map(|rejection| rejection.reason));
                });
            }
            let planned = expected(&invocation).map(|expected| match expected {
                // Only the batch as a whole shows that a time stands twice.
                Expected::Stored(_) | Expected::Rejected(Reason::DuplicateTimestamp) => None,
                Expected::Rejected(reason) | Expected::Returned(reason) => Some(*reason),
            });
            assert_eq!(reasons, planned.collect::<Vec<_>>(), "{}", invocation.payload);
        }
    }
}
