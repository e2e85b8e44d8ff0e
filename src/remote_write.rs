//! The sender: one request to one answer.
//!
//! [`RemoteWriteClient`] knows headers and statuses; whoever carries and signs the bytes is a [`Transport`]. A request
//! is [`Disposition::Written`] or it is not; who was in it, and what becomes of them, is the gateway's to know.

mod client;
mod http;
mod transport;

pub use client::{Disposition, RemoteWriteClient};
pub use http::HttpTransport;
pub use transport::{Answer, MAX_WORDS_BYTES, Transport, TransportError};
