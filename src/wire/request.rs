//! Decides which samples go into which request, by the sizes of the encoded requests.
//!
//! Invariants:
//!
//! * Requests have all samples of the table, each once and in the order of the table. None is empty.
//! * A request is encoded only when it is needed. Labels times metrics can make requests of a gigabyte from a payload of
//!   200 kB.
//! * If a series does not fit into one request, it continues in the next one. So requests must be sent one after another.
//! * Equal samples of several items are never in two requests.

use super::write_request::Writer;
use super::{Form, Version, histogram, request_v2};
use crate::limits::{
    MAX_REQUEST_BLOCK_BYTES, MAX_REQUEST_PROTOBUF_BYTES, MAX_REQUEST_SERIES, MAX_SERIES_HISTOGRAM_BYTES,
    MAX_SERIES_SAMPLES,
};
use crate::series::{Sample, SampleTable, SampleValue};
use bytes::Bytes;
use std::ops::Range;

/// Memory that each of the two buffers of an [`Encoder`] keeps: enough for some 4,000 samples of a series each.
const MAX_KEPT_BYTES: usize = 2 << 20;

/// Bytes of protobuf that are reserved for a sample.
const SAMPLE_BYTES: usize = 100;

/// The largest request, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The bound of the protobuf.
    pub decoded: usize,
    /// The bound of the snappy block.
    pub compressed: usize,
}

/// One request, and which samples are in it.
#[derive(Clone, Debug)]
pub struct EncodedRequest {
    /// The snappy block.
    pub body: Bytes,
    pub version: Version,
    /// The length of the protobuf in bytes.
    pub decoded_len: usize,
    /// Positions in [`SampleTable::samples`].
    pub samples: Range<usize>,
}

/// Makes snappy blocks and keeps its memory for the next one. Fresh pages from the kernel took 6 % of the time of a batch of 1,000
/// events.
pub struct Encoder {
    snappy: snap::raw::Encoder,
    protobuf: Vec<u8>,
    /// The series of a request of 2.0, which stand behind its symbols.
    series: Vec<u8>,
    block: Vec<u8>,
}

/// The requests of a table, one at a time.
pub struct Requests<'e, 'a> {
    table: &'e SampleTable<'a>,
    limits: &'e Limits,
    form: Form<'e>,
    /// The first sample that is in no request yet.
    next: usize,
    /// Requests that were too long and were cut, the earliest last.
    halves: Vec<Range<usize>>,
    encoder: &'e mut Encoder,
}

/// Cuts the table into requests.
pub fn encode<'e, 'a>(
    table: &'e SampleTable<'a>,
    limits: &'e Limits,
    form: Form<'e>,
    encoder: &'e mut Encoder,
) -> Requests<'e, 'a> {
    Requests { table, limits, form, next: 0, halves: Vec::new(), encoder }
}

/// Encodes a selection of the samples of one request, in their order, into one request of any size.
///
/// Returns `None` only if snappy refuses the input, which it does above 4 GiB, or if a series does not fit. A series that was in one
/// request fits.
pub fn encode_selection(table: &SampleTable<'_>, samples: &[Sample], form: Form<'_>) -> Option<Bytes> {
    let (taken, body) = Encoder::default().block(table, samples, usize::MAX, form);
    body.filter(|_| taken == samples.len())
}

impl Default for Limits {
    fn default() -> Self {
        Self { decoded: MAX_REQUEST_PROTOBUF_BYTES, compressed: MAX_REQUEST_BLOCK_BYTES }
    }
}

impl Encoder {
    /// Frees the memory of a large request, because few invocations need it.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        for buffer in [&mut self.protobuf, &mut self.series, &mut self.block] {
            if buffer.capacity() > MAX_KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        self
    }

    /// Returns the snappy block of the first of `samples`, and how many are in it. As many are taken as fit into `decoded` bytes and
    /// contain no series twice. Leaves their protobuf in `self.protobuf`. The block is `None` only if snappy refuses the input.
    fn block(
        &mut self,
        table: &SampleTable<'_>,
        samples: &[Sample],
        decoded: usize,
        form: Form<'_>,
    ) -> (usize, Option<Bytes>) {
        // In one piece: a buffer that grows by doubling leaves holes of the same size.
        self.protobuf.clear();
        self.protobuf.reserve(decoded.min(samples.len() * SAMPLE_BYTES).min(MAX_REQUEST_PROTOBUF_BYTES));
        let taken = match form {
            Form::V1 => {
                let mut writer = Writer::new(table, &mut self.protobuf);
                take(table, samples, |piece| writer.series(piece, decoded))
            }
            Form::V2 { families, relayed } => {
                let mut writer = request_v2::Writer::new(table, families, &mut self.protobuf, &mut self.series);
                writer.relayed = relayed;
                let taken = take(table, samples, |piece| writer.series(piece, decoded));
                self.protobuf.extend_from_slice(&self.series);
                taken
            }
        };
        let longest = snap::raw::max_compress_len(self.protobuf.len());
        if self.block.len() < longest {
            // The kernel gives zeroed pages and touches only those that are written.
            self.block = vec![0; longest];
        }
        let len = self.snappy.compress(&self.protobuf, &mut self.block).ok();
        (taken, len.map(|len| Bytes::copy_from_slice(&self.block[..len])))
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self { snappy: snap::raw::Encoder::new(), protobuf: Vec::new(), series: Vec::new(), block: Vec::new() }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Requests<'_, '_> {
    /// Goes back to the request that begins with the sample `first`. This and all later requests are of 1.0, and of its sizes.
    pub fn fall_back(&mut self, first: usize) {
        self.form = Form::V1;
        self.next = first;
        self.halves.clear();
    }
}

impl Iterator for Requests<'_, '_> {
    type Item = EncodedRequest;

    fn next(&mut self) -> Option<EncodedRequest> {
        let all = self.table.samples();
        loop {
            let range = self.halves.pop().unwrap_or(self.next..all.len());
            if range.is_empty() {
                return None;
            }
            let (taken, body) = self.encoder.block(self.table, &all[range.clone()], self.limits.decoded, self.form);
            let samples = range.start..range.start + taken;
            self.next = self.next.max(samples.end);
            // Without a block nothing is sent: the items of these samples stay errored.
            let Some(body) = body else { continue };
            let too_long = body.len() > self.limits.compressed;
            let Some(middle) = too_long.then(|| halve(all, &samples)).flatten() else {
                let decoded_len = self.encoder.protobuf.len();
                return Some(EncodedRequest { body, version: self.form.version(), decoded_len, samples });
            };
            self.halves.extend([middle..samples.end, samples.start..middle]);
        }
    }
}

impl std::fmt::Debug for Requests<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("next", &self.next).field("halves", &self.halves).finish_non_exhaustive()
    }
}

/// Passes on pieces, none of a series twice, until `write` says that one does not fit. Returns how many samples they have.
fn take(table: &SampleTable<'_>, samples: &[Sample], mut write: impl FnMut(&[Sample]) -> bool) -> usize {
    let (mut taken, mut last_series) = (0, None);
    for piece in pieces(table, samples).take(MAX_REQUEST_SERIES) {
        let series = samples[piece.start].series;
        if last_series == Some(series) || !write(&samples[piece.clone()]) {
            break;
        }
        (taken, last_series) = (piece.end, Some(series));
    }
    taken
}

/// Returns the runs of samples of one series, cut at [`MAX_SERIES_SAMPLES`] and [`MAX_SERIES_HISTOGRAM_BYTES`] but never between equal
/// samples.
fn pieces(table: &SampleTable<'_>, samples: &[Sample]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = samples.get(start)?;
        let mut longest = samples.len().min(start + MAX_SERIES_SAMPLES);
        if table.has_histograms() {
            longest = start + within_histogram_bytes(table, &samples[start..longest]);
        }
        let mut end = start + samples[start..longest].iter().take_while(|sample| sample.series == first.series).count();
        while end < samples.len() && samples[end].is_same_sample(&samples[end - 1]) {
            end += 1;
        }
        let piece = start..end;
        start = end;
        Some(piece)
    })
}

/// Returns how many samples of the first series reach [`MAX_SERIES_HISTOGRAM_BYTES`], or all of `samples` if they never do.
fn within_histogram_bytes(table: &SampleTable<'_>, samples: &[Sample]) -> usize {
    let mut bytes = 0;
    let of_series = samples.iter().take_while(|sample| sample.series == samples[0].series);
    let reaches = |sample: &Sample| {
        if let SampleValue::Histogram(histogram) = table.value(sample) {
            bytes += histogram::len(sample.timestamp, histogram);
        }
        bytes >= MAX_SERIES_HISTOGRAM_BYTES
    };
    of_series.map(reaches).position(|reached| reached).map_or(samples.len(), |position| position + 1)
}

/// Returns the position at which `range` is cut in two: between two series near its middle, else between two samples of its one
/// series. Returns `None` for a single sample.
fn halve(samples: &[Sample], range: &Range<usize>) -> Option<usize> {
    let first = range.start + 1;
    let middle = (range.start + range.len() / 2).max(first);
    let nearest = |cuts: &dyn Fn(&usize) -> bool| {
        (middle..range.end).find(|i| cuts(i)).or_else(|| (first..middle).rev().find(|i| cuts(i)))
    };
    nearest(&|&i| samples[i].series != samples[i - 1].series)
        .or_else(|| nearest(&|&i| !samples[i].is_same_sample(&samples[i - 1])))
}
