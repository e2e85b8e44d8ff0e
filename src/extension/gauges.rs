//! The gauges of this environment, for `StatsD` lines that change a value by an amount: `fuel:-3|g`.
//!
//! At most [`MAX_HELD_GAUGES`] are remembered, and [`MAX_KEY_BYTES`] of their names and labels.

use crate::limits::MAX_HELD_GAUGES;
use crate::model::{LabelSet, MetricName, Value};
use std::collections::HashMap;

const MAX_KEY_BYTES: usize = 2 << 20;

#[derive(Default, Debug)]
pub(super) struct Gauges {
    values: HashMap<(MetricName<'static>, LabelSet<'static>), f64>,
    key_bytes: usize,
}

impl Gauges {
    /// Returns the value after a change; a gauge that nobody has set begins at 0. `None` if there is no room for it.
    pub(super) fn change(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>, by: f64) -> Option<f64> {
        let key = (name.clone().into_owned(), labels.clone().into_owned());
        let value = self.values.get(&key).copied().unwrap_or_default() + by;
        (value.is_finite() && self.insert(key, value)).then_some(value)
    }

    /// Remembers a value that was set, if there is room.
    pub(super) fn set(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>, value: Value) {
        let key = (name.clone().into_owned(), labels.clone().into_owned());
        self.insert(key, f64::from_bits(value.wire_bits()));
    }

    fn insert(&mut self, key: (MetricName<'static>, LabelSet<'static>), value: f64) -> bool {
        if let Some(held) = self.values.get_mut(&key) {
            *held = value;
            return true;
        }
        let labels = key.1.as_slice().iter();
        let bytes =
            key.0.as_str().len() + labels.map(|label| label.name.as_str().len() + label.value.len()).sum::<usize>();
        if self.values.len() == MAX_HELD_GAUGES || self.key_bytes + bytes > MAX_KEY_BYTES {
            return false;
        }
        self.key_bytes += bytes;
        self.values.insert(key, value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn name(text: &str) -> MetricName<'static> {
        MetricName::as_is(Cow::Owned(text.to_owned())).unwrap()
    }

    #[test]
    fn changes_what_was_set_and_else_zero() {
        let (mut gauges, labels) = (Gauges::default(), LabelSet::default());
        assert_eq!(gauges.change(&name("a"), &labels, -3.0), Some(-3.0));
        gauges.set(&name("a"), &labels, Value::Integer(10));
        assert_eq!(gauges.change(&name("a"), &labels, -3.0), Some(7.0));
        assert_eq!(gauges.change(&name("b"), &labels, 0.5), Some(0.5));
        assert_eq!(gauges.change(&name("a"), &labels, f64::MAX), Some(f64::MAX));
        assert_eq!(gauges.change(&name("a"), &labels, f64::MAX), None);
    }

    #[test]
    fn remembers_gauges_up_to_its_bounds() {
        let (mut gauges, labels) = (Gauges::default(), LabelSet::default());
        for i in 0..MAX_HELD_GAUGES {
            assert!(gauges.change(&name(&format!("g{i}")), &labels, 1.0).is_some());
        }
        assert_eq!(gauges.change(&name("one_more"), &labels, 1.0), None);
        assert_eq!(gauges.change(&name("g7"), &labels, 1.0), Some(2.0));
        let mut gauges = Gauges::default();
        let long = "x".repeat(1_000);
        let taken = (0..5_000).filter(|i| gauges.change(&name(&format!("{long}{i}")), &labels, 1.0).is_some()).count();
        assert!((2_000..2_200).contains(&taken), "{taken}");
    }
}
