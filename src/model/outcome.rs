//! Outcomes of events, and the reasons of rejections.

use std::borrow::Cow;
use std::fmt;

/// The source of a sample. In ingest it is the index of the event among all events of the payload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ItemId(pub u32);

/// The outcome of an event, from the best to the worst. An event has the worst outcome of its samples, and a message
/// the worst of its events.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// The receiver stored it.
    Delivered,
    /// The receiver can never store it.
    Rejected(Reason),
    /// The receiver may store it later.
    Errored,
}

/// Why an event is rejected. [`Reason::as_str`] is the same in reports, dead letters, logs and metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The message is not JSON.
    InvalidJson,
    /// JSON, but not an event.
    InvalidEvent,
    /// A metric's value is not a number.
    InvalidValue,
    /// A metric's name cannot be translated.
    InvalidMetricName,
    /// A dimension's name cannot be translated.
    InvalidLabelName,
    /// Two dimensions have one name, perhaps by translation.
    LabelCollision,
    /// Two metrics have one name, perhaps by translation.
    MetricCollision,
    /// More than [`crate::limits::MAX_LABELS`].
    TooManyLabels,
    /// A name or a label's value is longer than AMP takes.
    TooLarge,
    /// Older than `MAX_SAMPLE_AGE`.
    TooOld,
    /// Further ahead than `MAX_SAMPLE_LEAD`.
    InFuture,
    /// The receiver holds newer samples of the series.
    OutOfOrder,
    /// The series has another value at this time.
    DuplicateTimestamp,
    /// The receiver refused it with an error text of no other reason.
    RefusedByReceiver,
    /// A typed metric whose series belong to a held series of another type or family.
    TypeConflict,
    /// A typed metric of a new series over `MAX_SERIES`.
    SeriesLimit,
    /// A typed metric, and no `STATE_TABLE`.
    NeedsState,
}

/// The error text for a defect of our own code: only the log has details.
pub const DEFECT: &str = "a defect of the gateway; see its log";

/// A reason, and a detail: the path in the event, the value there, and what was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    pub reason: Reason,
    pub detail: Cow<'static, str>,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 17] = [
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
        Self::TypeConflict,
        Self::SeriesLimit,
        Self::NeedsState,
    ];

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
            Self::TypeConflict => "type_conflict",
            Self::SeriesLimit => "series_limit",
            Self::NeedsState => "needs_state",
        }
    }

    /// Returns whether the event itself is wrong. Then every gateway would reject it again.
    pub fn is_of_the_event(self) -> bool {
        match self {
            Self::InvalidJson
            | Self::InvalidEvent
            | Self::InvalidValue
            | Self::InvalidMetricName
            | Self::InvalidLabelName
            | Self::LabelCollision
            | Self::MetricCollision
            | Self::TooManyLabels
            | Self::TooLarge => true,
            // The time, the receiver, the table, or another event of the payload decided.
            Self::TooOld
            | Self::InFuture
            | Self::OutOfOrder
            | Self::DuplicateTimestamp
            | Self::RefusedByReceiver
            | Self::TypeConflict
            | Self::SeriesLimit
            | Self::NeedsState => false,
        }
    }

    /// Reports whether a receiver refuses for this reason a sample that it holds, if the sample is sent again.
    pub fn is_like_stored(self) -> bool {
        matches!(self, Self::OutOfOrder | Self::TooOld | Self::DuplicateTimestamp)
    }

    /// Returns whether `LATE_SAMPLES=drop` applies.
    pub fn is_late(self) -> bool {
        matches!(self, Self::TooOld | Self::OutOfOrder)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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
    fn orders_outcomes_from_delivered_to_errored() {
        let rejected = Outcome::Rejected(Reason::InvalidValue);
        assert_eq!(Outcome::Delivered.max(rejected), rejected);
        assert_eq!(rejected.max(Outcome::Errored), Outcome::Errored);
        assert_eq!(Outcome::Errored.max(Outcome::Delivered), Outcome::Errored);
    }

    #[test]
    fn names_each_reason_differently_in_snake_case() {
        let names: std::collections::HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')));
    }
}
