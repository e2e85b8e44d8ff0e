//! The items of an OTLP request that are written together: samples for the receiver, and increments for the journal.

use super::super::journal::Journal;
use super::super::label_rules::label_len;
use crate::aggregate::Identity;
use crate::limits::{MAX_DOOR_PROTOBUF_BYTES, MAX_DOOR_SAMPLES, MAX_KNOWN_FAMILIES, MAX_METADATA_BYTES};
use crate::model::{
    BOUND_LABEL, ItemId, Label, LabelSet, METRIC_NAME_LABEL, MetricName, MetricType, NativeHistogram, Reason,
    Rejection, Timestamp, TypedMetric, Update, Value,
};
use crate::otlp::{Family, Increment, Item, Sink};
use crate::series::{LabelsId, Sample, SampleTableBuilder};

/// The items of a request that are written together.
pub(super) struct Part<'a> {
    external_len: usize,
    external: &'a LabelSet<'static>,
    pub(super) table: SampleTableBuilder<'a>,
    /// The table for increments, if there is one.
    pub(super) journal: Option<Journal<'a>>,
    now: Timestamp,
    request_id: &'a str,
    /// The kind of each item of the table.
    pub(super) kinds: Vec<Item>,
    /// The reasons of rejected items, which are not in the table.
    pub(super) rejected: Vec<Reason>,
    pub(super) first: Option<String>,
    pub(super) families: Vec<Family<'a>>,
    /// The labels of the samples that come, if they have a place in the table, and their length.
    labels: Option<LabelsId>,
    labels_len: usize,
    /// The number of the first item that is wanted.
    from: u64,
    /// The number of the first item that does not fit any more.
    pub(super) end: Option<u64>,
    /// All items of the request.
    pub(super) items: u64,
    memory: usize,
    /// The limit of memory. At most one item may exceed it.
    most: usize,
    /// All that the request takes when it is sent.
    protobuf: usize,
    samples: usize,
}

impl<'a> Part<'a> {
    pub(super) fn new(external: &'a LabelSet<'static>, from: u64, most: usize) -> Self {
        let external_len = external.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
        Self {
            external_len,
            external,
            journal: None,
            now: Timestamp(0),
            request_id: "",
            table: SampleTableBuilder::default().with_common_labels(external),
            kinds: Vec::new(),
            rejected: Vec::new(),
            first: None,
            families: Vec::new(),
            labels: None,
            labels_len: 0,
            from,
            end: None,
            items: 0,
            memory: 0,
            most,
            protobuf: 0,
            samples: 0,
        }
    }

    /// `request_id` distinguishes requests whose points have no time.
    pub(super) fn with_journal(self, journal: Option<Journal<'a>>, now: Timestamp, request_id: &'a str) -> Self {
        Self { journal, now, request_id, ..self }
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.protobuf > MAX_DOOR_PROTOBUF_BYTES || self.samples > MAX_DOOR_SAMPLES
    }

    /// Reports whether there is room for more in the table.
    fn has_room(&self) -> bool {
        self.end.is_none() && !self.is_too_large()
    }

    /// Counts what a sample takes beside its labels when it is sent, and in memory.
    fn count(&mut self, name: &MetricName<'_>, value_bytes: usize) {
        let bytes =
            24 + value_bytes + label_len(METRIC_NAME_LABEL, name.as_str()) + self.labels_len + self.external_len;
        self.protobuf = self.protobuf.saturating_add(bytes);
        self.samples += 1;
        self.memory += size_of::<Sample>() + value_bytes;
    }

    /// Counts labels of samples.
    fn count_labels(&mut self, labels: &LabelSet<'_>) {
        self.labels_len = labels.as_slice().iter().map(|label| label_len(label.name.as_str(), &label.value)).sum();
        self.memory += size_of_val(labels.as_slice());
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

    fn labels(&mut self, labels: LabelSet<'a>) {
        self.count_labels(&labels);
        self.labels = self.has_room().then(|| self.table.labels_id(labels));
    }

    fn number(&mut self, name: &MetricName<'a>, bound: Option<&str>, time: Timestamp, value: Value) {
        self.count(name, 0);
        if let Some(bound) = bound {
            self.protobuf += label_len(BOUND_LABEL, bound);
            self.memory += size_of::<Label<'_>>();
        }
        if let Some(labels) = self.labels.filter(|_| self.has_room()) {
            let labels = bound.map_or(labels, |bound| self.table.with_bound(labels, bound));
            self.table.add_number(self.item(), name, labels, time, value);
        }
    }

    fn histogram(&mut self, name: &MetricName<'a>, time: Timestamp, value: NativeHistogram) {
        self.count(name, value.bytes());
        if let Some(labels) = self.labels.filter(|_| self.has_room()) {
            self.table.add_histogram(self.item(), name, labels, time, value);
        }
    }

    fn increment(&mut self, increment: Increment<'_, 'a>) -> Result<(), Rejection> {
        let Increment { name, mut labels, update, help, time, interval, stream } = increment;
        self.count_labels(&labels);
        self.count(name, bytes_of(&update));
        if !self.has_room() {
            return Ok(());
        }
        labels.add_missing(self.external);
        if update.metric_type() == MetricType::Histogram {
            labels.remove(BOUND_LABEL);
        }
        let identity = match interval {
            Some(interval) => Identity::of_point(stream, interval, update.metric_type(), name, &labels),
            // A line break is in no id of a message.
            None => Identity::of_event(&format!("\n\n{}", self.request_id), self.items),
        };
        let help = Some(&help[..help.floor_char_boundary(MAX_METADATA_BYTES)]).filter(|help| !help.is_empty());
        let name = name.clone();
        let metric = TypedMetric { name, labels, update, help: help.map(Into::into), time, id: None };
        let item = self.item();
        match &mut self.journal {
            Some(journal) => journal.add_as(identity, item, &metric, self.now),
            // The rules take no deltas then.
            None => Ok(()),
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

/// Returns about as many bytes as an update takes in the journal.
fn bytes_of(update: &Update) -> usize {
    match update {
        Update::ClassicCounts(counts) => size_of::<u64>() * (counts.bounds.len() + counts.counts.len()),
        Update::NativeCounts(counts) => size_of::<u64>() * (counts.positive.len() + counts.negative.len()),
        _ => size_of::<u64>(),
    }
}

#[cfg(test)]
mod tests;
