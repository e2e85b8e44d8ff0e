//! Series to requests: cut by size, protobuf, snappy block. Remote write 1.0:
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

pub mod messages;
mod request;
mod write_request;

pub use request::{EncodedRequest, Encoder, Limits, Requests, encode, encode_selection};

#[cfg(test)]
mod tests;
