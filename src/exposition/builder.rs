//! Fills an [`Exposition`] in the order of the body. One pass at the end groups the series by family, and finds series that
//! are there twice.
//!
//! The order of the hash is never visible, so its seed may be random. Therefore a sender cannot choose names that collide.

use super::error::{Excerpt, ParseError, Place, Problem};
use super::families::{
    Exposition, FamilyRecord, LabelRange, LabelRecord, NO_BOUND, NO_TIMESTAMP, NameRecord, SeriesRecord, Span, Texts,
    labels, value,
};
use super::{Labels, SampleValue};
use crate::limits::{MAX_LABELS, MAX_PUSHED_NAMES, MAX_PUSHED_SERIES, MAX_UNPACKED_BYTES};
use crate::model::{MetricType, NativeHistogram, Timestamp, Value};
use crate::order::sort_by;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::hash::{BuildHasher, Hasher};
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Builder<'a> {
    pub(super) exposition: Exposition<'a>,
    /// The first label of the series that comes next.
    open: usize,
    pub(super) hasher: RandomState,
    families: HashTable<u32>,
    names: HashTable<u32>,
    last_name: u32,
}

impl<'a> Builder<'a> {
    /// Returns a builder of a body of text, or of "" if all texts will be stored. `place` says what the lines of series are.
    pub(super) fn new(body: &'a str, place: fn(u32) -> Place) -> Self {
        let exposition = Exposition {
            place,
            texts: Texts { body, extra: String::new() },
            families: Vec::new(),
            names: Vec::new(),
            // A usual line has 60 to 150 bytes and two labels. Memory that is not used is not taken from the system.
            series: Vec::with_capacity(body.len() / 64),
            labels: Vec::with_capacity(body.len() / 48),
            histograms: Vec::new(),
        };
        let (families, names) = (HashTable::new(), HashTable::new());
        Self { exposition, open: 0, hasher: RandomState::default(), families, names, last_name: 0 }
    }

    pub(super) fn error(&self, line: u32, series: Option<Excerpt>, problem: Problem) -> ParseError {
        ParseError { place: (self.exposition.place)(line), series, problem }
    }

    pub(super) fn text(&self, span: Span) -> &str {
        self.exposition.texts.get(span)
    }

    /// Copies `text` to the second buffer.
    pub(super) fn store(&mut self, text: &str) -> Span {
        let Texts { body, extra } = &mut self.exposition.texts;
        let start = body.len() + extra.len();
        extra.push_str(text);
        Span::new(start, start + text.len())
    }

    /// Returns the index of the family of this name: the one that there is, or a new one.
    pub(super) fn family(&mut self, name: Span) -> u32 {
        let Self { exposition: Exposition { texts, families, .. }, hasher, families: table, .. } = self;
        let text = texts.get(name);
        let is_it = |&i: &u32| texts.get(families[i as usize].name) == text;
        let hash_of = |&i: &u32| hash_str(hasher, texts.get(families[i as usize].name));
        let next = index(families.len());
        let found = *table.entry(hash_str(hasher, text), is_it, hash_of).or_insert(next).get();
        if found == next {
            families.push(FamilyRecord { name, metric_type: None, help: None, unit: None, series: (0, 0) });
        }
        found
    }

    /// Returns the index of the family of this name if there is one.
    pub(super) fn find_family(&self, name: &str) -> Option<u32> {
        let is_it = |&i: &u32| self.text(self.exposition.families[i as usize].name) == name;
        self.families.find(hash_str(&self.hasher, name), is_it).copied()
    }

    /// Gives the family a type. It may have the same one already.
    pub(super) fn set_type(&mut self, family: u32, metric_type: MetricType) -> Result<(), Problem> {
        let known = &mut self.exposition.families[family as usize].metric_type;
        match *known {
            Some(first) if first != metric_type => Err(Problem::TypeConflict { first, second: metric_type }),
            _ => {
                *known = Some(metric_type);
                Ok(())
            }
        }
    }

    /// Adds a full name of series of `family`. The same name again is a new index.
    pub(super) fn name(&mut self, name: Span, family: u32) -> u32 {
        self.exposition.names.push(NameRecord { name, family });
        index(self.exposition.names.len() - 1)
    }

    /// Returns the index of this full name, which gets its family at the end.
    pub(super) fn interned_name(&mut self, name: Span) -> u32 {
        let Self { exposition: Exposition { texts, names, .. }, hasher, names: table, last_name, .. } = self;
        let text = texts.get(name);
        let is_it = |i: u32| texts.bytes(names[i as usize].name) == text.as_bytes();
        if (*last_name as usize) < names.len() && is_it(*last_name) {
            return *last_name;
        }
        let hash_of = |&i: &u32| hash_str(hasher, texts.get(names[i as usize].name));
        let next = index(names.len());
        *last_name = *table.entry(hash_str(hasher, text), |&i| is_it(i), hash_of).or_insert(next).get();
        if *last_name == next {
            names.push(NameRecord { name, family: 0 });
        }
        *last_name
    }

    /// Adds a label to the set that is open.
    pub(super) fn label(&mut self, name: Span, value: Span) {
        self.exposition.labels.push(LabelRecord { name, value });
    }

    /// Returns the labels since the last call.
    pub(super) fn labels(&mut self) -> Result<LabelRange, Problem> {
        let Exposition { texts, labels, .. } = &self.exposition;
        let set = &labels[self.open..];
        if set.len() > MAX_LABELS {
            return Err(Problem::TooManyLabels);
        }
        if let Some(name) = repeated_name(texts, set) {
            return Err(Problem::DuplicateLabel { name: Excerpt::new(name) });
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_LABELS")]
        let range = LabelRange { start: index(self.open), len: set.len() as u16, is_histogram: false };
        self.open = labels.len();
        Ok(range)
    }

    /// Adds the label that only the next series has, besides those that it shares. Returns its index.
    pub(super) fn bound(&mut self, name: Span, value: Span) -> u32 {
        self.label(name, value);
        self.open = self.exposition.labels.len();
        index(self.open - 1)
    }

    /// Adds a series. `bound` is the index of one more label, or [`NO_BOUND`].
    pub(super) fn series(
        &mut self,
        name: u32,
        mut labels: LabelRange,
        bound: u32,
        (timestamp, value): (Option<Timestamp>, f64),
        line: u32,
    ) -> Result<(), Problem> {
        if self.exposition.series.len() == MAX_PUSHED_SERIES {
            return Err(Problem::TooManySeries);
        }
        if self.exposition.names.len().max(self.exposition.families.len()) > MAX_PUSHED_NAMES {
            return Err(Problem::TooManyNames);
        }
        labels.is_histogram = false;
        let timestamp = timestamp.unwrap_or(NO_TIMESTAMP);
        let record = SeriesRecord { name, labels, bound, line, timestamp, bits: value.to_bits() };
        self.exposition.series.push(record);
        Ok(())
    }

    /// Adds a series whose value is a native histogram.
    pub(super) fn histogram(
        &mut self,
        name: u32,
        labels: LabelRange,
        (timestamp, value): (Option<Timestamp>, NativeHistogram),
        line: u32,
    ) -> Result<(), Problem> {
        self.series(name, labels, NO_BOUND, (timestamp, 0.0), line)?;
        if let Some(series) = self.exposition.series.last_mut() {
            series.labels.is_histogram = true;
            series.bits = self.exposition.histograms.len() as u64;
            self.exposition.histograms.push(value);
        }
        Ok(())
    }

    /// Returns the exposition. Every name must have its family by now.
    pub(super) fn finish(mut self) -> Result<Exposition<'a>, ParseError> {
        self.remove_repeated_series()?;
        let Exposition { families, names, series, .. } = &mut self.exposition;
        let family = |series: &SeriesRecord| names[series.name as usize].family;
        // Nearly always the families follow each other.
        if !series.is_sorted_by_key(family) {
            sort_by(series, |a, b| family(a).cmp(&family(b)));
        }
        let mut start = 0;
        for series in series.chunk_by(|a, b| family(a) == family(b)) {
            families[family(&series[0]) as usize].series = (index(start), index(start + series.len()));
            start += series.len();
        }
        families.retain(|family| family.series.0 < family.series.1);
        Ok(self.exposition)
    }

    /// Leaves out a series that comes again with the same time and value. With another value it is an error.
    fn remove_repeated_series(&mut self) -> Result<(), ParseError> {
        let Exposition { texts, names, series, labels: all, histograms, .. } = &self.exposition;
        let mut seen: HashTable<u32> = HashTable::with_capacity(series.len());
        let mut repeated = Vec::new();
        let hashes = Hashes { hasher: &self.hasher, texts, labels: all };
        // In protobuf the series of a metric share labels.
        let mut last = (LabelRange::default(), 0);
        for (i, record) in series.iter().enumerate() {
            let name_of = |record: &SeriesRecord| texts.get(names[record.name as usize].name);
            let name = name_of(record);
            if last.0 != record.labels {
                last = (record.labels, hashes.of_set(record.labels));
            }
            let is_it = |&j: &u32| {
                let other = &series[j as usize];
                other.timestamp == record.timestamp
                    && (other.name == record.name || name_of(other) == name)
                    && is_same_set(labels(texts, all, other), &labels(texts, all, record))
            };
            let hash_of = |&j: &u32| {
                let other = &series[j as usize];
                hashes.of(name_of(other), hashes.of_set(other.labels), other)
            };
            let hash = hashes.of(name, last.1, record);
            match seen.entry(hash, is_it, hash_of) {
                Entry::Vacant(entry) => {
                    entry.insert(index(i));
                }
                Entry::Occupied(entry) => {
                    let first = &series[*entry.get() as usize];
                    if !is_same_value(value(histograms, first), value(histograms, record)) {
                        let timestamp = (record.timestamp != NO_TIMESTAMP).then_some(record.timestamp);
                        let problem = Problem::SeriesTwice { first: (self.exposition.place)(first.line), timestamp };
                        let shown = Excerpt::series(name, labels(texts, all, record));
                        return Err(self.error(record.line, Some(shown), problem));
                    }
                    repeated.push(index(i));
                }
            }
        }
        let mut repeated = repeated.into_iter().peekable();
        let mut i = 0;
        if repeated.peek().is_some() {
            self.exposition.series.retain(|_| {
                let is_kept = repeated.next_if_eq(&i).is_none();
                i += 1;
                is_kept
            });
        }
        Ok(())
    }
}

/// Hashes of a series. The order of labels does not change them, nor does a label without a value, because Prometheus
/// ignores it.
struct Hashes<'h, 'a> {
    hasher: &'h RandomState,
    texts: &'h Texts<'a>,
    labels: &'h [LabelRecord],
}

impl Hashes<'_, '_> {
    fn of(&self, name: &str, set: u64, series: &SeriesRecord) -> u64 {
        let bound = self.labels.get(series.bound as usize).map_or(0, |label| self.of_label(label));
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name.as_bytes());
        hasher.write_u64(set.wrapping_add(bound));
        hasher.write_i64(series.timestamp.0);
        hasher.finish()
    }

    fn of_set(&self, LabelRange { start, len, .. }: LabelRange) -> u64 {
        let set = &self.labels[start as usize..][..usize::from(len)];
        set.iter().fold(0, |sum, label| sum.wrapping_add(self.of_label(label)))
    }

    fn of_label(&self, label: &LabelRecord) -> u64 {
        if label.value.len == 0 {
            return 0;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(self.texts.bytes(label.name));
        hasher.write(self.texts.bytes(label.value));
        hasher.finish()
    }
}

/// Returns a name that occurs twice in `set`.
fn repeated_name<'t>(texts: &'t Texts<'_>, set: &[LabelRecord]) -> Option<&'t str> {
    let name = |label: &LabelRecord| texts.get(label.name);
    if set.len() <= 8 {
        let is_same =
            |a: &LabelRecord, b: &LabelRecord| a.name.len == b.name.len && texts.bytes(a.name) == texts.bytes(b.name);
        let is_earlier = |(i, label): &(usize, &LabelRecord)| set[..*i].iter().any(|other| is_same(other, label));
        return set.iter().enumerate().find(is_earlier).map(|(_, label)| name(label));
    }
    // The time must be linear in the bytes, whatever the number of labels.
    let mut names: Vec<&str> = set.iter().map(name).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Reports whether the labels are the same ones, in any order. Each set has a name at most once.
fn is_same_set(a: Labels<'_>, b: &Labels<'_>) -> bool {
    if a.clone().eq(b.clone()) {
        return true;
    }
    let with_value = |labels: Labels<'_>| labels.filter(|(_, value)| !value.is_empty()).count();
    let find = |name: &str| b.clone().find(|(other, _)| *other == name);
    with_value(a.clone()) == with_value(b.clone())
        && a.filter(|(_, value)| !value.is_empty()).all(|(name, value)| find(name) == Some((name, value)))
}

fn is_same_value(a: SampleValue<'_>, b: SampleValue<'_>) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => Value::Float(a).wire_bits() == Value::Float(b).wire_bits(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => a.is_same(b),
        _ => false,
    }
}

pub(super) fn hash_str(hasher: &RandomState, text: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Rejects a body whose positions might not fit into a [`Span`].
pub(super) fn check_size(body: &[u8], place: Place) -> Result<(), ParseError> {
    if body.len() <= MAX_UNPACKED_BYTES {
        return Ok(());
    }
    Err(ParseError { place, series: None, problem: Problem::BodyTooLarge { bytes: body.len() } })
}

/// Positions and counts fit: a body has at most [`MAX_UNPACKED_BYTES`], and no text of it becomes ten times as long.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
pub(super) fn index(number: usize) -> u32 {
    number as u32
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }

    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: index(start), len: index(end - start) }
    }
}
