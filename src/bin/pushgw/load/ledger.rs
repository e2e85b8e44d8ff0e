//! The ledger knows which samples must arrive, and which did. It takes planned, acknowledged and found samples, and returns
//! counts and latencies. Pure.

use super::generator::{Expected, PlannedSample};
use super::tally::{EventOutcome, Tally};
use crate::view::{pairs, series_name};
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::model::{METRIC_NAME_LABEL, Timestamp};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The events that were sent, counted, and every sample of the good ones.
pub(crate) struct Ledger {
    pub(crate) tally: Tally,
    /// The labels that tell the series of these events from others; who serves them may add labels of its own.
    labels: [&'static str; 3],
    /// By a hash of their series, and time.
    samples: HashMap<(u64, i64), Entry>,
    events: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bits: u64,
    /// The number of its event.
    event: u64,
    /// Milliseconds from its time until it was first acknowledged or found.
    latency: Option<i64>,
    found: Option<u64>,
}

/// How many samples arrived; the names are keys of `load`'s report.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Debug)]
pub(crate) struct Arrival {
    pub(crate) samples: u64,
    /// Found with the right value.
    pub(crate) arrived: u64,
    pub(crate) missing: u64,
    /// Found with another value.
    pub(crate) wrong: u64,
    pub(crate) late: u64,
    /// Events that are acknowledged, but have a missing or wrong sample.
    #[serde(skip)]
    pub(crate) lost_events: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
pub(crate) struct Percentiles {
    pub(crate) p50: i64,
    pub(crate) p90: i64,
    pub(crate) p99: i64,
    pub(crate) max: i64,
}

impl Ledger {
    /// Returns an empty ledger of series that `labels` tell from others.
    pub(crate) fn new([first, second]: [&'static str; 2]) -> Self {
        let labels = [METRIC_NAME_LABEL, first, second];
        Self { tally: Tally::default(), labels, samples: HashMap::new(), events: 0 }
    }

    /// Notes that a message with these events is sent now.
    pub(crate) fn plan<'e>(&mut self, bytes: usize, events: impl IntoIterator<Item = &'e Expected>) {
        self.tally.messages += 1;
        self.tally.bytes += bytes as u64;
        for event in events {
            self.events += 1;
            for sample in event.samples().unwrap_or_default() {
                let entry = Entry { bits: sample.value.wire_bits(), event: self.events, latency: None, found: None };
                self.samples.insert(self.key(sample), entry);
            }
        }
    }

    pub(crate) fn settle(&mut self, expected: &Expected, outcome: &EventOutcome, now: Timestamp) {
        self.tally.count(expected, outcome);
        let stored = expected.samples().filter(|_| *outcome == EventOutcome::Stored);
        for sample in stored.unwrap_or_default() {
            let key = self.key(sample);
            if let Some(entry) = self.samples.get_mut(&key) {
                entry.latency.get_or_insert(now.since(sample.timestamp));
            }
        }
    }

    /// Notes the value of a sample that the receiver holds at `now`. Returns whether the sample is one of these events'.
    pub(crate) fn find<'l>(
        &mut self,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        values: impl Iterator<Item = (i64, f64)>,
        now: Timestamp,
    ) -> bool {
        let series = self.series(labels);
        let mut all_known = true;
        for (timestamp, value) in values {
            match self.samples.get_mut(&(series, timestamp)) {
                Some(entry) => {
                    entry.found = Some(value.to_bits());
                    entry.latency.get_or_insert(now.since(Timestamp(timestamp)));
                }
                None => all_known = false,
            }
        }
        all_known
    }

    /// Notes everything in a workspace to which nobody else writes.
    pub(crate) fn find_all(&mut self, workspace: &[StoredSeries], now: Timestamp) {
        for series in workspace {
            let values = series.samples.iter().map(|sample| (sample.timestamp, sample.value));
            if !self.find(pairs(&series.labels), values, now) {
                let name = series_name(pairs(&series.labels));
                self.tally.surprise(format!("the workspace holds samples of {name} that were not sent"));
            }
        }
    }

    /// Returns the time of the oldest sample that was not found yet.
    pub(crate) fn oldest_open(&self) -> Option<Timestamp> {
        let open = self.samples.iter().filter(|(_, entry)| entry.found.is_none());
        open.map(|((_, timestamp), _)| Timestamp(*timestamp)).min()
    }

    /// Counts what was found if `is_read`, else what was acknowledged.
    pub(crate) fn arrival(&self, is_read: bool, late_after_ms: i64) -> Arrival {
        let mut arrival = Arrival { samples: self.samples.len() as u64, ..Arrival::default() };
        let mut lost = HashSet::new();
        for entry in self.samples.values() {
            match entry.found {
                Some(bits) if bits != entry.bits => arrival.wrong += 1,
                None if is_read || entry.latency.is_none() => arrival.missing += 1,
                _ => {
                    arrival.arrived += 1;
                    arrival.late += u64::from(entry.latency.is_some_and(|latency| latency > late_after_ms));
                    continue;
                }
            }
            lost.extend(entry.latency.map(|_| entry.event));
        }
        arrival.lost_events = lost.len() as u64;
        arrival
    }

    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let mut latencies: Vec<_> = self.samples.values().filter_map(|entry| entry.latency).collect();
        latencies.sort_unstable();
        let max = *latencies.last()?;
        // The smallest that is not less than this share of them.
        let at = |hundredths: usize| latencies[(latencies.len() * hundredths).div_ceil(100).max(1) - 1];
        Some(Percentiles { p50: at(50), p90: at(90), p99: at(99), max })
    }

    fn key(&self, sample: &PlannedSample) -> (u64, i64) {
        (self.series(pairs(&sample.labels)), sample.timestamp.0)
    }

    /// Hashes the values of the labels that matter. Two of a million series share a hash once in 30 million runs.
    fn series<'l>(&self, labels: impl Iterator<Item = (&'l str, &'l str)>) -> u64 {
        let mut values = [""; 3];
        for (name, value) in labels {
            if let Some(position) = self.labels.iter().position(|label| *label == name) {
                values[position] = value;
            }
        }
        let mut hasher = DefaultHasher::new();
        values.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::local::tsdb::Sample;
    use amp_push_gateway::model::{Reason, Value};

    const LABELS: [&str; 2] = ["deviceId", "load_seed"];

    fn sample(metric: u32, at: i64, value: f64) -> PlannedSample {
        let label = |name: &str, value: String| (name.to_owned(), value);
        let name = label("__name__", format!("load_metric_{metric}"));
        let labels = vec![name, label("deviceId", "3".to_owned()), label("load_seed", "7".to_owned())];
        PlannedSample { labels, timestamp: Timestamp(at), value: Value::Float(value) }
    }

    fn planned(events: &[Expected]) -> Ledger {
        let mut ledger = Ledger::new(LABELS);
        ledger.plan(10, events);
        ledger
    }

    fn find(ledger: &mut Ledger, sample: &PlannedSample, value: f64, now: i64) -> bool {
        let values = [(sample.timestamp.0, value)].into_iter();
        ledger.find(pairs(&sample.labels).chain([("env", "prod")]), values, Timestamp(now))
    }

    #[test]
    fn each_sample_arrived_is_wrong_or_is_missing() {
        let samples = [sample(0, 100, 1.0), sample(1, 100, 2.0), sample(0, 200, 3.0), sample(1, 300, 4.0)];
        let mut ledger = planned(&[Expected::Stored(samples.to_vec())]);
        assert!(find(&mut ledger, &samples[0], 1.0, 110));
        assert!(find(&mut ledger, &samples[0], 1.0, 900));
        assert!(find(&mut ledger, &samples[1], 9.0, 110));
        assert!(find(&mut ledger, &samples[2], 3.0, 290));
        let expected = Arrival { samples: 4, arrived: 2, wrong: 1, missing: 1, late: 1, lost_events: 1 };
        assert_eq!(ledger.arrival(true, 50), expected);
        assert_eq!(ledger.oldest_open(), Some(Timestamp(300)));
        let percentiles = Percentiles { p50: 10, p90: 90, p99: 90, max: 90 };
        assert_eq!(ledger.percentiles(), Some(percentiles));
    }

    #[test]
    fn an_acknowledged_event_has_arrived_if_nothing_can_be_read_and_is_lost_if_it_is_not_found() {
        let events = [Expected::Stored(vec![sample(0, 100, 1.0)]), Expected::Stored(vec![sample(0, 200, 1.0)])];
        let mut ledger = planned(&events);
        ledger.settle(&events[0], &EventOutcome::Stored, Timestamp(104));
        ledger.settle(&events[1], &EventOutcome::Returned(String::new()), Timestamp(104));
        let acknowledged = Arrival { samples: 2, arrived: 1, missing: 1, ..Arrival::default() };
        assert_eq!(ledger.arrival(false, 50), acknowledged);
        assert_eq!(ledger.arrival(true, 50), Arrival { samples: 2, missing: 2, lost_events: 1, ..Arrival::default() });
        assert_eq!(ledger.percentiles().map(|latencies| latencies.max), Some(4));
    }

    #[test]
    fn series_of_others_are_told_from_ours() {
        let ours = sample(1, 100, 1.0);
        let mut ledger = planned(&[Expected::Stored(vec![ours.clone()]), Expected::Rejected(Reason::TooOld)]);
        for (position, value) in [(0, "temperature"), (1, "4"), (2, "8")] {
            let mut other = ours.clone();
            other.labels[position].1 = value.to_owned();
            assert!(!find(&mut ledger, &other, 1.0, 110), "{other:?}");
        }
        assert!(!find(&mut ledger, &sample(1, 101, 1.0), 1.0, 110));
        assert_eq!(ledger.percentiles(), None);
        let stored =
            |at| StoredSeries { labels: ours.labels.clone(), samples: vec![Sample { timestamp: at, value: 1.0 }] };
        ledger.find_all(&[stored(100)], Timestamp(110));
        assert_eq!(ledger.tally.surprises, 0);
        ledger.find_all(&[stored(100), stored(101)], Timestamp(110));
        assert_eq!(ledger.tally.surprises, 1);
    }
}
