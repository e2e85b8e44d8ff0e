//! A tick: adds the journal to the state of each shard, commits it, and sends everything that is exposed to the receiver.
//!
//! ```text
//! groups of all shards
//! each shard: head -> snapshot -> journal -> fold -> blobs -> (replace the head) -> zeros, markers -> values -> dead letters, metadata
//! each shard: markers and values of its groups -> settled -> metadata
//! ```
//!
//! * Nothing is visible before the head is replaced. After that the tick has counted, whatever happens. If two ticks run,
//!   only one can replace the head.
//! * A tick must not send after a newer tick. So it looks at the head before each request, and stops if the head is newer.
//! * A deletion also replaces the head (`end`). If this happens during a tick, the tick folds again, so that no scrape is
//!   lost.
//! * Samples have the time of the tick. So if a tick comes twice, it sends equal samples.
//! * If the table fails, the tick of the shard fails. Nothing changes for the next one.

mod blobs;
mod commit;
#[cfg(feature = "cli")]
mod end;
mod error;
mod gate;
mod groups;
mod journal;
mod letters;
mod load;
mod sending;
mod summary;
mod writers;

use super::writer::Writer;
use super::{Gateway, State};
use crate::aggregate::{SummaryWindow, TypedState};
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::model::{LabelSet, Timestamp};
use crate::store::Store;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

pub(super) use blobs::{expires, group_partition, journal_partition};
#[cfg(feature = "cli")]
pub(super) use end::end_series;
pub use error::TickError;
pub(super) use load::{head, settled, snapshot};
pub use summary::{ShardSummary, TickSummary};

use groups::{Groups, ShardGroups};
use sending::Progress;
use writers::Writers;

/// A tick ends this long after its start: before the next one begins.
const LONGEST: Duration = Duration::from_secs(50);

/// The groups of all shards must be read this long after the start. Typed series do not wait longer for them.
const GROUPS_READ: Duration = Duration::from_secs(20);

/// The time for the last answer after the deadline.
const GRACE: Duration = Duration::from_millis(500);

/// A time further ahead of the clock is refused.
const MAX_AHEAD_MS: i64 = 10_000;

/// A tick with an older time is refused.
const MAX_BEHIND_MS: i64 = 10 * 60_000;

/// How often a tick folds again if deletions replace the head.
const MAX_FOLDS: u32 = 3;

/// A tick that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct TickCall<'c> {
    pub tick: Timestamp,
    /// `None`: all shards, one after another.
    pub shard: Option<u16>,
    /// The start of the invocation.
    pub started: Timestamp,
    pub request_id: &'c str,
    /// When the tick must have ended.
    pub deadline: Instant,
}

/// How the state is folded and exposed.
#[derive(Clone, Debug)]
pub(super) struct TickRules {
    pub(super) shards: u16,
    pub(super) max_series: usize,
    /// `None`: series never expire.
    pub(super) series_ttl_ms: Option<i64>,
    pub(super) window: SummaryWindow,
    pub(super) max_sample_age_ms: i64,
    pub(super) external_labels: LabelSet<'static>,
}

/// The edges of a tick.
#[derive(Debug)]
pub(super) struct Ticker<'g, T, D> {
    pub(super) store: &'g Arc<dyn Store>,
    pub(super) writer: &'g Writer<T>,
    pub(super) dead_letters: Option<&'g D>,
    pub(super) rules: &'g TickRules,
}

/// The tick of one shard.
#[derive(Clone, Copy, Debug)]
struct Turn<'c> {
    tick: Timestamp,
    shard: u16,
    started: Timestamp,
    begun: Instant,
    deadline: Instant,
    request_id: &'c str,
}

/// One shard of a tick.
#[derive(Debug)]
struct ShardTick<'c> {
    turn: Turn<'c>,
    summary: ShardSummary,
    /// `None`: they are not read.
    groups: Option<ShardGroups>,
    /// `None`: nothing is sent.
    progress: Option<Progress>,
}

impl<'c> ShardTick<'c> {
    fn new(call: &TickCall<'c>, shard: u16, begun: Instant) -> Self {
        let turn = Turn {
            tick: call.tick,
            shard,
            started: call.started,
            begun,
            deadline: call.deadline.min(begun + LONGEST),
            request_id: call.request_id,
        };
        let summary = ShardSummary { shard, ..ShardSummary::default() };
        Self { turn, summary, groups: None, progress: None }
    }
}

/// Runs a step of a shard. A call of the table that hangs must not take the time of the next tick.
async fn within<O>(turn: &Turn<'_>, step: impl Future<Output = Result<O, TickError>>) -> Result<O, TickError> {
    tokio::time::timeout_at(turn.deadline + GRACE, Box::pin(step)).await.unwrap_or(Err(TickError::OutOfTime))
}

impl ShardSummary {
    /// Notes the error of a step, and returns its result.
    fn note<O>(&mut self, turn: &Turn<'_>, result: Result<O, TickError>) -> Option<O> {
        result
            .inspect_err(|error| {
                let Turn { request_id, shard, .. } = turn;
                tracing::error!(request_id, shard, error = error.to_string(), "the tick of a shard failed");
                self.error = Some(error.clone());
            })
            .ok()
    }
}

impl TickCall<'_> {
    /// Returns an error if nothing may be read for this call.
    fn check(&self, shards: u16) -> Result<(), TickError> {
        let ahead = self.tick.since(self.started);
        if ahead > MAX_AHEAD_MS {
            return Err(TickError::Ahead(ahead));
        }
        if ahead < -MAX_BEHIND_MS {
            return Err(TickError::Behind(-ahead));
        }
        match self.shard {
            Some(shard) if shard >= shards => Err(TickError::NoShard { shard, shards }),
            _ => Ok(()),
        }
    }
}

impl Turn<'_> {
    /// Returns the time of the clock.
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.started.0.saturating_add(elapsed))
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

impl<T: Transport, D: DeadLetterQueue> Ticker<'_, T, D> {
    /// Runs a tick. It returns an error if the call is wrong. The error of a shard is in its summary.
    pub(super) async fn tick(&self, call: &TickCall<'_>) -> Result<TickSummary, TickError> {
        let begun = Instant::now();
        call.check(self.rules.shards)?;
        let shards = call.shard.map_or(0..self.rules.shards, |shard| shard..shard + 1);
        let mut shards: Vec<ShardTick<'_>> = shards.map(|shard| ShardTick::new(call, shard, begun)).collect();
        let mut all = Groups::default();
        for ShardTick { turn, summary, groups, .. } in &mut shards {
            let read = Box::pin(self.read_groups(turn, &mut all, summary));
            if let Ok(read) = tokio::time::timeout_at(turn.deadline.min(begun + GROUPS_READ), read).await {
                *groups = summary.note(turn, read);
            } else {
                let Turn { request_id, shard, .. } = turn;
                tracing::error!(request_id, shard, "the groups could not be read in time; only typed series are sent");
            }
        }
        for ShardTick { turn, summary, progress, .. } in shards.iter_mut().filter(|shard| shard.summary.error.is_none())
        {
            let sent = within(turn, self.typed(turn, &mut all.writers, summary, progress)).await;
            summary.note(turn, sent);
        }
        // A shard that fails for a moment may have the writer of a series of another shard. So this tick sends no groups. A shard that
        // nobody can read writes nothing, so the others go on.
        let is_known = shards.iter().all(|shard| match &shard.summary.error {
            Some(error) => !error.is_passing(),
            None => shard.groups.is_some(),
        });
        for ShardTick { turn, summary, progress, groups } in &mut shards {
            if let Some(progress) = progress.as_mut().filter(|_| summary.error.is_none()) {
                let watch = Instant::now();
                let writers = is_known.then_some(&all.writers);
                let sent = within(turn, self.send_groups(turn, groups.as_ref(), writers, summary, progress)).await;
                summary.write += watch.elapsed();
                summary.note(turn, sent);
            }
        }
        let mut sum = TickSummary { tick: call.tick, ..TickSummary::default() };
        for shard in shards {
            sum.add(shard.summary);
        }
        sum.total = begun.elapsed();
        Ok(sum)
    }

    /// Counts the typed events of a shard, and sends its typed series. There is progress only if this tick sends.
    async fn typed(
        &self,
        turn: &Turn<'_>,
        writers: &mut Writers,
        summary: &mut ShardSummary,
        progress: &mut Option<Progress>,
    ) -> Result<(), TickError> {
        let mut folds = 0;
        let (state, settled) = loop {
            folds += 1;
            match self.commit(turn, folds > 1, summary).await? {
                Commit::Done(state, settled) => break (state, settled),
                Commit::ReplacedHead if folds < MAX_FOLDS => {}
                Commit::ReplacedHead | Commit::Overtaken => {
                    summary.overtaken = true;
                    return Ok(());
                }
                Commit::Acknowledged => {
                    summary.repeated = true;
                    return Ok(());
                }
            }
        };
        summary.series = state.len() as u64;
        summary.series_conflicts += writers.mark(&state, turn.tick, self.rules.window);
        let watch = Instant::now();
        let progress = progress.insert(Progress::new(settled));
        let sent = self.send_typed(turn, &state, writers, summary, progress).await;
        summary.write += watch.elapsed();
        sent
    }

    /// Reads the state, and folds and commits unless this tick was committed before.
    async fn commit(&self, turn: &Turn<'_>, is_again: bool, summary: &mut ShardSummary) -> Result<Commit, TickError> {
        let watch = Instant::now();
        let head = head(self.store.as_ref(), turn.shard).await?;
        let settled = settled(self.store.as_ref(), turn.shard).await?;
        let committed = head.as_ref().map(|(head, _)| head.tick);
        if let Some((head, _)) = &head {
            summary.cursor = Some(head.cursor);
        }
        if let Some(committed) = committed.filter(|committed| committed.since(turn.tick) > MAX_BEHIND_MS) {
            let Turn { request_id, shard, .. } = turn;
            let committed = committed.to_string();
            tracing::warn!(
                request_id,
                shard,
                committed,
                "a tick far ahead of the clock is committed; none writes before that time"
            );
        }
        // A tick of the same time that was faster sends.
        if committed > Some(turn.tick) || is_again && committed == Some(turn.tick) {
            return Ok(Commit::Overtaken);
        }
        let is_repeat = committed == Some(turn.tick);
        if is_repeat && settled.settled.tick >= Some(turn.tick) {
            return Ok(Commit::Acknowledged);
        }
        let now = turn.now();
        let committed = head.as_ref().map(|(head, _)| head);
        let mut state = snapshot(self.store.as_ref(), turn.shard, committed, now).await?;
        state.forget_owed_before(settled.settled.letters);
        summary.read = watch.elapsed();
        if is_repeat {
            summary.repeated = true;
        } else if !self.fold_and_commit(turn, head, &settled.settled, &mut state, summary).await? {
            return Ok(Commit::ReplacedHead);
        }
        Ok(Commit::Done(Box::new(state), settled))
    }
}

/// The end of a fold and its commit.
enum Commit {
    /// The state is that of this tick.
    Done(Box<TypedState>, load::SettledItem),
    /// Somebody else replaced the head: another tick, or a deletion.
    ReplacedHead,
    /// A newer tick is committed, or the same one by another function.
    Overtaken,
    /// The tick was committed and acknowledged before.
    Acknowledged,
}

impl<T: Transport, D: DeadLetterQueue> Gateway<T, D> {
    /// Runs a tick of the state. It returns an error if the call is wrong. The error of a shard is in the summary.
    pub async fn tick(&self, call: &TickCall<'_>) -> Result<TickSummary, TickError> {
        let State { store, settings, read_until } = self.state.as_ref().ok_or(TickError::NoState)?;
        let rules = TickRules {
            shards: settings.shards,
            max_series: usize::try_from(settings.max_series).unwrap_or(usize::MAX),
            series_ttl_ms: settings.series_ttl_ms,
            window: SummaryWindow::from_millis(settings.summary_window_ms),
            max_sample_age_ms: self.rules.max_sample_age_ms,
            external_labels: self.rules.external_labels.clone(),
        };
        let summary = self.tick_in(store, &rules, call).await?;
        if let Some(cursor) = summary.sum.cursor {
            read_until.note(cursor);
        }
        Ok(summary)
    }

    async fn tick_in(
        &self,
        store: &Arc<dyn Store>,
        rules: &TickRules,
        call: &TickCall<'_>,
    ) -> Result<TickSummary, TickError> {
        Ticker { store, writer: &self.writer, dead_letters: self.dead_letters.as_ref(), rules }.tick(call).await
    }
}

#[cfg(test)]
impl Default for TickRules {
    fn default() -> Self {
        Self {
            shards: 1,
            max_series: 100_000,
            series_ttl_ms: Some(86_400_000),
            window: SummaryWindow::default(),
            max_sample_age_ms: 3_600_000,
            external_labels: LabelSet::default(),
        }
    }
}

#[cfg(test)]
mod tests;
