//! Water sensors that do not exist, and what they send: readings in the producers' format, a few of them broken, in
//! the shapes in which AWS hands them to the function, with what must become of each.
//!
//! Pure and seeded: the same options and time give the same payloads. What is expected is written down here from the
//! product's contract, without the code that it is held against.

mod broken;
mod payload;
mod random;
mod sensor;
mod stream;

use super::tsdb::Labels;
use crate::model::{Reason, Timestamp, Value};
use payload::{Message, Sent};
use random::Random;
use sensor::Sensor;

pub use stream::{ALL_BROKEN, DEVICE_LABEL, METRIC_PREFIX, SEED_LABEL, Stream, StreamOptions, Streamed};

/// Readings of each sensor, one a minute: well inside the hour that AMP accepts.
pub const READINGS: u32 = 15;
const READING_INTERVAL_MS: i64 = 60_000;
/// What the queue takes from a reading to its record.
const QUEUE_DELAY_MS: i64 = 40;

/// How large a fleet, and which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// How many sensors.
    pub devices: u32,
    /// Which fleet: names and values follow from it.
    pub seed: u64,
}

/// One invocation of the function.
#[derive(Clone, Debug)]
pub struct Sending {
    /// How the function comes by it.
    pub trigger: Trigger,
    /// The payload.
    pub payload: String,
    /// The events in it, in order.
    pub events: Vec<PlannedEvent>,
}

/// How the function is invoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// A batch of an SQS queue.
    Queue,
    /// Directly, with a single event or an array.
    Direct,
}

/// One event and what must become of it.
#[derive(Clone, Debug)]
pub struct PlannedEvent {
    /// The id of the SQS message it is in; none where it is sent directly.
    pub message_id: Option<String>,
    /// What must become of it.
    pub expected: Expected,
}

/// What must become of an event.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Its samples are stored.
    Stored(Vec<PlannedSample>),
    /// It ends on the dead-letter queue, for this reason, with this body.
    PutAside {
        /// The reason.
        reason: Reason,
        /// The body of the dead letter: the whole message.
        body: String,
    },
    /// The caller gets a function error with this reason.
    HandedBack {
        /// The reason.
        reason: Reason,
    },
}

/// A sample that must be stored.
#[derive(Clone, Debug)]
pub struct PlannedSample {
    /// Its series.
    pub labels: Labels,
    /// Its time.
    pub timestamp: Timestamp,
    /// Its value and type as the event has it.
    pub value: Value,
}

/// All invocations of a fleet that measured until `now`, oldest readings first.
#[must_use]
pub fn plan(options: Options, now: Timestamp) -> Vec<Sending> {
    let mut random = Random::new(options.seed);
    let sensors: Vec<_> = (0..options.devices).map(|number| Sensor::new(number, &mut random)).collect();
    let mut readings = Vec::new();
    for mut sensor in sensors {
        let phase = random.below(READING_INTERVAL_MS.unsigned_abs());
        for minute in 0..READINGS {
            let back = i64::from(READINGS - minute) * READING_INTERVAL_MS;
            readings.push(sensor.read(Timestamp(now.0 - back + phase), &mut random));
        }
    }
    // Each series in its order, and all of them about as they would come.
    readings.sort_by_key(|reading| reading.timestamp);
    let recent = options.devices.div_ceil(3).min(100) as usize;
    let directly = readings.split_off(readings.len().saturating_sub(recent));
    let batch = (readings.len() / 4).clamp(10, 1_000);
    let mut sendings: Vec<_> = readings
        .chunks(batch)
        .enumerate()
        .map(|(number, readings)| {
            let mut messages: Vec<_> = readings.iter().map(Message::of_reading).collect();
            broken::add_to_batch(number, readings, now, &mut messages);
            payload::queue_batch(messages, &mut random)
        })
        .collect();
    sendings.extend(directly.iter().map(|reading| payload::direct(Message::of_reading_sent(reading, Sent::Directly))));
    sendings.extend(broken::direct(now));
    sendings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventTimes, Rules, read_message};
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn fleet(devices: u32) -> Vec<Sending> {
        plan(Options { devices, seed: 7 }, NOW)
    }

    #[test]
    fn the_same_seed_gives_the_same_fleet_and_another_seed_other_series() {
        assert_eq!(format!("{:?}", fleet(3)), format!("{:?}", fleet(3)));
        let series = |sendings: &[Sending]| samples(sendings).into_iter().map(|s| s.labels).collect::<Vec<_>>();
        let other = plan(Options { devices: 3, seed: 8 }, NOW);
        assert!(series(&other).iter().all(|labels| !series(&fleet(3)).contains(labels)));
    }

    fn samples(sendings: &[Sending]) -> Vec<PlannedSample> {
        let expected = sendings.iter().flat_map(|sending| &sending.events).map(|event| &event.expected);
        let stored = expected.filter_map(|expected| match expected {
            Expected::Stored(samples) => Some(samples.clone()),
            _ => None,
        });
        stored.flatten().collect()
    }

    #[test]
    fn each_series_is_sent_in_order_and_within_the_age_that_amp_accepts() {
        for devices in [1, 6, 200] {
            let mut newest = BTreeMap::new();
            let samples = samples(&fleet(devices));
            assert_eq!(samples.len(), devices as usize * 3 * READINGS as usize);
            for sample in samples {
                assert!((0..=1_800_000).contains(&NOW.since(sample.timestamp)), "{sample:?}");
                let last = newest.insert(sample.labels, sample.timestamp);
                assert!(last.is_none_or(|last| last < sample.timestamp));
            }
        }
    }

    #[test]
    fn batches_keep_the_limits_of_lambda() {
        for sending in fleet(2_000) {
            assert!(sending.payload.len() < 6 << 20 && sending.events.len() <= 10_000);
        }
    }

    #[test]
    fn events_are_planned_in_the_order_in_which_they_are_read() {
        let reasons = |sending: &Sending| {
            let mut reasons = Vec::new();
            let clock = EventTimes { now: NOW, sent: None };
            read_message(&sending.payload, &clock, &Rules::default(), &mut |found| {
                reasons.push(found.event.err().map(|refusal| refusal.reason));
            });
            reasons
        };
        let planned = |sending: &Sending| {
            let reason = |event: &PlannedEvent| match event.expected {
                // Only the whole batch shows a time that stands twice.
                Expected::Stored(_) | Expected::PutAside { reason: Reason::DuplicateTimestamp, .. } => None,
                Expected::PutAside { reason, .. } | Expected::HandedBack { reason } => Some(reason),
            };
            sending.events.iter().map(reason).collect::<Vec<_>>()
        };
        let sendings = fleet(6);
        assert!(sendings.iter().any(|sending| sending.trigger == Trigger::Queue));
        for sending in sendings {
            assert_eq!(reasons(&sending), planned(&sending), "{}", sending.payload);
        }
    }
}
