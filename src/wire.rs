//! Encodes the sample table into requests of limited size: protobuf, snappy block. Decodes the requests of others. Remote
//! write [1.0](https://prometheus.io/docs/specs/prw/remote_write_spec/) and
//! [2.0](https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/).
//!
//! * [`Requests`]: decides which samples go into which request.
//! * `write_request`: encodes samples as a `WriteRequest` of 1.0.
//! * `request_v2`: encodes samples as a `Request` of 2.0, with the metadata of their families ([`Families`]).
//! * [`metadata`]: encodes metadata as a `WriteRequest` without samples.
//! * [`incoming`]: decodes requests of both versions into borrowed series.
//! * [`messages`]: the same messages as types of `prost`, for reading.
//! * [`read`]: remote read: decodes the request, makes queries, and encodes the response.

mod exemplar;
mod histogram;
pub mod incoming;
pub mod messages;
mod metadata;
pub mod read;
mod request;
mod request_v2;
mod varint;
mod version;
mod write_request;

pub use exemplar::{Exemplar, Exemplars};
pub use metadata::{Metadata, metadata};
pub use request::{EncodedRequest, Encoder, Limits, Requests, encode, encode_selection};
pub use version::{EMPTY_REQUEST_V2, Families, Form, Version, WRITTEN};

#[cfg(test)]
mod tests;
