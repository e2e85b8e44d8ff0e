//! Sends everything that the committed states and the groups expose to the receiver. First each shard sends its typed series:
//!
//! 1. Zeros of new series and stale markers. They keep the times of their own ticks, however often they are sent.
//! 2. Then the table notes that they are settled, before any value of a new series is sent. So no zero is ever sent after a value of its
//!    series.
//! 3. Values, all with the time of the tick. If the receiver refused a series in three consecutive ticks, the series comes last, alone, once
//!    an hour.
//! 4. Dead letters that are owed, and metadata.
//!
//! When it is known what the typed series of all shards expose, each shard sends its groups: stale markers, values, and metadata. Then
//! the table notes whether everything of the shard is settled.
//!
//! Samples go in tables of [`TABLE_SAMPLES`], one after another, because all of them would not fit into memory. An item of a table is a
//! series.

mod groups;
mod table;
mod typed;

use super::blobs::settled_key;
use super::gate::HeadGate;
use super::load::SettledItem;
use super::{ShardSummary, TickError, Ticker, Turn};
use crate::aggregate::SeriesKey;
use crate::aggregate::head::{LastTick, RefusedSeries};
use crate::aws::Transport;
use crate::limits::MAX_DETAIL_CHARS;
use crate::model::{ItemId, Timestamp};
use crate::remote_write::{Gate as _, ItemOutcome};
use crate::series::SampleTable;
use crate::store::{Item, Replaced};
use std::collections::{BTreeSet, HashMap};
use table::Table;

/// Samples of one table. Few have more.
const TABLE_SAMPLES: usize = 10_000;

/// The requests of one table without refused samples. Only very long labels need more than one.
const TABLE_REQUESTS: u64 = 4;

/// Requests that one tick takes for bisections.
const MAX_BISECTION: u64 = 50;

/// A series that was refused in so many consecutive ticks is sent alone.
const REFUSED_TICKS: u32 = 3;

/// A refused series is tried again after this time.
const REFUSED_FOR_MS: i64 = 3_600_000;

/// Refused series that one tick tries: so many typed ones, and so many of groups.
const MAX_ALONE: usize = 10;

/// Refused series that are remembered.
const MAX_REFUSED: usize = 1_000;

/// How far the sending of a shard is.
#[derive(Debug)]
pub(super) struct Progress {
    settled: SettledItem,
    /// Requests that bisections may still take.
    bisection: u64,
    /// Series that are not settled.
    unsettled: u64,
    failure: Option<String>,
    /// The receiver takes nothing, or the time is over. Then no more zeros, or nothing more, is sent.
    zeros_are_stopped: bool,
    is_stopped: bool,
    /// There is a newer head.
    is_overtaken: bool,
    /// Series that were refused in this tick.
    refused: BTreeSet<u64>,
    /// Series that are sent alone, and the tick that tried each last.
    alone: HashMap<u64, Timestamp>,
}

/// The sending of one shard.
struct Sending<'t, 'c, T, D> {
    ticker: &'t Ticker<'t, T, D>,
    turn: &'t Turn<'c>,
    gate: HeadGate<'t>,
    summary: &'t mut ShardSummary,
    progress: &'t mut Progress,
}

/// The result of a table.
#[derive(Clone, Copy, Default)]
struct TableResult {
    settled: u64,
    errored: u64,
}

impl Progress {
    pub(super) fn new(settled: SettledItem) -> Self {
        let refused = settled.settled.refused.iter().filter(|series| series.ticks >= REFUSED_TICKS);
        Self {
            alone: refused.map(|series| (series.hash, series.tried)).collect(),
            settled,
            bisection: MAX_BISECTION,
            unsettled: 0,
            failure: None,
            zeros_are_stopped: false,
            is_stopped: false,
            is_overtaken: false,
            refused: BTreeSet::new(),
        }
    }

    fn is_alone(&self, key: SeriesKey<'_>) -> bool {
        !self.alone.is_empty() && self.alone.contains_key(&key.hash())
    }

    /// Reports whether a series that is sent alone is tried in this tick.
    fn is_due(&self, key: SeriesKey<'_>, tick: Timestamp) -> bool {
        self.alone.get(&key.hash()).is_some_and(|tried| tick.since(*tried) >= REFUSED_FOR_MS)
    }
}

impl<T, D> Ticker<'_, T, D> {
    /// Writes what the receiver has settled, unless another tick has written it meanwhile.
    async fn write_settled(&self, turn: &Turn<'_>, item: &mut SettledItem) -> Result<(), TickError> {
        let body = item.settled.to_blob().map_err(TickError::blob("what the receiver has settled"))?;
        let version = item.version.unwrap_or(0) + 1;
        let new = Item { key: settled_key(turn.shard), version, expires: None, body };
        match self.store.replace(new, item.version).await? {
            Replaced::Done => item.version = Some(version),
            Replaced::Conflict => {
                let Turn { request_id, shard, .. } = turn;
                tracing::warn!(request_id, shard, "another tick of this shard sends at the same time");
            }
        }
        Ok(())
    }
}

impl<'t, 'c, T: Transport, D> Sending<'t, 'c, T, D> {
    fn new(
        ticker: &'t Ticker<'t, T, D>,
        turn: &'t Turn<'c>,
        summary: &'t mut ShardSummary,
        progress: &'t mut Progress,
    ) -> Self {
        Self { ticker, turn, gate: HeadGate::new(ticker.store, turn.shard, turn.tick), summary, progress }
    }

    async fn flush_full(&mut self, table: &mut Table<'_>, is_zeros: bool) -> Result<(), TickError> {
        if table.samples >= TABLE_SAMPLES { self.flush(table, is_zeros).await } else { Ok(()) }
    }

    /// Sends the table, and empties it.
    async fn flush(&mut self, table: &mut Table<'_>, is_zeros: bool) -> Result<(), TickError> {
        let table = std::mem::take(table);
        let series = table.keys.len() as u64;
        if table.samples == 0 || self.progress.is_overtaken {
            return Ok(());
        }
        if self.progress.is_stopped || is_zeros && self.progress.zeros_are_stopped {
            self.progress.unsettled += series;
            return Ok(());
        }
        if self.turn.is_over() {
            self.progress.is_stopped = true;
            self.progress.unsettled += series;
            let failure = || "the tick ran out of time before everything was sent".to_owned();
            self.progress.failure.get_or_insert_with(failure);
            return Ok(());
        }
        let result = self.write(table, is_zeros).await?;
        self.progress.unsettled += result.errored;
        if result.errored > 0 && result.settled == 0 {
            // Values do not wait for zeros. If they fail, too, the next tick sends newer ones.
            self.progress.zeros_are_stopped = true;
            self.progress.is_stopped = !is_zeros;
        }
        Ok(())
    }

    async fn write(&mut self, table: Table<'_>, is_zeros: bool) -> Result<TableResult, TickError> {
        let Turn { request_id, shard, deadline, .. } = *self.turn;
        // Several families of one state cannot contradict each other; a group can hold a series twice.
        let Table { builder, keys, .. } = table;
        let table = builder.finish(&mut |_| {});
        // Each series is a message of its own: the culprits are found one by one.
        let messages: Vec<ItemId> = (0..).take(keys.len()).map(ItemId).collect();
        let max_requests = TABLE_REQUESTS + self.progress.bisection;
        let (writer, gate) = (self.ticker.writer, &self.gate);
        let written = writer.write_within(max_requests, Some(gate), &table, &messages, request_id, deadline).await;
        let outcomes = written.delivery.outcomes(|_| false);
        let refuses_late =
            |outcome| matches!(outcome, ItemOutcome::Rejected { rejection, .. } if rejection.reason.is_like_stored());
        if !is_zeros && outcomes.iter().any(|(_, outcome)| refuses_late(outcome)) {
            // A newer tick may have been faster than the last request.
            gate.is_open().await;
        }
        self.progress.is_overtaken = gate.is_overtaken()?;
        let may_be_late = is_zeros || self.summary.repeated || self.progress.is_overtaken;
        let mut result = TableResult::default();
        let mut is_refused = false;
        for (item, outcome) in outcomes.iter() {
            match outcome {
                ItemOutcome::Delivered => result.settled += 1,
                ItemOutcome::Errored => result.errored += 1,
                ItemOutcome::Rejected { rejection, .. } => {
                    result.settled += 1;
                    is_refused = true;
                    if may_be_late && rejection.reason.is_like_stored() {
                        continue;
                    }
                    self.summary.refused += 1;
                    if self.progress.refused.is_empty() {
                        let detail = rejection.to_string();
                        tracing::error!(request_id, shard, detail, "the receiver refuses a series");
                    }
                    if !is_zeros && self.progress.refused.len() < MAX_REFUSED {
                        let typed = keys.get(item.0 as usize).copied().flatten().map(SeriesKey::hash);
                        self.progress.refused.extend(typed.or_else(|| written_hash(&table, item)));
                    }
                }
            }
        }
        if is_refused || result.errored > 0 {
            self.progress.bisection = self.progress.bisection.saturating_sub(written.sent.requests.saturating_sub(1));
        }
        self.summary.samples += outcomes.samples;
        self.summary.sent += written.sent;
        if let Some(failure) = outcomes.failure {
            self.progress.failure.get_or_insert(failure);
        }
        if self.progress.is_overtaken {
            result.errored = 0;
        }
        Ok(result)
    }
}

/// Returns the hash of the series of an item, which has one sample.
fn written_hash(table: &SampleTable<'_>, item: ItemId) -> Option<u64> {
    let sample = table.samples().iter().find(|sample| sample.item == item)?;
    let (name, labels) = table.series(sample.series);
    let mut key = Vec::new();
    SeriesKey::write_labels(name, labels.iter(), &mut key);
    Some(SeriesKey::of_written(&key).hash())
}

/// Returns the numbers that the page shows.
fn last_tick(tick: Timestamp, summary: &ShardSummary, failure: &str) -> LastTick {
    LastTick {
        tick: tick.0,
        samples: summary.samples,
        series: summary.series,
        groups: summary.groups,
        stale: summary.stale,
        expired: summary.expired,
        increments: summary.folded.increments,
        duplicates: summary.folded.duplicates,
        dead_lettered: summary.dead_lettered,
        refused: summary.refused,
        errored: summary.errored,
        failure: failure.chars().take(MAX_DETAIL_CHARS).collect(),
    }
}

/// Returns the refused series to remember: `old` are those of the ticks before, `new` those of this one.
fn remembered(old: &[RefusedSeries], new: &BTreeSet<u64>, tick: Timestamp) -> Vec<RefusedSeries> {
    let refused = new.iter().map(|&hash| RefusedSeries {
        hash,
        // Both lists are short.
        ticks: old.iter().find(|series| series.hash == hash).map_or(1, |series| series.ticks.saturating_add(1)),
        tried: tick,
    });
    // Not tried in this tick.
    let waiting = old.iter().filter(|series| {
        let age = tick.since(series.tried);
        series.ticks >= REFUSED_TICKS && age < REFUSED_FOR_MS && !new.contains(&series.hash)
    });
    refused.chain(waiting.copied()).take(MAX_REFUSED).collect()
}
