//! Which rows go into which request, by the sizes of what comes out.

use super::write_request;
use crate::series::{Sample, SampleTable};
use bytes::Bytes;
use std::ops::Range;

/// Samples of one series in one request at the most. A sample takes at most 24 bytes, so a series with all the labels
/// it may have (0.5 MB) stays below [`Limits::decoded`]; a longer series goes on in the next request.
const MAX_SERIES_ROWS: usize = 60_000;

/// Memory that an [`Encoder`] keeps, twice: enough for some 3,000 samples of series of their own.
const MAX_KEPT_BYTES: usize = 524_288;

/// Of the protobuf, for a sample in a series of its own.
const ROW_BYTES: usize = 100;

/// As much as a request holds. The equal samples of a hundred thousand events are one.
const MAX_RESERVED_BYTES: usize = 3_000_000;

/// Sizes of a request, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the protobuf.
    pub decoded: usize,
    /// Of the snappy block.
    pub compressed: usize,
}

/// One request, and which rows are in it.
#[derive(Clone, Debug)]
pub struct EncodedRequest {
    /// The snappy block.
    pub body: Bytes,
    /// Length of the protobuf in bytes.
    pub decoded_len: usize,
    /// The rows of [`SampleTable::rows`] whose samples are in it: each names the event that it came with.
    pub rows: Range<usize>,
}

// === impl Limits ===

impl Default for Limits {
    /// AMP answers 413 above 1 MB; whether it means compressed or decoded bytes is not documented. OpenTelemetry's
    /// exporter packs 3 MB decoded and some of its requests meet a 413, so both sizes are kept.
    fn default() -> Self {
        Self { decoded: 3_000_000, compressed: 900_000 }
    }
}

/// Makes snappy blocks, with the memory of the ones before: for a batch of 1,000 events, fresh pages from the kernel took
/// 6 % of all the time from payload to request.
pub struct Encoder {
    snappy: snap::raw::Encoder,
    protobuf: Vec<u8>,
    block: Vec<u8>,
}

/// Cuts all of `merged` into requests, in the order of its rows, each encoded when it is asked for: labels times metrics
/// can make a payload of 200 kB into requests of a gigabyte. A series that does not fit into one request goes on in the
/// next, later samples after earlier ones: requests must be sent one after another.
///
/// No request is empty; without rows there is none.
#[must_use]
pub fn encode<'e, 'a>(merged: &'e SampleTable<'a>, limits: &'e Limits, encoder: &'e mut Encoder) -> Requests<'e, 'a> {
    Requests { merged, limits, next: 0, halves: Vec::new(), encoder }
}

/// Requests, one at a time.
pub struct Requests<'e, 'a> {
    merged: &'e SampleTable<'a>,
    limits: &'e Limits,
    /// The first row that is in no request yet.
    next: usize,
    /// What came out too long and was cut, the earliest last.
    halves: Vec<Range<usize>>,
    encoder: &'e mut Encoder,
}

// === impl Encoder ===

impl Encoder {
    /// Gives back the memory of a large request, which few need.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        for buffer in [&mut self.protobuf, &mut self.block] {
            if buffer.capacity() > MAX_KEPT_BYTES {
                *buffer = Vec::new();
            }
        }
        self
    }

    /// The snappy block of `rows`, and how many of them are in it: from the first on, as many as fit into `decoded` bytes and
    /// let no series go on. Their protobuf is left in `protobuf`. `None` only where snappy refuses the input, which it does
    /// above 4 GiB.
    fn block(&mut self, merged: &SampleTable<'_>, rows: &[Sample], decoded: usize) -> (usize, Option<Bytes>) {
        // At once: what grows by doubling leaves holes of the same size.
        self.protobuf.clear();
        self.protobuf.reserve(decoded.min(rows.len() * ROW_BYTES).min(MAX_RESERVED_BYTES));
        let mut writer = write_request::Writer::new(merged, &mut self.protobuf);
        let (mut taken, mut last_series) = (0, None);
        for piece in pieces(rows) {
            let series = rows[piece.start].series;
            if last_series == Some(series) || !writer.series(&rows[piece.clone()], decoded) {
                break;
            }
            (taken, last_series) = (piece.end, Some(series));
        }
        let longest = snap::raw::max_compress_len(self.protobuf.len());
        if self.block.len() < longest {
            // Zeros of the kernel's, of which only those are touched that are written over.
            self.block = vec![0; longest];
        }
        let len = self.snappy.compress(&self.protobuf, &mut self.block).ok();
        (taken, len.map(|len| Bytes::copy_from_slice(&self.block[..len])))
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self { snappy: snap::raw::Encoder::new(), protobuf: Vec::new(), block: Vec::new() }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

// === impl Requests ===

impl Iterator for Requests<'_, '_> {
    type Item = EncodedRequest;

    fn next(&mut self) -> Option<EncodedRequest> {
        let all = self.merged.rows();
        loop {
            let range = self.halves.pop().unwrap_or(self.next..all.len());
            if range.is_empty() {
                return None;
            }
            let (taken, body) = self.encoder.block(self.merged, &all[range.clone()], self.limits.decoded);
            let rows = range.start..range.start + taken;
            self.next = self.next.max(rows.end);
            // Without a block nothing is sent and nothing answered: the events of these rows are tried again.
            let Some(body) = body else { continue };
            let too_long = body.len() > self.limits.compressed;
            let Some(middle) = too_long.then(|| halve(all, &rows)).flatten() else {
                let decoded_len = self.encoder.protobuf.len();
                return Some(EncodedRequest { body, decoded_len, rows });
            };
            self.halves.extend([middle..rows.end, rows.start..middle]);
        }
    }
}

impl std::fmt::Debug for Requests<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Requests").field("next", &self.next).field("halves", &self.halves).finish_non_exhaustive()
    }
}

/// Encodes `rows`, a selection of those of one request in the same order, into one request, whatever its size.
///
/// `None` where snappy refuses the input, which it does above 4 GiB, or where a series would go on, which none of one request
/// does.
#[must_use]
pub fn encode_selection(merged: &SampleTable<'_>, rows: &[Sample]) -> Option<Bytes> {
    let (taken, body) = Encoder::default().block(merged, rows, usize::MAX);
    body.filter(|_| taken == rows.len())
}

/// The runs of rows of one series, cut at [`MAX_SERIES_ROWS`].
fn pieces(rows: &[Sample]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let first = rows.get(start)?;
        let longest = rows.len().min(start + MAX_SERIES_ROWS);
        let mut end = start + rows[start..longest].iter().take_while(|row| row.series == first.series).count();
        while end < rows.len() && rows[end].is_same_sample(&rows[end - 1]) {
            end += 1;
        }
        let piece = start..end;
        start = end;
        Some(piece)
    })
}

/// Where to cut `range` in two: between series near its middle, else between samples of its one series. `None` for a
/// single sample.
fn halve(rows: &[Sample], range: &Range<usize>) -> Option<usize> {
    let first = range.start + 1;
    let middle = (range.start + range.len() / 2).max(first);
    let nearest = |cuts: &dyn Fn(&usize) -> bool| {
        (middle..range.end).find(|i| cuts(i)).or_else(|| (first..middle).rev().find(|i| cuts(i)))
    };
    nearest(&|&i| rows[i].series != rows[i - 1].series).or_else(|| nearest(&|&i| !rows[i].is_same_sample(&rows[i - 1])))
}
