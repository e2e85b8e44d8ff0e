//! Shows the state in three minutes: increments of short-lived functions add up, a repetition counts once, and a pushed
//! group expires.
//!
//! The ticks have the times of the last three minutes, so that nobody has to wait. All other parts are real: the handler, a
//! table in memory, and the workspace.

use super::push::{DemoPush, NotStored, push};
use super::sensors::record;
use crate::exit::CommandError;
use crate::in_process::{self, LocalGateway};
use amp_push_gateway::config::{Settings, StateSettings};
use amp_push_gateway::gateway::{State, TickCall};
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::tsdb::StoredSeries;
use amp_push_gateway::local::wall_clock;
use amp_push_gateway::model::{METRIC_NAME_LABEL, STALE_MARKER, Timestamp};
use amp_push_gateway::store::MemoryStore;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const COUNTER: &str = "orders_total";
pub(super) const GAUGE: &str = "import_rows";
pub(super) const JOB: &str = "import";

const MINUTE_MS: i64 = 60_000;

/// The messages of each minute: the function that sends an increment, the number of the message, and the increment. SQS delivers message 3
/// twice.
const MESSAGES: [&[(&str, u32, u32)]; 3] = [
    &[("checkout-a", 1, 1), ("checkout-b", 2, 1), ("checkout-c", 3, 1)],
    &[("checkout-c", 3, 1), ("checkout-a", 4, 2)],
    &[("checkout-b", 5, 1), ("checkout-c", 6, 2)],
];

/// The counter at each tick.
const SUMS: [f64; 3] = [3.0, 5.0, 8.0];

/// The group is pushed this long before the first tick, and expires so long after the push: before the second tick.
const PUSHED_BEFORE_MS: i64 = 30_000;
const TTL_MS: i64 = 80_000;

const ROWS: f64 = 4_200.0;

/// The minutes that were played.
pub(super) struct Story {
    pub(super) minutes: Vec<Minute>,
    /// Everything that is not as it should be.
    pub(super) problems: Vec<String>,
}

pub(super) struct Minute {
    pub(super) tick: Timestamp,
    /// The increments of its messages.
    pub(super) increments: Vec<u32>,
    pub(super) duplicates: u64,
    pub(super) stale: u64,
    pub(super) samples: u64,
    /// The values of the minute in the workspace, oldest first. Another receiver is believed.
    pub(super) orders: Vec<f64>,
    pub(super) rows: Vec<f64>,
}

/// Plays the story up to `now`. A `run` that is not empty is a label that keeps the series of several demos apart.
pub(super) async fn play(
    settings: &Settings,
    now: Timestamp,
    run: &str,
    timeout: Duration,
) -> Result<Story, CommandError> {
    let state = State::new(Arc::new(MemoryStore::new()), StateSettings::default());
    let gateway = in_process::gateway(settings, None)?.with_state(Some(state));
    let mut story = Story { minutes: Vec::new(), problems: Vec::new() };
    for (number, messages) in (0..).zip(MESSAGES) {
        let tick = Timestamp(now.0 - (2 - number) * MINUTE_MS);
        let begin = Timestamp(tick.0 - MINUTE_MS);
        let handled = in_process::invoke(&gateway, request_id(), batch(messages, begin, run), timeout).await;
        if handled.summary.typed != messages.len() as u64 {
            story.problems.push(format!("a batch of {} typed metrics: {:?}", messages.len(), handled.answer));
        }
        if number == 0
            && let Err(why) = push_import(&gateway, Timestamp(tick.0 - PUSHED_BEFORE_MS), run, timeout).await
        {
            story.problems.push(format!("the push to /metrics/job/{JOB}: {why}"));
        }
        // A tick reads everything that came before its start.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let id = request_id();
        let deadline = Instant::now() + timeout;
        let call = TickCall { tick, shard: None, started: wall_clock(), request_id: &id, deadline };
        let sum = match gateway.tick(&call).await {
            Ok(summary) => summary.sum,
            Err(error) => {
                story.problems.push(format!("a tick: {error}"));
                continue;
            }
        };
        if let Some(error) = &sum.error {
            story.problems.push(format!("a tick: {error}"));
        }
        story.minutes.push(Minute {
            tick,
            increments: messages.iter().map(|(_, _, increment)| *increment).collect(),
            duplicates: sum.folded.duplicates,
            stale: sum.stale,
            samples: sum.samples,
            orders: Vec::new(),
            rows: Vec::new(),
        });
    }
    Ok(story)
}

/// Returns the records of a minute. A message keeps its id and its sent time if it comes again.
fn batch(messages: &[(&str, u32, u32)], begin: Timestamp, run: &str) -> String {
    let records = messages.iter().map(|(function, number, value)| {
        let labels = with_run(json!({"shop": "north"}), run);
        let body = json!({"type": "counter", "name": COUNTER, "value": value, "labels": labels}).to_string();
        record(&format!("order-{number}-of-{function}"), &body, Timestamp(begin.0 + i64::from(*number)), "orders")
    });
    json!({"Records": records.collect::<Vec<_>>()}).to_string()
}

fn with_run(mut labels: serde_json::Value, run: &str) -> serde_json::Value {
    if !run.is_empty() {
        labels["run"] = run.into();
    }
    labels
}

/// Pushes the group that expires.
async fn push_import(gateway: &LocalGateway, now: Timestamp, run: &str, timeout: Duration) -> Result<(), NotStored> {
    let path = if run.is_empty() { format!("job/{JOB}") } else { format!("job/{JOB}/run/{run}") };
    let text = format!("# TYPE {GAUGE} gauge\n{GAUGE} {ROWS}\n");
    push(gateway, DemoPush { path: &path, text: &text, ttl_ms: Some(TTL_MS), now }, timeout).await
}

/// Reports whether a series is of the story.
pub(super) fn is_told(series: &StoredSeries) -> bool {
    let has = |wanted: &str, of: &str| series.labels.iter().any(|(name, value)| name == wanted && value == of);
    has(METRIC_NAME_LABEL, COUNTER) || has("job", JOB)
}

impl Story {
    /// Fills in the values of each minute, and checks them. `told` are the series of the workspace; `None` if it cannot be read.
    pub(super) fn find(&mut self, told: Option<&[StoredSeries]>) {
        let Some(told) = told else {
            for ((minute, sum), position) in self.minutes.iter_mut().zip(SUMS).zip(0..) {
                (minute.orders, minute.rows) = (vec![sum], expected_rows(position));
            }
            return;
        };
        let samples = |metric: &str, minute: &Minute| -> Vec<f64> {
            let is_it = |one: &&StoredSeries| {
                one.labels.iter().any(|(name, value)| name == METRIC_NAME_LABEL && value == metric)
            };
            let within = |time: i64| (minute.tick.0 - MINUTE_MS + 1..=minute.tick.0).contains(&time);
            let samples = told.iter().filter(is_it).flat_map(|one| &one.samples);
            samples.filter(|sample| within(sample.timestamp)).map(|sample| sample.value).collect()
        };
        for ((minute, sum), position) in self.minutes.iter_mut().zip(SUMS).zip(0..) {
            (minute.orders, minute.rows) = (samples(COUNTER, minute), samples(GAUGE, minute));
            let orders = if position == 0 { vec![0.0, sum] } else { vec![sum] };
            let is_right = minute.orders == orders
                && same(&minute.rows, &expected_rows(position))
                && minute.duplicates == u64::from(position == 1);
            if !is_right {
                self.problems.push(format!(
                    "minute {}: {COUNTER} {:?}, expected {orders:?}; {GAUGE} {:?}; {} duplicates dropped",
                    position + 1,
                    minute.orders,
                    minute.rows,
                    minute.duplicates
                ));
            }
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.problems.is_empty() && self.minutes.len() == MESSAGES.len()
    }

    /// Returns the number of typed metrics that were counted.
    pub(super) fn counted(&self) -> u64 {
        self.minutes.iter().map(|minute| minute.increments.len() as u64 - minute.duplicates).sum()
    }
}

/// The value of the group in the first minute, its stale marker in the second.
fn expected_rows(position: usize) -> Vec<f64> {
    match position {
        0 => vec![ROWS],
        1 => vec![f64::from_bits(STALE_MARKER)],
        _ => Vec::new(),
    }
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().map(|value| value.to_bits()).eq(b.iter().map(|value| value.to_bits()))
}
