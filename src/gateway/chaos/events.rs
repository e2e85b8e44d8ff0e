//! Makes typed events of every kind, as JSON and in a form for the judge.

use super::{HOUR, MINUTE, SECOND, World};
use crate::aggregate::{Identity, SeriesKey};
use crate::model::{Label, LabelName, LabelSet, MetricName, MetricType};
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// The position of an event in the judge's list.
pub(super) type EventId = usize;

/// An event as the judge knows it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The key of its series.
    pub(super) key: Vec<u8>,
    pub(super) metric_type: MetricType,
    /// The value of a counter, or the sum of the observations.
    pub(super) sum: f64,
    pub(super) count: f64,
    /// Its increments and observations.
    pub(super) increments: u64,
    /// The identity that its `id` gives it.
    pub(super) identity: Option<Identity>,
    /// It has a time of its own, and may be too old alone.
    pub(super) is_dated: bool,
}

/// Returns the name and the labels of a series.
fn named(name: &str) -> (MetricName<'static>, LabelSet<'static>) {
    let name = MetricName::as_is(Cow::Owned(name.to_owned())).unwrap();
    let label = Label { name: LabelName::classic("k").unwrap(), value: Cow::Borrowed("v") };
    (name, LabelSet::new(vec![label]).unwrap())
}

pub(super) fn key(name: &str) -> Vec<u8> {
    let (name, labels) = named(name);
    let mut key = Vec::new();
    SeriesKey::write(&name, &labels, &mut key);
    key
}

/// Draws an event that is sent now. `number` is no other's.
pub(super) fn draw(world: &World, number: usize) -> (Json, Sent) {
    let below = |end| world.below(end);
    let pick = |prefix: &str, count| format!("{prefix}{}", below(count));
    let counter = |name: String| (name, json!("counter"), json!(1 + below(5)), json!({}));
    let observed = |name: &str, word: &str, more: Json| {
        let values: Vec<i64> = (0..=below(8)).map(|_| below(13)).collect();
        let value = if let [value] = values[..] { json!(value) } else { json!(values) };
        (name.to_owned(), json!(word), value, more)
    };
    let (name, kind, value, mut event) = match below(100) {
        40..52 => observed("h", "histogram", json!({"buckets": [1, 5, 10]})),
        52..60 => observed("n", "histogram", json!({})),
        60..68 => observed("s", "summary", json!({"quantiles": [0.5]})),
        68..80 => {
            // It comes in bursts. Between them it ends, and begins again soon after.
            let flash = below(4);
            let period = 4 * (world.plan.series_ttl_ms.min(2 * HOUR) + 30 * SECOND) / 3;
            let phase = (world.now() + flash * period / 4) % period;
            counter(if phase < period / 4 { format!("f{flash}") } else { pick("c", 3) })
        }
        80..86 => {
            let (name, _, value, more) = counter("mix".to_owned());
            (name, json!(["counter", "counter", "gauge"][usize::try_from(below(3)).unwrap()]), value, more)
        }
        86..90 => counter(format!("b{}", world.now() / (20 * MINUTE) % 6)),
        _ => counter(pick("c", 3)),
    };
    let (of_name, labels) = named(&name);
    let numbers: Vec<f64> =
        value.as_array().map_or_else(|| vec![value.clone()], Clone::clone).iter().map(number_of).collect();
    let metric_type = match kind.as_str().unwrap() {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "summary" => MetricType::Summary,
        _ => MetricType::Histogram,
    };
    event["type"] = kind;
    event["name"] = json!(name);
    event["labels"] = json!({"k": "v"});
    event["value"] = value;
    let mut identity = None;
    if world.chance(0.15) {
        let id = format!("e-{number}");
        event["id"] = json!(&id);
        identity = Some(Identity::of_id(&id, metric_type, &of_name, &labels));
    }
    let is_dated = world.chance(0.1);
    if is_dated {
        let age = if world.chance(0.1) { 70 * MINUTE } else { below(5 * MINUTE) };
        event["timestamp"] = json!(world.now() - age);
    }
    let (sum, increments) = (numbers.iter().sum(), numbers.len() as u64);
    let count = if metric_type == MetricType::Counter { 0.0 } else { f64::from(u32::try_from(increments).unwrap()) };
    (event, Sent { key: key(&name), metric_type, sum, count, increments, identity, is_dated })
}

fn number_of(value: &Json) -> f64 {
    value.as_f64().unwrap()
}
