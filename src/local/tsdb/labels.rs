//! Checks the labels of a series in the order of Cortex' `ValidateLabels`. It is stricter: labels must be sorted, unique
//! and not empty.

use super::refusal::RefusalReason;
use super::{Labels, Rules};
use crate::model::METRIC_NAME_LABEL;

/// Returns the first thing that is wrong with `labels`.
pub(super) fn check(labels: &Labels, rules: &Rules) -> Result<(), RefusalReason> {
    if labels.is_empty() {
        return Err(RefusalReason::NoLabels);
    }
    let metric = labels.iter().find(|(name, _)| name == METRIC_NAME_LABEL).map(|(_, value)| value.as_str());
    let metric = metric.ok_or(RefusalReason::NoMetricName)?;
    if !is_classic(metric, true) {
        return Err(RefusalReason::MetricName(metric.to_owned()));
    }
    if labels.len() > rules.max_labels {
        return Err(RefusalReason::TooManyLabels { actual: labels.len(), limit: rules.max_labels });
    }
    let mut previous = "";
    for (name, value) in labels {
        check_label(name, value, rules)?;
        if name == previous {
            return Err(RefusalReason::LabelTwice(name.clone()));
        }
        if name.as_str() < previous {
            return Err(RefusalReason::LabelsNotSorted(name.clone()));
        }
        previous = name;
    }
    Ok(())
}

fn check_label(name: &str, value: &str, rules: &Rules) -> Result<(), RefusalReason> {
    let is_metric_name = name == METRIC_NAME_LABEL;
    if !is_classic(name, false) {
        return Err(RefusalReason::LabelName(name.to_owned()));
    }
    if name.len() > rules.max_name_bytes {
        let (actual, limit) = (name.len(), rules.max_name_bytes);
        return Err(RefusalReason::LabelNameTooLong { actual, limit, name: name.to_owned() });
    }
    let limit = if is_metric_name { rules.max_name_bytes } else { rules.max_value_bytes };
    if value.len() > limit {
        return Err(RefusalReason::LabelValueTooLong { actual: value.len(), limit, name: name.to_owned() });
    }
    if value.is_empty() {
        return Err(RefusalReason::EmptyValue(name.to_owned()));
    }
    Ok(())
}

/// Returns true for `[a-zA-Z_][a-zA-Z0-9_]*`; with `may_have_colons` for `[a-zA-Z_:][a-zA-Z0-9_:]*`.
fn is_classic(name: &str, may_have_colons: bool) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (may_have_colons && byte == b':');
    name.bytes().all(legal) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

pub(super) fn bytes(labels: &Labels) -> usize {
    labels.iter().map(|(name, value)| name.len() + value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = [(&'static str, &'static str)];

    fn checked(pairs: &[(&str, &str)]) -> Result<(), RefusalReason> {
        let labels = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        check(&labels, &Rules { max_labels: 3, max_name_bytes: 8, max_value_bytes: 4, ..Rules::default() })
    }

    #[test]
    fn returns_the_first_thing_that_is_wrong_with_labels() {
        let named = ("__name__", "ph");
        let table: [(&Pairs, Result<(), RefusalReason>); 14] = [
            (&[named], Ok(())),
            (&[("A", "1"), named, ("a", "é1")], Ok(())),
            (&[], Err(RefusalReason::NoLabels)),
            (&[("a", "1")], Err(RefusalReason::NoMetricName)),
            (&[("__name__", "a-b")], Err(RefusalReason::MetricName("a-b".to_owned()))),
            (&[("__name__", "")], Err(RefusalReason::MetricName(String::new()))),
            (&[named, ("a", "1"), ("b", "1"), ("c", "1")], Err(RefusalReason::TooManyLabels { actual: 4, limit: 3 })),
            (&[named, ("1a", "1")], Err(RefusalReason::LabelName("1a".to_owned()))),
            (&[named, ("a:b", "1")], Err(RefusalReason::LabelName("a:b".to_owned()))),
            (
                &[named, ("abcdefghi", "1")],
                Err(RefusalReason::LabelNameTooLong { actual: 9, limit: 8, name: "abcdefghi".to_owned() }),
            ),
            (
                &[named, ("a", "12345")],
                Err(RefusalReason::LabelValueTooLong { actual: 5, limit: 4, name: "a".to_owned() }),
            ),
            (&[named, ("a", "")], Err(RefusalReason::EmptyValue("a".to_owned()))),
            (&[named, ("a", "1"), ("a", "1")], Err(RefusalReason::LabelTwice("a".to_owned()))),
            (&[("a", "1"), named], Err(RefusalReason::LabelsNotSorted("__name__".to_owned()))),
        ];
        for (pairs, expected) in table {
            assert_eq!(checked(pairs), expected, "{pairs:?}");
        }
    }
}
