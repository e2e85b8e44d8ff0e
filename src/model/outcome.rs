//! What can become of an event, and the fixed vocabulary of reasons.

use std::borrow::Cow;
use std::fmt;

/// Number of an event among all of its batch, from 0 in the order of the payload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ItemId(pub u32);

/// What became of an event. In the order of the worst: an event of several samples, and a message of several events,
/// takes the greatest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// The receiver has stored it.
    Delivered,
    /// It can never work as it is.
    Rejected(Reason),
    /// It may work later.
    Errored,
}

/// Why an event is refused: the same words in reports, dead letters, logs and own metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The message is not JSON.
    InvalidJson,
    /// JSON, but not an event.
    InvalidEvent,
    /// A metric's value is not a number.
    InvalidValue,
    /// A metric's name cannot be used, even translated.
    InvalidMetricName,
    /// A dimension's name cannot be used, even translated.
    InvalidLabelName,
    /// Two dimensions have, or come to have, one name.
    LabelCollision,
    /// Two metrics have, or come to have, one name.
    MetricCollision,
    /// More labels than AMP takes.
    TooManyLabels,
    /// A name or a value is longer than AMP takes.
    TooLarge,
    /// Older than `MAX_SAMPLE_AGE`.
    TooOld,
    /// Further ahead than `MAX_SAMPLE_LEAD`.
    InFuture,
    /// The receiver holds newer samples of the series.
    OutOfOrder,
    /// Another value for the same series and time.
    DuplicateTimestamp,
    /// The receiver refused it in other words.
    RefusedByReceiver,
}

/// A reason with the sentence that names the place, the value and what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// The sentence.
    pub detail: Cow<'static, str>,
}

// === impl Reason ===

impl Reason {
    /// Every reason, in the order of the documents.
    pub const ALL: [Self; 14] = [
        Self::InvalidJson,
        Self::InvalidEvent,
        Self::InvalidValue,
        Self::InvalidMetricName,
        Self::InvalidLabelName,
        Self::LabelCollision,
        Self::MetricCollision,
        Self::TooManyLabels,
        Self::TooLarge,
        Self::TooOld,
        Self::InFuture,
        Self::OutOfOrder,
        Self::DuplicateTimestamp,
        Self::RefusedByReceiver,
    ];

    /// The word of the vocabulary.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidEvent => "invalid_event",
            Self::InvalidValue => "invalid_value",
            Self::InvalidMetricName => "invalid_metric_name",
            Self::InvalidLabelName => "invalid_label_name",
            Self::LabelCollision => "label_collision",
            Self::MetricCollision => "metric_collision",
            Self::TooManyLabels => "too_many_labels",
            Self::TooLarge => "too_large",
            Self::TooOld => "too_old",
            Self::InFuture => "in_future",
            Self::OutOfOrder => "out_of_order",
            Self::DuplicateTimestamp => "duplicate_timestamp",
            Self::RefusedByReceiver => "refused_by_receiver",
        }
    }

    /// Whether `LATE_SAMPLES=drop` covers it.
    #[must_use]
    pub fn is_late(self) -> bool {
        matches!(self, Self::TooOld | Self::OutOfOrder)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Rejection ===

impl Rejection {
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// Puts the index of an event in front of the detail. Details about a whole event begin with an article, details about a part of it
    /// with its path: `[3]: the event is …` and `[3].metrics.ph: …`.
    #[must_use]
    pub fn at_index(self, index: usize) -> Self {
        let separator = if self.detail.starts_with("the ") { ": " } else { "." };
        Self { reason: self.reason, detail: format!("[{index}]{separator}{}", self.detail).into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_outcome_is_errored_then_rejected_then_delivered() {
        let rejected = Outcome::Rejected(Reason::InvalidValue);
        assert_eq!(Outcome::Delivered.max(rejected), rejected);
        assert_eq!(rejected.max(Outcome::Errored), Outcome::Errored);
        assert_eq!(Outcome::Errored.max(Outcome::Delivered), Outcome::Errored);
    }

    #[test]
    fn each_reason_has_a_word_of_its_own() {
        let words: std::collections::HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!(words.iter().all(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    }
}
