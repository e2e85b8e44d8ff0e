//! Finds the requests of 1.0 that can be sent on as they came. Most senders send only such requests. The gateway need not build or pack
//! them again.
//!
//! Such a request holds what the gateway itself would write:
//!
//! * The labels of each series are valid and in order, and no other series has the same labels.
//! * Its samples are in the order of their times.
//! * The request is no larger than a request may be.
//!
//! In any doubt the request is read in full. So this reader takes only the usual encoding: labels before samples, names before values,
//! and varints without spare bytes.

use super::v1::sample;
use super::{Budget, histogram};
use crate::limits::{
    MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_REQUEST_PROTOBUF_BYTES, MAX_REQUEST_SERIES, MAX_SERIES_HISTOGRAM_BYTES,
    MAX_SERIES_SAMPLES,
};
use crate::model::{LabelName, METRIC_NAME_LABEL, MetricName, Timestamp};
use crate::protobuf::Message;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;

/// The keys of a label of a series, of its name and of its value.
const LABEL: u8 = 0x0A;
const NAME: u8 = 0x0A;
const VALUE: u8 = 0x12;

/// Counts of a request that can be sent as it came.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Unchanged {
    pub series: u64,
    pub samples: u64,
    pub histograms: u64,
}

/// Counts what a `WriteRequest` holds if it can be sent as it came. Returns `None` if it has to be read in full.
pub fn unchanged(request: &[u8]) -> Option<Unchanged> {
    if request.len() > MAX_REQUEST_PROTOBUF_BYTES {
        return None;
    }
    let (state, mut hashes) = (RandomState::default(), Vec::new());
    let (mut found, mut budget) = (Unchanged::default(), Budget::new());
    let mut request = Message::new(request);
    while let Some(field) = request.field().ok()? {
        if field.number != 1 || hashes.len() == MAX_REQUEST_SERIES {
            return None;
        }
        let (labels, rest) = split_labels(field.message().ok()?.bytes())?;
        hashes.push(state.hash_one(labels));
        count_samples(rest, &mut budget, &mut found)?;
    }
    found.series = hashes.len() as u64;
    hashes.sort_unstable();
    // Equal labels have equal bytes. Two different label sets rarely have one hash, and then the request is only read in full.
    let is_distinct = hashes.windows(2).all(|pair| pair[0] != pair[1]);
    (is_distinct && found.series > 0).then_some(found)
}

/// Counts the samples and histograms of a series, if it has any and all are in order.
fn count_samples(fields: &[u8], budget: &mut Budget, found: &mut Unchanged) -> Option<()> {
    let mut message = Message::new(fields);
    let (mut samples, mut histograms, mut last) = (0, 0, None::<Timestamp>);
    while let Some(field) = message.field().ok()? {
        let time = match field.number {
            2 => {
                samples += 1;
                sample(field).ok()?.0
            }
            4 => {
                histograms += 1;
                let (time, histogram) = histogram::read(field, budget).ok()?;
                histogram.check().ok()?;
                time
            }
            _ => return None,
        };
        if last.replace(time).is_some_and(|last| last >= time) {
            return None;
        }
    }
    let fits = samples <= MAX_SERIES_SAMPLES && (histograms == 0 || fields.len() <= MAX_SERIES_HISTOGRAM_BYTES);
    found.samples += samples as u64;
    found.histograms += histograms;
    (fits && last.is_some()).then_some(())
}

/// Splits the labels of a series from its other fields, if all of them can stay.
fn split_labels(series: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut labels = Labels { rest: series };
    let (mut last, mut count, mut has_name) = (&[][..], 0, false);
    while let Some((name, value)) = labels.next()? {
        let is_classic = if name == METRIC_NAME_LABEL.as_bytes() {
            has_name = true;
            MetricName::is_classic(value)
        } else {
            LabelName::is_classic(name)
        };
        // An empty name is not above the last one.
        if !is_classic || name <= last || value.is_empty() || value.len() > MAX_LABEL_VALUE_BYTES {
            return None;
        }
        (last, count) = (name, count + 1);
    }
    let (labels, rest) = series.split_at(series.len() - labels.rest.len());
    let is_utf8 = labels.is_ascii() || has_utf8_values(labels);
    (has_name && count <= MAX_LABELS && is_utf8).then_some((labels, rest))
}

fn has_utf8_values(labels: &[u8]) -> bool {
    let mut labels = Labels { rest: labels };
    while let Some(Some((_, value))) = labels.next() {
        if std::str::from_utf8(value).is_err() {
            return false;
        }
    }
    true
}

/// The labels that a series begins with, and what is behind them.
struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Labels<'a> {
    /// Reads a name and a value; `Some(None)` behind the last label, and `None` if the label has another encoding.
    #[expect(clippy::option_option, reason = "an iterator that may fail")]
    fn next(&mut self) -> Option<Option<(&'a [u8], &'a [u8])>> {
        let Some((&LABEL, rest)) = self.rest.split_first() else { return Some(None) };
        let (label, rest) = delimited(rest)?;
        let (name, value) = delimited(label.strip_prefix(&[NAME])?)?;
        let (value, []) = delimited(value.strip_prefix(&[VALUE])?)? else { return None };
        self.rest = rest;
        Some(Some((name, value)))
    }
}

/// Splits what a length of one or two bytes says from the rest.
fn delimited(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match *bytes {
        [len @ ..0x80, ref rest @ ..] => rest.split_at_checked(usize::from(len)),
        [low, high @ 1..0x80, ref rest @ ..] => rest.split_at_checked(usize::from(low & 0x7F) | usize::from(high) << 7),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
