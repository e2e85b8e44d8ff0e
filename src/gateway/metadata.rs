//! Sends the metadata of families (type, help and unit), in a request after the samples.
//!
//! Metadata is sent once for each environment, family and hour of the clock. So the first tick of an hour sends that of all
//! families together. If the receiver refuses it, the gateway logs that. No outcome changes, because the samples are
//! stored.

use super::writer::Writer;
use crate::aws::Transport;
use crate::limits::{MAX_KNOWN_FAMILIES, MAX_METADATA_BYTES, MAX_REQUEST_BLOCK_BYTES};
use crate::model::Timestamp;
use crate::remote_write::{Disposition, describe};
use crate::wire::{Metadata, metadata};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const HOUR_MS: i64 = 3_600_000;

/// The longest wait for the receiver. Without this much time nothing is sent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Families that do not fit are sent with the next push.
const MAX_METADATA_REQUEST_BYTES: usize = MAX_REQUEST_BLOCK_BYTES;

/// When the metadata of each family was sent last. One for the life of the process.
#[derive(Default, Debug)]
pub(super) struct Known(Mutex<HashMap<String, Timestamp>>);

impl Known {
    /// Reports whether it is time to send the metadata of a family, and notes that it is sent.
    fn is_due(&self, family: &str, now: Timestamp) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = |time: Timestamp| time.0.div_euclid(HOUR_MS);
        if known.get(family).is_some_and(|sent| hour(*sent) == hour(now)) {
            return false;
        }
        if known.len() >= MAX_KNOWN_FAMILIES {
            known.clear();
        }
        known.insert(family.to_owned(), now);
        true
    }
}

/// The requests that were sent, and those of them that the receiver did not take.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SentMetadata {
    pub(super) requests: u64,
    pub(super) failed: u64,
}

/// Sends the metadata of those of `families` that are due.
pub(super) async fn send<T: Transport>(
    writer: &Writer<T>,
    known: &Known,
    families: impl Iterator<Item = Metadata<'_>>,
    now: Timestamp,
    request_id: &str,
    deadline: Instant,
) -> SentMetadata {
    if Instant::now() + PATIENCE > deadline {
        return SentMetadata::default();
    }
    let families = families.map(|family| Metadata { help: cut(family.help), unit: cut(family.unit), ..family });
    let mut bytes_left = MAX_METADATA_REQUEST_BYTES;
    let is_due = |family: &Metadata<'_>| {
        let left = bytes_left.checked_sub(family.family.len() + family.help.len() + family.unit.len() + 16);
        let takes = left.is_some() && known.is_due(family.family, now);
        bytes_left = left.filter(|_| takes).unwrap_or(bytes_left);
        takes
    };
    let due: Vec<_> = families.filter(is_due).collect();
    let Some(block) = metadata(&due).filter(|_| !due.is_empty()) else { return SentMetadata::default() };
    let answer = writer.send(block, PATIENCE).await;
    let is_taken = Disposition::of(&answer) == Disposition::Stored;
    if !is_taken {
        tracing::warn!(request_id, answer = describe(&answer), "metadata not taken");
    }
    SentMetadata { requests: 1, failed: u64::from(!is_taken) }
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
        assert!(known.0.lock().unwrap().len() <= MAX_KNOWN_FAMILIES);
    }

    #[test]
    fn cuts_a_long_help_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(MAX_METADATA_BYTES)).len(), MAX_METADATA_BYTES);
        assert_eq!(cut(&format!("x{}", "é".repeat(MAX_METADATA_BYTES))).len(), MAX_METADATA_BYTES - 1);
    }
}
