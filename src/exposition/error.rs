//! Errors of the parsers: why a body is not an exposition.

use super::Labels;
use crate::limits::{
    MAX_DOOR_PROTOBUF_BYTES, MAX_EXCERPT_CHARS, MAX_LABELS, MAX_PUSHED_HISTOGRAM_BYTES, MAX_PUSHED_NAMES,
    MAX_PUSHED_SERIES, MAX_UNPACKED_BYTES,
};
use crate::model::{MetricType, Timestamp};
use crate::protobuf::ProtobufError;
use std::error::Error;
use std::fmt;

/// The first error of a body. It is one sentence for the sender.
#[derive(Clone, PartialEq, Debug)]
pub struct ParseError {
    pub place: Place,
    /// The series with its labels, or the family, as far as it is known.
    pub series: Option<Excerpt>,
    pub problem: Problem,
}

/// A position in the body, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Line(u32),
    /// A message of protobuf.
    Family(u32),
}

#[derive(Clone, PartialEq, Debug)]
pub enum Problem {
    /// The body is larger than [`MAX_UNPACKED_BYTES`].
    BodyTooLarge {
        bytes: usize,
    },
    /// The body has more than [`MAX_PUSHED_SERIES`] series.
    TooManySeries,
    /// The body has more than [`MAX_PUSHED_NAMES`] names of series or of families.
    TooManyNames,
    /// The series has more than [`MAX_LABELS`] labels.
    TooManyLabels,
    NotUtf8,
    /// The format does not allow this text here.
    Unexpected {
        expected: &'static str,
        found: Excerpt,
    },
    /// The value is not a number, or no double holds it.
    InvalidValue {
        found: Excerpt,
    },
    InvalidTimestamp {
        found: Excerpt,
    },
    UnknownType {
        found: Excerpt,
    },
    /// The family has two types.
    TypeConflict {
        first: MetricType,
        second: MetricType,
    },
    UnitNotSuffix {
        unit: Excerpt,
    },
    NoName,
    TwoNames {
        second: Excerpt,
    },
    DuplicateLabel {
        name: Excerpt,
    },
    /// The series has another value at the same time.
    SeriesTwice {
        first: Place,
        timestamp: Option<Timestamp>,
    },
    /// The series is a bucket, and its label `le` is missing or is not a number.
    InvalidBound {
        found: Option<Excerpt>,
    },
    /// The native histograms take more than [`MAX_PUSHED_HISTOGRAM_BYTES`].
    TooManyBuckets,
    /// The series and labels take more than [`MAX_DOOR_PROTOBUF_BYTES`] when they are sent.
    TooMuchToSend,
    /// The spans of a native histogram have another number of buckets than the histogram.
    SpansMismatch {
        of_spans: u64,
        buckets: usize,
    },
    Protobuf(ProtobufError),
    /// OpenMetrics ends with `# EOF`.
    NoEof,
    DataAfterEof,
}

/// The beginning of a text of the sender, with control characters escaped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt(Box<str>);

impl ParseError {
    /// Reports whether the body is too large, and not wrong.
    pub fn is_size(&self) -> bool {
        matches!(
            self.problem,
            Problem::BodyTooLarge { .. }
                | Problem::TooManySeries
                | Problem::TooManyNames
                | Problem::TooManyBuckets
                | Problem::TooMuchToSend
        )
    }
}

impl Error for ParseError {}

impl From<ProtobufError> for Problem {
    fn from(error: ProtobufError) -> Self {
        Self::Protobuf(error)
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Problem::BodyTooLarge { .. } = self.problem {
            return self.problem.fmt(f);
        }
        write!(f, "{}: ", self.place)?;
        match &self.series {
            Some(series) => write!(f, "{series}: {}", self.problem),
            None => self.problem.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Family(number) => write!(f, "family {number}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLarge { bytes } => {
                write!(f, "the body has {bytes} bytes unpacked, at most {MAX_UNPACKED_BYTES} are taken")
            }
            Self::TooManyNames => write!(f, "the body has more than {MAX_PUSHED_NAMES} names of metrics"),
            Self::TooManySeries => write!(f, "the body has more than {MAX_PUSHED_SERIES} series"),
            Self::TooManyLabels => write!(f, "the series has more than {MAX_LABELS} labels"),
            Self::NotUtf8 => f.write_str("the line is not UTF-8"),
            Self::Unexpected { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::InvalidValue { found } => write!(f, "expected a number that a double holds, found {found}"),
            Self::InvalidTimestamp { found } => write!(f, "expected a timestamp, found {found}"),
            Self::UnknownType { found } => write!(f, "expected a type such as counter, found {found}"),
            Self::TypeConflict { first, second } => write!(f, "the type is {second}, but it was {first} before"),
            Self::UnitNotSuffix { unit } => write!(f, "the name does not end with an underscore and the unit {unit}"),
            Self::NoName => f.write_str("the series has no name"),
            Self::TwoNames { second } => write!(f, "the series has a second name, {second}"),
            Self::DuplicateLabel { name } => write!(f, "the label {name} occurs twice"),
            Self::SeriesTwice { first, timestamp: None } => write!(f, "the series has another value on {first}"),
            Self::SeriesTwice { first, timestamp: Some(timestamp) } => {
                write!(f, "the series has another value on {first} for the same time, {timestamp}")
            }
            Self::InvalidBound { found: None } => f.write_str("a bucket has no label le"),
            Self::InvalidBound { found: Some(found) } => {
                write!(f, "expected a number in the label le of a bucket, found {found}")
            }
            Self::TooManyBuckets => {
                write!(
                    f,
                    "the native histograms of the body take more than {MAX_PUSHED_HISTOGRAM_BYTES} bytes of memory"
                )
            }
            Self::TooMuchToSend => write!(
                f,
                "the series take more than {MAX_DOOR_PROTOBUF_BYTES} bytes when they are sent: push fewer series at once"
            ),
            Self::SpansMismatch { of_spans, buckets } => {
                write!(f, "the spans of a native histogram have {of_spans} buckets, and there are {buckets} counts")
            }
            Self::Protobuf(error) => error.fmt(f),
            Self::NoEof => f.write_str("expected # EOF at the end, as OpenMetrics demands"),
            Self::DataAfterEof => f.write_str("expected nothing after # EOF"),
        }
    }
}

impl Excerpt {
    pub(super) fn new(text: &str) -> Self {
        let mut chars = text.chars();
        let mut shown = String::new();
        for c in chars.by_ref().take(MAX_EXCERPT_CHARS) {
            if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
        }
        if chars.next().is_some() {
            shown.push('…');
        }
        Self(shown.into())
    }

    /// Returns the beginning of `name{label="value"}`.
    pub(super) fn series(name: &str, labels: Labels<'_>) -> Self {
        let mut shown = name.to_owned();
        for (i, (label, value)) in labels.enumerate().take(MAX_EXCERPT_CHARS) {
            shown.extend([if i == 0 { "{" } else { "," }, label, "=\"", value, "\""]);
            if shown.len() > 4 * MAX_EXCERPT_CHARS {
                return Self::new(&shown);
            }
        }
        Self::new(&if shown.len() > name.len() { shown + "}" } else { shown })
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "nothing" } else { &self.0 })
    }
}
