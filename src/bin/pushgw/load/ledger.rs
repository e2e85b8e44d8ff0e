//! Which samples must arrive, and which did: planned, acknowledged and found samples in, counts and latencies out. Pure.

use amp_push_gateway::local::fleet::{DEVICE_LABEL, METRIC_PREFIX, PlannedSample, SEED_LABEL};
use amp_push_gateway::model::{METRIC_NAME_LABEL, Timestamp};
use std::collections::HashMap;

/// Every good sample that was sent.
#[derive(Debug)]
pub(super) struct Ledger {
    seed: String,
    metrics: u32,
    samples: HashMap<(u32, i64), Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bits: u64,
    /// Milliseconds from its time until it was first seen or acknowledged.
    latency: Option<i64>,
    found: Option<u64>,
}

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Standing {
    pub(super) samples: u64,
    /// There, with the right value.
    pub(super) arrived: u64,
    /// There, with another.
    pub(super) wrong: u64,
    pub(super) missing: u64,
    /// Arrived later than wanted.
    pub(super) late: u64,
}

/// Latencies in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Percentiles {
    pub(super) p50: i64,
    pub(super) p90: i64,
    pub(super) p99: i64,
    pub(super) max: i64,
}

// === impl Ledger ===

impl Ledger {
    pub(super) fn new(seed: u64, metrics: u32) -> Self {
        Self { seed: seed.to_string(), metrics, samples: HashMap::new() }
    }

    /// These are sent now.
    pub(super) fn plan(&mut self, samples: &[PlannedSample]) {
        for sample in samples {
            if let Some(series) = self.series(pairs(sample)) {
                let entry = Entry { bits: sample.value.wire_bits(), latency: None, found: None };
                self.samples.insert((series, sample.timestamp.0), entry);
            }
        }
    }

    /// Whoever took them says at `now` that they are stored.
    pub(super) fn acknowledge(&mut self, samples: &[PlannedSample], now: Timestamp) {
        for sample in samples {
            let series = self.series(pairs(sample));
            if let Some(entry) = series.and_then(|series| self.samples.get_mut(&(series, sample.timestamp.0))) {
                entry.latency.get_or_insert(now.since(sample.timestamp));
            }
        }
    }

    /// A workspace holds this value at `now`; labels that are not ours are of no interest.
    pub(super) fn find<'l>(
        &mut self,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        values: impl Iterator<Item = (i64, f64)>,
        now: Timestamp,
    ) {
        let Some(series) = self.series(labels) else { return };
        for (timestamp, value) in values {
            if let Some(entry) = self.samples.get_mut(&(series, timestamp)) {
                entry.found = Some(value.to_bits());
                entry.latency.get_or_insert(now.since(Timestamp(timestamp)));
            }
        }
    }

    /// The time of the oldest sample that was not found yet.
    pub(super) fn oldest_open(&self) -> Option<Timestamp> {
        let open = self.samples.iter().filter(|(_, entry)| entry.found.is_none());
        open.map(|((_, timestamp), _)| Timestamp(*timestamp)).min()
    }

    /// Where `is_read` what was found counts, else what was acknowledged.
    pub(super) fn standing(&self, is_read: bool, late_after_ms: i64) -> Standing {
        let mut standing = Standing { samples: self.samples.len() as u64, ..Standing::default() };
        for entry in self.samples.values() {
            match entry.found {
                Some(bits) if bits != entry.bits => standing.wrong += 1,
                None if is_read || entry.latency.is_none() => standing.missing += 1,
                _ => {
                    standing.arrived += 1;
                    standing.late += u64::from(entry.latency.is_some_and(|latency| latency > late_after_ms));
                }
            }
        }
        standing
    }

    pub(super) fn percentiles(&self) -> Option<Percentiles> {
        let mut latencies: Vec<_> = self.samples.values().filter_map(|entry| entry.latency).collect();
        latencies.sort_unstable();
        let max = *latencies.last()?;
        // The smallest that is not less than this share of them.
        let at = |hundredths: usize| latencies[(latencies.len() * hundredths).div_ceil(100).max(1) - 1];
        Some(Percentiles { p50: at(50), p90: at(90), p99: at(99), max })
    }

    /// The number of a series of this load.
    fn series<'l>(&self, labels: impl Iterator<Item = (&'l str, &'l str)>) -> Option<u32> {
        let (mut device, mut metric, mut is_ours) = (None, None, false);
        for (name, value) in labels {
            match name {
                METRIC_NAME_LABEL => metric = value.strip_prefix(METRIC_PREFIX)?.parse::<u32>().ok(),
                DEVICE_LABEL => device = value.parse::<u32>().ok(),
                SEED_LABEL => is_ours = value == self.seed,
                _ => {}
            }
        }
        let metric = metric.filter(|&metric| is_ours && metric < self.metrics)?;
        device?.checked_mul(self.metrics)?.checked_add(metric)
    }
}

fn pairs(sample: &PlannedSample) -> impl Iterator<Item = (&str, &str)> {
    sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::model::Value;

    fn sample(metric: u32, at: i64, value: f64) -> PlannedSample {
        let label = |name: &str, value: String| (name.to_owned(), value);
        let labels = vec![
            label("__name__", format!("{METRIC_PREFIX}{metric}")),
            label(DEVICE_LABEL, "3".to_owned()),
            label(SEED_LABEL, "7".to_owned()),
        ];
        PlannedSample { labels, timestamp: Timestamp(at), value: Value::Float(value) }
    }

    fn find(ledger: &mut Ledger, sample: &PlannedSample, value: f64, now: i64) {
        let values = [(sample.timestamp.0, value)].into_iter();
        // Who serves may add labels of its own.
        ledger.find(pairs(sample).chain([("env", "prod")]), values, Timestamp(now));
    }

    #[test]
    fn each_sample_arrived_is_wrong_or_is_missing() {
        let mut ledger = Ledger::new(7, 2);
        let samples = [sample(0, 100, 1.0), sample(1, 100, 2.0), sample(0, 200, 3.0), sample(1, 300, 4.0)];
        ledger.plan(&samples);
        find(&mut ledger, &samples[0], 1.0, 110);
        find(&mut ledger, &samples[0], 1.0, 900);
        find(&mut ledger, &samples[1], 9.0, 110);
        find(&mut ledger, &samples[2], 3.0, 290);
        find(&mut ledger, &sample(0, 555, 1.0), 1.0, 600);
        let standing = ledger.standing(true, 50);
        assert_eq!(standing, Standing { samples: 4, arrived: 2, wrong: 1, missing: 1, late: 1 });
        assert_eq!(ledger.oldest_open(), Some(Timestamp(300)));
        let percentiles = Percentiles { p50: 10, p90: 90, p99: 90, max: 90 };
        assert_eq!(ledger.percentiles(), Some(percentiles));
    }

    #[test]
    fn what_is_acknowledged_counts_only_where_nothing_can_be_read() {
        let mut ledger = Ledger::new(7, 1);
        let samples = [sample(0, 100, 1.0), sample(0, 200, 1.0)];
        ledger.plan(&samples);
        ledger.acknowledge(&samples[..1], Timestamp(104));
        assert_eq!(ledger.standing(false, 50), Standing { samples: 2, arrived: 1, missing: 1, ..Standing::default() });
        assert_eq!(ledger.standing(true, 50), Standing { samples: 2, missing: 2, ..Standing::default() });
        assert_eq!(ledger.percentiles().map(|latencies| latencies.max), Some(4));
    }

    #[test]
    fn series_of_others_are_told_from_ours() {
        let ledger = Ledger::new(7, 2);
        let of = |name: &str, device: &str, seed: &str| {
            ledger.series([("__name__", name), (DEVICE_LABEL, device), (SEED_LABEL, seed)].into_iter())
        };
        assert_eq!(of("load_metric_1", "3", "7"), Some(7));
        for (name, device, seed) in [
            ("temperature", "3", "7"),
            ("load_metric_2", "3", "7"),
            ("load_metric_1", "x", "7"),
            ("load_metric_1", "3", "8"),
        ] {
            assert_eq!(of(name, device, seed), None, "{name} {device} {seed}");
        }
        assert_eq!(ledger.percentiles(), None);
    }
}
