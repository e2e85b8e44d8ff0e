//! Contradictions: items with another value for the series and time of an earlier item.

use super::table::{Sample, SampleTable, SampleValue};
use crate::model::{ItemId, MetricName, Timestamp};
use crate::order::sort_by;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// A second value for the series and time of an earlier item, or of an earlier sample of the same item.
#[derive(Debug)]
pub struct Contradiction<'t> {
    /// The item that comes later in the payload.
    pub item: ItemId,
    pub name: &'t MetricName<'t>,
    pub timestamp: Timestamp,
    pub value: SampleValue<'t>,
    /// The value that was there first.
    pub earlier: SampleValue<'t>,
}

impl fmt::Display for Contradiction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} contradicts {}", self.value, self.timestamp, self.earlier)
    }
}

/// Returns the items that contradict an earlier one, and reports the first contradiction of each.
///
/// Only disputed samples decide anything. They are compared item by item, in the order of the payload: the samples of a rejected item
/// settle nothing for the items after it.
pub(super) fn contradictions(table: &SampleTable<'_>, report: &mut dyn FnMut(&Contradiction<'_>)) -> HashSet<ItemId> {
    let differ = |a: &Sample, b: &Sample| !table.value(a).is_same(table.value(b));
    let same_sample = table.samples().chunk_by(Sample::is_same_sample);
    let disputed = same_sample.filter(|samples| samples[1..].iter().any(|sample| differ(sample, &samples[0])));
    let mut disputed: Vec<(usize, &Sample)> =
        disputed.enumerate().flat_map(|(id, samples)| samples.iter().map(move |sample| (id, sample))).collect();
    sort_by(&mut disputed, |(_, a), (_, b)| a.item.cmp(&b.item));
    let mut settled: HashMap<usize, &Sample> = HashMap::new();
    let mut rejected = HashSet::new();
    for item in disputed.chunk_by(|(_, a), (_, b)| a.item == b.item) {
        let contradicted = item.iter().enumerate().find_map(|(i, (id, sample))| {
            // Samples of one item are in the order of their ids, so an item contradicts itself only with neighbours.
            let own = i.checked_sub(1).map(|before| item[before]).filter(|(other, _)| other == id);
            let earlier =
                settled.get(id).copied().or(own.map(|(_, own)| own)).filter(|earlier| differ(earlier, sample))?;
            Some((sample, earlier))
        });
        match contradicted {
            Some((sample, earlier)) => {
                let (name, _) = table.series(sample.series);
                let (item, timestamp, value) = (sample.item, sample.timestamp, table.value(sample));
                report(&Contradiction { item, name, timestamp, value, earlier: table.value(earlier) });
                rejected.insert(item);
            }
            None => settled.extend(item.iter().copied()),
        }
    }
    rejected
}
