//! The labels of a series, in the order of Cortex' `ValidateLabels`, and stricter: sorted, unique, none empty.

use super::refusal::Fault;
use super::{Labels, Rules};
use crate::model::METRIC_NAME_LABEL;

/// Names the first fault of `labels`.
pub(super) fn check(labels: &Labels, rules: &Rules) -> Result<(), Fault> {
    if labels.is_empty() {
        return Err(Fault::NoLabels);
    }
    let metric = labels.iter().find(|(name, _)| name == METRIC_NAME_LABEL).map(|(_, value)| value.as_str());
    let metric = metric.ok_or(Fault::NoMetricName)?;
    if !is_classic(metric, true) {
        return Err(Fault::MetricName(metric.to_owned()));
    }
    if labels.len() > rules.max_labels {
        return Err(Fault::TooManyLabels { actual: labels.len(), limit: rules.max_labels });
    }
    let mut previous = "";
    for (name, value) in labels {
        check_label(name, value, rules)?;
        if name == previous {
            return Err(Fault::LabelTwice(name.clone()));
        }
        if name.as_str() < previous {
            return Err(Fault::LabelsNotSorted(name.clone()));
        }
        previous = name;
    }
    Ok(())
}

fn check_label(name: &str, value: &str, rules: &Rules) -> Result<(), Fault> {
    let is_metric_name = name == METRIC_NAME_LABEL;
    if !is_classic(name, false) {
        return Err(Fault::LabelName(name.to_owned()));
    }
    if name.len() > rules.max_name_bytes {
        let (actual, limit) = (name.len(), rules.max_name_bytes);
        return Err(Fault::LabelNameTooLong { actual, limit, name: name.to_owned() });
    }
    let limit = if is_metric_name { rules.max_name_bytes } else { rules.max_value_bytes };
    if value.len() > limit {
        return Err(Fault::LabelValueTooLong { actual: value.len(), limit, name: name.to_owned() });
    }
    if value.is_empty() {
        return Err(Fault::EmptyValue(name.to_owned()));
    }
    Ok(())
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, with colons where `colon`.
fn is_classic(name: &str, colon: bool) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':');
    name.bytes().all(legal) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// The bytes of all names and values.
pub(super) fn bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = [(&'static str, &'static str)];

    fn faults(pairs: &[(&str, &str)]) -> Result<(), Fault> {
        let labels = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        check(&labels, &Rules { max_labels: 3, max_name_bytes: 8, max_value_bytes: 4, ..Rules::default() })
    }

    #[test]
    fn each_fault_of_labels_has_its_name() {
        let named = ("__name__", "ph");
        let table: [(&Pairs, Result<(), Fault>); 14] = [
            (&[named], Ok(())),
            (&[("A", "1"), named, ("a", "é1")], Ok(())),
            (&[], Err(Fault::NoLabels)),
            (&[("a", "1")], Err(Fault::NoMetricName)),
            (&[("__name__", "a-b")], Err(Fault::MetricName("a-b".to_owned()))),
            (&[("__name__", "")], Err(Fault::MetricName(String::new()))),
            (&[named, ("a", "1"), ("b", "1"), ("c", "1")], Err(Fault::TooManyLabels { actual: 4, limit: 3 })),
            (&[named, ("1a", "1")], Err(Fault::LabelName("1a".to_owned()))),
            (&[named, ("a:b", "1")], Err(Fault::LabelName("a:b".to_owned()))),
            (
                &[named, ("abcdefghi", "1")],
                Err(Fault::LabelNameTooLong { actual: 9, limit: 8, name: "abcdefghi".to_owned() }),
            ),
            (&[named, ("a", "12345")], Err(Fault::LabelValueTooLong { actual: 5, limit: 4, name: "a".to_owned() })),
            (&[named, ("a", "")], Err(Fault::EmptyValue("a".to_owned()))),
            (&[named, ("a", "1"), ("a", "1")], Err(Fault::LabelTwice("a".to_owned()))),
            (&[("a", "1"), named], Err(Fault::LabelsNotSorted("__name__".to_owned()))),
        ];
        for (pairs, expected) in table {
            assert_eq!(faults(pairs), expected, "{pairs:?}");
        }
    }
}
