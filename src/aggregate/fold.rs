//! The fold adds journal entries to the state, each event once.
//!
//! Entries come in the order of the journal's keys, and within an item in its order. So a repeated fold has the same bits.
//! If an event cannot be counted, the state owes it as a dead letter and remembers it as counted. So its repetition is a
//! duplicate.

use super::conflict::is_exposed_by_another;
use super::journal::{Entry, Journal};
use super::owed::OwedReason;
use super::state::TypedState;
use super::{Aggregate, Applied, Identity, Safeguard, Seen, SummaryWindow};
use crate::blob::BlobError;
use crate::model::{Timestamp, Update};
use std::collections::HashMap;

/// The rules of one tick.
#[derive(Clone, Copy, Debug)]
pub struct FoldRules {
    pub tick: Timestamp,
    pub window: SummaryWindow,
    /// Series that a shard may hold.
    pub max_series: usize,
}

/// Counts of a fold.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Folded {
    /// Entries that were read.
    pub entries: u64,
    /// Increments, values and observations that were counted.
    pub increments: u64,
    /// Entries whose event was counted before. Entries that an earlier tick has read are not among them.
    pub duplicates: u64,
    pub births: u64,
    pub bucket_conflicts: u64,
    /// Events that are owed or dropped, by reason.
    pub type_conflicts: u64,
    pub series_limit: u64,
    /// Events that are lost, because too many are owed already.
    pub dropped: [u64; OwedReason::ALL.len()],
    /// If a series was refused for [`FoldRules::max_series`]: the family that grew most in this tick.
    pub grew_most: Option<String>,
}

/// A fold that is running.
#[derive(Debug)]
pub struct Fold<'s> {
    state: &'s mut TypedState,
    seen: &'s mut Seen,
    rules: FoldRules,
    folded: Folded,
    counted: Vec<Identity>,
    /// New and refused series of each family.
    growth: HashMap<String, u64>,
}

impl<'s> Fold<'s> {
    /// `seen` has the identities of all items, and has been told which of them are remembered.
    pub fn new(state: &'s mut TypedState, seen: &'s mut Seen, rules: FoldRules) -> Self {
        state.owed.end_array();
        Self { state, seen, rules, folded: Folded::default(), counted: Vec::new(), growth: HashMap::new() }
    }

    /// Folds an item. Items come in the order of their keys. Returns how many of its events nobody had counted.
    pub fn item(&mut self, journal: &Journal) -> Result<usize, BlobError> {
        self.read(journal, true)
    }

    /// Folds an item of the margin. An earlier tick has read it, unless it was late: then its events are counted here.
    pub fn item_of_margin(&mut self, journal: &Journal) -> Result<usize, BlobError> {
        self.read(journal, false)
    }

    fn read(&mut self, journal: &Journal, is_new: bool) -> Result<usize, BlobError> {
        let before = self.counted.len();
        let mut reader = journal.reader()?;
        while let Some(entry) = reader.next_entry()? {
            self.folded.entries += 1;
            if self.seen.count(entry.identity) {
                if self.event(&entry) || Safeguard::OwedAreRemembered.is_kept() {
                    self.counted.push(entry.identity);
                }
            } else {
                self.folded.duplicates += u64::from(is_new);
            }
        }
        Ok(self.counted.len() - before)
    }

    /// Returns the counts, and the identities to remember.
    pub fn finish(mut self) -> (Folded, Vec<Identity>) {
        if self.folded.series_limit > 0 {
            let most = self.growth.into_iter().max_by(|(a, x), (b, y)| x.cmp(y).then_with(|| b.cmp(a)));
            self.folded.grew_most = most.map(|(family, _)| family);
        }
        (self.folded, self.counted)
    }

    /// Returns whether the event was counted; else it is owed or dropped.
    fn event(&mut self, entry: &Entry<'_, '_>) -> bool {
        let position = match self.state.held.position(entry.key) {
            Some(position) => position,
            None => match self.birth(entry) {
                Ok(position) => position,
                Err(reason) => return self.owe(reason, entry),
            },
        };
        let FoldRules { tick, window, .. } = self.rules;
        let series = self.state.held.at(position);
        match series.aggregate.apply(entry.update, entry.time, tick, window) {
            Applied::TypeConflict => return self.owe(OwedReason::TypeConflict, entry),
            Applied::BucketConflict => self.folded.bucket_conflicts += 1,
            Applied::Counted => {}
        }
        series.updated = tick;
        series.is_changed = true;
        self.folded.increments += match entry.update {
            Update::Counter(_)
            | Update::Gauge(_)
            | Update::GaugeIncrement(_)
            | Update::ClassicCounts(_)
            | Update::NativeCounts(_) => 1,
            Update::Histogram { observations, .. } | Update::Summary { observations, .. } => observations.len() as u64,
        };
        if let Some(help) = entry.help {
            self.state.set_help(entry.key.name(), help);
        }
        true
    }

    fn birth(&mut self, entry: &Entry<'_, '_>) -> Result<usize, OwedReason> {
        let empty = Aggregate::new(entry.update);
        if is_exposed_by_another(self.state, entry.key, &empty) {
            return Err(OwedReason::TypeConflict);
        }
        let name = entry.key.name();
        match self.growth.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                self.growth.insert(name.to_owned(), 1);
            }
        }
        if self.state.len() >= self.rules.max_series {
            return Err(OwedReason::SeriesLimit);
        }
        self.folded.births += 1;
        Ok(self.state.bear(entry.key, empty, self.rules.tick))
    }

    fn owe(&mut self, reason: OwedReason, entry: &Entry<'_, '_>) -> bool {
        match reason {
            OwedReason::TypeConflict => self.folded.type_conflicts += 1,
            OwedReason::SeriesLimit => self.folded.series_limit += 1,
        }
        if !self.state.owe(reason, entry) {
            self.folded.dropped[reason as usize - 1] += 1;
        }
        false
    }
}
