//! Remote read: makes queries of the request of a client, and the response of the receiver's answers.
//!
//! * [`ReadRequest`]: decodes a snappy block into queries. Hints and accepted types are ignored, because every client takes
//!   samples.
//! * [`selector`], [`TimeRange::selects`]: write matchers and the range as `PromQL`.
//! * [`ReadResponse`]: decodes the receiver's JSON into series, within a bound, and encodes them as a snappy block.
//! * `Selection` (feature `cli`): parses the selector of a user into matchers, and finds label sets that match.

mod matrix;
mod response;
#[cfg(feature = "cli")]
mod selection;
mod selector;

use crate::limits::{MAX_EXCERPT_CHARS, MAX_READ_MATCHERS, MAX_READ_QUERIES, MAX_READ_REQUEST_BYTES};
use crate::model::Timestamp;
use crate::protobuf::{Message, ProtobufError};
use std::fmt;

pub use matrix::MatrixError;
pub use response::{ReadResponse, ResponseTooLarge};
#[cfg(feature = "cli")]
pub use selection::{Selection, SelectorError, SelectorProblem};
pub use selector::{LabelNameEmpty, selector};

/// The queries of a client, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadRequest {
    pub queries: Vec<Query>,
}

/// A query for the raw samples of some series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    pub range: TimeRange,
    pub matchers: Vec<Matcher>,
}

/// Both ends are included. It is empty if the end is before the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeRange {
    pub start: Timestamp,
    pub end: Timestamp,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matcher {
    pub operator: Operator,
    /// The name of the label.
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operator {
    Equal,
    NotEqual,
    /// The regular expression matches the whole value.
    Matches,
    NotMatches,
}

/// Why the body of a read request cannot be decoded.
#[derive(Clone, PartialEq, Debug)]
pub enum ReadRequestError {
    /// The body is not a snappy block.
    Snappy(snap::Error),
    /// The message has this many bytes.
    TooLong { bytes: usize },
    /// The block is no `prometheus.ReadRequest`.
    Protobuf(ProtobufError),
    /// It has more queries or matchers than the gateway takes.
    TooMany,
    /// The matcher of this label has an unknown type.
    UnknownOperator { label: String, number: u64 },
}

impl ReadRequest {
    /// Decodes a snappy block of a `prometheus.ReadRequest`.
    pub fn decode(block: &[u8]) -> Result<Self, ReadRequestError> {
        let bytes = snap::raw::decompress_len(block).map_err(ReadRequestError::Snappy)?;
        if bytes > MAX_READ_REQUEST_BYTES {
            return Err(ReadRequestError::TooLong { bytes });
        }
        let bytes = snap::raw::Decoder::new().decompress_vec(block).map_err(ReadRequestError::Snappy)?;
        let mut message = Message::new(&bytes);
        let mut request = Self { queries: Vec::new() };
        let mut matchers = 0;
        while let Some(field) = message.field()? {
            if field.number == 1 {
                let query = query(field.message()?)?;
                matchers += query.matchers.len();
                request.queries.push(query);
            }
            if request.queries.len() > MAX_READ_QUERIES || matchers > MAX_READ_MATCHERS {
                return Err(ReadRequestError::TooMany);
            }
        }
        Ok(request)
    }
}

fn query(mut message: Message<'_>) -> Result<Query, ReadRequestError> {
    let zero = Timestamp(0);
    let mut query = Query { range: TimeRange { start: zero, end: zero }, matchers: Vec::new() };
    while let Some(field) = message.field()? {
        match field.number {
            1 => query.range.start = Timestamp(field.int64()?),
            2 => query.range.end = Timestamp(field.int64()?),
            3 => query.matchers.push(matcher(field.message()?)?),
            _ => {}
        }
        if query.matchers.len() > MAX_READ_MATCHERS {
            return Err(ReadRequestError::TooMany);
        }
    }
    Ok(query)
}

fn matcher(mut message: Message<'_>) -> Result<Matcher, ReadRequestError> {
    let (mut number, mut name, mut value) = (0, "", "");
    while let Some(field) = message.field()? {
        match field.number {
            1 => number = field.varint()?,
            2 => name = field.text()?,
            3 => value = field.text()?,
            _ => {}
        }
    }
    let operator = match number {
        0 => Operator::Equal,
        1 => Operator::NotEqual,
        2 => Operator::Matches,
        3 => Operator::NotMatches,
        _ => {
            let label = name.chars().take(MAX_EXCERPT_CHARS).collect();
            return Err(ReadRequestError::UnknownOperator { label, number });
        }
    };
    Ok(Matcher { operator, name: name.to_owned(), value: value.to_owned() })
}

impl TimeRange {
    /// Returns how many milliseconds are in the range.
    pub fn milliseconds(self) -> u64 {
        if self.end < self.start { 0 } else { self.end.0.abs_diff(self.start.0).saturating_add(1) }
    }

    /// Returns what is in both ranges.
    #[must_use]
    pub fn within(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// Returns this range in parts of at most `longest` milliseconds, which follow each other.
    pub fn parts(self, longest: u32) -> impl Iterator<Item = Self> {
        let step = longest.max(1);
        let mut next = Some(self.start).filter(|start| *start <= self.end);
        std::iter::from_fn(move || {
            let start = next?;
            let end = Timestamp(start.0.saturating_add(i64::from(step - 1))).min(self.end);
            next = (end < self.end).then(|| Timestamp(end.0 + 1));
            Some(Self { start, end })
        })
    }

    /// Returns the range selector of this range, and the time at which it is evaluated, as the query API takes them. Prometheus 3
    /// leaves out the sample at the beginning of the window, others include it: the window begins a millisecond early.
    pub fn selects(self, selector: &str) -> (String, String) {
        let Timestamp(end) = self.end;
        let sign = if end < 0 { "-" } else { "" };
        let (seconds, milliseconds) = (end.unsigned_abs() / 1_000, end.unsigned_abs() % 1_000);
        (format!("{selector}[{}ms]", self.milliseconds()), format!("{sign}{seconds}.{milliseconds:03}"))
    }

    pub fn contains(self, time: Timestamp) -> bool {
        self.start <= time && time <= self.end
    }
}

impl From<ProtobufError> for ReadRequestError {
    fn from(error: ProtobufError) -> Self {
        Self::Protobuf(error)
    }
}

impl fmt::Display for ReadRequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snappy(error) => write!(f, "the body is not a snappy block: {error}"),
            Self::TooLong { bytes } => {
                write!(f, "the read request has {bytes} bytes; expected at most {MAX_READ_REQUEST_BYTES}")
            }
            Self::Protobuf(error) => write!(f, "the body is not a prometheus.ReadRequest: {error}"),
            Self::TooMany => {
                write!(
                    f,
                    "expected at most {MAX_READ_QUERIES} queries with {MAX_READ_MATCHERS} matchers in a read request"
                )
            }
            Self::UnknownOperator { label, number } => {
                write!(f, "the matcher of {label:?} has the type {number}; expected 0 to 3")
            }
        }
    }
}

impl std::error::Error for ReadRequestError {}

#[cfg(test)]
mod tests;
