//! The sender: one request to one answer, and what the answer means.
//!
//! [`RemoteWriteClient`] knows headers; whoever carries and signs the bytes is a [`Transport`]. [`Disposition`] is the table
//! of answers, [`Backoff`] the arithmetic of waiting, [`words`] what a refusal says, [`search`] who in a refused request is
//! the cause. Who was in a request, and what becomes of them, is the gateway's to know.

mod backoff;
mod client;
mod disposition;
mod http;
pub mod search;
mod transport;
pub mod words;

pub use backoff::Backoff;
pub use client::RemoteWriteClient;
pub use disposition::{Disposition, in_words, leaves_in_doubt};
pub use http::{HttpTransport, causes, http_client};
pub use transport::{Answer, MAX_WORDS_BYTES, Transport, TransportError};
