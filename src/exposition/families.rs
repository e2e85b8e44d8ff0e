//! The output of the parsers, as views of flat arrays. A series takes 40 bytes, a label 16.
//!
//! During parsing a series takes up to 10 bytes more, in the table that finds it again. Each distinct name takes 22 bytes
//! more, and each family 54. At most [`MAX_PUSHED_SERIES`](crate::limits::MAX_PUSHED_SERIES) series are kept.

use super::error::Place;
use crate::model::{MetricType, NativeHistogram, Timestamp};

/// The metric families of one body.
#[derive(Debug)]
pub struct Exposition<'a> {
    /// Says what the lines of series are.
    pub(super) place: fn(u32) -> Place,
    pub(super) texts: Texts<'a>,
    pub(super) families: Vec<FamilyRecord>,
    pub(super) names: Vec<NameRecord>,
    pub(super) series: Vec<SeriesRecord>,
    pub(super) labels: Vec<LabelRecord>,
    pub(super) histograms: Vec<NativeHistogram>,
}

/// The body, and the texts that differ from it.
#[derive(Default, Debug)]
pub(super) struct Texts<'a> {
    pub(super) body: &'a str,
    pub(super) extra: String,
}

/// A part of [`Texts`]. Positions after the end of the body are in the second buffer.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

#[derive(Debug)]
pub(super) struct FamilyRecord {
    pub(super) name: Span,
    /// None until the metadata says it.
    pub(super) metric_type: Option<MetricType>,
    pub(super) help: Option<Span>,
    pub(super) unit: Option<Span>,
    /// A range of `Exposition::series`.
    pub(super) series: (u32, u32),
}

/// The full name of series, and the index of their family.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameRecord {
    pub(super) name: Span,
    pub(super) family: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LabelRecord {
    pub(super) name: Span,
    pub(super) value: Span,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesRecord {
    /// An index of `Exposition::names`.
    pub(super) name: u32,
    pub(super) labels: LabelRange,
    /// The index of one more label, after the others: the bound of a bucket, whose other labels several series share.
    pub(super) bound: u32,
    pub(super) line: u32,
    pub(super) timestamp: Timestamp,
    /// The bits of a double, or an index of `Exposition::histograms`.
    pub(super) bits: u64,
}

/// A range of `Exposition::labels`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct LabelRange {
    pub(super) start: u32,
    pub(super) len: u16,
    /// The value is a histogram. This is not about labels, but there is room for it here.
    pub(super) is_histogram: bool,
}

/// No further label.
pub(super) const NO_BOUND: u32 = u32::MAX;

/// The series has no timestamp. No real sample has this time.
pub(super) const NO_TIMESTAMP: Timestamp = Timestamp(i64::MIN);

/// A metric family with at least one series.
#[derive(Clone, Copy, Debug)]
pub struct Family<'x> {
    exposition: &'x Exposition<'x>,
    record: &'x FamilyRecord,
}

/// A series and its value.
#[derive(Clone, Copy, Debug)]
pub struct Series<'x> {
    exposition: &'x Exposition<'x>,
    record: &'x SeriesRecord,
}

/// Names and values of labels as they are written, in the same order.
#[derive(Clone, Debug)]
pub struct Labels<'x> {
    texts: &'x Texts<'x>,
    own: std::slice::Iter<'x, LabelRecord>,
    bound: Option<&'x LabelRecord>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum SampleValue<'x> {
    Float(f64),
    /// Only protobuf has them.
    Histogram(&'x NativeHistogram),
}

impl Default for Exposition<'_> {
    /// An empty body of text.
    fn default() -> Self {
        Self {
            place: Place::Line,
            texts: Texts::default(),
            families: Vec::new(),
            names: Vec::new(),
            series: Vec::new(),
            labels: Vec::new(),
            histograms: Vec::new(),
        }
    }
}

impl Exposition<'_> {
    /// Returns the families: first the ones with metadata, then the others, each in the order of the body.
    pub fn families(&self) -> impl Iterator<Item = Family<'_>> {
        self.families.iter().map(|record| Family { exposition: self, record })
    }

    /// Returns the series at a position, counted through [`Self::families`].
    pub fn series_at(&self, position: usize) -> Option<Series<'_>> {
        self.series.get(position).map(|record| Series { exposition: self, record })
    }

    pub fn series_count(&self) -> usize {
        self.series.len()
    }
}

impl<'x> Family<'x> {
    /// Returns the name of the metadata: `http_requests` of a counter in OpenMetrics, whose series is `http_requests_total`.
    pub fn name(self) -> &'x str {
        self.exposition.texts.get(self.record.name)
    }

    /// Returns [`MetricType::Unknown`] if there is no type.
    pub fn metric_type(self) -> MetricType {
        self.record.metric_type.unwrap_or_default()
    }

    pub fn help(self) -> Option<&'x str> {
        self.record.help.map(|help| self.exposition.texts.get(help))
    }

    pub fn unit(self) -> Option<&'x str> {
        self.record.unit.map(|unit| self.exposition.texts.get(unit))
    }

    /// Returns the series in the order of the body.
    pub fn series(self) -> impl ExactSizeIterator<Item = Series<'x>> {
        let (start, end) = self.record.series;
        let Self { exposition, .. } = self;
        exposition.series[start as usize..end as usize].iter().map(move |record| Series { exposition, record })
    }
}

impl<'x> Series<'x> {
    /// Returns the full name, such as `http_requests_total` or `latency_bucket`.
    pub fn name(self) -> &'x str {
        self.exposition.texts.get(self.exposition.names[self.record.name as usize].name)
    }

    pub fn labels(self) -> Labels<'x> {
        labels(&self.exposition.texts, &self.exposition.labels, self.record)
    }

    /// Returns the time that the body gives.
    pub fn timestamp(self) -> Option<Timestamp> {
        (self.record.timestamp != NO_TIMESTAMP).then_some(self.record.timestamp)
    }

    pub fn value(self) -> SampleValue<'x> {
        value(&self.exposition.histograms, self.record)
    }

    /// Returns the line of the body, or in protobuf the number of the family.
    pub fn place(self) -> Place {
        (self.exposition.place)(self.record.line)
    }
}

pub(super) fn labels<'x>(texts: &'x Texts<'_>, labels: &'x [LabelRecord], series: &SeriesRecord) -> Labels<'x> {
    let LabelRange { start, len, .. } = series.labels;
    let own = &labels[start as usize..start as usize + usize::from(len)];
    Labels { texts, own: own.iter(), bound: labels.get(series.bound as usize) }
}

#[expect(clippy::cast_possible_truncation, reason = "an index of histograms, which are at most as many as series")]
pub(super) fn value<'x>(histograms: &'x [NativeHistogram], series: &SeriesRecord) -> SampleValue<'x> {
    if series.labels.is_histogram {
        return SampleValue::Histogram(&histograms[series.bits as usize]);
    }
    SampleValue::Float(f64::from_bits(series.bits))
}

impl<'x> Iterator for Labels<'x> {
    type Item = (&'x str, &'x str);

    fn next(&mut self) -> Option<Self::Item> {
        let LabelRecord { name, value } = *self.own.next().or_else(|| self.bound.take())?;
        Some((self.texts.get(name), self.texts.get(value)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.own.len() + usize::from(self.bound.is_some());
        (len, Some(len))
    }
}

impl ExactSizeIterator for Labels<'_> {}

impl Texts<'_> {
    /// Returns the bytes of a text, without the checks of a `str`: comparisons need none.
    pub(super) fn bytes(&self, Span { start, len }: Span) -> &[u8] {
        let (start, len) = (start as usize, len as usize);
        match start.checked_sub(self.body.len()) {
            None => &self.body.as_bytes()[start..start + len],
            Some(start) => &self.extra.as_bytes()[start..start + len],
        }
    }

    pub(super) fn get(&self, Span { start, len }: Span) -> &str {
        let (start, len) = (start as usize, len as usize);
        match start.checked_sub(self.body.len()) {
            None => &self.body[start..start + len],
            Some(start) => &self.extra[start..start + len],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_takes_forty_bytes_and_a_label_sixteen() {
        assert_eq!((size_of::<SeriesRecord>(), size_of::<LabelRecord>()), (40, 16));
        assert_eq!((size_of::<NameRecord>(), size_of::<FamilyRecord>()), (12, 44));
    }
}
