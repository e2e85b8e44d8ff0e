//! The name and the labels of a typed series as bytes. The journal, the snapshots and the state in memory use this form, so
//! that a series is found by comparing bytes.
//!
//! A key is canonical: the same name and labels always have the same key. [`SeriesKey::take`] checks the bytes that it
//! returns. So reading the name and the labels cannot fail.

use crate::blob::BlobError;
use crate::blob::codec::{put_bytes, put_u64, take_bytes, take_count, take_text};
use crate::limits::{MAX_LABELS, MAX_NAME_BYTES};
use crate::model::{Label, LabelName, LabelSet, MetricName};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The key of a series.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SeriesKey<'a>(&'a [u8]);

/// Suffixes of the series that a histogram or a summary exposes.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

impl<'a> SeriesKey<'a> {
    pub fn write(name: &MetricName<'_>, labels: &LabelSet<'_>, out: &mut Vec<u8>) {
        Self::write_labels(name, labels.as_slice().iter(), out);
    }

    /// `labels` come in the order of a label set.
    pub fn write_labels<'l>(name: &MetricName<'_>, labels: impl Iterator<Item = &'l Label<'l>>, out: &mut Vec<u8>) {
        let labels: Vec<_> = labels.map(|label| (label.name.as_str(), &*label.value)).collect();
        Self::write_parts(name.as_str(), labels.into_iter(), out);
    }

    /// `labels` come in the order of a label set.
    pub(super) fn write_parts<'l>(
        name: &str,
        labels: impl ExactSizeIterator<Item = (&'l str, &'l str)>,
        out: &mut Vec<u8>,
    ) {
        put_bytes(out, name.as_bytes());
        put_u64(out, labels.len() as u64);
        for (name, value) in labels {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }

    /// Reads a key from the front of `input`, and checks it.
    pub fn take(input: &mut &'a [u8]) -> Result<Self, BlobError> {
        let all = *input;
        let is_name = |name: &[u8]| (1..=MAX_NAME_BYTES).contains(&name.len());
        if !is_name(take_bytes(input)?) {
            return Err(BlobError::Damaged("a series has no name, or too long a name"));
        }
        let count = take_count(input, 2)?;
        if count > MAX_LABELS {
            return Err(BlobError::Damaged("a series has too many labels"));
        }
        let mut last = &[][..];
        for _ in 0..count {
            let (name, value) = (take_bytes(input)?, take_bytes(input)?);
            if !is_name(name) || name <= last || value.is_empty() {
                return Err(BlobError::Damaged("the labels of a series are not a label set"));
            }
            last = name;
        }
        let key = &all[..all.len() - input.len()];
        // Few keys have another character or a long text. Then each text is checked.
        if !key.is_ascii() {
            let mut rest = key;
            take_text(&mut rest)?;
            for _ in 0..2 * take_count(&mut rest, 2)? {
                take_text(&mut rest)?;
            }
        }
        Ok(Self(key))
    }

    /// `bytes` are those of a key that [`Self::take`] has checked, or that [`Self::write`] wrote.
    pub(super) fn of_checked(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// `bytes` are what [`Self::write`] wrote.
    pub fn of_written(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns a hash that is the same in every process.
    pub fn hash(self) -> u64 {
        let hash = Sha256::digest(self.0);
        hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    pub fn name(self) -> &'a str {
        let mut rest = self.0;
        std::str::from_utf8(take_bytes(&mut rest).unwrap_or_default()).unwrap_or_default()
    }

    /// Returns the labels in the order of their names.
    pub fn labels(self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> + Clone {
        let mut texts = Texts::of(self);
        texts.next();
        let count = take_count(&mut texts.rest, 0).unwrap_or_default();
        (0..count).map(move |_| (texts.next(), texts.next()))
    }

    /// `None` if the key is not a checked one.
    pub fn metric_name(self) -> Option<MetricName<'a>> {
        MetricName::as_is(Cow::Borrowed(self.name())).ok()
    }

    /// Returns the labels with room for one more.
    pub fn label_set(self) -> LabelSet<'a> {
        let labels = self.labels();
        let mut set = Vec::with_capacity(labels.len() + 1);
        set.extend(labels.filter_map(|(name, value)| {
            Some(Label { name: LabelName::as_is(Cow::Borrowed(name)).ok()?, value: Cow::Borrowed(value) })
        }));
        LabelSet::new(set).unwrap_or_default()
    }
}

/// The texts of a checked key that were not read yet.
#[derive(Clone, Copy)]
struct Texts<'a> {
    rest: &'a [u8],
    /// The whole key, if it is UTF-8: lengths below 128 are. Then no text needs to be checked again.
    whole: Option<&'a str>,
}

impl<'a> Texts<'a> {
    fn of(key: SeriesKey<'a>) -> Self {
        Self { rest: key.0, whole: std::str::from_utf8(key.0).ok() }
    }

    fn next(&mut self) -> &'a str {
        let bytes = take_bytes(&mut self.rest).unwrap_or_default();
        let text = match self.whole {
            Some(whole) => {
                let end = whole.len() - self.rest.len();
                whole.get(end - bytes.len()..end)
            }
            None => std::str::from_utf8(bytes).ok(),
        };
        text.unwrap_or_default()
    }
}

/// Returns the shard of a series. The families `x`, `x_sum`, `x_count` and `x_bucket` with the same labels share a shard, because two of
/// them can expose the same series. A tick finds that in one shard alone.
pub fn shard_of(name: &MetricName<'_>, labels: &LabelSet<'_>, shards: u16) -> u16 {
    if shards <= 1 {
        return 0;
    }
    let mut name = name.as_str();
    while let Some(stem) = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)) {
        name = stem;
    }
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    add(name);
    for label in labels.as_slice() {
        if !matches!(label.name.as_str(), "le" | "quantile") {
            add(label.name.as_str());
            add(&label.value);
        }
    }
    let hash = hasher.finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    #[expect(clippy::cast_possible_truncation, reason = "less than `shards`")]
    let shard = (u64::from_le_bytes(first) % u64::from(shards)) as u16;
    shard
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::aggregate) fn name(name: &str) -> MetricName<'static> {
        MetricName::as_is(Cow::Owned(name.to_owned())).unwrap()
    }

    pub(in crate::aggregate) fn labels(pairs: &[(&str, &str)]) -> LabelSet<'static> {
        let label = |(name, value): &(&str, &str)| Label {
            name: LabelName::as_is(Cow::Owned((*name).to_owned())).unwrap(),
            value: Cow::Owned((*value).to_owned()),
        };
        LabelSet::new(pairs.iter().map(label).collect()).unwrap()
    }

    fn key(metric: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        SeriesKey::write(&name(metric), &labels(pairs), &mut out);
        out
    }

    #[test]
    fn rejects_a_key_whose_labels_are_no_label_set() {
        let mut unsorted = Vec::new();
        SeriesKey::write_parts("x", [("b", "1"), ("a", "2")].into_iter(), &mut unsorted);
        let mut empty = Vec::new();
        SeriesKey::write_parts("x", [("b", "")].into_iter(), &mut empty);
        let mut nameless = Vec::new();
        SeriesKey::write_parts("", [].into_iter(), &mut nameless);
        for key in [unsorted, empty, nameless, vec![], vec![1], vec![1, b'x', 0xff, 0xff]] {
            assert!(SeriesKey::take(&mut key.as_slice()).is_err(), "{key:?}");
        }
    }

    #[test]
    fn series_that_can_be_exposed_by_two_families_share_a_shard() {
        let shard = |metric: &str, pairs: &[(&str, &str)]| shard_of(&name(metric), &labels(pairs), 16);
        for base in ["a", "http_requests", "x_y"] {
            let expected = shard(base, &[("k", "v")]);
            for suffix in ["_sum", "_count", "_bucket", "_count_sum"] {
                assert_eq!(shard(&format!("{base}{suffix}"), &[("k", "v"), ("le", "1.0")]), expected);
            }
        }
        let shards: std::collections::HashSet<u16> = (0..200).map(|i| shard(&format!("m{i}"), &[])).collect();
        assert_eq!(shards.len(), 16);
        assert_eq!(shard_of(&name("a"), &labels(&[]), 1), 0);
    }

    /// The shard of a series never changes, because its state would stay in the old shard.
    #[test]
    fn a_series_has_the_same_shard_in_every_release() {
        assert_eq!(shard_of(&name("http_requests_total"), &labels(&[("method", "GET")]), 16), 6);
    }

    proptest! {
        #[test]
        fn property_test_a_key_gives_its_name_and_labels_back(
            metric in "[a-z:é]{1,8}",
            pairs in proptest::collection::btree_map("[a-zé]{1,3}", ".{1,4}", 0..5),
        ) {
            let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let bytes = key(&metric, &pairs);
            let mut input = bytes.as_slice();
            let read = SeriesKey::take(&mut input).unwrap();
            prop_assert!(input.is_empty());
            prop_assert_eq!(read.as_bytes(), bytes.as_slice());
            prop_assert_eq!(read.name(), metric.as_str());
            prop_assert_eq!(read.labels().collect::<Vec<_>>(), pairs.clone());
            prop_assert_eq!(read.label_set(), labels(&pairs));
        }
    }
}
