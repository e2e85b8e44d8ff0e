//! Owed events: a tick could not count them, and must send them as dead letters. The state keeps them until they are sent.
//!
//! At most [`MAX_OWED`] events and [`MAX_OWED_BYTES`] of their JSON are kept. Further events are dropped and counted, and so is an
//! event that no message can hold.
//!
//! The fold decides which events are one array. The numbers show it: an array begins at a multiple of [`MAX_ARRAY_EVENTS`], and
//! its events follow each other. No later tick adds to it. So a dead letter that is sent again is the same array.

use super::journal::Entry;
use super::{Histogram, Identity, Native, Safeguard};
use crate::limits::MAX_MESSAGE_BYTES;
use crate::model::{Layout, Observation, Timestamp, Update, Value, escape_noncharacters};
use serde_json::{Map, Number, Value as Json, json};
use std::collections::VecDeque;

/// Events that wait to be sent.
pub const MAX_OWED: usize = 10_000;

/// Their JSON.
pub const MAX_OWED_BYTES: usize = 4 << 20;

/// The events of one array.
pub const MAX_ARRAY_EVENTS: u64 = 1_000;

/// The body of an array of several events.
pub const MAX_ARRAY_BYTES: usize = 256 * 1_024;

/// A message of SQS has room for an event of this size beside its attributes.
const MAX_EVENT_BYTES: usize = MAX_MESSAGE_BYTES - 1_024;

/// Why an event could not be counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum OwedReason {
    /// Its series is exposed by a series of another type or family.
    TypeConflict = 1,
    /// The shard has as many series as it may have.
    SeriesLimit = 2,
}

/// An event that is owed as a dead letter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwedEvent {
    /// Ascends with every event that this shard owes. Divided by [`MAX_ARRAY_EVENTS`] it says which array the event belongs to.
    pub number: u64,
    pub identity: Identity,
    pub reason: OwedReason,
    /// The sent time of its message.
    pub sent: Timestamp,
    /// The event without its `id`.
    pub json: String,
}

#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Owed {
    pub(super) events: VecDeque<OwedEvent>,
    bytes: usize,
    /// The number of the next event, if it belongs to the same array.
    pub(super) next: u64,
    /// The last array, while the fold that began it goes on.
    open: Option<OpenArray>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct OpenArray {
    reason: OwedReason,
    bytes: usize,
}

impl OwedReason {
    pub const ALL: [Self; 2] = [Self::TypeConflict, Self::SeriesLimit];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::TypeConflict => "type_conflict",
            Self::SeriesLimit => "series_limit",
        }
    }

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == number)
    }
}

impl Owed {
    /// Returns whether there was room for the event.
    pub(super) fn add(&mut self, reason: OwedReason, entry: &Entry<'_, '_>) -> bool {
        if self.events.len() >= MAX_OWED {
            return false;
        }
        let json = json(entry);
        if json.len() > MAX_EVENT_BYTES || self.bytes + json.len() > MAX_OWED_BYTES {
            return false;
        }
        let number = self.number(reason, json.len());
        self.push(OwedEvent { number, identity: entry.identity, reason, sent: entry.sent, json });
        true
    }

    /// Ends the last array: a new fold begins.
    pub(super) fn end_array(&mut self) {
        self.open = None;
    }

    /// Returns the number of an event of so many bytes. It belongs to the last array, or begins the next.
    fn number(&mut self, reason: OwedReason, bytes: usize) -> u64 {
        let is_full = self.next.is_multiple_of(MAX_ARRAY_EVENTS);
        let has_room = |array: &OpenArray| array.reason == reason && array.bytes + bytes < MAX_ARRAY_BYTES && !is_full;
        let array = self.open.filter(has_room).unwrap_or_else(|| {
            if Safeguard::SameArrays.is_kept() {
                self.next = self.next.checked_next_multiple_of(MAX_ARRAY_EVENTS).unwrap_or(self.next);
            }
            OpenArray { reason, bytes: 1 }
        });
        // A comma or a bracket stands behind it.
        self.open = Some(OpenArray { bytes: array.bytes + bytes + 1, ..array });
        self.next
    }

    /// Adds an event of a snapshot.
    pub(super) fn push(&mut self, event: OwedEvent) {
        self.bytes += event.json.len();
        self.next = self.next.max(event.number.saturating_add(1));
        self.events.push_back(event);
    }

    /// Forgets the events up to this number, which is not among them.
    pub(super) fn forget_before(&mut self, number: u64) {
        while let Some(event) = self.events.front().filter(|event| event.number < number) {
            self.bytes -= event.json.len();
            self.events.pop_front();
        }
    }
}

/// Returns the event as the producer could have written it. Its time is there if it is not that of its message.
///
/// No event has counts of buckets: they become as many observations within the buckets. The observations of a classic histogram add
/// up to the sum, as far as the buckets allow. An increment of a gauge has a type that no event has: it cannot be redriven.
fn json(entry: &Entry<'_, '_>) -> String {
    let mut event = Map::new();
    let labels: Map<_, _> = entry.key.labels().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let (word, value) = match entry.update {
        Update::Counter(value) => ("counter", number(*value)),
        Update::Gauge(value) => ("gauge", number(*value)),
        Update::GaugeIncrement(value) => ("gauge_increment", number(*value)),
        Update::ClassicCounts(counts) => {
            event.insert("buckets".to_owned(), bounds(&counts.bounds));
            ("histogram", measured(&Histogram::observations(counts), &mut event))
        }
        Update::NativeCounts(counts) => ("histogram", measured(&Native::observations(counts), &mut event)),
        Update::Histogram { layout, observations } => {
            if let Layout::Classic(of_layout) = layout {
                event.insert("buckets".to_owned(), bounds(of_layout));
            }
            ("histogram", measured(observations, &mut event))
        }
        Update::Summary { quantiles, observations } => {
            event.insert("quantiles".to_owned(), json!(quantiles));
            ("summary", measured(observations, &mut event))
        }
    };
    event.insert("type".to_owned(), word.into());
    event.insert("name".to_owned(), entry.key.name().into());
    event.insert("labels".to_owned(), labels.into());
    event.insert("value".to_owned(), value);
    if let Some(help) = entry.help {
        event.insert("help".to_owned(), help.into());
    }
    if entry.time != entry.sent {
        event.insert("timestamp".to_owned(), entry.time.0.into());
    }
    escape_noncharacters(Json::Object(event).to_string())
}

fn number(value: Value) -> Json {
    match value {
        Value::Integer(integer) => integer.into(),
        Value::Float(float) => Number::from_f64(float).map_or(Json::Null, Json::Number),
        Value::StaleMarker => Json::Null,
    }
}

/// Returns the bounds of a classic histogram. An empty list would make it a native one.
fn bounds(bounds: &[f64]) -> Json {
    if bounds.is_empty() { json!(["+Inf"]) } else { json!(bounds) }
}

fn measured(observations: &[Observation], event: &mut Map<String, Json>) -> Json {
    if let [Observation { value, count: 1 }] = observations {
        return json!(value);
    }
    if observations.iter().any(|observation| observation.count != 1) {
        let counts: Vec<u64> = observations.iter().map(|observation| observation.count).collect();
        event.insert("counts".to_owned(), json!(counts));
    }
    let values: Vec<f64> = observations.iter().map(|observation| observation.value).collect();
    json!(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClassicCounts, NativeCounts};

    #[test]
    fn observations_that_stand_for_counts_lie_in_the_buckets_and_add_up_to_the_sum() {
        let bounds = vec![-1.0, 0.0, 0.5, 2.0];
        for sum in [None, Some(-3.25), Some(0.5), Some(7.25), Some(18.5)] {
            let counts = ClassicCounts { bounds: bounds.clone(), counts: vec![2, 1, 0, 3, 1], sum };
            let observations = Histogram::observations(&counts);
            let again = |observation: &Observation| bounds.partition_point(|bound| *bound < observation.value);
            assert_eq!(observations.iter().map(again).collect::<Vec<_>>(), [0, 1, 3, 4], "{observations:?}");
            assert_eq!(observations.iter().map(|one| one.count).collect::<Vec<_>>(), [2, 1, 3, 1]);
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let total: f64 = observations.iter().map(|one| one.value * one.count as f64).sum();
            assert!(sum.is_none_or(|sum| (sum - total).abs() < 1e-9), "{sum:?} {total}");
        }
        let none = ClassicCounts { bounds: Vec::new(), counts: vec![3], sum: Some(6.0) };
        assert_eq!(Histogram::observations(&none), [Observation { value: 2.0, count: 3 }]);
    }

    /// A list without bounds would make it a native histogram.
    #[test]
    fn a_classic_histogram_without_finite_bounds_stays_classic() {
        assert_eq!((bounds(&[]), bounds(&[0.5, 1.0])), (json!(["+Inf"]), json!([0.5, 1.0])));
    }

    #[test]
    fn observations_that_stand_for_native_counts_lie_in_the_buckets() {
        let (positive, negative) = (vec![(1, 2), (1_024, 1)], vec![(2, 4)]);
        let counts = NativeCounts { schema: 0, zero: 3, positive, negative, sum: 1.0 };
        let observation = |value, count| Observation { value, count };
        let expected = [observation(-4.0, 4), observation(0.0, 3), observation(2.0, 2), observation(f64::MAX, 1)];
        assert_eq!(Native::observations(&counts), expected);
    }
}
