//! Errors of the readers: why a request cannot be read.

use crate::protobuf::{self, ProtobufError};
use std::error::Error;
use std::fmt;

/// The first error of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadError {
    /// The position in the body.
    pub offset: usize,
    pub problem: ReadProblem,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReadProblem {
    Protobuf(protobuf::Problem),
    /// The text is not JSON, or not of the expected message.
    Json(String),
    /// A list of one data point, resource or scope is longer than its bound.
    TooMany {
        what: &'static str,
        most: usize,
    },
    /// The values of an attribute are nested deeper than this.
    TooDeep(usize),
}

impl From<ProtobufError> for ReadError {
    fn from(ProtobufError { offset, problem }: ProtobufError) -> Self {
        Self { offset, problem: ReadProblem::Protobuf(problem) }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.offset;
        match &self.problem {
            ReadProblem::Protobuf(problem) => ProtobufError { offset, problem: *problem }.fmt(f),
            ReadProblem::Json(sentence) => write!(f, "byte {offset}: {sentence}"),
            ReadProblem::TooMany { what, most } => {
                write!(f, "byte {offset}: at most {most} {what} are allowed in one place")
            }
            ReadProblem::TooDeep(most) => {
                write!(f, "byte {offset}: the values of an attribute are nested more than {most} deep")
            }
        }
    }
}

impl Error for ReadError {}
