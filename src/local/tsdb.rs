//! What a workspace stores, and how it judges what comes: a write request and the time in, a verdict out.
//!
//! The rules are those of Prometheus' TSDB (`appendable` in `tsdb/head_append.go`) behind the checks of Cortex, from
//! which AMP is derived; the words of a refusal are Cortex', which AMP uses letter by letter. Unlike AMP it wants
//! labels sorted and not empty, as remote write 1.0 asks of senders: what is accepted here is accepted everywhere.
//!
//! Nothing here knows HTTP or reads a clock. Memory is bounded by [`Rules::max_series`], [`Rules::max_label_bytes`] and
//! [`Rules::max_samples`].

mod labels;
mod order;
mod refusal;

use crate::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES};
use crate::model::Timestamp;
use crate::wire::messages::{TimeSeries, WriteRequest};
use std::collections::BTreeMap;

pub use refusal::{Fault, Refused};

/// What a workspace does with the valid rest of a request of which it refuses a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavour {
    /// Stores it and answers with the first refusal, as AMP and Cortex do.
    StoresTheValidRest,
    /// Stores nothing of the request, as Prometheus does for remote write 1.0. Its refusals name no series.
    AllOrNothing,
}

/// What a workspace accepts.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What happens to the valid rest of a request.
    pub flavour: Flavour,
    /// Whose workspace it is: `<account>_<workspace>`, as refusals say it.
    pub tenant: String,
    /// How far behind the newest sample of any series a sample may be that is not the newest of its own. 0 is off.
    pub out_of_order_window_ms: i64,
    /// Samples older than this, by the wall clock, are refused.
    pub max_sample_age_ms: i64,
    /// Samples further ahead than this are refused.
    pub max_sample_lead_ms: i64,
    /// Labels of a series, `__name__` included.
    pub max_labels: usize,
    /// Bytes of a metric's or a label's name.
    pub max_name_bytes: usize,
    /// Bytes of a label's value.
    pub max_value_bytes: usize,
    /// Series in all.
    pub max_series: usize,
    /// Bytes of all labels of all series.
    pub max_label_bytes: usize,
    /// Samples in all: beyond, each new sample costs its own series its older half.
    pub max_samples: usize,
}

/// A value at a time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// The value.
    pub value: f64,
}

/// Labels in bytewise order of their names, the metric's name among them as `__name__`.
pub type Labels = Vec<(String, String)>;

/// A series and what is stored of it, oldest first, each time once.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// What became of a request.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Verdict {
    /// Samples that are stored now and were not before.
    pub stored: usize,
    /// Samples that were accepted because they are stored already.
    pub known: usize,
    /// Samples that were refused; a series with faulty labels counts with all of its own.
    pub refused: usize,
    /// The first refusal, the only one that the sender hears of.
    pub first: Option<Refused>,
}

/// The series of a workspace.
#[derive(Clone, Debug)]
pub struct Tsdb {
    rules: Rules,
    series: BTreeMap<Labels, Vec<Sample>>,
    /// The newest time of any series: out-of-order windows are measured from here, not from the wall clock.
    head_max: Option<i64>,
    samples: usize,
    label_bytes: usize,
}

/// Samples of one series that were accepted, and are not stored yet.
struct Staged {
    last: Option<Sample>,
    samples: Vec<Sample>,
}

// === impl Rules ===

impl Default for Rules {
    /// AMP's: an hour, a window of a minute, ten minutes ahead.
    fn default() -> Self {
        Self {
            flavour: Flavour::StoresTheValidRest,
            tenant: "000000000000_ws-local".to_owned(),
            out_of_order_window_ms: 60_000,
            max_sample_age_ms: 3_600_000,
            max_sample_lead_ms: 600_000,
            max_labels: MAX_LABELS,
            max_name_bytes: MAX_NAME_BYTES,
            max_value_bytes: MAX_LABEL_VALUE_BYTES,
            max_series: 100_000,
            max_label_bytes: 64 << 20,
            max_samples: 4_000_000,
        }
    }
}

// === impl Tsdb ===

impl Tsdb {
    /// An empty one.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, series: BTreeMap::new(), head_max: None, samples: 0, label_bytes: 0 }
    }

    /// What it accepts.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Judges `request` at the time `now` and stores what the flavour allows.
    ///
    /// All samples of a request are measured against the newest time before it, as one appender of the TSDB does.
    pub fn append(&mut self, request: WriteRequest, now: Timestamp) -> Verdict {
        let mut verdict = Verdict::default();
        let mut staged = BTreeMap::new();
        let mut room = Room { series: self.series.len(), label_bytes: self.label_bytes };
        for series in request.timeseries {
            self.stage(series, now, &mut staged, &mut room, &mut verdict);
        }
        if verdict.refused > 0 && self.rules.flavour == Flavour::AllOrNothing {
            return Verdict { stored: 0, ..verdict };
        }
        verdict.stored = staged.into_iter().map(|(labels, staged)| self.commit(labels, staged.samples)).sum();
        verdict
    }

    /// All series, in the order of their labels.
    #[must_use]
    pub fn snapshot(&self) -> Vec<StoredSeries> {
        let stored = |(labels, samples): (&Labels, &Vec<Sample>)| StoredSeries {
            labels: labels.clone(),
            samples: samples.clone(),
        };
        self.series.iter().map(stored).collect()
    }

    fn stage(
        &self,
        series: TimeSeries,
        now: Timestamp,
        staged: &mut BTreeMap<Labels, Staged>,
        room: &mut Room,
        verdict: &mut Verdict,
    ) {
        let count = series.samples.len();
        let labels: Labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let is_new = !self.series.contains_key(&labels) && !staged.contains_key(&labels);
        let fault = labels::check(&labels, &self.rules).err();
        let fault = fault.or_else(|| if is_new && count > 0 { room.take(&labels, &self.rules) } else { None });
        if let Some(fault) = fault {
            verdict.refuse(count.max(1), || Refused::new(&self.rules, fault, &labels, None));
            return;
        }
        let mut entry = staged.remove(&labels).unwrap_or_else(|| {
            let last = self.series.get(&labels).and_then(|stored| stored.last().copied());
            Staged { last, samples: Vec::new() }
        });
        for sample in series.samples {
            let sample = Sample { timestamp: sample.timestamp, value: sample.value };
            let judged = self.age(&sample, now).and_then(|()| {
                order::judge(&sample, entry.last.as_ref(), self.head_max, self.rules.out_of_order_window_ms)
            });
            match judged {
                Ok(order::Place::Same) => verdict.known += 1,
                Ok(order::Place::OutOfOrder) => entry.samples.push(sample),
                Ok(order::Place::InOrder) => {
                    entry.samples.push(sample);
                    entry.last = Some(sample);
                }
                Err(fault) => verdict.refuse(1, || Refused::new(&self.rules, fault, &labels, Some(sample.timestamp))),
            }
        }
        staged.insert(labels, entry);
    }

    fn age(&self, sample: &Sample, now: Timestamp) -> Result<(), Fault> {
        let age = now.since(Timestamp(sample.timestamp));
        if age > self.rules.max_sample_age_ms {
            return Err(Fault::TimestampTooOld);
        }
        if age < -self.rules.max_sample_lead_ms {
            return Err(Fault::TimestampTooNew);
        }
        Ok(())
    }

    /// Stores and says how many samples are new. Of two samples for one time the earlier stored stays, as a query of
    /// the TSDB would show one of them.
    fn commit(&mut self, labels: Labels, samples: Vec<Sample>) -> usize {
        if samples.is_empty() {
            return 0;
        }
        let label_bytes = labels::bytes(&labels);
        let stored = self.series.entry(labels).or_insert_with(|| {
            self.label_bytes += label_bytes;
            Vec::new()
        });
        let mut new = 0;
        for sample in samples {
            self.head_max = self.head_max.max(Some(sample.timestamp));
            let Err(place) = stored.binary_search_by_key(&sample.timestamp, |stored| stored.timestamp) else {
                continue;
            };
            stored.insert(place, sample);
            new += 1;
            self.samples += 1;
            if self.samples > self.rules.max_samples && stored.len() > 1 {
                self.samples -= stored.drain(..stored.len() / 2).count();
            }
        }
        new
    }
}

/// What is left of the workspace's bounds while a request is judged.
struct Room {
    series: usize,
    label_bytes: usize,
}

impl Room {
    fn take(&mut self, labels: &Labels, rules: &Rules) -> Option<Fault> {
        let label_bytes = self.label_bytes + labels::bytes(labels);
        if self.series >= rules.max_series || label_bytes > rules.max_label_bytes {
            return Some(Fault::SeriesLimit { limit: rules.max_series.min(self.series) });
        }
        self.series += 1;
        self.label_bytes = label_bytes;
        None
    }
}

// === impl Verdict ===

impl Verdict {
    fn refuse(&mut self, samples: usize, refused: impl FnOnce() -> Refused) {
        self.refused += samples;
        self.first.get_or_insert_with(refused);
    }
}

#[cfg(test)]
mod tests;
