//! Identities: 16 bytes by which the gateway recognises the repetition of an event.
//!
//! The table keeps identities, so the same event must have the same identity in every release and process. Therefore the
//! hash has no random seed. It is SHA-256, cut to 16 bytes, so that no producer can find two events with the same identity.

use super::series_key::SeriesKey;
use crate::model::{LabelSet, MetricName, MetricType};
use sha2::{Digest, Sha256};
use std::fmt;

/// 16 bytes that two different events do not share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(pub [u8; 16]);

/// The first byte of what is hashed, so that no event of one kind has the identity of one of another kind.
const OF_MESSAGE: u8 = 1;
const OF_ID: u8 = 2;
const OF_POINT: u8 = 3;

impl Identity {
    pub const BYTES: usize = 16;

    /// Returns the identity of an event without an `id`: the identity of its message, and its index in the message.
    pub fn of_event(message: &str, index: u64) -> Self {
        let index = index.to_le_bytes();
        hash(&[&[OF_MESSAGE], &index, message.as_bytes()])
    }

    /// Returns the identity of an event with an `id`: the same `id` on another series is another event.
    pub fn of_id(id: &str, metric_type: MetricType, name: &MetricName<'_>, labels: &LabelSet<'_>) -> Self {
        let mut key = Vec::new();
        SeriesKey::write(name, labels, &mut key);
        let len = (id.len() as u64).to_le_bytes();
        hash(&[&[OF_ID, metric_type as u8], &len, id.as_bytes(), &key])
    }

    /// Returns the identity of a data point of OTLP: its series, its start and its time in nanoseconds, and the stream that it is from. Two
    /// streams of one sender can have one series, and the same times.
    pub fn of_point(
        stream: &[u8; 32],
        (start, time): (u64, u64),
        metric_type: MetricType,
        name: &MetricName<'_>,
        labels: &LabelSet<'_>,
    ) -> Self {
        let mut key = Vec::new();
        SeriesKey::write(name, labels, &mut key);
        hash(&[&[OF_POINT, metric_type as u8], stream, &start.to_le_bytes(), &time.to_le_bytes(), &key])
    }

    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

fn hash(parts: &[&[u8]]) -> Identity {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    let mut identity = [0; Identity::BYTES];
    identity.copy_from_slice(&hasher.finalize()[..Identity::BYTES]);
    Identity(identity)
}

/// 32 hexadecimal digits.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::series_key::tests::{labels, name};
    use std::collections::HashSet;

    /// Identities are in the tables of operators: they never change.
    #[test]
    fn an_event_has_the_same_identity_in_every_release() {
        assert_eq!(Identity::of_event("m-1", 0).to_string(), "b238a0a8d0d03dcc51a7e7791993030a");
        let of_id = Identity::of_id("a", MetricType::Counter, &name("x"), &labels(&[("b", "c")]));
        assert_eq!(of_id.to_string(), "425a55d1db34c7c65e54509143312d36");
    }

    #[test]
    fn every_part_makes_another_event() {
        let id = |id, metric_type, metric, pairs: &[(&str, &str)]| {
            Identity::of_id(id, metric_type, &name(metric), &labels(pairs))
        };
        let identities = [
            Identity::of_event("a", 0),
            Identity::of_event("a", 1),
            Identity::of_event("b", 0),
            Identity::of_event("", 0),
            id("a", MetricType::Counter, "x", &[]),
            id("b", MetricType::Counter, "x", &[]),
            id("a", MetricType::Gauge, "x", &[]),
            id("a", MetricType::Counter, "y", &[]),
            id("a", MetricType::Counter, "x", &[("b", "c")]),
            id("ax", MetricType::Counter, "x", &[]),
        ];
        assert_eq!(HashSet::from(identities).len(), identities.len());
    }
}
