//! Errors of the readers: why a request cannot be read.

use crate::limits::MAX_INCOMING_MEMORY;
use crate::protobuf::{self, ProtobufError};
use std::error::Error;
use std::fmt;

/// The first error of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadError {
    /// The position in the protobuf.
    pub offset: usize,
    pub problem: ReadProblem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadProblem {
    Protobuf(protobuf::Problem),
    /// The request would take more than [`MAX_INCOMING_MEMORY`].
    TooLarge,
    /// A histogram has counts as integers and as floats.
    MixedHistogram,
    /// The first symbol is not "".
    FirstSymbol,
    /// There is no such symbol.
    Reference {
        reference: u64,
        symbols: usize,
    },
    /// Labels have a name without a value.
    OddReferences,
    /// A request of 1.0 has the time series of 2.0. A decoder of 1.0 would find no series in it, and drop all of them.
    OfVersion2,
    /// A request of 2.0 has the time series of 1.0.
    OfVersion1,
}

impl From<ProtobufError> for ReadError {
    fn from(ProtobufError { offset, problem }: ProtobufError) -> Self {
        Self { offset, problem: ReadProblem::Protobuf(problem) }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, problem } = *self;
        if let ReadProblem::Protobuf(problem) = problem {
            return ProtobufError { offset, problem }.fmt(f);
        }
        write!(f, "byte {offset}: ")?;
        match problem {
            ReadProblem::Protobuf(_) => Ok(()),
            ReadProblem::TooLarge => {
                write!(
                    f,
                    "the request takes more than {MAX_INCOMING_MEMORY} bytes of memory; send fewer series at once"
                )
            }
            ReadProblem::MixedHistogram => {
                f.write_str("expected all counts of a histogram as integers, or all as floats")
            }
            ReadProblem::FirstSymbol => f.write_str("expected \"\" as the first symbol"),
            ReadProblem::Reference { reference, symbols } => {
                write!(f, "expected a reference to one of {symbols} symbols, found {reference}")
            }
            ReadProblem::OddReferences => f.write_str("expected an even number of references for labels"),
            ReadProblem::OfVersion2 => f.write_str(
                "found time series of remote write 2.0; send the content type \
                 application/x-protobuf;proto=io.prometheus.write.v2.Request",
            ),
            ReadProblem::OfVersion1 => f.write_str(
                "found time series of remote write 1.0; send the content type application/x-protobuf without proto",
            ),
        }
    }
}

impl Error for ReadError {}
