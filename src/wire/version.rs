//! The versions of remote write.

use super::{Exemplars, Metadata};
use std::fmt;

/// A snappy block of the smallest `Request` of 2.0: the empty symbol, and no series.
pub const EMPTY_REQUEST_V2: &[u8] = &[2, 1 << 2, 0x22, 0];

/// The headers of 2.0 that count what a receiver has written: samples, native histograms and exemplars.
pub const WRITTEN: [&str; 3] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-exemplars-written",
];

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Version {
    /// `prometheus.WriteRequest`, which every receiver takes.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

/// How samples are written. Only 2.0 has the metadata of a series beside its samples.
#[derive(Clone, Copy, Debug)]
pub enum Form<'f> {
    V1,
    V2 {
        families: &'f dyn Families,
        /// The exemplars of a sender's request. Then each sample has a message of its own.
        relayed: Option<&'f Exemplars<'f>>,
    },
}

/// Knows the metadata of metric families.
pub trait Families: Sync + fmt::Debug {
    /// Calls `take` with the metadata of the family that the metric `name` is of, if it is known.
    fn find(&self, name: &str, take: &mut dyn FnMut(Metadata<'_>));
}

impl Form<'_> {
    pub fn version(self) -> Version {
        match self {
            Self::V1 => Version::V1,
            Self::V2 { .. } => Version::V2,
        }
    }
}
