//! Sends the metadata of families: type, help and unit.
//!
//! With 1.0 it goes in a request of its own, after the samples. It is sent once for each environment, family and hour of the
//! clock. So the first tick of an hour sends that of all families together. If the receiver refuses it, the gateway logs
//! that. No outcome changes, because the samples are stored.
//!
//! With 2.0 it goes beside the samples of each series, and a request has nothing else. So the gateway remembers families before it
//! writes their samples. It also remembers those of a sender of 1.0, whose metadata comes without samples.

use super::writer::Writer;
use crate::aws::Transport;
use crate::limits::{MAX_KNOWN_FAMILIES, MAX_KNOWN_METADATA_BYTES, MAX_METADATA_BYTES, MAX_REQUEST_BLOCK_BYTES};
use crate::model::{MetricType, Timestamp};
use crate::remote_write::{Disposition, describe};
use crate::wire::{Families, Metadata, Version, metadata};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const HOUR_MS: i64 = 3_600_000;

/// The longest wait for the receiver. Without this much time nothing is sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Families that do not fit are sent with the next push.
const MAX_METADATA_REQUEST_BYTES: usize = MAX_REQUEST_BLOCK_BYTES;

/// The suffixes of metrics that are not named as their family, and the types of such families.
const SUFFIXES: [(&str, &[MetricType]); 8] = [
    ("_bucket", &[MetricType::Histogram, MetricType::GaugeHistogram]),
    ("_sum", &[MetricType::Histogram, MetricType::GaugeHistogram, MetricType::Summary]),
    ("_count", &[MetricType::Histogram, MetricType::GaugeHistogram, MetricType::Summary]),
    ("_total", &[MetricType::Counter]),
    ("_created", &[MetricType::Counter, MetricType::Histogram, MetricType::Summary]),
    ("_info", &[MetricType::Info]),
    ("_gsum", &[MetricType::GaugeHistogram]),
    ("_gcount", &[MetricType::GaugeHistogram]),
];

/// The families that were sent lately. One for the life of the process.
#[derive(Default, Debug)]
pub(super) struct Known(Mutex<KnownFamilies>);

#[derive(Default, Debug)]
struct KnownFamilies {
    by_name: HashMap<String, KnownFamily>,
    /// The bytes of all texts.
    bytes: usize,
}

#[derive(Default, Debug)]
struct KnownFamily {
    /// When it was last in a request of its own.
    sent: Option<Timestamp>,
    metric_type: MetricType,
    help: String,
    unit: String,
}

impl Known {
    /// Reports whether it is time to send the metadata of a family, and notes that it is sent.
    fn is_due(&self, family: &str, now: Timestamp) -> bool {
        let mut known = self.lock();
        let hour = |time: Timestamp| time.0.div_euclid(HOUR_MS);
        let sent = known.by_name.get(family).and_then(|family| family.sent);
        if sent.is_some_and(|sent| hour(sent) == hour(now)) {
            return false;
        }
        known.family(family, 0).sent = Some(now);
        true
    }

    fn remember(&self, Metadata { family, metric_type, help, unit }: Metadata<'_>) {
        let mut known = self.lock();
        let is_same =
            |known: &KnownFamily| known.metric_type == metric_type && known.help == help && known.unit == unit;
        if known.by_name.get(family).is_some_and(is_same) {
            return;
        }
        let known = known.family(family, family.len() + help.len() + unit.len());
        (known.metric_type, known.help, known.unit) = (metric_type, help.to_owned(), unit.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, KnownFamilies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownFamilies {
    /// Returns the family of this name, which may be new. It gets `bytes` of text.
    fn family(&mut self, name: &str, bytes: usize) -> &mut KnownFamily {
        if self.by_name.len() >= MAX_KNOWN_FAMILIES || self.bytes + bytes > MAX_KNOWN_METADATA_BYTES {
            *self = Self::default();
        }
        self.bytes += bytes;
        self.by_name.entry(name.to_owned()).or_default()
    }
}

impl Families for Known {
    fn find(&self, name: &str, take: &mut dyn FnMut(Metadata<'_>)) {
        let known = self.lock();
        let of_suffix = || {
            SUFFIXES.iter().find_map(|(suffix, types)| {
                let found = known.by_name.get_key_value(name.strip_suffix(suffix)?)?;
                types.contains(&found.1.metric_type).then_some(found)
            })
        };
        if let Some((family, KnownFamily { metric_type, help, unit, .. })) =
            known.by_name.get_key_value(name).or_else(of_suffix)
        {
            take(Metadata { family, metric_type: *metric_type, help, unit });
        }
    }
}

/// The requests that were sent, and those of them that the receiver did not take.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SentMetadata {
    pub(super) requests: u64,
    pub(super) failed: u64,
}

/// Remembers families for their samples, if samples are sent as 2.0.
pub(super) fn remember<'m, T: Transport>(writer: &Writer<T>, families: impl Iterator<Item = Metadata<'m>>) {
    if writer.version() == Version::V2 {
        families.map(bounded).for_each(|family| writer.known.remember(family));
    }
}

/// Sends the metadata of those of `families` that are due, if samples are sent as 1.0.
pub(super) async fn send<T: Transport>(
    writer: &Writer<T>,
    families: impl Iterator<Item = Metadata<'_>>,
    now: Timestamp,
    request_id: &str,
    deadline: Instant,
) -> SentMetadata {
    if Instant::now() + PATIENCE > deadline || writer.version() == Version::V2 {
        return SentMetadata::default();
    }
    let mut bytes_left = MAX_METADATA_REQUEST_BYTES;
    let is_due = |family: &Metadata<'_>| {
        let left = bytes_left.checked_sub(family.family.len() + family.help.len() + family.unit.len() + 16);
        let takes = left.is_some() && writer.known.is_due(family.family, now);
        bytes_left = left.filter(|_| takes).unwrap_or(bytes_left);
        takes
    };
    let due: Vec<_> = families.map(bounded).filter(is_due).collect();
    let Some(block) = metadata(&due).filter(|_| !due.is_empty()) else { return SentMetadata::default() };
    let answer = writer.send(block, PATIENCE).await;
    let is_taken = Disposition::of(&answer) == Disposition::Stored;
    if !is_taken {
        tracing::warn!(request_id, answer = describe(&answer), "metadata not taken");
    }
    SentMetadata { requests: 1, failed: u64::from(!is_taken) }
}

fn bounded(family: Metadata<'_>) -> Metadata<'_> {
    Metadata { help: cut(family.help), unit: cut(family.unit), ..family }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_METADATA_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_a_family_once_an_hour_of_the_clock_and_forgets_all_when_there_are_too_many() {
        let known = Known::default();
        assert!(known.is_due("a", Timestamp(HOUR_MS / 2)));
        assert!(!known.is_due("a", Timestamp(HOUR_MS - 1)));
        assert!(known.is_due("b", Timestamp(1)));
        assert!(known.is_due("a", Timestamp(HOUR_MS)));
        for i in 0..MAX_KNOWN_FAMILIES {
            assert!(known.is_due(&i.to_string(), Timestamp(HOUR_MS)));
        }
        assert!(known.is_due("a", Timestamp(HOUR_MS)));
        assert!(known.0.lock().unwrap().by_name.len() <= MAX_KNOWN_FAMILIES);
    }

    fn found(known: &Known, name: &str) -> Option<(String, MetricType, String)> {
        let mut found = None;
        known.find(name, &mut |metadata| {
            found = Some((metadata.family.to_owned(), metadata.metric_type, metadata.help.to_owned()));
        });
        found
    }

    #[test]
    fn finds_the_family_of_each_of_its_metrics() {
        let known = Known::default();
        let families = [
            ("a", MetricType::Histogram),
            ("b", MetricType::Counter),
            ("c", MetricType::Summary),
            ("d", MetricType::GaugeHistogram),
            ("e", MetricType::Info),
            ("f_count", MetricType::Gauge),
            ("f", MetricType::Histogram),
        ];
        for (family, metric_type) in families {
            known.remember(Metadata { family, metric_type, help: "", unit: "" });
        }
        let table = [
            ("a", "a"),
            ("a_bucket", "a"),
            ("a_sum", "a"),
            ("a_count", "a"),
            ("b", "b"),
            ("b_total", "b"),
            ("b_created", "b"),
            ("c_sum", "c"),
            ("d_gcount", "d"),
            ("e_info", "e"),
            ("f_count", "f_count"),
        ];
        for (metric, family) in table {
            assert_eq!(found(&known, metric).map(|(family, ..)| family).as_deref(), Some(family), "{metric}");
        }
        for metric in ["a_total", "b_bucket", "c_bucket", "e", "e_total", "", "_sum", "g"] {
            let expected = (metric == "e").then_some("e");
            assert_eq!(found(&known, metric).map(|(family, ..)| family).as_deref(), expected, "{metric}");
        }
    }

    #[test]
    fn remembers_the_newest_texts_and_forgets_all_when_they_take_too_much() {
        let known = Known::default();
        for help in ["old", "new"] {
            known.remember(Metadata { family: "a", metric_type: MetricType::Gauge, help, unit: "" });
        }
        assert_eq!(found(&known, "a"), Some(("a".to_owned(), MetricType::Gauge, "new".to_owned())));
        let help = "h".repeat(MAX_METADATA_BYTES);
        for i in 0..=MAX_KNOWN_METADATA_BYTES / MAX_METADATA_BYTES {
            known.remember(Metadata { family: &i.to_string(), metric_type: MetricType::Gauge, help: &help, unit: "" });
        }
        assert_eq!(found(&known, "a"), None);
        assert!(known.lock().bytes <= MAX_KNOWN_METADATA_BYTES);
    }

    #[test]
    fn cuts_a_long_help_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(MAX_METADATA_BYTES)).len(), MAX_METADATA_BYTES);
        assert_eq!(cut(&format!("x{}", "é".repeat(MAX_METADATA_BYTES))).len(), MAX_METADATA_BYTES - 1);
    }
}
