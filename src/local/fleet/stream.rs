//! An endless stream of events of sensors that do not exist, for load: one event after the other, a share of them
//! broken, with what must become of each.
//!
//! Seeded: names, values and which events are broken follow from the options, whatever the times. All series bear the
//! label [`SEED_LABEL`], so that they can be told from others and found again.

use super::random::Random;
use super::{Expected, PlannedSample};
use crate::local::tsdb::Labels;
use crate::model::{Reason, Timestamp, Value};

/// The label with the seed on every series.
pub const SEED_LABEL: &str = "load_seed";
/// The label with the device's number.
pub const DEVICE_LABEL: &str = "deviceId";
/// What names of metrics begin with; a number follows.
pub const METRIC_PREFIX: &str = "load_metric_";

/// Parts of [`StreamOptions::broken`] that are all events.
pub const ALL_BROKEN: u64 = 1_000_000;

/// Three hours: AMP takes samples of one.
const TOO_LATE_MS: i64 = 3 * 3_600_000;

/// Which stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamOptions {
    /// How many devices take turns.
    pub devices: u32,
    /// Metrics of each event.
    pub metrics: u32,
    /// How many of a million events are broken.
    pub broken: u64,
    /// Names and values follow from it.
    pub seed: u64,
}

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// Its device.
    pub device: u32,
    /// Its text.
    pub text: String,
    /// What must become of it. [`Expected::PutAside`] has no body: that depends on its message.
    pub expected: Expected,
}

/// The stream.
#[derive(Clone, Debug)]
pub struct Stream {
    options: StreamOptions,
    random: Random,
    next: u64,
    /// The newest time of each device: a series has each time once, and in order.
    newest: Vec<i64>,
}

// === impl Stream ===

impl Stream {
    /// The stream from its beginning.
    #[must_use]
    pub fn new(options: StreamOptions) -> Self {
        let newest = vec![i64::MIN; options.devices as usize];
        Self { options, random: Random::new(options.seed), next: 0, newest }
    }

    /// The next event, measured at `now`, or a millisecond after the one before it of the same device.
    pub fn next(&mut self, now: Timestamp) -> Streamed {
        let devices = u64::from(self.options.devices.max(1));
        let device = u32::try_from(self.next % devices).unwrap_or(0);
        self.next += 1;
        let is_broken = self.random.below(ALL_BROKEN).unsigned_abs() < self.options.broken;
        let newest = &mut self.newest[device as usize];
        *newest = now.0.max(newest.saturating_add(1));
        let at = Timestamp(*newest);
        let (text, expected) = if is_broken { self.broken(device, at) } else { self.good(device, at) };
        Streamed { device, text, expected }
    }

    /// Integers, numbers and decimal strings in turn.
    fn good(&mut self, device: u32, at: Timestamp) -> (String, Expected) {
        let mut samples = Vec::with_capacity(self.options.metrics as usize);
        let mut metrics = Vec::with_capacity(self.options.metrics as usize);
        for number in 0..self.options.metrics {
            let drawn = self.random.below(1_000_000);
            let decimal = format!("{}.{:02}", drawn / 100, drawn % 100);
            let (literal, value) = match number % 3 {
                0 => (drawn.to_string(), Value::Integer(drawn)),
                1 => (decimal.clone(), Value::Float(decimal.parse().unwrap_or(f64::NAN))),
                _ => (format!("\"{decimal}\""), Value::Float(decimal.parse().unwrap_or(f64::NAN))),
            };
            metrics.push(format!("\"{METRIC_PREFIX}{number}\":{literal}"));
            samples.push(PlannedSample { labels: self.labels(device, number), timestamp: at, value });
        }
        (self.text(device, at, &metrics.join(",")), Expected::Stored(samples))
    }

    fn broken(&mut self, device: u32, at: Timestamp) -> (String, Expected) {
        let (reason, text) = match self.random.below(5) {
            0 => (Reason::InvalidValue, self.text(device, at, "\"load_metric_0\":\"n/a\"")),
            1 => (Reason::InvalidEvent, self.text(device, at, "")),
            2 => (Reason::TooOld, self.text(device, Timestamp(at.0 - TOO_LATE_MS), "\"load_metric_0\":1")),
            3 => (Reason::InvalidMetricName, self.text(device, at, "\"__load\":1")),
            _ => (Reason::MetricCollision, self.text(device, at, "\"load-a\":1,\"load_a\":2")),
        };
        (text, Expected::PutAside { reason, body: String::new() })
    }

    fn text(&self, device: u32, at: Timestamp, metrics: &str) -> String {
        let seed = self.options.seed;
        format!(
            "{{\"dimensions\":{{\"{DEVICE_LABEL}\":\"{device}\",\"{SEED_LABEL}\":\"{seed}\"}},\"timestamp\":{at},\
             \"metrics\":{{{metrics}}}}}"
        )
    }

    fn labels(&self, device: u32, metric: u32) -> Labels {
        vec![
            ("__name__".to_owned(), format!("{METRIC_PREFIX}{metric}")),
            (DEVICE_LABEL.to_owned(), device.to_string()),
            (SEED_LABEL.to_owned(), self.options.seed.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventTimes, Rules, read_message};

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const OPTIONS: StreamOptions = StreamOptions { devices: 3, metrics: 4, broken: 300_000, seed: 7 };

    fn taken(options: StreamOptions, count: usize) -> Vec<Streamed> {
        let mut stream = Stream::new(options);
        (0..count).map(|_| stream.next(NOW)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        assert_eq!(format!("{:?}", taken(OPTIONS, 50)), format!("{:?}", taken(OPTIONS, 50)));
        let other = taken(StreamOptions { seed: 8, ..OPTIONS }, 50);
        assert_ne!(format!("{:?}", taken(OPTIONS, 50)), format!("{other:?}"));
    }

    #[test]
    fn each_event_is_read_as_it_is_planned() {
        let mut broken = 0;
        for streamed in taken(OPTIONS, 300) {
            read_message(&streamed.text, &EventTimes { now: NOW, sent: None }, &Rules::default(), &mut |found| match (
                &streamed.expected,
                found.event,
            ) {
                (Expected::Stored(samples), Ok(event)) => {
                    assert_eq!(event.metrics.len(), 4);
                    for ((name, value), sample) in event.metrics.iter().zip(samples) {
                        assert_eq!((name.as_str(), event.timestamp), (sample.labels[0].1.as_str(), sample.timestamp));
                        assert_eq!(value.wire_bits(), sample.value.wire_bits());
                    }
                }
                (Expected::PutAside { reason, .. }, Err(refusal)) => {
                    broken += 1;
                    assert_eq!(*reason, refusal.reason);
                }
                (expected, event) => panic!("{expected:?}: {event:?}"),
            });
        }
        assert!((60..120).contains(&broken), "{broken}");
    }

    #[test]
    fn no_device_has_a_time_twice() {
        let times: Vec<_> =
            taken(StreamOptions { broken: 0, ..OPTIONS }, 9).into_iter().map(|one| one.expected).collect();
        let at = |expected: &Expected| match expected {
            Expected::Stored(samples) => samples[0].timestamp.0 - NOW.0,
            other => panic!("{other:?}"),
        };
        assert_eq!(times.iter().map(at).collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }
}
