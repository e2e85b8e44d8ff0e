//! Label sets. The bytewise order of their names identifies a series, and it is the order on the wire (remote write 1.0,
//! "Labels").

use super::names::LabelName;
use std::borrow::Cow;

/// The label that carries the metric's name on the wire.
pub const METRIC_NAME_LABEL: &str = "__name__";

/// The label that carries the upper bound of a bucket.
pub const BOUND_LABEL: &str = "le";

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Label<'a> {
    pub name: LabelName<'a>,
    pub value: Cow<'a, str>,
}

impl Label<'_> {
    pub fn borrowed(&self) -> Label<'_> {
        Label { name: self.name.borrowed(), value: Cow::Borrowed(&self.value) }
    }
}

/// Labels in the bytewise order of their names: each name once, no empty value. The metric's name is not among them.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct LabelSet<'a>(Vec<Label<'a>>);

/// Two labels of one set have this name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabelSetError<'a> {
    pub name: LabelName<'a>,
}

impl<'a> LabelSet<'a> {
    /// Sorts `labels`, and leaves out those with an empty value, because Prometheus treats such a label as missing.
    /// Returns an error if two of the others have one name, even with equal values.
    pub fn new(mut labels: Vec<Label<'a>>) -> Result<Self, LabelSetError<'a>> {
        labels.retain(|label| !label.value.is_empty());
        labels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        match labels.windows(2).find(|pair| pair[0].name == pair[1].name) {
            Some(pair) => Err(LabelSetError { name: pair[0].name.clone() }),
            None => Ok(Self(labels)),
        }
    }

    /// Adds those of `defaults` whose names are not in the set.
    pub fn add_missing(&mut self, defaults: &'a LabelSet<'_>) {
        for Label { name, value } in &defaults.0 {
            if let Err(index) = self.0.binary_search_by(|own| own.name.cmp(name)) {
                self.0.insert(index, Label { name: name.borrowed(), value: Cow::Borrowed(value) });
            }
        }
    }

    /// Returns the set with those of `defaults` added whose names are not in it.
    #[must_use]
    pub fn with_missing<'s>(&'s self, defaults: &LabelSet<'s>) -> LabelSet<'s> {
        let mut labels = Vec::with_capacity(self.0.len() + defaults.0.len());
        let mut own = self.0.iter().map(Label::borrowed).peekable();
        for default in &defaults.0 {
            labels.extend(std::iter::from_fn(|| own.next_if(|label| label.name < default.name)));
            if own.peek().is_none_or(|label| label.name != default.name) {
                labels.push(default.clone());
            }
        }
        labels.extend(own);
        LabelSet(labels)
    }

    /// Removes a label, and returns it.
    pub fn remove(&mut self, name: &str) -> Option<Label<'a>> {
        let index = self.0.binary_search_by(|label| label.name.as_str().cmp(name)).ok()?;
        Some(self.0.remove(index))
    }

    /// Returns the set with `label` added, or with `label` instead of the label of the same name. The value must not be
    /// empty.
    #[must_use]
    pub fn with(&self, label: Label<'a>) -> Self {
        let mut labels = Vec::with_capacity(self.0.len() + 1);
        let (before, rest) = self.0.split_at(self.0.partition_point(|own| own.name < label.name));
        labels.extend_from_slice(before);
        let has_name = rest.first().is_some_and(|own| own.name == label.name);
        labels.push(label);
        labels.extend_from_slice(&rest[usize::from(has_name)..]);
        Self(labels)
    }

    /// Removes the labels that are in `others` with the same value.
    pub fn remove_all(&mut self, others: &[Label<'_>]) {
        self.0.retain(|own| {
            let other = others.binary_search_by(|other| other.name.as_str().cmp(own.name.as_str()));
            other.map_or(true, |index| others[index].value != own.value)
        });
    }

    pub fn as_slice(&self) -> &[Label<'a>] {
        &self.0
    }

    pub fn into_labels(self) -> impl Iterator<Item = Label<'a>> {
        self.0.into_iter()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let index = self.0.binary_search_by(|label| label.name.as_str().cmp(name)).ok()?;
        Some(&self.0[index].value)
    }

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
    fn sorts_labels_by_the_bytes_of_their_names() {
        let set = set(&[("b", "1"), ("_x", "2"), ("B", "3"), ("a", "4")]).unwrap();
        let names: Vec<_> = set.as_slice().iter().map(|label| label.name.as_str()).collect();
        assert_eq!(names, ["B", "_x", "a", "b"]);
    }

    #[test]
    fn rejects_a_name_that_is_given_twice() {
        assert_eq!(set(&[("a", "1"), ("b", "1"), ("a", "1")]).unwrap_err().name.as_str(), "a");
    }

    #[test]
    fn leaves_out_a_label_with_an_empty_value() {
        assert_eq!(set(&[("a", ""), ("a", "1")]).unwrap(), set(&[("a", "1")]).unwrap());
    }

    #[test]
    fn adds_only_the_defaults_that_are_missing() {
        let mut own = set(&[("env", "test"), ("z", "1")]).unwrap();
        let defaults = set(&[("app", "a"), ("env", "prod"), ("team", "water"), ("zz", "b")]).unwrap();
        let expected = set(&[("app", "a"), ("env", "test"), ("team", "water"), ("z", "1"), ("zz", "b")]).unwrap();
        assert_eq!(own.with_missing(&defaults), expected);
        assert_eq!(LabelSet::default().with_missing(&defaults), defaults);
        assert_eq!(defaults.with_missing(&LabelSet::default()), defaults);
        own.add_missing(&defaults);
        assert_eq!(own, expected);
    }

    #[test]
    fn puts_one_more_label_into_its_place() {
        let base = set(&[("a", "1"), ("le", "own"), ("z", "2")]).unwrap();
        assert_eq!(base.with(label("le", "5")), set(&[("a", "1"), ("le", "5"), ("z", "2")]).unwrap());
        assert_eq!(base.with(label("b", "5")), set(&[("a", "1"), ("b", "5"), ("le", "own"), ("z", "2")]).unwrap());
        assert_eq!(LabelSet::default().with(label("b", "5")), set(&[("b", "5")]).unwrap());
    }

    proptest! {
        /// Any list of labels becomes sorted, unique and non-empty, or is rejected because of a name that is in it twice.
        #[test]
        fn property_test_a_label_set_is_sorted_unique_and_non_empty(
            pairs in proptest::collection::vec(("[a-eA-E]{1,2}", "[x-z]{0,2}"), 0..8),
        ) {
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            match set(&pairs) {
                Ok(set) => {
                    prop_assert!(set.as_slice().windows(2).all(|pair| pair[0].name < pair[1].name));
                    prop_assert!(set.as_slice().iter().all(|label| !label.value.is_empty()));
                    prop_assert_eq!(set.as_slice().len(), pairs.iter().filter(|(_, value)| !value.is_empty()).count());
                }
                Err(twice) => {
                    let count = pairs.iter().filter(|(n, v)| *n == twice.name.as_str() && !v.is_empty()).count();
                    prop_assert!(count > 1);
                }
            }
        }
    }
}
