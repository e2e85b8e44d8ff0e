//! OTLP: a request of an SDK or a collector to the receiver, translated as Prometheus does.
//!
//! * A data point that cannot be translated is rejected, and the others are sent. Ages are the receiver's to judge.
//! * An item of the delivery is a data point with all its samples, or the `target_info` of a resource. A `target_info` that the receiver
//!   calls late or a duplicate is superseded: another process of the same job and instance has written it.
//! * The samples of a long request are sent in several tables, each of at most [`MAX_OTLP_TABLE_BYTES`]. The first reading finds all that is
//!   wrong with the request, before anything is sent.

use super::label_rules::label_len;
use super::watch::Watch;
use super::{Gateway, Summary, metadata};
use crate::aws::Transport;
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_DOOR_SAMPLES, MAX_KNOWN_FAMILIES, MAX_OTLP_TABLE_BYTES};
use crate::model::{
    ItemId, LabelSet, METRIC_NAME_LABEL, MetricName, NativeHistogram, Reason, Rejection, Timestamp, Value,
};
use crate::otlp::{Family, Item, Promoted, ReadError, Rules, Sink, Translator, read_json, read_protobuf};
use crate::remote_write::ItemOutcome;
use crate::series::{Sample, SampleTableBuilder};
use crate::wire::Metadata;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// A request of a sender, and the bounds of its delivery.
#[derive(Clone, Copy, Debug)]
pub struct Otlp<'r> {
    pub encoding: OtlpEncoding,
    /// Without its content encoding.
    pub body: &'r [u8],
    /// Attributes of the resource that become labels.
    pub promoted: &'r [Promoted],
    /// The labels of the scope are wanted.
    pub scope_labels: bool,
    /// The start of the invocation: the time of data points without one.
    pub now: Timestamp,
    pub request_id: &'r str,
    /// When all requests must be answered.
    pub deadline: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtlpEncoding {
    Protobuf,
    Json,
}

/// The result of a request that can be read.
#[derive(Debug)]
pub struct OtlpDone {
    pub result: OtlpResult,
    pub summary: Summary,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OtlpResult {
    /// All data points are stored, except for those that are rejected for ever. `first` says why, or what else was not taken.
    Stored { rejected_points: u64, first: Option<String> },
    /// Some data points are not stored, and may be later.
    Failed { failure: String, retry_after: Option<Duration> },
}

/// Why nothing of a request is taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OtlpError {
    Read(ReadError),
    /// The request would take more than [`MAX_DOOR_PROTOBUF_BYTES`] or [`MAX_DOOR_SAMPLES`] when it is sent.
    TooLarge,
}

impl<T: Transport, D> Gateway<T, D> {
    /// Writes a request of a sender, and returns when every data point has an outcome or the deadline is near.
    pub async fn otlp<'r>(&'r self, request: &Otlp<'r>) -> Result<OtlpDone, OtlpError> {
        let mut watch = Watch::start();
        let mut done = Done::default();
        let mut families = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next {
            let mut part = self.part(request, from)?;
            done.summary.stages.read += watch.lap();
            done.summary.received = done.summary.received.max(part.items);
            next = part.end;
            families.append(&mut part.families);
            self.write_part(request, part, &mut done, &mut watch).await;
            if done.summary.errored > 0 {
                break;
            }
        }
        let Done { mut summary, rejected_points, first, warning, failure, retry_after } = done;
        let result = if summary.errored > 0 {
            // The sender repeats the whole request.
            summary.errored = summary.received.saturating_sub(summary.delivered + summary.rejected).max(1);
            let failure = failure.unwrap_or_else(|| "it could not be sent".to_owned());
            OtlpResult::Failed { failure, retry_after }
        } else {
            let Otlp { now, request_id, deadline, .. } = *request;
            let families = families.iter().map(|Family { name, metric_type, help, unit }| Metadata {
                family: name.as_str(),
                metric_type: *metric_type,
                help,
                unit,
            });
            summary.sent.requests +=
                metadata::send(&self.writer, &self.known_metadata, families, now, request_id, deadline).await;
            OtlpResult::Stored { rejected_points, first: first.or(warning) }
        };
        summary.messages = 1;
        summary.stages.total = watch.total();
        Ok(OtlpDone { result, summary })
    }

    /// Reads the items from number `from` on that fit into one table.
    fn part<'r>(&'r self, request: &Otlp<'r>, from: u64) -> Result<Part<'r>, OtlpError> {
        let external = &self.rules.external_labels;
        let Otlp { promoted, scope_labels, now, body, .. } = *request;
        let rules = Rules { promoted, scope_labels, external, now };
        let mut translator = Translator::new(rules, Part::new(external, from, MAX_OTLP_TABLE_BYTES));
        match request.encoding {
            OtlpEncoding::Protobuf => read_protobuf(body, &mut translator),
            OtlpEncoding::Json => read_json(body, &mut translator),
        }
        .map_err(OtlpError::Read)?;
        let part = translator.into_sink();
        if part.is_too_large() { Err(OtlpError::TooLarge) } else { Ok(part) }
    }

    async fn write_part<'r>(&'r self, request: &Otlp<'r>, part: Part<'r>, done: &mut Done, watch: &mut Watch) {
        let Part { table, kinds, rejected, mut first, .. } = part;
        let mut points_rejected = 0;
        for reason in rejected {
            done.reject(reason, &mut points_rejected, Item::Point);
        }
        let table = table.finish(&mut |contradiction| {
            first.get_or_insert_with(|| format!("{}: {contradiction}", contradiction.name.as_str()));
            done.reject(Reason::DuplicateTimestamp, &mut points_rejected, kinds[contradiction.item.0 as usize]);
        });
        done.rejected_points += points_rejected;
        if done.first.is_none() {
            done.first = first;
        }
        done.summary.stages.merge += watch.lap();
        let messages = [ItemId(0)];
        let written = self.writer.write(&table, &messages, request.request_id, request.deadline).await;
        let outcomes = written.delivery.outcomes(|_| false);
        let summary = &mut done.summary;
        summary.stages.encode += written.encoding;
        summary.stages.send += watch.lap().saturating_sub(written.encoding);
        summary.samples += outcomes.samples;
        summary.series += outcomes.series;
        summary.inexact += outcomes.inexact;
        summary.sent.requests += written.sent.requests;
        summary.sent.retries += written.sent.retries;
        summary.sent.bytes += written.sent.bytes;
        done.retry_after = written.retry_after.or(done.retry_after);
        for (item, outcome) in outcomes.iter() {
            done.settle(kinds[item.0 as usize], outcome);
        }
        done.failure = outcomes.failure;
    }
}

/// The outcomes of the parts that are written.
#[derive(Default)]
struct Done {
    summary: Summary,
    rejected_points: u64,
    /// Says why the first data point is rejected.
    first: Option<String>,
    /// Says why the first `target_info` is.
    warning: Option<String>,
    failure: Option<String>,
    retry_after: Option<Duration>,
}

impl Done {
    fn reject(&mut self, reason: Reason, points: &mut u64, kind: Item) {
        self.summary.rejected += 1;
        self.summary.rejected_by[reason as usize] += 1;
        *points += u64::from(kind == Item::Point);
    }

    fn settle(&mut self, kind: Item, outcome: ItemOutcome<'_>) {
        let is_late = |reason| matches!(reason, Reason::OutOfOrder | Reason::TooOld | Reason::DuplicateTimestamp);
        match outcome {
            ItemOutcome::Delivered => self.summary.delivered += 1,
            ItemOutcome::Errored => self.summary.errored += 1,
            ItemOutcome::Rejected { rejection, .. } if kind == Item::TargetInfo && is_late(rejection.reason) => {
                self.summary.delivered += 1;
            }
            ItemOutcome::Rejected { rejection, maybe_stored } => {
                self.summary.maybe_stored += u64::from(maybe_stored);
                let mut points = 0;
                self.reject(rejection.reason, &mut points, kind);
                self.rejected_points += points;
                let slot = if kind == Item::Point { &mut self.first } else { &mut self.warning };
                slot.get_or_insert_with(|| rejection.detail.to_string());
            }
        }
    }
}

/// The items of a request that are written together.
struct Part<'a> {
    external_len: usize,
    table: SampleTableBuilder<'a>,
    /// The kind of each item of the table.
    kinds: Vec<Item>,
    /// Why items are rejected that are not in the table.
    rejected: Vec<Reason>,
    first: Option<String>,
    families: Vec<Family<'a>>,
    /// The number of the first item that is wanted.
    from: u64,
    /// The number of the first item that does not fit any more.
    end: Option<u64>,
    /// All items of the request.
    items: u64,
    memory: usize,
    /// The memory that is not passed by more than one item.
    most: usize,
    /// All that the request takes when it is sent.
    protobuf: usize,
    samples: usize,
}

impl<'a> Part<'a> {
    fn new(external: &'a LabelSet<'static>, from: u64, most: usize) -> Self {
        let external_len = external.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
        Self {
            external_len,
            table: SampleTableBuilder::default().with_common_labels(external),
            kinds: Vec::new(),
            rejected: Vec::new(),
            first: None,
            families: Vec::new(),
            from,
            end: None,
            items: 0,
            memory: 0,
            most,
            protobuf: 0,
            samples: 0,
        }
    }

    fn is_too_large(&self) -> bool {
        self.protobuf > MAX_DOOR_PROTOBUF_BYTES || self.samples > MAX_DOOR_SAMPLES
    }

    /// Reports whether a sample has a place in the table. Counts it in any case.
    fn takes(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>, value_bytes: usize) -> bool {
        let own: usize = labels.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
        let bytes = 24 + value_bytes + label_len(METRIC_NAME_LABEL, name.as_str()) + own + self.external_len;
        self.protobuf = self.protobuf.saturating_add(bytes);
        self.samples += 1;
        self.memory += size_of::<Sample>() + value_bytes + size_of_val(labels.as_slice());
        self.end.is_none() && !self.is_too_large()
    }

    fn item(&self) -> ItemId {
        ItemId(u32::try_from(self.kinds.len().saturating_sub(1)).unwrap_or(u32::MAX))
    }
}

impl<'a> Sink<'a> for Part<'a> {
    fn begin(&mut self, item: Item) -> bool {
        let number = self.items;
        self.items += 1;
        if number < self.from || self.is_too_large() {
            return false;
        }
        if self.end.is_none() && self.memory > self.most {
            self.end = Some(number);
        }
        if self.end.is_none() {
            self.kinds.push(item);
        }
        // The first reading measures what it does not keep.
        self.end.is_none() || self.from == 0
    }

    fn family(&mut self, family: &Family<'a>) {
        if self.families.len() < MAX_KNOWN_FAMILIES {
            self.families.push(family.clone());
        }
    }

    fn number(&mut self, name: &MetricName<'a>, labels: LabelSet<'a>, time: Timestamp, value: Value) {
        if self.takes(name, &labels, 0) {
            self.table.add_number(self.item(), name, labels, time, value);
        }
    }

    fn histogram(&mut self, name: &MetricName<'a>, labels: LabelSet<'a>, time: Timestamp, value: NativeHistogram) {
        if self.takes(name, &labels, value.bytes()) {
            self.table.add_histogram(self.item(), name, labels, time, value);
        }
    }

    fn reject(&mut self, Rejection { reason, detail }: Rejection) {
        if self.end.is_none() {
            self.first.get_or_insert_with(|| detail.into_owned());
            self.kinds.pop();
            self.rejected.push(reason);
        }
    }
}

impl fmt::Display for OtlpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => error.fmt(f),
            Self::TooLarge => write!(
                f,
                "the request takes more than {MAX_DOOR_PROTOBUF_BYTES} bytes or {MAX_DOOR_SAMPLES} samples when it is \
                 sent; send fewer data points at once"
            ),
        }
    }
}

impl std::error::Error for OtlpError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::TooLarge => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Label;
    use std::collections::BTreeSet;

    /// Returns the samples, the rejections and the number of parts, if each part has at most so much memory.
    fn parts(body: &str, most: usize) -> (BTreeSet<(String, u64)>, Vec<String>, usize) {
        let external = LabelSet::default();
        let (mut samples, mut rejections, mut count) = (BTreeSet::new(), Vec::new(), 0);
        let mut next = Some(0);
        while let Some(from) = next {
            let rules = Rules { promoted: &[], scope_labels: false, external: &external, now: Timestamp(1) };
            let mut translator = Translator::new(rules, Part::new(&external, from, most));
            read_json(body.as_bytes(), &mut translator).unwrap();
            let part = translator.into_sink();
            assert!(!part.is_too_large());
            count += 1;
            next = part.end;
            rejections.extend(part.rejected.iter().map(ToString::to_string));
            let kinds = part.kinds.len();
            let table = part.table.finish(&mut |contradiction| panic!("{contradiction}"));
            for sample in table.samples() {
                assert!((sample.item.0 as usize) < kinds);
                let (name, labels) = table.series(sample.series);
                let shown = |label: &Label<'_>| format!("{}={}", label.name.as_str(), label.value);
                let labels: Vec<_> = labels.iter().map(shown).collect();
                let key = (format!("{}{labels:?}", name.as_str()), sample.timestamp.0.unsigned_abs());
                assert!(samples.insert(key), "a sample is in two parts");
            }
        }
        (samples, rejections, count)
    }

    #[test]
    fn every_item_is_in_one_part_however_small_the_parts_are() {
        let attributes = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},{"key":"os","value":{}},
            {"key":"a","value":{"stringValue":"b"}}]}"#;
        let gauge = |name: &str| {
            format!(
                r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"asInt":1}},{{}},{{"asInt":2,"timeUnixNano":7000000}}]}}}}"#
            )
        };
        let histogram = r#"{"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":3,"sum":1,"bucketCounts":
            [1,1,1],"explicitBounds":[1,2]},{"timeUnixNano":9000000}]}}"#;
        let metrics = format!("{},{histogram},{}", gauge("a"), gauge("b"));
        let resource = format!(r#"{{{attributes},"scopeMetrics":[{{"metrics":[{metrics}]}}]}}"#);
        let body = format!(r#"{{"resourceMetrics":[{resource}]}}"#);
        let (samples, rejections, count) = parts(&body, usize::MAX);
        assert_eq!((samples.len(), rejections.len(), count), (13, 2, 1));
        for most in [0, 100, 400, 1_000] {
            let (in_parts, rejected, count) = parts(&body, most);
            assert_eq!((&in_parts, &rejected), (&samples, &rejections), "{most}");
            assert!(count > 1, "{most}");
        }
    }
}
