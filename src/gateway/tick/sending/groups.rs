//! Sends the groups of a shard, and notes whether everything of the shard is settled.

use super::table::{Table, of_family, stale_histogram};
use super::{MAX_ALONE, Progress, Sending, last_tick, remembered};
use crate::aggregate::{ExposedValue, SeriesKey};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::metadata;
use crate::gateway::tick::groups::{GroupBody, ReadGroup, ShardGroups};
use crate::gateway::tick::writers::Writers;
use crate::gateway::tick::{ShardSummary, TickError, Ticker, Turn};
use crate::model::{LabelSet, MetricName, Timestamp, Value};
use crate::wire::Metadata;

impl<T: Transport, D: DeadLetterQueue> Ticker<'_, T, D> {
    /// Sends what the groups expose, if they were read and the writers of all series are known. Then it notes what is settled:
    /// everything, or only the zeros.
    pub(in crate::gateway::tick) async fn send_groups(
        &self,
        turn: &Turn<'_>,
        groups: Option<&ShardGroups>,
        writers: Option<&Writers>,
        summary: &mut ShardSummary,
        progress: &mut Progress,
    ) -> Result<(), TickError> {
        metadata::remember(self.writer, families(groups));
        let acknowledged = progress.settled.settled.tick;
        match (groups, writers) {
            (Some(groups), Some(writers)) => {
                Sending::new(self, turn, summary, progress).groups(groups, writers, acknowledged).await?;
            }
            (Some(groups), None) if groups.is_empty() => {}
            _ => {
                progress.unsettled += 1;
                progress
                    .failure
                    .get_or_insert_with(|| "the groups wait until those of all shards can be read".to_owned());
            }
        }
        let Progress { settled: item, unsettled, failure, is_overtaken, refused, .. } = progress;
        let settled = &mut item.settled;
        settled.refused = remembered(&settled.refused, refused, turn.tick);
        summary.errored = *unsettled;
        summary.overtaken |= *is_overtaken;
        let is_sent = *unsettled == 0 && !*is_overtaken;
        settled.last = Some(last_tick(turn.tick, summary, failure.as_deref().unwrap_or_default()));
        if is_sent {
            settled.tick = settled.tick.max(Some(turn.tick));
            settled.zeros = settled.zeros.max(Some(turn.tick));
        }
        self.write_settled(turn, item).await?;
        if is_sent {
            summary.acknowledged = true;
            if let Some(groups) = groups {
                self.delete_emptied(groups, turn).await;
            }
            self.send_metadata(turn, families(groups), summary).await;
            return Ok(());
        }
        match failure.take() {
            Some(failure) if !*is_overtaken => Err(TickError::NotSent(failure)),
            _ => Ok(()),
        }
    }
}

fn families(groups: Option<&ShardGroups>) -> impl Iterator<Item = Metadata<'_>> {
    groups.into_iter().flat_map(ShardGroups::families).map(|(family, texts)| Metadata {
        family,
        metric_type: texts.metric_type,
        help: &texts.help,
        unit: &texts.unit,
    })
}

impl<T: Transport, D> Sending<'_, '_, T, D> {
    async fn groups(
        &mut self,
        groups: &ShardGroups,
        writers: &Writers,
        acknowledged: Option<Timestamp>,
    ) -> Result<(), TickError> {
        let mut portions = groups.portions(self.ticker.store.as_ref(), self.turn.shard);
        // Series that are sent alone: their keys and values.
        let mut alone = Vec::new();
        while !self.progress.is_overtaken {
            let bodies = portions.next().await?;
            if bodies.is_empty() {
                break;
            }
            self.portion(&bodies, writers, acknowledged, &mut alone).await?;
        }
        let tick = self.turn.tick;
        for (name, labels, value) in alone {
            let mut table = Table::default();
            table.add_one(name, labels, tick, value);
            self.flush(&mut table, false).await?;
        }
        Ok(())
    }

    /// Sends the stale markers of some groups, and then their values.
    async fn portion(
        &mut self,
        bodies: &[GroupBody],
        writers: &Writers,
        acknowledged: Option<Timestamp>,
        alone: &mut Vec<(MetricName<'static>, LabelSet<'static>, ExposedValue)>,
    ) -> Result<(), TickError> {
        let (tick, external) = (self.turn.tick, &self.ticker.rules.external_labels);
        let groups: Vec<ReadGroup<'_>> = bodies.iter().filter_map(|body| body.read().ok()).collect();
        let mut table = Table::default();
        for group in &groups {
            group.each_ended(external, acknowledged, tick, &mut |name, labels, is_histogram, time| {
                if !writers.is_exposed(&name, &labels) {
                    self.summary.stale += 1;
                    let stale = ExposedValue::Number(Value::StaleMarker);
                    table.add_one(name, labels, time, if is_histogram { stale_histogram() } else { stale });
                }
            });
            self.flush_full(&mut table, true).await?;
        }
        self.flush(&mut table, true).await?;

        for group in groups.iter().filter(|group| group.is_exposed(tick)) {
            group.each_series(external, &mut |name, labels, value, push| {
                if !writers.is_written_by(push, &name, &labels) {
                    return;
                }
                let value = of_family(value);
                if self.progress.alone.is_empty() {
                    table.add_one(name, labels, tick, value);
                    return;
                }
                let mut key = Vec::new();
                SeriesKey::write(&name, &labels, &mut key);
                let key = SeriesKey::of_written(&key);
                if !self.progress.is_alone(key) {
                    table.add_one(name, labels, tick, value);
                } else if self.progress.is_due(key, tick) && alone.len() < MAX_ALONE {
                    alone.push((name.into_owned(), labels.into_owned(), value));
                }
            });
            self.flush_full(&mut table, false).await?;
        }
        self.flush(&mut table, false).await
    }
}
