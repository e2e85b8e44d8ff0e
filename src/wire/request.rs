//! Which rows go into which request, by the sizes of what comes out.

use super::protobuf;
use crate::series::{Merged, Row};
use bytes::Bytes;
use std::ops::Range;

/// Samples of one series in one request at the most. A sample takes at most 24 bytes, so a series with all the labels
/// it may have (0.5 MB) stays below [`Limits::decoded`]; a longer series goes on in the next request.
const MAX_SERIES_ROWS: usize = 60_000;

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
    /// The rows of [`Merged::rows`] whose samples are in it: each names the event that it came with.
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

/// Cuts all of `merged` into requests, in the order of its rows. A series that does not fit into one request goes on
/// in the next, later samples after earlier ones: requests must be sent one after another.
///
/// No request is empty; without rows there is none.
#[must_use]
pub fn encode(merged: &Merged<'_>, limits: &Limits) -> Vec<EncodedRequest> {
    let mut requests = Vec::new();
    let mut encoder = Encoder { merged, limits, snappy: snap::raw::Encoder::new(), protobuf: Vec::new() };
    let mut start = 0;
    let mut len = 0;
    let mut last_series = None;
    for piece in pieces(merged.rows(), 0..merged.rows().len()) {
        let series = merged.rows()[piece.start].series;
        let piece_len = protobuf::series_len(merged, &merged.rows()[piece.clone()]);
        if len > 0 && (len + piece_len > limits.decoded || last_series == Some(series)) {
            encoder.compress(start..piece.start, &mut requests);
            (start, len) = (piece.start, 0);
        }
        len += piece_len;
        last_series = Some(series);
    }
    encoder.compress(start..merged.rows().len(), &mut requests);
    requests
}

struct Encoder<'e, 'a> {
    merged: &'e Merged<'a>,
    limits: &'e Limits,
    snappy: snap::raw::Encoder,
    protobuf: Vec<u8>,
}

impl Encoder<'_, '_> {
    /// Encodes `rows` into one request, or into more where the snappy block comes out too long.
    fn compress(&mut self, rows: Range<usize>, requests: &mut Vec<EncodedRequest>) {
        if rows.is_empty() {
            return;
        }
        self.protobuf.clear();
        for piece in pieces(self.merged.rows(), rows.clone()) {
            protobuf::series(self.merged, &self.merged.rows()[piece], &mut self.protobuf);
        }
        let mut body = vec![0; snap::raw::max_compress_len(self.protobuf.len())];
        // It fails only for a buffer that is too short or an input over 4 GiB; nothing sent is then nothing answered,
        // and the events of these rows are tried again.
        let Ok(len) = self.snappy.compress(&self.protobuf, &mut body) else { return };
        let half = halve(self.merged.rows(), &rows);
        match half {
            Some(middle) if len > self.limits.compressed => {
                self.compress(rows.start..middle, requests);
                self.compress(middle..rows.end, requests);
            }
            _ => {
                body.truncate(len);
                requests.push(EncodedRequest { body: Bytes::from(body), decoded_len: self.protobuf.len(), rows });
            }
        }
    }
}

/// The runs of rows of one series within `range`, cut at [`MAX_SERIES_ROWS`].
fn pieces(rows: &[Row], range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let first = rows[..range.end].get(start)?;
        let longest = range.end.min(start + MAX_SERIES_ROWS);
        let mut end = start + rows[start..longest].iter().take_while(|row| row.series == first.series).count();
        while end < range.end && rows[end].is_same_sample(&rows[end - 1]) {
            end += 1;
        }
        let piece = start..end;
        start = end;
        Some(piece)
    })
}

/// Where to cut `range` in two: between series near its middle, else between samples of its one series. `None` for a
/// single sample.
fn halve(rows: &[Row], range: &Range<usize>) -> Option<usize> {
    let first = range.start + 1;
    let middle = (range.start + range.len() / 2).max(first);
    let nearest = |cuts: &dyn Fn(&usize) -> bool| {
        (middle..range.end).find(|i| cuts(i)).or_else(|| (first..middle).rev().find(|i| cuts(i)))
    };
    nearest(&|&i| rows[i].series != rows[i - 1].series).or_else(|| nearest(&|&i| !rows[i].is_same_sample(&rows[i - 1])))
}
