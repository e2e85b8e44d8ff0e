//! Sends everything that a committed state and the groups expose to the receiver, in this order:
//!
//! 1. Zeros of new series and stale markers. They keep the times of their own ticks, however often they are sent.
//! 2. Then the table notes that they are settled, before any value of a new series is sent. So no zero is ever sent after a value of its
//!    series.
//! 3. Values, all with the time of the tick. If the receiver refused a series in three consecutive ticks, the series comes last, alone, once
//!    an hour.
//! 4. Dead letters that are owed, and metadata.
//!
//! Samples go in tables of [`TABLE_SAMPLES`], one after another, because all of them would not fit into memory. An item of a table is a
//! series.

use super::blobs::settled_key;
use super::gate::HeadGate;
use super::groups::{GroupFamily, GroupSample, Groups};
use super::load::SettledItem;
use super::{ShardSummary, TickError, Ticker, Turn};
use crate::aggregate::head::{LastTick, RefusedSeries};
use crate::aggregate::{Exposed, ExposedValue, Safeguard, Series, SeriesKey, TypedState, is_owed};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::metadata::{self, SentMetadata};
use crate::gateway::typed::{each_exposed, named};
use crate::limits::MAX_DETAIL_CHARS;
use crate::model::{
    Counts, FamilyValue, ItemId, LabelSet, MetricName, NativeHistogram, Reason, Rejection, ResetHint, STALE_MARKER,
    Timestamp, Value,
};
use crate::remote_write::{Gate as _, ItemOutcome};
use crate::series::SampleTableBuilder;
use crate::store::{Item, Replaced};
use crate::wire::Metadata;
use std::collections::{BTreeMap, BTreeSet};

/// Samples of one table. Few have more.
const TABLE_SAMPLES: usize = 10_000;

/// The requests of one table without refused samples. Only very long labels need more than one.
const TABLE_REQUESTS: u64 = 4;

/// Requests that one tick takes for bisections.
const MAX_BISECTION: u64 = 50;

/// A series that was refused in so many consecutive ticks is sent alone.
const REFUSED_TICKS: u32 = 3;

/// It is tried again after this.
const REFUSED_FOR_MS: i64 = 3_600_000;

/// Such series that one tick tries.
const MAX_ALONE: usize = 10;

/// Refused series that are remembered.
const MAX_REFUSED: usize = 1_000;

/// The zero threshold of native histograms (state.md, ruling 15).
const ZERO_THRESHOLD: f64 = f64::from_bits((1_023 - 128) << 52);

/// Collects the samples of one table.
#[derive(Default)]
struct Table<'s> {
    builder: SampleTableBuilder<'s>,
    series: u32,
    samples: usize,
}

/// The sending of one tick.
struct Sending<'t, 'c, T, D> {
    ticker: &'t Ticker<'t, T, D>,
    turn: &'t Turn<'c>,
    gate: HeadGate<'t>,
    bisection: u64,
    summary: &'t mut ShardSummary,
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
}

/// The result of a table.
#[derive(Clone, Copy, Default)]
struct TableResult {
    settled: u64,
    errored: u64,
}

impl<T: Transport, D: DeadLetterQueue> Ticker<'_, T, D> {
    /// Sends what `state` and the groups expose.
    pub(super) async fn send(
        &self,
        turn: &Turn<'_>,
        state: &TypedState,
        mut settled: SettledItem,
        summary: &mut ShardSummary,
    ) -> Result<(), TickError> {
        summary.owed = state.owed().len() as u64;
        let groups = self.groups(turn, state).await?;
        (summary.groups, summary.series_conflicts) = (groups.exposed, groups.conflicts);
        let before = settled.settled.zeros;
        let mut sending = Sending {
            ticker: self,
            turn,
            gate: HeadGate::new(self.store, turn.shard, turn.tick),
            bisection: MAX_BISECTION,
            summary,
            unsettled: 0,
            failure: None,
            zeros_are_stopped: false,
            is_stopped: false,
            is_overtaken: false,
            refused: BTreeSet::new(),
        };

        let has_zeros = sending.zeros_and_markers(state, &groups, before).await?;
        let zeros_are_settled = sending.unsettled == 0 && !sending.is_overtaken;
        if zeros_are_settled && Safeguard::ZerosApart.is_kept() {
            settled.settled.zeros = settled.settled.zeros.max(Some(turn.tick));
            if has_zeros {
                self.write_settled(turn, &mut settled).await?;
            }
        }
        // With unsettled zeros: the series that were born since the last settled ones wait.
        let is_waiting = |series: &Series| {
            !zeros_are_settled && is_owed(series.born, before, turn.tick) && Safeguard::ValuesWait.is_kept()
        };
        sending.values(state, &groups, is_waiting, before, &settled.settled.refused).await?;

        let Sending { unsettled, failure, is_overtaken, refused, .. } = sending;
        settled.settled.refused = remembered(&settled.settled.refused, &refused, turn.tick);
        summary.errored = unsettled;
        summary.overtaken |= is_overtaken;
        // The newer tick owes them, too.
        if !is_overtaken && let Some(sent) = self.send_letters(turn, state, summary).await {
            settled.settled.letters = sent;
        }
        let is_sent = unsettled == 0 && !is_overtaken;
        settled.settled.last = Some(last_tick(turn.tick, summary, failure.as_deref().unwrap_or_default()));
        if is_sent {
            settled.settled.tick = settled.settled.tick.max(Some(turn.tick));
            settled.settled.zeros = settled.settled.zeros.max(Some(turn.tick));
        }
        self.write_settled(turn, &mut settled).await?;
        if is_sent {
            summary.acknowledged = true;
            if let Some(zeros) = settled.settled.zeros {
                self.delete_emptied(&groups, turn, zeros).await;
            }
            let metadata = self.send_metadata(turn, state, &groups).await;
            summary.sent.requests += metadata.requests;
            summary.metadata_failed = metadata.failed;
            return Ok(());
        }
        match failure {
            Some(failure) if !is_overtaken => Err(TickError::NotSent(failure)),
            _ => Ok(()),
        }
    }

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

    async fn send_metadata(&self, turn: &Turn<'_>, state: &TypedState, groups: &Groups) -> SentMetadata {
        let mut families: Vec<GroupFamily> = Vec::new();
        groups.each_family(turn.tick, &mut |family| families.push(family));
        let of_typed = state.families().map(|(name, family)| Metadata {
            family: name,
            metric_type: family.metric_type,
            help: &family.help,
            unit: "",
        });
        let of_groups = families.iter().map(|family| Metadata {
            family: &family.name,
            metric_type: family.metric_type,
            help: &family.help,
            unit: &family.unit,
        });
        let all = of_typed.chain(of_groups);
        metadata::send(self.writer, self.known, all, turn.tick, turn.request_id, turn.deadline).await
    }
}

impl<T: Transport, D: DeadLetterQueue> Sending<'_, '_, T, D> {
    /// Returns whether there was any zero.
    async fn zeros_and_markers(
        &mut self,
        state: &TypedState,
        groups: &Groups,
        settled: Option<Timestamp>,
    ) -> Result<bool, TickError> {
        let (tick, window) = (self.turn.tick, self.ticker.rules.window);
        let external = &self.ticker.rules.external_labels;
        let mut table = Table::default();
        let mut has_zeros = false;
        for ended in state.unsettled_ends(settled, tick) {
            let series = &ended.series;
            let is_held = state.get(series.key()).is_some();
            let quantiles = series.quantiles_ended(ended.time, window).map(|end| (end, is_owed(end, settled, tick)));
            table.begin();
            each_exposed(series, window, series.updated, &mut |name, labels, exposed| {
                let time = match quantiles {
                    Some((_, false)) if is_quantile(&exposed) => return,
                    Some((end, true)) if is_quantile(&exposed) => end,
                    _ => ended.time,
                };
                if is_held || !groups.writes(&name, &labels) && !is_exposed(state, &name, &labels) {
                    self.summary.stale += 1;
                    table.add(name, labels, time, marker(&exposed.value));
                }
            });
            self.flush_full(&mut table, true).await?;
        }
        for series in state.series() {
            if is_owed(series.born, settled, tick) && Safeguard::ZerosApart.is_kept() {
                has_zeros = true;
                table.begin();
                table.add_zeros(series);
            }
            if series.quantiles_ended(tick, window).is_some_and(|end| is_owed(end, settled, tick)) {
                let end = series.quantiles_ended(tick, window).unwrap_or(tick);
                table.begin();
                each_exposed(series, window, series.updated, &mut |name, labels, exposed| {
                    if is_quantile(&exposed) {
                        self.summary.stale += 1;
                        table.add(name, labels, end, marker(&exposed.value));
                    }
                });
            }
            self.flush_full(&mut table, true).await?;
        }
        for item in 0..groups.len() {
            groups.each_ended(item, state, settled, tick, external, &mut |name, labels, is_histogram, time| {
                self.summary.stale += 1;
                table.begin();
                let value = if is_histogram { stale_histogram() } else { ExposedValue::Number(Value::StaleMarker) };
                table.add(name, labels, time, value);
            });
            self.flush_full(&mut table, true).await?;
        }
        self.flush(&mut table, true).await?;
        Ok(has_zeros)
    }

    /// Values of new series wait for their zeros.
    async fn values(
        &mut self,
        state: &TypedState,
        groups: &Groups,
        is_waiting: impl Fn(&Series) -> bool,
        settled: Option<Timestamp>,
        refused: &[RefusedSeries],
    ) -> Result<(), TickError> {
        let (tick, window) = (self.turn.tick, self.ticker.rules.window);
        let external = &self.ticker.rules.external_labels;
        let alone: BTreeMap<u64, Timestamp> = refused
            .iter()
            .filter(|series| series.ticks >= REFUSED_TICKS)
            .map(|series| (series.hash, series.tried))
            .collect();
        let is_alone = |key: SeriesKey<'_>| !alone.is_empty() && alone.contains_key(&key.hash());
        let mut table = Table::default();
        let mut last = Vec::new();
        for series in state.series() {
            if is_waiting(series) {
                continue;
            }
            if is_alone(series.key()) {
                last.push(series);
                continue;
            }
            table.begin();
            if is_owed(series.born, settled, tick) && !Safeguard::ZerosApart.is_kept() {
                table.add_zeros(series);
            }
            each_exposed(series, window, tick, &mut |name, labels, exposed| {
                table.add(name, labels, tick, exposed.value);
            });
            self.flush_full(&mut table, false).await?;
            if self.is_stopped || self.is_overtaken {
                return Ok(());
            }
        }
        let mut last_of_groups = Vec::new();
        for item in 0..groups.len() {
            groups.each_sample(item, tick, external, &mut |sample| {
                let mut key = Vec::new();
                SeriesKey::write(&sample.name, &sample.labels, &mut key);
                if is_alone(SeriesKey::of_written(&key)) {
                    last_of_groups.push((key, sample));
                } else {
                    table.begin();
                    let GroupSample { name, labels, value } = sample;
                    table.add(name, labels, tick, of_family(value));
                }
            });
            self.flush_full(&mut table, false).await?;
        }
        self.flush(&mut table, false).await?;

        let is_due = |hash: u64| alone.get(&hash).is_some_and(|tried| tick.since(*tried) >= REFUSED_FOR_MS);
        let due = last.into_iter().filter(|series| is_due(series.key().hash())).take(MAX_ALONE);
        for series in due {
            table.begin();
            each_exposed(series, window, tick, &mut |name, labels, exposed| {
                table.add(name, labels, tick, exposed.value);
            });
            self.flush(&mut table, false).await?;
        }
        let due = last_of_groups.into_iter().filter(|(key, _)| is_due(SeriesKey::of_written(key).hash()));
        for (_, GroupSample { name, labels, value }) in due.take(MAX_ALONE) {
            table.begin();
            table.add(name, labels, tick, of_family(value));
            self.flush(&mut table, false).await?;
        }
        Ok(())
    }

    async fn flush_full(&mut self, table: &mut Table<'_>, is_zeros: bool) -> Result<(), TickError> {
        if table.samples >= TABLE_SAMPLES { self.flush(table, is_zeros).await } else { Ok(()) }
    }

    /// Sends the table, and empties it.
    async fn flush(&mut self, table: &mut Table<'_>, is_zeros: bool) -> Result<(), TickError> {
        let Table { builder, series, samples } = std::mem::take(table);
        if samples == 0 || self.is_overtaken {
            return Ok(());
        }
        if self.is_stopped || is_zeros && self.zeros_are_stopped {
            self.unsettled += u64::from(series);
            return Ok(());
        }
        if self.turn.is_over() {
            self.stop(u64::from(series), "the tick ran out of time before everything was sent");
            return Ok(());
        }
        let result = self.write(builder, series, is_zeros).await?;
        self.unsettled += result.errored;
        if result.errored > 0 && result.settled == 0 {
            // Values do not wait for zeros. If they fail, too, the next tick sends newer ones.
            self.zeros_are_stopped = true;
            self.is_stopped = !is_zeros;
        }
        Ok(())
    }

    fn stop(&mut self, series: u64, failure: &str) {
        self.is_stopped = true;
        self.unsettled += series;
        self.failure.get_or_insert_with(|| failure.to_owned());
    }

    async fn write(
        &mut self,
        builder: SampleTableBuilder<'_>,
        series: u32,
        is_zeros: bool,
    ) -> Result<TableResult, TickError> {
        let Turn { request_id, shard, deadline, .. } = *self.turn;
        // Several families of one state cannot contradict each other; a group can hold a series twice.
        let table = builder.finish(&mut |_| {});
        // Each series is a message of its own: the culprits are found one by one.
        let messages: Vec<ItemId> = (0..series).map(ItemId).collect();
        let max_requests = TABLE_REQUESTS + self.bisection;
        let (writer, gate) = (self.ticker.writer, &self.gate);
        let written = writer.write_within(max_requests, Some(gate), &table, &messages, request_id, deadline).await;
        let outcomes = written.delivery.outcomes(|_| false);
        let refuses_late = |outcome| matches!(outcome, ItemOutcome::Rejected { rejection, .. } if is_late(rejection));
        if !is_zeros && outcomes.iter().any(|(_, outcome)| refuses_late(outcome)) {
            // A newer tick may have been faster than the last request.
            gate.is_open().await;
        }
        self.is_overtaken = gate.is_overtaken()?;
        let may_be_late = is_zeros || self.summary.repeated || self.is_overtaken;
        let mut result = TableResult::default();
        let mut is_refused = false;
        for (item, outcome) in outcomes.iter() {
            match outcome {
                ItemOutcome::Delivered => result.settled += 1,
                ItemOutcome::Errored => result.errored += 1,
                ItemOutcome::Rejected { rejection, .. } => {
                    result.settled += 1;
                    is_refused = true;
                    if may_be_late && is_late(rejection) {
                        continue;
                    }
                    self.summary.refused += 1;
                    if self.refused.is_empty() {
                        let detail = rejection.to_string();
                        tracing::error!(request_id, shard, detail, "the receiver refuses a series");
                    }
                    let sample = table.samples().iter().find(|sample| sample.item == item);
                    if let Some(sample) = sample.filter(|_| !is_zeros && self.refused.len() < MAX_REFUSED) {
                        let (name, labels) = table.series(sample.series);
                        let mut key = Vec::new();
                        SeriesKey::write_labels(name, labels.iter(), &mut key);
                        self.refused.insert(SeriesKey::of_written(&key).hash());
                    }
                }
            }
        }
        if is_refused || result.errored > 0 {
            self.bisection = self.bisection.saturating_sub(written.sent.requests.saturating_sub(1));
        }
        self.summary.samples += outcomes.samples;
        self.summary.sent.requests += written.sent.requests;
        self.summary.sent.retries += written.sent.retries;
        self.summary.sent.bytes += written.sent.bytes;
        if let Some(failure) = outcomes.failure {
            self.failure.get_or_insert(failure);
        }
        if self.is_overtaken {
            result.errored = 0;
        }
        Ok(result)
    }
}

impl<'s> Table<'s> {
    /// Begins the next series.
    fn begin(&mut self) {
        self.series += 1;
    }

    /// Adds the zeros of a new series.
    fn add_zeros(&mut self, series: &'s Series) {
        let mut zeros = Vec::new();
        series.aggregate.expose_zero(&mut |exposed| zeros.push(exposed));
        for exposed in zeros {
            if let Some((name, labels)) = named(series.key(), exposed.suffix, exposed.bound) {
                self.add(name, labels, series.zero, exposed.value);
            }
        }
    }

    fn add(&mut self, name: MetricName<'s>, labels: LabelSet<'s>, time: Timestamp, value: ExposedValue) {
        let item = ItemId(self.series.saturating_sub(1));
        self.samples += 1;
        match value {
            ExposedValue::Number(value) => self.builder.add(item, labels, [(name, time, value)]),
            ExposedValue::Histogram(histogram) => self.builder.add_histograms(item, labels, [(name, time, histogram)]),
        }
    }
}

/// Reports whether the receiver refuses an item because it has a sample of that time, or a later one.
fn is_late(rejection: &Rejection) -> bool {
    matches!(rejection.reason, Reason::OutOfOrder | Reason::DuplicateTimestamp | Reason::TooOld)
}

fn is_quantile(exposed: &Exposed) -> bool {
    exposed.bound.is_some_and(|bound| bound.name == "quantile")
}

fn is_exposed(state: &TypedState, name: &MetricName<'_>, labels: &LabelSet<'_>) -> bool {
    let mut key = Vec::new();
    SeriesKey::write(name, labels, &mut key);
    state.exposes(SeriesKey::of_written(&key))
}

fn marker(value: &ExposedValue) -> ExposedValue {
    match value {
        ExposedValue::Number(_) => ExposedValue::Number(Value::StaleMarker),
        ExposedValue::Histogram(_) => stale_histogram(),
    }
}

/// Returns the marker of a native histogram, as a scrape of Prometheus writes it.
fn stale_histogram() -> ExposedValue {
    ExposedValue::Histogram(NativeHistogram {
        sum: f64::from_bits(STALE_MARKER),
        schema: 0,
        zero_threshold: ZERO_THRESHOLD,
        counts: Counts::Integer { count: 0, zero: 0, negative_deltas: Vec::new(), positive_deltas: Vec::new() },
        negative_spans: Vec::new(),
        positive_spans: Vec::new(),
        reset_hint: ResetHint::Unknown,
        custom_values: Vec::new(),
    })
}

fn of_family(value: FamilyValue) -> ExposedValue {
    match value {
        FamilyValue::Float(value) => ExposedValue::Number(Value::Float(value)),
        FamilyValue::Histogram(histogram) => ExposedValue::Histogram(*histogram),
    }
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
    let before: BTreeMap<u64, &RefusedSeries> = old.iter().map(|series| (series.hash, series)).collect();
    let refused = new.iter().map(|&hash| RefusedSeries {
        hash,
        ticks: before.get(&hash).map_or(1, |series| series.ticks.saturating_add(1)),
        tried: tick,
    });
    // Not tried in this tick.
    let waiting = old.iter().filter(|series| {
        let age = tick.since(series.tried);
        series.ticks >= REFUSED_TICKS && age < REFUSED_FOR_MS && !new.contains(&series.hash)
    });
    refused.chain(waiting.copied()).take(MAX_REFUSED).collect()
}
