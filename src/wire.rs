//! Series to requests: cut by size, protobuf, snappy block. Remote write 1.0:
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>.

pub mod proto;
mod protobuf;
mod request;

pub use request::{EncodedRequest, Encoder, Limits, Requests, encode, encode_selection};

#[cfg(test)]
mod tests;
