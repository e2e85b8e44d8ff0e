//! The error text of a workspace that refuses a series or a sample, the same as that of AMP or Prometheus.
//!
//! Sources: Cortex' `pkg/util/validation/errors.go` and `pkg/ingester/ingester.go`
//! (`user=…: err: …. timestamp=…, series=…`), Prometheus' `storage/interface.go`.

use super::{Flavour, Labels, Rules};
use crate::model::METRIC_NAME_LABEL;
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Characters of a name that an error text quotes at most.
const QUOTED_CHARS: usize = 200;

/// Why a series or a sample is refused. The strings are names of labels or metrics.
#[derive(Clone, PartialEq, Debug)]
pub enum RefusalReason {
    NoLabels,
    NoMetricName,
    /// The name is not classic.
    MetricName(String),
    /// The name is not classic.
    LabelName(String),
    /// Remote write 1.0 forbids it.
    EmptyValue(String),
    LabelTwice(String),
    /// Remote write 1.0 forbids it; AMP would sort.
    LabelsNotSorted(String),
    TooManyLabels {
        actual: usize,
        limit: usize,
    },
    /// In bytes.
    LabelNameTooLong {
        actual: usize,
        limit: usize,
        name: String,
    },
    /// In bytes; the metric name is the value of `__name__`.
    LabelValueTooLong {
        actual: usize,
        limit: usize,
        name: String,
    },
    SeriesLimit {
        limit: usize,
    },
    /// Older than samples may be by the wall clock.
    TimestampTooOld,
    /// Further ahead than samples may be by the wall clock.
    TimestampTooNew,
    /// Not the newest of its series, and there is no window.
    OutOfOrderSample,
    /// Not the newest of its series, and behind the window.
    TooOldSample,
    /// An hour behind the newest sample of any series, and there is no window.
    OutOfBounds,
    /// Another value for the newest time of its series.
    NewValueForTimestamp {
        existing: f64,
        new: f64,
    },
}

/// The reason and the error text that the sender reads.
#[derive(Clone, PartialEq, Debug)]
pub struct Refusal {
    pub reason: RefusalReason,
    text: String,
}

impl Refusal {
    /// Refuses the series `labels`, or its sample at `timestamp`.
    pub(super) fn new(rules: &Rules, reason: RefusalReason, labels: &Labels, timestamp: Option<i64>) -> Self {
        let text = reason.text(labels, timestamp.unwrap_or_default());
        let text = match (rules.flavour, reason.is_order()) {
            (Flavour::AllOrNothing, _) => text,
            (Flavour::StoresTheValidRest, false) => format!("user={}: {text}", rules.tenant),
            (Flavour::StoresTheValidRest, true) => {
                let time = rfc3339(timestamp.unwrap_or_default());
                format!("user={}: err: {text}. timestamp={time}, series={}", rules.tenant, Braces(labels))
            }
        };
        Self { reason, text }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl RefusalReason {
    /// Returns true if the storage refuses the sample, false if an earlier check does.
    fn is_order(&self) -> bool {
        matches!(
            self,
            Self::OutOfOrderSample | Self::TooOldSample | Self::OutOfBounds | Self::NewValueForTimestamp { .. }
        )
    }

    fn text(&self, labels: &Labels, timestamp: i64) -> String {
        let metric = labels.iter().find(|(name, _)| name == METRIC_NAME_LABEL).map_or("", |(_, value)| value);
        let metric = quoted(metric);
        match self {
            Self::NoLabels => "empty labels found".to_owned(),
            Self::NoMetricName => "sample missing metric name".to_owned(),
            Self::MetricName(name) => format!("sample invalid metric name: {}", quoted(name)),
            Self::LabelName(name) => format!("sample invalid label: {} metric {metric}", quoted(name)),
            Self::EmptyValue(name) => format!("label without a value: {} metric {metric}", quoted(name)),
            Self::LabelTwice(name) => format!("duplicate label name: {} metric {metric}", quoted(name)),
            Self::LabelsNotSorted(name) => format!("labels not sorted: {} metric {metric}", quoted(name)),
            Self::TooManyLabels { actual, limit } => {
                format!("series has too many labels (actual: {actual}, limit: {limit}) metric: {metric}")
            }
            Self::LabelNameTooLong { actual, limit, name } => {
                let name = quoted(name);
                format!("label name too long (actual: {actual}, limit: {limit}) metric: {metric} label name: {name}")
            }
            Self::LabelValueTooLong { actual, limit, name } => {
                let name = quoted(name);
                format!("label value too long (actual: {actual}, limit: {limit}) metric: {metric} label name: {name}")
            }
            Self::SeriesLimit { limit } => {
                format!("per-user series limit of {limit} exceeded, please contact administrator to raise it")
            }
            Self::TimestampTooOld => format!("timestamp too old: {timestamp} metric: {metric}"),
            Self::TimestampTooNew => format!("timestamp too new: {timestamp} metric: {metric}"),
            Self::OutOfOrderSample => "out of order sample".to_owned(),
            Self::TooOldSample => "too old sample".to_owned(),
            Self::OutOfBounds => "out of bounds".to_owned(),
            Self::NewValueForTimestamp { existing, new } => format!(
                "duplicate sample for timestamp {timestamp}; overrides not allowed: existing {existing}, new value {new}"
            ),
        }
    }
}

/// Labels as Prometheus writes them: `{__name__="ph", customerId="c1"}`.
struct Braces<'a>(&'a Labels);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(QUOTED_CHARS).collect::<String>())
}

fn rfc3339(timestamp_ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(timestamp_ms) * 1_000_000).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| timestamp_ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(flavour: Flavour, reason: RefusalReason) -> String {
        let rules = Rules { flavour, tenant: "123456789012_ws-1".to_owned(), ..Rules::default() };
        let labels = vec![("__name__".to_owned(), "ph".to_owned()), ("customerId".to_owned(), "c \"1\"".to_owned())];
        Refusal::new(&rules, reason, &labels, Some(1_676_398_017_250)).to_string()
    }

    #[test]
    fn writes_the_error_text_of_amp_or_prometheus() {
        let table = [
            (
                RefusalReason::OutOfOrderSample,
                "user=123456789012_ws-1: err: out of order sample. timestamp=2023-02-14T18:06:57.25Z, \
                 series={__name__=\"ph\", customerId=\"c \\\"1\\\"\"}",
                "out of order sample",
            ),
            (
                RefusalReason::NewValueForTimestamp { existing: 1.0, new: 2.5 },
                "user=123456789012_ws-1: err: duplicate sample for timestamp 1676398017250; overrides not allowed: \
                 existing 1, new value 2.5. timestamp=2023-02-14T18:06:57.25Z, \
                 series={__name__=\"ph\", customerId=\"c \\\"1\\\"\"}",
                "duplicate sample for timestamp 1676398017250; overrides not allowed: existing 1, new value 2.5",
            ),
            (
                RefusalReason::TimestampTooOld,
                "user=123456789012_ws-1: timestamp too old: 1676398017250 metric: \"ph\"",
                "timestamp too old: 1676398017250 metric: \"ph\"",
            ),
            (
                RefusalReason::MetricName("a-b".to_owned()),
                "user=123456789012_ws-1: sample invalid metric name: \"a-b\"",
                "sample invalid metric name: \"a-b\"",
            ),
        ];
        for (reason, amp, prometheus) in table {
            assert_eq!(text(Flavour::StoresTheValidRest, reason.clone()), amp);
            assert_eq!(text(Flavour::AllOrNothing, reason), prometheus);
        }
    }

    #[test]
    fn quotes_at_most_two_hundred_characters_of_a_name() {
        let long = text(Flavour::StoresTheValidRest, RefusalReason::MetricName("é".repeat(5_000)));
        assert!(long.chars().count() < 300, "{}", long.chars().count());
    }
}
