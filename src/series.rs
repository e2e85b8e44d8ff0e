//! Events to series: all samples of an invocation, grouped by name and labels, in time order.
//!
//! * Samples of a series stand in the order of their times (remote write 1.0, "Ordering").
//! * Equal samples (same series, time and bits) are kept as rows of each of their events and sent once: the encoder
//!   skips a row with the series and time of the row before it.
//! * Another value for the same series and time is refused, for the event that comes later; a refused event reserves
//!   nothing.
//!
//! What aggregates (counters of stateless senders, say) belongs here.

use crate::event::Event;
use crate::model::{ItemId, Label, LabelSet, MetricName, Reason, Rejection, Timestamp, Value};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

/// One sample of one event, in 32 bytes: a payload of 6 MB can hold 400,000 of them.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its time.
    pub timestamp: Timestamp,
    /// What its series is called, for [`SampleTable::series`].
    pub series: SeriesId,
    /// The event that it came with.
    pub event: ItemId,
    is_integer: bool,
    /// The integer, or the bits of the double.
    value: u64,
}

/// Numbers of a label set and of a metric's name. There can be as many series as samples, and few names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SeriesId {
    labels: u32,
    name: u32,
}

/// All samples of an invocation.
#[derive(Default, Debug)]
pub struct SampleTable<'a> {
    /// Those of all label sets, one set after another.
    labels: Vec<Label<'a>>,
    /// Where each set ends in `labels`.
    label_sets: Vec<u32>,
    names: Vec<MetricName<'a>>,
    rows: Vec<Sample>,
}

// === impl Sample ===

impl Sample {
    fn new(timestamp: Timestamp, value: Value, series: SeriesId, event: ItemId) -> Self {
        let (is_integer, value) = match value {
            Value::Integer(integer) => (true, integer.cast_unsigned()),
            Value::Float(float) => (false, float.to_bits()),
        };
        Self { timestamp, series, event, is_integer, value }
    }

    /// Its value, with its type.
    #[must_use]
    pub fn value(&self) -> Value {
        if self.is_integer {
            Value::Integer(self.value.cast_signed())
        } else {
            Value::Float(f64::from_bits(self.value))
        }
    }

    /// Whether the two are the same sample, given that [`SampleTableBuilder::finish`] refused all that differ in value alone.
    #[must_use]
    pub fn is_same_sample(&self, other: &Self) -> bool {
        self.series == other.series && self.timestamp == other.timestamp
    }
}

// === impl SampleTable ===

impl<'a> SampleTable<'a> {
    /// The samples by labels, name (both in the order of their first appearance) and time.
    #[must_use]
    pub fn rows(&self) -> &[Sample] {
        &self.rows
    }

    /// The name and labels of the series that a row names.
    ///
    /// # Panics
    /// Where `series` is not that of a row of this set.
    #[must_use]
    pub fn series(&self, series: SeriesId) -> (&MetricName<'a>, &[Label<'a>]) {
        (&self.names[series.name as usize], self.label_set(series.labels))
    }

    fn label_set(&self, number: u32) -> &[Label<'a>] {
        let end = |number: u32| self.label_sets[number as usize] as usize;
        &self.labels[number.checked_sub(1).map_or(0, end)..end(number)]
    }
}

/// Merges `events`, in the order of the payload, and tells `refuse` of those whose samples contradict an earlier one.
pub fn merge<'a>(
    events: impl IntoIterator<Item = (ItemId, Event<'a>)>,
    refuse: &mut dyn FnMut(ItemId, Rejection),
) -> SampleTable<'a> {
    let mut merger = SampleTableBuilder::default();
    for (number, event) in events {
        merger.add(number, event);
    }
    merger.finish(refuse)
}

/// [`merge`], one event at a time: those of a large payload need not stand in memory together.
///
/// Tables find, vectors hold: the hash decides no order that could be seen, so its random seed does no harm, and it
/// keeps a producer from choosing labels that collide.
#[derive(Default, Debug)]
pub struct SampleTableBuilder<'a> {
    merged: SampleTable<'a>,
    hasher: RandomState,
    label_sets: HashTable<u32>,
    names: HashTable<u32>,
    /// The names of the last event in their order: most producers send the same ones again.
    last_names: Vec<u32>,
}

impl<'a> SampleTableBuilder<'a> {
    /// Takes the next event of the payload.
    pub fn add(&mut self, number: ItemId, event: Event<'a>) {
        let Event { labels, timestamp, metrics } = event;
        let labels = self.labels_number(labels);
        for (place, (name, value)) in metrics.into_iter().enumerate() {
            let name = self.name_number(place, name);
            self.merged.rows.push(Sample::new(timestamp, value, SeriesId { labels, name }, number));
        }
    }

    /// All samples in order, without those of the events that `refuse` is told of.
    pub fn finish(mut self, refuse: &mut dyn FnMut(ItemId, Rejection)) -> SampleTable<'a> {
        let SampleTable { rows, names, label_sets, .. } = &mut self.merged;
        in_order(rows, names.len(), label_sets.len());
        let refused = contradictions(&self.merged, refuse);
        if !refused.is_empty() {
            self.merged.rows.retain(|row| !refused.contains(&row.event));
        }
        self.merged
    }

    fn labels_number(&mut self, new: LabelSet<'a>) -> u32 {
        let Self { merged, hasher, label_sets, .. } = self;
        let next = number(merged.label_sets.len());
        let is_it = |i| merged.label_set(i) == new.as_slice();
        let hash_of = |i| hasher.hash_one(merged.label_set(i));
        let found = number_of(label_sets, hasher.hash_one(new.as_slice()), next, is_it, hash_of);
        if found == next {
            merged.labels.extend(new.into_labels());
            merged.label_sets.push(number(merged.labels.len()));
        }
        found
    }

    /// `place` is that of the metric in its event.
    fn name_number(&mut self, place: usize, name: MetricName<'a>) -> u32 {
        let Self { merged: SampleTable { names, .. }, hasher, last_names, .. } = self;
        if let Some(&last) = last_names.get(place)
            && names[last as usize] == name
        {
            return last;
        }
        let next = number(names.len());
        let hash_of = |i: u32| hasher.hash_one(&names[i as usize]);
        let found = number_of(&mut self.names, hasher.hash_one(&name), next, |i| names[i as usize] == name, hash_of);
        if found == next {
            names.push(name);
        }
        last_names.truncate(place);
        last_names.push(found);
        found
    }
}

/// The number in `table` that `is_it`, else `next`, which is put there.
fn number_of(
    table: &mut HashTable<u32>,
    hash: u64,
    next: u32,
    is_it: impl Fn(u32) -> bool,
    hash_of: impl Fn(u32) -> u64,
) -> u32 {
    *table.entry(hash, |&i| is_it(i), |&i| hash_of(i)).or_insert(next).get()
}

/// Sorts `rows` by series and time, and keeps the order of the payload among equal samples.
fn in_order(rows: &mut Vec<Sample>, names: usize, label_sets: usize) {
    if rows.is_sorted_by_key(|row| (row.series, row.timestamp)) {
        return;
    }
    by_number(rows, names, |row| row.series.name);
    by_number(rows, label_sets, |row| row.series.labels);
    // The samples of a series mostly come in the order of their times.
    for of_one_series in rows.chunk_by_mut(|a, b| a.series == b.series) {
        if !of_one_series.is_sorted_by_key(|row| row.timestamp) {
            of_one_series.sort_by_key(|row| row.timestamp);
        }
    }
}

/// Sorts `rows` by a number below `count`, and keeps the order of equal ones: each row's place is counted out and not
/// searched for by comparing.
fn by_number(rows: &mut Vec<Sample>, count: usize, number: impl Fn(&Sample) -> u32) {
    if rows.is_sorted_by_key(&number) {
        return;
    }
    let mut places = vec![0; count + 1];
    for row in rows.iter() {
        places[number(row) as usize + 1] += 1;
    }
    for i in 0..count {
        places[i + 1] += places[i];
    }
    let mut ordered = rows.clone();
    for row in rows.iter() {
        let place = &mut places[number(row) as usize];
        ordered[*place] = *row;
        *place += 1;
    }
    *rows = ordered;
}

/// The events with another value for the series and time of an earlier event, which `refuse` is told of.
///
/// Only samples that are disputed decide anything, so those are looked at event by event, in the order of the payload:
/// what a refused event brought settles nothing for the events after it.
fn contradictions(merged: &SampleTable<'_>, refuse: &mut dyn FnMut(ItemId, Rejection)) -> HashSet<ItemId> {
    let same_sample = merged.rows.chunk_by(Sample::is_same_sample);
    let disputed =
        same_sample.filter(|rows| rows.iter().any(|row| row.value().wire_bits() != rows[0].value().wire_bits()));
    let mut rows: Vec<(usize, &Sample)> =
        disputed.enumerate().flat_map(|(sample, rows)| rows.iter().map(move |row| (sample, row))).collect();
    rows.sort_by_key(|(_, row)| row.event);
    let mut settled: HashMap<usize, &Sample> = HashMap::new();
    let mut refused = HashSet::new();
    for event in rows.chunk_by(|(_, a), (_, b)| a.event == b.event) {
        let contradicted = event.iter().find_map(|(sample, row)| {
            let earlier =
                settled.get(sample).filter(|earlier| earlier.value().wire_bits() != row.value().wire_bits())?;
            Some((row, *earlier))
        });
        match contradicted {
            Some((row, earlier)) => {
                refuse(row.event, contradiction(merged.series(row.series).0, row.value(), earlier));
                refused.insert(row.event);
            }
            None => settled.extend(event.iter().copied()),
        }
    }
    refused
}

/// Numbers of labels and names: a payload of 6 MB holds fewer than 2^21 names or events, of at most 149 labels each.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

fn contradiction(name: &MetricName<'_>, value: Value, earlier: &Sample) -> Rejection {
    let name: String = name.as_str().chars().take(64).collect();
    let detail = format!(
        "metrics.{name}: {value} at {} contradicts {} of an earlier event of the same series",
        earlier.timestamp,
        earlier.value(),
    );
    Rejection::new(Reason::DuplicateTimestamp, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Label, LabelName};
    use proptest::prelude::*;
    use std::borrow::Cow;
    use std::collections::HashMap;

    fn event(label: &str, timestamp: i64, metrics: &[(&str, f64)]) -> Event<'static> {
        let label =
            Label { name: LabelName::translate(Cow::Borrowed("d")).unwrap(), value: Cow::Owned(label.to_owned()) };
        let name = |name: &str| MetricName::translate(Cow::Owned(name.to_owned())).unwrap();
        Event {
            labels: LabelSet::new(vec![label]).unwrap(),
            timestamp: Timestamp(timestamp),
            metrics: metrics.iter().map(|(metric, value)| (name(metric), Value::Float(*value))).collect(),
        }
    }

    fn merged(events: Vec<Event<'static>>) -> (SampleTable<'static>, Vec<u32>) {
        let mut refused = Vec::new();
        let items = (0..).map(ItemId).zip(events);
        let merged = merge(items, &mut |event, refusal| {
            assert_eq!(refusal.reason, Reason::DuplicateTimestamp);
            refused.push(event.0);
        });
        (merged, refused)
    }

    fn shown(merged: &SampleTable<'_>) -> Vec<String> {
        let row = |row: &Sample| {
            let (name, labels) = merged.series(row.series);
            format!("{}{{{}}} {} {}", name.as_str(), labels[0].value, row.timestamp, row.value())
        };
        merged.rows().iter().map(row).collect()
    }

    #[test]
    fn samples_of_a_series_come_together_in_time_order() {
        let (merged, refused) = merged(vec![
            event("x", 3, &[("a", 1.0), ("b", 2.0)]),
            event("y", 1, &[("a", 3.0)]),
            event("x", 1, &[("a", 4.0)]),
        ]);
        assert_eq!(shown(&merged), ["a{x} 1 4.0", "a{x} 3 1.0", "b{x} 3 2.0", "a{y} 1 3.0"]);
        assert!(refused.is_empty());
    }

    #[test]
    fn equal_samples_are_rows_of_both_events_and_all_nans_are_equal() {
        let other_nan = f64::from_bits(f64::NAN.to_bits() | 7);
        let (merged, refused) = merged(vec![event("x", 1, &[("a", f64::NAN)]), event("x", 1, &[("a", other_nan)])]);
        assert_eq!(merged.rows().len(), 2);
        assert!(merged.rows()[0].is_same_sample(&merged.rows()[1]));
        assert!(refused.is_empty());
    }

    #[test]
    fn a_contradiction_refuses_the_later_event_whole_and_it_reserves_nothing() {
        let (merged, refused) = merged(vec![
            event("x", 1, &[("a", 1.0)]),
            event("x", 1, &[("b", 5.0), ("a", 2.0)]),
            event("x", 1, &[("b", 6.0)]),
        ]);
        assert_eq!(shown(&merged), ["a{x} 1 1.0", "b{x} 1 6.0"]);
        assert_eq!(refused, [1]);
    }

    #[test]
    fn zero_and_negative_zero_contradict() {
        let (_, refused) = merged(vec![event("x", 1, &[("a", 0.0)]), event("x", 1, &[("a", -0.0)])]);
        assert_eq!(refused, [1]);
    }

    proptest! {
        /// Every event is either refused or has a row for each of its metrics; rows are grouped and ordered; the
        /// accepted events are those of a plain map that is filled event by event.
        #[test]
        fn property_test_merging_agrees_with_a_plain_map(
            events in proptest::collection::vec((0..3_u8, 0..3_i64, proptest::collection::btree_map(0..3_u8, 0..2_u8, 1..3)), 0..20),
        ) {
            let mut map: HashMap<(u8, i64, u8), u8> = HashMap::new();
            let mut expected_refused = Vec::new();
            let mut expected_rows = 0;
            let mut built = Vec::new();
            for (i, (label, time, metrics)) in (0_u32..).zip(&events) {
                let names: Vec<_> = metrics.iter().map(|(m, v)| (format!("m{m}"), f64::from(*v))).collect();
                let pairs: Vec<_> = names.iter().map(|(m, v)| (m.as_str(), *v)).collect();
                built.push(event(&format!("l{label}"), *time, &pairs));
                if metrics.iter().any(|(m, v)| map.get(&(*label, *time, *m)).is_some_and(|known| known != v)) {
                    expected_refused.push(i);
                } else {
                    expected_rows += metrics.len();
                    map.extend(metrics.iter().map(|(m, v)| ((*label, *time, *m), *v)));
                }
            }
            let (merged, refused) = merged(built);
            prop_assert_eq!(refused, expected_refused);
            prop_assert_eq!(merged.rows().len(), expected_rows);
            let keys: Vec<_> = merged.rows().iter().map(|row| (row.series, row.timestamp)).collect();
            prop_assert!(keys.is_sorted());
        }
    }
}
