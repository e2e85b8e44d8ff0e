//! Sends the typed series of a shard.

use super::table::{Table, marker};
use super::{MAX_ALONE, Progress, Sending};
use crate::aggregate::{Exposed, Safeguard, Series, SeriesKey, TypedState, is_owed};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::metadata;
use crate::gateway::tick::writers::Writers;
use crate::gateway::tick::{ShardSummary, TickError, Ticker, Turn};
use crate::gateway::typed::each_exposed;
use crate::model::{LabelSet, MetricName, Timestamp};
use crate::wire::Metadata;

impl<T: Transport, D: DeadLetterQueue> Ticker<'_, T, D> {
    /// Sends what `state` exposes, and the dead letters that it owes.
    pub(in crate::gateway::tick) async fn send_typed(
        &self,
        turn: &Turn<'_>,
        state: &TypedState,
        writers: &Writers,
        summary: &mut ShardSummary,
        progress: &mut Progress,
    ) -> Result<(), TickError> {
        metadata::remember(self.writer, families(state));
        summary.owed = state.owed().len() as u64;
        let before = progress.settled.settled.zeros;
        let mut sending = Sending::new(self, turn, summary, progress);
        let has_zeros = sending.zeros_and_markers(state, writers, before).await?;
        let zeros_are_settled = progress.unsettled == 0 && !progress.is_overtaken;
        if zeros_are_settled && Safeguard::ZerosApart.is_kept() {
            let zeros = &mut progress.settled.settled.zeros;
            *zeros = (*zeros).max(Some(turn.tick));
            if has_zeros {
                self.write_settled(turn, &mut progress.settled).await?;
            }
        }
        // With unsettled zeros: the series that were born since the last settled ones wait.
        let is_waiting = |series: &Series| {
            !zeros_are_settled && is_owed(series.born, before, turn.tick) && Safeguard::ValuesWait.is_kept()
        };
        Sending::new(self, turn, summary, progress).values(state, is_waiting, before).await?;
        // The newer tick owes the rest, too.
        if progress.is_overtaken {
            return Ok(());
        }
        if let Some(sent) = self.send_letters(turn, state, summary).await {
            progress.settled.settled.letters = sent;
        }
        if progress.unsettled == 0 {
            self.send_metadata(turn, families(state), summary).await;
        }
        Ok(())
    }

    pub(super) async fn send_metadata(
        &self,
        turn: &Turn<'_>,
        families: impl Iterator<Item = Metadata<'_>>,
        summary: &mut ShardSummary,
    ) {
        let sent = metadata::send(self.writer, families, turn.tick, turn.request_id, turn.deadline).await;
        summary.sent.requests += sent.requests;
        summary.metadata_failed += sent.failed;
    }
}

fn families(state: &TypedState) -> impl Iterator<Item = Metadata<'_>> {
    state.families().map(|(name, family)| Metadata {
        family: name,
        metric_type: family.metric_type,
        help: &family.help,
        unit: "",
    })
}

impl<T: Transport, D> Sending<'_, '_, T, D> {
    /// Returns whether there was any zero.
    async fn zeros_and_markers(
        &mut self,
        state: &TypedState,
        writers: &Writers,
        settled: Option<Timestamp>,
    ) -> Result<bool, TickError> {
        let (tick, window) = (self.turn.tick, self.ticker.rules.window);
        let mut table = Table::default();
        let mut has_zeros = false;
        for ended in state.unsettled_ends(settled, tick) {
            let series = &ended.series;
            let is_held = state.get(series.key()).is_some();
            let quantiles = series.quantiles_ended(ended.time, window).map(|end| (end, is_owed(end, settled, tick)));
            table.begin(Some(series.key()));
            each_exposed(series, window, series.updated, &mut |name, labels, exposed| {
                let time = match quantiles {
                    Some((_, false)) if is_quantile(&exposed) => return,
                    Some((end, true)) if is_quantile(&exposed) => end,
                    _ => ended.time,
                };
                if is_held || !writers.has_group(&name, &labels) && !is_exposed(state, &name, &labels) {
                    self.summary.stale += 1;
                    table.add(name, labels, time, marker(&exposed.value));
                }
            });
            self.flush_full(&mut table, true).await?;
        }
        for series in state.series() {
            if is_owed(series.born, settled, tick) && Safeguard::ZerosApart.is_kept() {
                has_zeros = true;
                table.begin(Some(series.key()));
                table.add_zeros(series);
            }
            if series.quantiles_ended(tick, window).is_some_and(|end| is_owed(end, settled, tick)) {
                let end = series.quantiles_ended(tick, window).unwrap_or(tick);
                table.begin(Some(series.key()));
                each_exposed(series, window, series.updated, &mut |name, labels, exposed| {
                    if is_quantile(&exposed) {
                        self.summary.stale += 1;
                        table.add(name, labels, end, marker(&exposed.value));
                    }
                });
            }
            self.flush_full(&mut table, true).await?;
        }
        self.flush(&mut table, true).await?;
        Ok(has_zeros)
    }

    /// Values of new series wait for their zeros.
    async fn values(
        &mut self,
        state: &TypedState,
        is_waiting: impl Fn(&Series) -> bool,
        settled: Option<Timestamp>,
    ) -> Result<(), TickError> {
        let (tick, window) = (self.turn.tick, self.ticker.rules.window);
        let mut table = Table::default();
        let mut alone = Vec::new();
        for series in state.series() {
            if is_waiting(series) {
                continue;
            }
            if self.progress.is_alone(series.key()) {
                alone.push(series);
                continue;
            }
            table.begin(Some(series.key()));
            if is_owed(series.born, settled, tick) && !Safeguard::ZerosApart.is_kept() {
                table.add_zeros(series);
            }
            each_exposed(series, window, tick, &mut |name, labels, exposed| {
                table.add(name, labels, tick, exposed.value);
            });
            self.flush_full(&mut table, false).await?;
            if self.progress.is_stopped || self.progress.is_overtaken {
                return Ok(());
            }
        }
        self.flush(&mut table, false).await?;
        alone.retain(|series| self.progress.is_due(series.key(), tick));
        for series in alone.into_iter().take(MAX_ALONE) {
            table.begin(Some(series.key()));
            each_exposed(series, window, tick, &mut |name, labels, exposed| {
                table.add(name, labels, tick, exposed.value);
            });
            self.flush(&mut table, false).await?;
        }
        Ok(())
    }
}

fn is_quantile(exposed: &Exposed) -> bool {
    exposed.bound.is_some_and(|bound| bound.name == "quantile")
}

fn is_exposed(state: &TypedState, name: &MetricName<'_>, labels: &LabelSet<'_>) -> bool {
    let mut key = Vec::new();
    SeriesKey::write(name, labels, &mut key);
    state.exposes(SeriesKey::of_written(&key))
}
