//! The sender: one request to one answer, and what the answer means.
//!
//! [`RemoteWriteClient`] knows headers; whoever carries and signs the bytes is a [`Transport`](crate::aws::Transport). [`Disposition`] is the table
//! of answers, [`Backoff`] the arithmetic of waiting, [`error_text`] what a refusal says, [`bisect`] who in a refused request is
//! the cause. Who was in a request, and what becomes of them, is the gateway's to know.

mod backoff;
pub mod bisect;
mod client;
pub mod error_text;
mod http_status;

pub use backoff::Backoff;
pub use client::RemoteWriteClient;
pub use http_status::{Disposition, in_words, leaves_in_doubt};
