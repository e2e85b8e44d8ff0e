//! The sample table to requests: cut by size, protobuf, snappy block. Requests of others to series. Remote write 1.0:
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>.
//!
//! * [`Requests`]: which samples go into which request.
//! * `write_request`: samples to the bytes of a `WriteRequest`.
//! * [`metadata`]: metadata to a `WriteRequest` without samples.
//! * [`incoming`]: requests of either version to borrowed series.
//! * [`messages`]: the same messages for reading, with `prost`.
//! * [`read`]: remote read, from request to queries and from their answers to the response.

mod histogram;
pub mod incoming;
pub mod messages;
mod metadata;
pub mod read;
mod request;
mod varint;
mod write_request;

pub use metadata::{Metadata, metadata};
pub use request::{EncodedRequest, Encoder, Limits, Requests, encode, encode_selection};

#[cfg(test)]
mod tests;
