//! Encodes samples as a `Request` of 2.0: `io/prometheus/write/v2/types.proto`.
//!
//! * A text is written once, as a symbol. Everything else refers to its number. The first symbol is empty.
//! * A `TimeSeries` has numbers or histograms, never both. If a series has both, it becomes several messages in the order of
//!   time.
//! * Symbols stand before the series, because some receivers read in one pass.
//! * The samples of 2.0 have the fields of 1.0, and the histograms, too. Start timestamps are not sent.

use super::histogram;
use super::varint::{framed, varint, write_varint};
use super::write_request::{distinct, histograms, sample_len, write_sample};
use super::{Exemplar, Exemplars, Families};
use crate::index::Index;
use crate::limits::MAX_REQUEST_SERIES;
use crate::model::{BOUND_LABEL, METRIC_NAME_LABEL, MetricType};
use crate::series::{Labels, Sample, SampleTable};
use foldhash::fast::RandomState;
use prost::encoding::encoded_len_varint;
use std::hash::BuildHasher;
use std::ops::Range;

// Keys of the protobuf fields: (number << 3) | wire type.
const SYMBOLS: u8 = 0x22; // Request.symbols = 4
const TIMESERIES: u8 = 0x2A; // Request.timeseries = 5
const LABELS_REFS: u8 = 0x0A; // TimeSeries.labels_refs and Exemplar.labels_refs = 1, packed
const HISTOGRAMS: u8 = 0x1A; // TimeSeries.histograms = 3
const EXEMPLARS: u8 = 0x22; // TimeSeries.exemplars = 4
const METADATA: u8 = 0x2A; // TimeSeries.metadata = 5
const TYPE: u8 = 0x08; // Metadata.type = 1, an enum
const HELP_REF: u8 = 0x18; // Metadata.help_ref = 3, a varint
const UNIT_REF: u8 = 0x20; // Metadata.unit_ref = 4, a varint
const EXEMPLAR_VALUE: u8 = 0x11; // Exemplar.value = 2, a double
const EXEMPLAR_TIMESTAMP: u8 = 0x18; // Exemplar.timestamp = 3, a varint

/// Writes one series after another.
pub(super) struct Writer<'w, 'a> {
    table: &'w SampleTable<'a>,
    families: &'w dyn Families,
    symbols: Symbols<'w>,
    series: &'w mut Vec<u8>,
    messages: usize,
    /// The exemplars of a sender's request. Then each sample has a message of its own.
    pub(super) relayed: Option<&'w Exemplars<'w>>,
    /// By the symbol of a metric's name.
    described: Vec<Option<Described>>,
    last: Option<LabelRefs<'w, 'a>>,
}

/// The metadata of a metric.
#[derive(Clone, Copy)]
struct Described {
    metric_type: MetricType,
    help: u32,
    unit: u32,
}

/// The label set that was written last: the metrics of an event, and the buckets of a histogram, share one.
struct LabelRefs<'w, 'a> {
    labels: Labels<'w, 'a>,
    /// Symbols of name, value, name, value … without those of `__name__` and `le`.
    refs: Vec<u32>,
    /// The positions of the two in `refs`.
    name_at: usize,
    bound_at: usize,
}

impl<'w, 'a> Writer<'w, 'a> {
    /// `symbols` must be empty.
    pub(super) fn new(
        table: &'w SampleTable<'a>,
        families: &'w dyn Families,
        symbols: &'w mut Vec<u8>,
        series: &'w mut Vec<u8>,
    ) -> Self {
        series.clear();
        let symbols = Symbols::new(symbols);
        Self { table, families, symbols, series, messages: 0, relayed: None, described: Vec::new(), last: None }
    }

    /// Writes the messages of `samples`, which are all of one series. Returns `false` and writes nothing if the output would
    /// become longer than `limit` bytes, or have more than [`MAX_REQUEST_SERIES`] messages. The first series is written whatever its
    /// size. After `false` the writer must not be used again.
    pub(super) fn series(&mut self, samples: &[Sample], limit: usize) -> bool {
        let (before, symbols) = (self.series.len(), self.symbols.len());
        let is_apart = self.relayed.is_some();
        let belong = |a: &Sample, b: &Sample| {
            if is_apart { a.is_same_sample(b) } else { a.is_histogram() == b.is_histogram() }
        };
        let mut exemplars = self.exemplars(samples);
        for together in samples.chunk_by(belong) {
            self.messages += 1;
            self.message(together, &std::mem::take(&mut exemplars));
        }
        let is_over = self.messages > MAX_REQUEST_SERIES || self.symbols.bytes.len() + self.series.len() > limit;
        if before > 0 && is_over {
            self.series.truncate(before);
            self.symbols.truncate(symbols);
            return false;
        }
        true
    }

    /// Returns the protobuf of the exemplars of a series: they are in its first message.
    fn exemplars(&mut self, samples: &[Sample]) -> Vec<u8> {
        let Some((relayed, first)) = self.relayed.zip(samples.first()) else { return Vec::new() };
        let (mut all, mut one) = (Vec::new(), Vec::new());
        for (_, Exemplar { labels, bits, timestamp }) in relayed.of(first.series) {
            let symbols = labels.iter().flat_map(|(name, value)| [*name, *value]);
            let refs: Vec<u32> = symbols.map(|text| self.symbols.number(text)).collect();
            one.clear();
            write_refs(&refs, &mut one);
            one.push(EXEMPLAR_VALUE);
            one.extend_from_slice(&bits.to_le_bytes());
            one.push(EXEMPLAR_TIMESTAMP);
            write_varint(timestamp.0.cast_unsigned(), &mut one);
            all.push(EXEMPLARS);
            varint(one.len(), &mut all);
            all.extend_from_slice(&one);
        }
        all
    }

    fn message(&mut self, samples: &[Sample], exemplars: &[u8]) {
        let Some(first) = samples.first() else { return };
        let (name, labels) = self.table.series(first.series);
        let name_symbol = self.symbols.number(name.as_str());
        let described = self.described(name.as_str(), name_symbol);
        let refs = self.label_refs(name_symbol, labels);

        let refs_len = refs_len(&refs);
        let numbers: usize = distinct(samples).map(sample_len).sum();
        let len_of_histogram = |(timestamp, value)| framed(histogram::len(timestamp, value));
        let of_histograms: usize = histograms(self.table, samples).map(len_of_histogram).sum();
        let metadata_len = described.map_or(0, |described| framed(described.len()));
        let out = &mut *self.series;
        out.push(TIMESERIES);
        varint(framed(refs_len) + numbers + of_histograms + exemplars.len() + metadata_len, out);
        write_refs(&refs, out);
        for sample in distinct(samples) {
            write_sample(sample, out);
        }
        for (timestamp, value) in histograms(self.table, samples) {
            out.push(HISTOGRAMS);
            varint(histogram::len(timestamp, value), out);
            histogram::write(timestamp, value, out);
        }
        out.extend_from_slice(exemplars);
        if let Some(described) = described {
            described.write(out);
        }
    }

    /// Returns the symbols of all labels in the bytewise order of their names.
    fn label_refs(&mut self, name: u32, labels: Labels<'w, 'a>) -> Vec<u32> {
        let last = match self.last.take().filter(|last| last.labels.differ_in_bound(labels)) {
            Some(last) => last,
            None => self.symbols.of_labels(labels),
        };
        let mut refs = Vec::with_capacity(last.refs.len() + 4);
        refs.extend_from_slice(&last.refs[..last.name_at]);
        refs.extend([self.symbols.number(METRIC_NAME_LABEL), name]);
        refs.extend_from_slice(&last.refs[last.name_at..last.bound_at]);
        if let Some(bound) = labels.bound() {
            refs.extend([self.symbols.number(BOUND_LABEL), self.symbols.number(&bound.value)]);
        }
        refs.extend_from_slice(&last.refs[last.bound_at..]);
        self.last = Some(last);
        refs
    }

    /// Returns the metadata of the metric `name`. It is asked for once in a request.
    fn described(&mut self, name: &str, symbol: u32) -> Option<Described> {
        let Self { symbols, described, families, .. } = self;
        let position = symbol as usize;
        if described.len() <= position {
            described.resize(position + 1, None);
        }
        let found = described[position].get_or_insert_with(|| {
            let mut found = Described { metric_type: MetricType::Unknown, help: 0, unit: 0 };
            families.find(name, &mut |metadata| {
                found.metric_type = metadata.metric_type;
                found.help = symbols.number(metadata.help);
                found.unit = symbols.number(metadata.unit);
            });
            found
        });
        Some(*found).filter(|found| found.len() > 0)
    }
}

fn refs_len(refs: &[u32]) -> usize {
    refs.iter().map(|symbol| encoded_len_varint(u64::from(*symbol))).sum()
}

/// Writes the references of a series or of an exemplar.
fn write_refs(refs: &[u32], out: &mut Vec<u8>) {
    out.push(LABELS_REFS);
    varint(refs_len(refs), out);
    for symbol in refs {
        write_varint(u64::from(*symbol), out);
    }
}

impl Described {
    fn len(self) -> usize {
        let of_ref = |symbol: u32| if symbol == 0 { 0 } else { 1 + encoded_len_varint(u64::from(symbol)) };
        let of_type = if self.metric_type as u8 == 0 { 0 } else { 2 };
        of_type + of_ref(self.help) + of_ref(self.unit)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(METADATA);
        varint(self.len(), out);
        if self.metric_type as u8 != 0 {
            out.extend_from_slice(&[TYPE, self.metric_type as u8]);
        }
        for (key, symbol) in [(HELP_REF, self.help), (UNIT_REF, self.unit)] {
            if symbol != 0 {
                out.push(key);
                write_varint(u64::from(symbol), out);
            }
        }
    }
}

/// The symbols of a request, as protobuf.
struct Symbols<'w> {
    bytes: &'w mut Vec<u8>,
    /// The position of each text in `bytes`.
    texts: Vec<Range<usize>>,
    numbers: Index,
    hasher: RandomState,
}

impl<'w> Symbols<'w> {
    fn new(bytes: &'w mut Vec<u8>) -> Self {
        let mut symbols = Self { bytes, texts: Vec::new(), numbers: Index::default(), hasher: RandomState::default() };
        symbols.number("");
        symbols
    }

    fn len(&self) -> usize {
        self.texts.len()
    }

    fn number(&mut self, text: &str) -> u32 {
        let Self { bytes, texts, numbers, hasher } = self;
        // A request has fewer bytes than this.
        let next = u32::try_from(texts.len()).unwrap_or(u32::MAX);
        let is_it = |i: u32| bytes[texts[i as usize].clone()] == *text.as_bytes();
        let found = numbers.find_or_insert(hasher.hash_one(text), next, is_it);
        if found == next {
            bytes.push(SYMBOLS);
            varint(text.len(), bytes);
            bytes.extend_from_slice(text.as_bytes());
            texts.push(bytes.len() - text.len()..bytes.len());
        }
        found
    }

    /// Removes all symbols from number `len` on. Their numbers may still be found.
    fn truncate(&mut self, len: usize) {
        self.texts.truncate(len);
        self.bytes.truncate(self.texts.last().map_or(0, |last| last.end));
    }

    fn of_labels<'l, 'a>(&mut self, labels: Labels<'l, 'a>) -> LabelRefs<'l, 'a> {
        let (mut refs, mut name_at, mut bound_at) = (Vec::new(), 0, 0);
        for label in labels.without_bound() {
            let name = label.name.as_str();
            refs.extend([self.number(name), self.number(&label.value)]);
            name_at = if name < METRIC_NAME_LABEL { refs.len() } else { name_at };
            bound_at = if name < BOUND_LABEL { refs.len() } else { bound_at };
        }
        LabelRefs { labels, refs, name_at, bound_at }
    }
}

#[cfg(test)]
mod tests;
