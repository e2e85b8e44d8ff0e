//! The series of a workspace, and its rules. It takes a write request and the time, and returns [`Appended`].
//!
//! The rules are those of Prometheus' TSDB (`appendable` in `tsdb/head_append.go`) after the checks of Cortex. AMP is
//! derived from Cortex, and this module has the same error texts, letter by letter. Unlike AMP, this workspace takes only
//! labels that are sorted and not empty, as remote write 1.0 demands. So every receiver accepts a request that this one
//! accepts.
//!
//! This module knows no HTTP and reads no clock. [`Rules::max_series`], [`Rules::max_label_bytes`] and
//! [`Rules::max_samples`] bound its memory.

mod labels;
mod order;
mod refusal;

use crate::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES};
use crate::model::Timestamp;
use crate::wire::messages::{TimeSeries, WriteRequest};
use order::Accepted;
use std::collections::BTreeMap;

pub use crate::wire::messages::Sample;
pub use refusal::{Refusal, RefusalReason};

/// How a workspace treats the valid rest of a request if it refuses a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flavour {
    /// Stores the valid rest, as AMP and Cortex do. The error text names the series.
    StoresTheValidRest,
    /// Stores nothing of the request, as Prometheus does for remote write 1.0. The error text names no series.
    AllOrNothing,
}

/// The limits of a workspace.
#[derive(Clone, Debug)]
pub struct Rules {
    pub flavour: Flavour,
    /// `<account>_<workspace>`, as in error texts.
    pub tenant: String,
    /// A sample that is not the newest of its series may be this far behind the newest of any series. 0 is off.
    pub out_of_order_window_ms: i64,
    /// By the wall clock.
    pub max_sample_age_ms: i64,
    /// By the wall clock.
    pub max_sample_lead_ms: i64,
    /// Labels of a series, `__name__` included.
    pub max_labels: usize,
    /// Bytes of a metric name or a label name.
    pub max_name_bytes: usize,
    /// Bytes of a label value.
    pub max_value_bytes: usize,
    /// Series of the workspace.
    pub max_series: usize,
    /// Bytes of all labels of all series.
    pub max_label_bytes: usize,
    /// Samples of the workspace. If there are more, a new sample removes the older half of its own series.
    pub max_samples: usize,
}

/// Labels in bytewise order of their names; `__name__` is one of them.
pub type Labels = Vec<(String, String)>;

/// A series with its samples, oldest first, at most one at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredSeries {
    pub labels: Labels,
    pub samples: Vec<Sample>,
}

/// The numbers of one request.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Appended {
    /// Samples that are new.
    pub stored: usize,
    /// Samples that were accepted and had been stored before.
    pub known: usize,
    /// Samples that were refused: all samples of a series if its labels are wrong.
    pub refused: usize,
    /// The only one that the sender reads.
    pub first: Option<Refusal>,
}

/// The series of a workspace.
#[derive(Clone, Debug)]
pub struct Tsdb {
    rules: Rules,
    series: BTreeMap<Labels, Vec<Sample>>,
    /// The newest time of any series. The out-of-order window ends here, not at the wall clock.
    head_max: Option<i64>,
    samples: usize,
    label_bytes: usize,
}

/// The accepted samples of one series, before they are stored.
struct Staged {
    last: Option<Sample>,
    samples: Vec<Sample>,
}

impl Default for Rules {
    /// The limits of AMP: samples of the last hour, a window of one minute, at most ten minutes ahead.
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

impl Tsdb {
    pub fn new(rules: Rules) -> Self {
        Self { rules, series: BTreeMap::new(), head_max: None, samples: 0, label_bytes: 0 }
    }

    /// Checks `request` at the time `now` and stores the samples that the flavour allows.
    ///
    /// The window of all its samples ends at the newest time before the request, as in one appender of the TSDB.
    pub fn append(&mut self, request: WriteRequest, now: Timestamp) -> Appended {
        let mut appended = Appended::default();
        let mut staged = BTreeMap::new();
        let mut room = Room { series: self.series.len(), label_bytes: self.label_bytes };
        for series in request.timeseries {
            self.stage(series, now, &mut staged, &mut room, &mut appended);
        }
        if appended.refused > 0 && self.rules.flavour == Flavour::AllOrNothing {
            return appended;
        }
        appended.stored = staged.into_iter().map(|(labels, staged)| self.commit(labels, staged.samples)).sum();
        appended
    }

    /// Returns all series in the order of their labels.
    pub fn snapshot(&self) -> Vec<StoredSeries> {
        let stored = |(labels, samples): (&Labels, &Vec<Sample>)| StoredSeries {
            labels: labels.clone(),
            samples: samples.clone(),
        };
        self.series.iter().map(stored).collect()
    }

    /// Returns the first series with their newest samples, and how many samples each has; and the numbers of all series and samples.
    pub fn newest(&self, series: usize, samples: usize) -> (Vec<(StoredSeries, usize)>, usize, usize) {
        let newest = |(labels, all): (&Labels, &Vec<Sample>)| {
            let samples = all[all.len().saturating_sub(samples)..].to_vec();
            (StoredSeries { labels: labels.clone(), samples }, all.len())
        };
        (self.series.iter().take(series).map(newest).collect(), self.series.len(), self.samples)
    }

    fn stage(
        &self,
        series: TimeSeries,
        now: Timestamp,
        staged: &mut BTreeMap<Labels, Staged>,
        room: &mut Room,
        appended: &mut Appended,
    ) {
        let count = series.samples.len();
        let labels: Labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
        let is_new = !self.series.contains_key(&labels) && !staged.contains_key(&labels);
        let checked = labels::check(&labels, &self.rules);
        let checked = checked.and_then(|()| if is_new && count > 0 { room.take(&labels, &self.rules) } else { Ok(()) });
        if let Err(reason) = checked {
            appended.refuse(count.max(1), || Refusal::new(&self.rules, reason, &labels, None));
            return;
        }
        let mut entry = staged.remove(&labels).unwrap_or_else(|| {
            let last = self.series.get(&labels).and_then(|stored| stored.last().copied());
            Staged { last, samples: Vec::new() }
        });
        for sample in series.samples {
            let checked = self.check_age(&sample, now).and_then(|()| {
                order::check(&sample, entry.last.as_ref(), self.head_max, self.rules.out_of_order_window_ms)
            });
            match checked {
                Ok(Accepted::Duplicate) => appended.known += 1,
                Ok(Accepted::OutOfOrder) => entry.samples.push(sample),
                Ok(Accepted::InOrder) => {
                    entry.samples.push(sample);
                    entry.last = Some(sample);
                }
                Err(reason) => {
                    appended.refuse(1, || Refusal::new(&self.rules, reason, &labels, Some(sample.timestamp)));
                }
            }
        }
        staged.insert(labels, entry);
    }

    fn check_age(&self, sample: &Sample, now: Timestamp) -> Result<(), RefusalReason> {
        let age = now.since(Timestamp(sample.timestamp));
        if age > self.rules.max_sample_age_ms {
            return Err(RefusalReason::TimestampTooOld);
        }
        if age < -self.rules.max_sample_lead_ms {
            return Err(RefusalReason::TimestampTooNew);
        }
        Ok(())
    }

    /// Stores `samples` and returns how many are new. If there is one for the same time already, that one stays.
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
            let Err(index) = stored.binary_search_by_key(&sample.timestamp, |stored| stored.timestamp) else {
                continue;
            };
            stored.insert(index, sample);
            new += 1;
            self.samples += 1;
            if self.samples > self.rules.max_samples && stored.len() > 1 {
                self.samples -= stored.drain(..stored.len() / 2).count();
            }
        }
        new
    }
}

/// The series and label bytes of the workspace, with those that the current request adds.
struct Room {
    series: usize,
    label_bytes: usize,
}

impl Room {
    fn take(&mut self, labels: &Labels, rules: &Rules) -> Result<(), RefusalReason> {
        let label_bytes = self.label_bytes + labels::bytes(labels);
        if self.series >= rules.max_series || label_bytes > rules.max_label_bytes {
            return Err(RefusalReason::SeriesLimit { limit: rules.max_series.min(self.series) });
        }
        self.series += 1;
        self.label_bytes = label_bytes;
        Ok(())
    }
}

impl Appended {
    fn refuse(&mut self, samples: usize, refusal: impl FnOnce() -> Refusal) {
        self.refused += samples;
        self.first.get_or_insert_with(refusal);
    }
}

#[cfg(test)]
mod tests;
