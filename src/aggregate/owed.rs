//! Events that a tick could not count. They are owed as dead letters: the state keeps them until they are sent.
//!
//! Two bounds hold: [`MAX_OWED`] events, and [`MAX_OWED_BYTES`] of their JSON. Events beyond them are dropped and counted.

use super::Identity;
use super::journal::Entry;
use crate::model::{Layout, Observation, Timestamp, Update, Value};
use serde_json::{Map, Number, Value as Json, json};
use std::collections::VecDeque;

/// Events that wait to be sent.
pub const MAX_OWED: usize = 10_000;

/// Their JSON.
pub const MAX_OWED_BYTES: usize = 4 << 20;

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
    /// Ascends with every event that this shard owes.
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
    /// The number of the next event.
    pub(super) next: u64,
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
        if self.bytes + json.len() > MAX_OWED_BYTES {
            return false;
        }
        let number = self.next;
        self.push(OwedEvent { number, identity: entry.identity, reason, sent: entry.sent, json });
        true
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
fn json(entry: &Entry<'_, '_>) -> String {
    let mut event = Map::new();
    let labels: Map<_, _> = entry.key.labels().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let (word, value) = match entry.update {
        Update::Counter(value) => ("counter", number(*value)),
        Update::Gauge(value) => ("gauge", number(*value)),
        Update::Histogram { layout, observations } => {
            if let Layout::Classic(bounds) = layout {
                event.insert("buckets".to_owned(), json!(bounds));
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
    Json::Object(event).to_string()
}

fn number(value: Value) -> Json {
    match value {
        Value::Integer(integer) => integer.into(),
        Value::Float(float) => Number::from_f64(float).map_or(Json::Null, Json::Number),
        Value::StaleMarker => Json::Null,
    }
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
