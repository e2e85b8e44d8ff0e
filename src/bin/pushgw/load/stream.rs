//! The endless stream of events of a load. Devices take turns, and a share of the events is broken.
//!
//! All series have the label [`SEED_LABEL`], so that the load can find its own series.

use super::generator::{Device, Literal, Metric, PlannedEvent};
use super::plan::Plan;
use amp_push_gateway::model::{Reason, Timestamp};
use fastrand::Rng;
use std::sync::Arc;

pub(super) const SEED_LABEL: &str = "load_seed";
pub(super) const DEVICE_LABEL: &str = "deviceId";
/// A number follows.
const METRIC_PREFIX: &str = "load_metric_";

/// [`Plan::broken`] if all events are.
pub(super) const ALL_BROKEN: u32 = 1_000_000;

const BROKEN: [Reason; 5] =
    [Reason::InvalidValue, Reason::InvalidEvent, Reason::TooOld, Reason::InvalidMetricName, Reason::MetricCollision];

pub(super) struct Stream {
    /// Each with the time of its newest event: a series has each time once, and in order.
    devices: Vec<(Device, i64)>,
    /// How many of a million events are broken.
    broken: u64,
    rng: Rng,
    next: usize,
}

impl Stream {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let literals = [Literal::Integer, Literal::Number(2), Literal::DecimalString(2)];
        let metric = |(number, literal): (u32, &Literal)| Metric {
            name: format!("{METRIC_PREFIX}{number}"),
            literal: *literal,
            first: 0..1_000_000,
            change: -1_000..=1_000,
        };
        let metrics: Arc<[_]> = (0..plan.metrics).zip(literals.iter().cycle()).map(metric).collect();
        let seed = plan.seed.to_string();
        let device = |number: u32| {
            let labels = [(DEVICE_LABEL, number.to_string()), (SEED_LABEL, seed.clone())];
            let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
            (Device::new(&labels, &metrics, &mut rng), i64::MIN)
        };
        let devices = (0..plan.devices.max(1)).map(device).collect();
        Self { devices, broken: plan.broken, rng, next: 0 }
    }

    /// Returns the number of the next device and its event: of `now`, or a millisecond after its event before.
    pub(super) fn next(&mut self, now: Timestamp) -> (usize, PlannedEvent) {
        let number = self.next % self.devices.len();
        self.next += 1;
        let (device, newest) = &mut self.devices[number];
        *newest = now.0.max(newest.saturating_add(1));
        let at = Timestamp(*newest);
        if self.rng.u64(0..ALL_BROKEN.into()) < self.broken {
            return (number, device.broken(BROKEN[self.rng.usize(0..BROKEN.len())], at));
        }
        device.measure(&mut self.rng);
        (number, device.event(at, true))
    }
}

#[cfg(test)]
mod tests {
    use super::super::generator::Expected;
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn plan(broken: u64, seed: u64) -> Plan {
        let (rate, devices, metrics) = (100, 3, 4);
        Plan { rate, duration: None, count: None, devices, metrics, broken, events_per_message: 1, seed }
    }

    fn taken(broken: u64, seed: u64, count: usize) -> Vec<PlannedEvent> {
        let mut stream = Stream::new(&plan(broken, seed));
        (0..count).map(|_| stream.next(NOW).1).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        assert_eq!(format!("{:?}", taken(300_000, 7, 50)), format!("{:?}", taken(300_000, 7, 50)));
        let other = taken(300_000, 8, 50);
        assert_ne!(format!("{:?}", taken(300_000, 7, 50)), format!("{other:?}"));
    }

    #[test]
    fn a_share_of_the_events_is_broken() {
        let broken =
            taken(300_000, 7, 300).iter().filter(|event| matches!(event.expected, Expected::Rejected(_))).count();
        assert!((60..120).contains(&broken), "{broken}");
    }

    #[test]
    fn no_device_has_a_time_twice() {
        let events = taken(0, 7, 9).into_iter();
        let times = events.map(|event| match event.expected {
            Expected::Stored(samples) => samples[0].timestamp.0 - NOW.0,
            other => panic!("{other:?}"),
        });
        assert_eq!(times.collect::<Vec<_>>(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    }
}
