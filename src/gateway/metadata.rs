//! Metadata of pushed families: type, help and unit, in a request of their own behind the samples.
//!
//! Metadata is sent once for each environment, family and hour. If the receiver refuses it, that is logged and changes no
//! outcome: the samples are stored.

use super::writer::Writer;
use crate::aws::Transport;
use crate::exposition::{Exposition, Family};
use crate::limits::{MAX_KNOWN_FAMILIES, MAX_METADATA_BYTES, MAX_REQUEST_BLOCK_BYTES};
use crate::model::{MetricName, MetricType, Timestamp};
use crate::remote_write::{Disposition, describe};
use crate::wire::{Metadata, metadata};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const HOUR_MS: i64 = 3_600_000;

/// The longest wait for the receiver. Without this much time nothing is sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Families that do not fit come with the next push.
const MAX_METADATA_REQUEST_BYTES: usize = MAX_REQUEST_BLOCK_BYTES;

/// When the metadata of each family was sent last. One for the life of the process.
#[derive(Default, Debug)]
pub(super) struct Known(Mutex<HashMap<String, Timestamp>>);

impl Known {
    /// Reports whether it is time to send the metadata of a family, and notes that it is sent.
    fn is_due(&self, family: &str, now: Timestamp) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(family).is_some_and(|sent| now.since(*sent) < HOUR_MS) {
            return false;
        }
        if known.len() >= MAX_KNOWN_FAMILIES {
            known.clear();
        }
        known.insert(family.to_owned(), now);
        true
    }
}

/// Sends the metadata of those families of `body` that are due. Returns the number of requests.
pub(super) async fn send<T: Transport>(
    writer: &Writer<T>,
    known: &Known,
    body: &Exposition<'_>,
    now: Timestamp,
    request_id: &str,
    deadline: Instant,
) -> u64 {
    if Instant::now() + PATIENCE > deadline {
        return 0;
    }
    let named: Vec<_> = body.families().filter_map(|family| Some((name(family)?, family))).collect();
    let all = named.iter().map(|(name, family)| Metadata {
        family: name.as_str(),
        metric_type: family.metric_type(),
        help: cut(family.help().unwrap_or_default()),
        unit: cut(family.unit().unwrap_or_default()),
    });
    let mut bytes_left = MAX_METADATA_REQUEST_BYTES;
    let is_due = |family: &Metadata<'_>| {
        let left = bytes_left.checked_sub(family.family.len() + family.help.len() + family.unit.len() + 16);
        let takes = left.is_some() && known.is_due(family.family, now);
        bytes_left = left.filter(|_| takes).unwrap_or(bytes_left);
        takes
    };
    let due: Vec<_> = all.filter(is_due).collect();
    let Some(block) = metadata(&due).filter(|_| !due.is_empty()) else { return 0 };
    let answer = writer.send(block, PATIENCE).await;
    if Disposition::of(&answer) != Disposition::Stored {
        tracing::warn!(request_id, answer = describe(&answer), "metadata not taken");
    }
    1
}

/// Returns the name of a family that has metadata, as its series are named.
fn name(family: Family<'_>) -> Option<MetricName<'_>> {
    let has_metadata =
        family.metric_type() != MetricType::Unknown || family.help().is_some() || family.unit().is_some();
    MetricName::translate(Cow::Borrowed(family.name())).ok().filter(|_| has_metadata)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_METADATA_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_a_family_once_an_hour_and_forgets_all_when_there_are_too_many() {
        let known = Known::default();
        assert!(known.is_due("a", Timestamp(0)));
        assert!(!known.is_due("a", Timestamp(HOUR_MS - 1)));
        assert!(known.is_due("b", Timestamp(1)));
        assert!(known.is_due("a", Timestamp(HOUR_MS)));
        for i in 0..MAX_KNOWN_FAMILIES {
            assert!(known.is_due(&i.to_string(), Timestamp(HOUR_MS)));
        }
        assert!(known.is_due("a", Timestamp(HOUR_MS)));
        assert!(known.0.lock().unwrap().len() <= MAX_KNOWN_FAMILIES);
    }

    #[test]
    fn cuts_a_long_help_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(MAX_METADATA_BYTES)).len(), MAX_METADATA_BYTES);
        assert_eq!(cut(&format!("x{}", "é".repeat(MAX_METADATA_BYTES))).len(), MAX_METADATA_BYTES - 1);
    }
}
