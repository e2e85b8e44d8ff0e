//! The typed series that the last ticks committed, as a scrape shows them: at the time of their tick.
//!
//! * One series has one writer: a typed series wins over those of groups, as in a tick.
//! * A shard without a head has no series: no tick has committed anything there.
//! * A shard whose snapshot takes too much memory is left out, and so is every sample beyond the bound. The caller learns of both.

use super::tick::{TickError, head, settled, snapshot};
use super::{Gateway, State};
use crate::aggregate::head::LastTick;
use crate::aggregate::{Bound, Exposed, ExposedValue, Series, SeriesKey, SummaryWindow, TypedState};
use crate::limits::{MAX_SHOWN_SAMPLE_BYTES, MAX_SHOWN_SNAPSHOT_BYTES};
use crate::model::{
    FamilySeries, FamilyValue, Label, LabelName, LabelSet, MetricFamily, MetricName, MetricType, Timestamp,
};
use crate::store::{Store, StoreError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use tokio::time::{Instant, timeout_at};

/// The bytes of a sample without its labels, about.
const SAMPLE_BYTES: usize = 100;

/// The typed series of all shards.
#[derive(Debug)]
pub struct TypedSeries {
    shards: Vec<Shard>,
    left_out: usize,
    window: SummaryWindow,
}

#[derive(Debug)]
struct Shard {
    tick: Timestamp,
    state: TypedState,
}

/// Why typed series cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypedError {
    pub shard: u16,
    pub error: TickError,
}

/// All samples take too much memory to be shown at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManySamples;

impl<T, D> Gateway<T, D> {
    /// Returns the typed series of the last ticks; `None` if there is no table.
    pub async fn typed(&self, now: Timestamp, deadline: Instant) -> Result<Option<TypedSeries>, TypedError> {
        let Some(State { store, settings, .. }) = &self.state else { return Ok(None) };
        let window = SummaryWindow::from_millis(settings.summary_window_ms);
        TypedSeries::read(store.as_ref(), settings.shards, window, now, deadline).await.map(Some)
    }

    /// Returns the numbers of the last tick of all shards together; `None` if there was none, or if there is no table.
    pub async fn last_tick(&self, deadline: Instant) -> Result<Option<LastTick>, TypedError> {
        let Some(State { store, settings, .. }) = &self.state else { return Ok(None) };
        let mut sum: Option<LastTick> = None;
        for shard in 0..settings.shards {
            let read = timeout_at(deadline, settled(store.as_ref(), shard)).await;
            let read = read.unwrap_or(Err(TickError::Store(StoreError::Timeout)));
            let settled = read.map_err(|error| TypedError { shard, error })?.settled;
            if let Some(last) = &settled.last {
                sum.get_or_insert_default().add(last);
            }
        }
        Ok(sum)
    }
}

impl TypedSeries {
    pub(super) async fn read(
        store: &dyn Store,
        shards: u16,
        window: SummaryWindow,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Self, TypedError> {
        let mut typed = Self { shards: Vec::new(), left_out: 0, window };
        let mut bytes_left = MAX_SHOWN_SNAPSHOT_BYTES;
        for shard in 0..shards {
            let read = timeout_at(deadline, typed.read_shard(store, shard, now, &mut bytes_left)).await;
            read.unwrap_or(Err(TickError::Store(StoreError::Timeout))).map_err(|error| TypedError { shard, error })?;
        }
        Ok(typed)
    }

    async fn read_shard(
        &mut self,
        store: &dyn Store,
        shard: u16,
        now: Timestamp,
        bytes_left: &mut u64,
    ) -> Result<(), TickError> {
        let Some((head, _)) = head(store, shard).await? else { return Ok(()) };
        let bytes = head.base.iter().chain(&head.deltas).fold(0, |sum: u64, blob| sum.saturating_add(blob.bytes));
        let Some(left) = bytes_left.checked_sub(bytes) else {
            self.left_out += 1;
            return Ok(());
        };
        *bytes_left = left;
        let state = snapshot(store, shard, Some(&head), now).await?;
        self.shards.push(Shard { tick: head.tick, state });
        Ok(())
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.state.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of shards that are not here, because they take too much memory.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the last ticks of the shards: the oldest and the newest. `None` if there was none.
    pub fn last_ticks(&self) -> Option<(Timestamp, Timestamp)> {
        let ticks = || self.shards.iter().map(|shard| shard.tick);
        ticks().min().zip(ticks().max())
    }

    /// Returns the families of all series, and then those of `groups` without the series that typed series expose.
    pub fn families<'f>(&'f self, groups: Vec<MetricFamily<'f>>) -> Result<Vec<MetricFamily<'f>>, TooManySamples> {
        let mut bytes_left = MAX_SHOWN_SAMPLE_BYTES;
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.families(shard.state.series(), self.window, &mut bytes_left)?);
        }
        for mut family in groups {
            family.series.retain(|series| !self.exposes(series));
            if !family.series.is_empty() {
                all.push(family);
            }
        }
        Ok(all)
    }

    /// Returns the families of the first series, in the order of names and labels.
    pub fn first_families(&self, most: usize) -> Vec<MetricFamily<'_>> {
        let of_shard = |shard| self.shards.get(shard).into_iter().flat_map(|held: &Shard| held.state.series());
        let mut all: Vec<(usize, &Series)> =
            (0..self.shards.len()).flat_map(|shard| of_shard(shard).map(move |series| (shard, series))).collect();
        all.sort_unstable_by(|(_, a), (_, b)| {
            let (a, b) = (a.key(), b.key());
            a.name().cmp(b.name()).then_with(|| a.labels().cmp(b.labels()))
        });
        all.truncate(most);
        let mut families = Vec::new();
        for (position, shard) in self.shards.iter().enumerate() {
            let own = all.iter().filter(|(of, _)| *of == position).map(|(_, series)| *series);
            // These series are few, so they need no bound.
            families.extend(shard.families(own, self.window, &mut { usize::MAX }).unwrap_or_default());
        }
        families
    }

    fn exposes(&self, series: &FamilySeries<'_>) -> bool {
        let mut key = Vec::new();
        SeriesKey::write(&series.name, &series.labels, &mut key);
        self.shards.iter().any(|shard| shard.state.exposes(SeriesKey::of_written(&key)))
    }
}

impl Shard {
    fn families<'s>(
        &'s self,
        all: impl Iterator<Item = &'s Series>,
        window: SummaryWindow,
        bytes_left: &mut usize,
    ) -> Result<Vec<MetricFamily<'s>>, TooManySamples> {
        let mut families: BTreeMap<&str, MetricFamily<'s>> = BTreeMap::new();
        for series in all {
            let key = series.key();
            let Some(name) = key.metric_name() else { continue };
            let metric_type = series.aggregate.metric_type();
            let new = MetricFamily { name, metric_type, help: None, unit: None, series: Vec::new() };
            let family = families.entry(key.name()).or_insert(new);
            if family.metric_type != metric_type {
                family.metric_type = MetricType::Unknown;
            }
            let bytes = key.as_bytes().len() + SAMPLE_BYTES;
            let mut is_over = false;
            each_exposed(series, window, self.tick, &mut |name, labels, exposed| match bytes_left.checked_sub(bytes) {
                Some(left) => {
                    *bytes_left = left;
                    family.series.push(FamilySeries { name, labels, value: shown(exposed.value) });
                }
                None => is_over = true,
            });
            if is_over {
                return Err(TooManySamples);
            }
        }
        for (name, family) in self.state.families().filter(|(_, family)| !family.help.is_empty()) {
            if let Some(shown) = families.get_mut(name) {
                shown.help = Some(Cow::Borrowed(&family.help));
            }
        }
        Ok(families.into_values().filter(|family| !family.series.is_empty()).collect())
    }
}

fn shown(value: ExposedValue) -> FamilyValue {
    match value {
        ExposedValue::Number(value) => FamilyValue::Float(f64::from_bits(value.wire_bits())),
        ExposedValue::Histogram(histogram) => FamilyValue::Histogram(Box::new(histogram)),
    }
}

/// Calls `each` with what a series exposes at a time.
pub(super) fn each_exposed<'s>(
    series: &'s Series,
    window: SummaryWindow,
    at: Timestamp,
    each: &mut dyn FnMut(MetricName<'s>, LabelSet<'s>, Exposed),
) {
    series.aggregate.expose(at, window, &mut |exposed| {
        if let Some((name, labels)) = named(series.key(), exposed.suffix, exposed.bound) {
            each(name, labels, exposed);
        }
    });
}

pub(super) fn named<'s>(
    key: SeriesKey<'s>,
    suffix: &'static str,
    bound: Option<Bound>,
) -> Option<(MetricName<'s>, LabelSet<'s>)> {
    let name = if suffix.is_empty() {
        key.metric_name()?
    } else {
        MetricName::as_is(Cow::Owned(format!("{}{suffix}", key.name()))).ok()?
    };
    let Some(bound) = bound else { return Some((name, key.label_set())) };
    let mut labels: Vec<Label<'s>> = key.label_set().into_labels().collect();
    labels.push(Label { name: LabelName::classic(bound.name).ok()?, value: Cow::Owned(bound.to_string()) });
    Some((name, LabelSet::new(labels).ok()?))
}

impl fmt::Display for TypedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, error } = self;
        write!(f, "the typed series of shard {shard} cannot be shown: {error}")
    }
}

impl std::error::Error for TypedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl fmt::Display for TooManySamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the typed series take too much memory for one scrape; the tick writes them all")
    }
}

impl std::error::Error for TooManySamples {}
