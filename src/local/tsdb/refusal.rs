//! Why a workspace refuses a series or a sample, in the words that AMP and Prometheus use.
//!
//! The words are from Cortex' `pkg/util/validation/errors.go` and `pkg/ingester/ingester.go`
//! (`user=…: err: …. timestamp=…, series=…`) and Prometheus' `storage/interface.go`.

use super::{Flavour, Labels, Rules};
use crate::model::METRIC_NAME_LABEL;
use std::fmt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Most characters of a name that a refusal quotes.
const QUOTED_CHARS: usize = 200;

/// What is wrong with a series or a sample.
#[derive(Clone, PartialEq, Debug)]
pub enum Fault {
    /// A series without any label.
    NoLabels,
    /// A series without a metric name.
    NoMetricName,
    /// A metric name that is not classic.
    MetricName(String),
    /// A label name that is not classic.
    LabelName(String),
    /// A label without a value: remote write 1.0 forbids it.
    EmptyValue(String),
    /// A label name that stands twice.
    LabelTwice(String),
    /// A label that stands behind a greater one: remote write 1.0 forbids it, AMP would sort.
    LabelsNotSorted(String),
    /// More labels than allowed.
    TooManyLabels {
        /// How many there are.
        actual: usize,
        /// How many may be.
        limit: usize,
    },
    /// A label name that is too long.
    LabelNameTooLong {
        /// Its bytes.
        actual: usize,
        /// How many it may have.
        limit: usize,
        /// The name.
        name: String,
    },
    /// A label value that is too long, the metric's name too.
    LabelValueTooLong {
        /// Its bytes.
        actual: usize,
        /// How many it may have.
        limit: usize,
        /// The label's name.
        name: String,
    },
    /// The workspace has as many series as it may.
    SeriesLimit {
        /// How many it may have.
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
        /// What is stored.
        existing: f64,
        /// What came.
        new: f64,
    },
}

/// A refusal: the fault, and the text that the sender reads.
#[derive(Clone, PartialEq, Debug)]
pub struct Refused {
    /// What is wrong.
    pub fault: Fault,
    text: String,
}

// === impl Refused ===

impl Refused {
    /// The refusal of `labels`, or of their sample at `timestamp`.
    pub(super) fn new(rules: &Rules, fault: Fault, labels: &Labels, timestamp: Option<i64>) -> Self {
        let words = fault.words(labels, timestamp.unwrap_or_default());
        let text = match (rules.flavour, fault.is_order()) {
            (Flavour::AllOrNothing, _) => words,
            (Flavour::StoresTheValidRest, false) => format!("user={}: {words}", rules.tenant),
            (Flavour::StoresTheValidRest, true) => {
                let time = rfc3339(timestamp.unwrap_or_default());
                format!("user={}: err: {words}. timestamp={time}, series={}", rules.tenant, Braces(labels))
            }
        };
        Self { fault, text }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

// === impl Fault ===

impl Fault {
    /// Whether the storage found it, as against the checks before it.
    fn is_order(&self) -> bool {
        matches!(
            self,
            Self::OutOfOrderSample | Self::TooOldSample | Self::OutOfBounds | Self::NewValueForTimestamp { .. }
        )
    }

    fn words(&self, labels: &Labels, timestamp: i64) -> String {
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

    fn text(flavour: Flavour, fault: Fault) -> String {
        let rules = Rules { flavour, tenant: "123456789012_ws-1".to_owned(), ..Rules::default() };
        let labels = vec![("__name__".to_owned(), "ph".to_owned()), ("customerId".to_owned(), "c \"1\"".to_owned())];
        Refused::new(&rules, fault, &labels, Some(1_676_398_017_250)).to_string()
    }

    #[test]
    fn a_refusal_has_the_words_of_its_flavour() {
        let table = [
            (
                Fault::OutOfOrderSample,
                "user=123456789012_ws-1: err: out of order sample. timestamp=2023-02-14T18:06:57.25Z, \
                 series={__name__=\"ph\", customerId=\"c \\\"1\\\"\"}",
                "out of order sample",
            ),
            (
                Fault::NewValueForTimestamp { existing: 1.0, new: 2.5 },
                "user=123456789012_ws-1: err: duplicate sample for timestamp 1676398017250; overrides not allowed: \
                 existing 1, new value 2.5. timestamp=2023-02-14T18:06:57.25Z, \
                 series={__name__=\"ph\", customerId=\"c \\\"1\\\"\"}",
                "duplicate sample for timestamp 1676398017250; overrides not allowed: existing 1, new value 2.5",
            ),
            (
                Fault::TimestampTooOld,
                "user=123456789012_ws-1: timestamp too old: 1676398017250 metric: \"ph\"",
                "timestamp too old: 1676398017250 metric: \"ph\"",
            ),
            (
                Fault::MetricName("a-b".to_owned()),
                "user=123456789012_ws-1: sample invalid metric name: \"a-b\"",
                "sample invalid metric name: \"a-b\"",
            ),
        ];
        for (fault, amp, prometheus) in table {
            assert_eq!(text(Flavour::StoresTheValidRest, fault.clone()), amp);
            assert_eq!(text(Flavour::AllOrNothing, fault), prometheus);
        }
    }

    #[test]
    fn what_is_quoted_is_bounded() {
        let long = text(Flavour::StoresTheValidRest, Fault::MetricName("é".repeat(5_000)));
        assert!(long.chars().count() < 300, "{}", long.chars().count());
    }
}
