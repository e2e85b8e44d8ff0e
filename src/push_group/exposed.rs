//! Everything that groups expose, as metric families with whole label sets.

use super::{Group, Precedence};
use crate::model::{
    FamilySeries, FamilyValue, LabelSet, MetricFamily, MetricName, MetricType, NativeHistogram, Timestamp,
};
use crate::order::sort_by;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::borrow::Cow;
use std::hash::BuildHasher;

/// The families of groups, not sorted. Families of several groups may have one name.
#[derive(Debug)]
pub struct Exposed<'g> {
    pub families: Vec<MetricFamily<'g>>,
    /// Series that an older push has too, which is not exposed.
    pub conflicts: u64,
}

/// Returns the families of the groups that are exposed at this time, with `external` labels. If two groups push one series, the younger
/// push counts.
pub fn exposed<'g>(groups: &'g [Group<'g>], external: &'g LabelSet<'g>, at: Timestamp) -> Exposed<'g> {
    let mut youngest = Vec::new();
    for (number, group) in groups.iter().enumerate().filter(|(_, group)| group.is_exposed(at)) {
        let rank = group.key().rank();
        let mut add = |time, family| youngest.push((Precedence { time, group: rank }, number, family));
        add(group.last_tried(), None);
        group.families().iter().for_each(|pushed| add(pushed.pushed, Some(&pushed.family)));
    }
    sort_by(&mut youngest, |(a, ..), (b, ..)| b.cmp(a));
    let common: Vec<_> = groups.iter().map(|group| group.common_labels(external)).collect();
    let mut exposed = Exposed { families: Vec::new(), conflicts: 0 };
    let mut seen = Seen::default();
    for (_, number, family) in youngest {
        let (Some(group), Some(common)) = (groups.get(number), common.get(number)) else { continue };
        match family {
            Some(family) => exposed.add(&mut seen, family, common),
            None => exposed.add_own(&mut seen, group, common),
        }
    }
    exposed.families.retain(|family| !family.series.is_empty());
    exposed
}

impl<'g> Exposed<'g> {
    /// Adds the gauges that the gateway itself adds to a group.
    fn add_own(&mut self, seen: &mut Seen, group: &Group<'_>, common: &LabelSet<'g>) {
        for own in group.own_series() {
            let Ok(name) = MetricName::as_is(Cow::Borrowed(own.name)) else { continue };
            let (labels, value) = (common.clone(), FamilyValue::Float(own.value));
            self.families.push(MetricFamily {
                name: name.clone(),
                metric_type: MetricType::Gauge,
                help: Some(Cow::Borrowed(own.help)),
                unit: None,
                series: Vec::new(),
            });
            seen.add(&mut self.families, FamilySeries { name, labels, value });
        }
    }

    fn add(&mut self, seen: &mut Seen, family: &'g MetricFamily<'g>, common: &LabelSet<'g>) {
        let MetricFamily { name, metric_type, help, unit, series } = family;
        let whole = |series: &'g FamilySeries<'g>| {
            let (name, labels) = (series.name.borrowed(), series.labels.with_missing(common));
            let value = match &series.value {
                FamilyValue::Float(value) => FamilyValue::Float(*value),
                FamilyValue::Histogram(histogram) => {
                    FamilyValue::Histogram(Box::new(NativeHistogram::clone(histogram)))
                }
            };
            FamilySeries { name, labels, value }
        };
        self.families.push(MetricFamily {
            name: name.borrowed(),
            metric_type: *metric_type,
            help: help.as_deref().map(Cow::Borrowed),
            unit: unit.as_deref().map(Cow::Borrowed),
            series: Vec::with_capacity(series.len()),
        });
        for series in series {
            let is_new = seen.add(&mut self.families, whole(series));
            self.conflicts += u64::from(!is_new);
        }
    }
}

/// Finds the series of families by their positions: a copy of all labels would take more memory than the families.
#[derive(Default)]
struct Seen {
    /// The numbers of a family and of a series in it.
    positions: HashTable<(u32, u32)>,
    hasher: RandomState,
}

impl Seen {
    /// Adds a series to the last family if none has it. Returns whether it is new.
    fn add<'g>(&mut self, families: &mut [MetricFamily<'g>], series: FamilySeries<'g>) -> bool {
        let Self { positions, hasher } = self;
        let at = |&(family, number): &(u32, u32)| &families[family as usize].series[number as usize];
        let hash_of = |series: &FamilySeries<'_>| hasher.hash_one((&series.name, &series.labels));
        let number = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let position = families.last().map(|last| (number(families.len() - 1), number(last.series.len())));
        let is_it = |position: &(u32, u32)| at(position).is_same_series(&series);
        let entry = positions.entry(hash_of(&series), is_it, |position| hash_of(at(position)));
        let (Entry::Vacant(entry), Some(position)) = (entry, position) else { return false };
        entry.insert(position);
        if let Some(last) = families.last_mut() {
            last.series.push(series);
        }
        true
    }
}

#[cfg(test)]
mod tests;
