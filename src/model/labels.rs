//! Label sets: sorted bytewise by name, unique, without empty values. The order is the identity of a series and its
//! order on the wire alike (remote write 1.0, "Labels").

use super::names::LabelName;
use std::borrow::Cow;

/// The label that holds the metric's name on the wire.
pub const METRIC_NAME_LABEL: &str = "__name__";

/// One label; its value is not empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Label<'a> {
    /// Its name.
    pub name: LabelName<'a>,
    /// Its value, any UTF-8.
    pub value: Cow<'a, str>,
}

/// Labels in the bytewise order of their names, each name once, no empty value. The metric's name is not among them.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct LabelSet<'a>(Vec<Label<'a>>);

/// Two labels of one set have the same name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelSetError<'a> {
    /// The name that stands twice.
    pub name: LabelName<'a>,
}

// === impl LabelSet ===

impl<'a> LabelSet<'a> {
    /// Sorts `labels` and leaves out those with an empty value (the same as no label in Prometheus).
    ///
    /// # Errors
    /// Where two of the remaining labels share a name, equal values or not.
    pub fn new(mut labels: Vec<Label<'a>>) -> Result<Self, LabelSetError<'a>> {
        labels.retain(|label| !label.value.is_empty());
        labels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        match labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(LabelSetError { name: pair[0].name.clone() }),
            None => Ok(Self(labels)),
        }
    }

    /// Adds the labels of `defaults` whose names are not taken, borrowed.
    pub fn add_missing(&mut self, defaults: &'a LabelSet<'_>) {
        for Label { name, value } in &defaults.0 {
            if let Err(place) = self.0.binary_search_by(|own| own.name.cmp(name)) {
                self.0.insert(place, Label { name: name.borrowed(), value: Cow::Borrowed(value) });
            }
        }
    }

    /// The labels in their order.
    #[must_use]
    pub fn as_slice(&self) -> &[Label<'a>] {
        &self.0
    }

    /// The labels in their order.
    pub fn into_labels(self) -> impl Iterator<Item = Label<'a>> {
        self.0.into_iter()
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the label `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let place = self.0.binary_search_by(|label| label.name.as_str().cmp(name)).ok()?;
        Some(&self.0[place].value)
    }

    /// The same labels, free of what they were borrowed from.
    #[must_use]
    pub fn into_owned(self) -> LabelSet<'static> {
        let owned =
            |label: Label<'a>| Label { name: label.name.into_owned(), value: Cow::Owned(label.value.into_owned()) };
        LabelSet(self.0.into_iter().map(owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(pairs: &[(&str, &str)]) -> Result<LabelSet<'static>, LabelSetError<'static>> {
        LabelSet::new(pairs.iter().map(|(name, value)| label(name, value)).collect())
    }

    fn label(name: &str, value: &str) -> Label<'static> {
        Label { name: LabelName::translate(Cow::Owned(name.to_owned())).unwrap(), value: Cow::Owned(value.to_owned()) }
    }

    #[test]
    fn labels_stand_in_bytewise_order() {
        let set = set(&[("b", "1"), ("_x", "2"), ("B", "3"), ("a", "4")]).unwrap();
        let names: Vec<_> = set.as_slice().iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names, ["B", "_x", "a", "b"]);
    }

    #[test]
    fn a_name_given_twice_is_named() {
        assert_eq!(set(&[("a", "1"), ("b", "1"), ("a", "1")]).unwrap_err().name.as_str(), "a");
    }

    #[test]
    fn an_empty_value_is_no_label_and_collides_with_nothing() {
        assert_eq!(set(&[("a", ""), ("a", "1")]).unwrap(), set(&[("a", "1")]).unwrap());
    }

    #[test]
    fn defaults_fill_only_what_is_missing() {
        let mut own = set(&[("env", "test"), ("z", "1")]).unwrap();
        let defaults = set(&[("env", "prod"), ("team", "water")]).unwrap();
        own.add_missing(&defaults);
        assert_eq!(own, set(&[("env", "test"), ("team", "water"), ("z", "1")]).unwrap());
    }

    proptest! {
        /// Any list of labels becomes sorted, unique and non-empty, or is refused for a name that stands twice.
        #[test]
        fn property_test_a_label_set_is_sorted_unique_and_non_empty(
            pairs in proptest::collection::vec(("[a-eA-E]{1,2}", "[x-z]{0,2}"), 0..8),
        ) {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            match set(&pairs) {
                Ok(set) => {
                    prop_assert!(set.as_slice().windows(2).all(|pair| pair[0].name < pair[1].name));
                    prop_assert!(set.as_slice().iter().all(|label| !label.value.is_empty()));
                    prop_assert_eq!(set.len(), pairs.iter().filter(|(_, value)| !value.is_empty()).count());
                }
                Err(twice) => {
                    let count = pairs.iter().filter(|(n, v)| *n == twice.name.as_str() && !v.is_empty()).count();
                    prop_assert!(count > 1);
                }
            }
        }
    }
}
