//! The sender: sends requests, and decides one outcome for each item by the answers.
//!
//! * [`deliver`]: the loop. It asks a [`Delivery`] for the next part, and sends it with a [`Sender`].
//! * [`Delivery`]: tracks the state of every sample. Pure.
//! * [`Sender`]: the client with retries, deadline, budget and counts.
//! * [`Disposition`]: what an HTTP status means. Pure.
//! * [`error_text`]: finds the reason and the sample in a receiver's error text. Pure.
//! * [`bisect`]: finds the culprits of a refused request. Pure.
//! * [`Backoff`]: how long to wait before a retry. Pure.

mod backoff;
pub mod bisect;
mod client;
mod deliver;
mod delivery;
pub mod error_text;
mod http_status;
mod sender;

pub use backoff::Backoff;
pub use client::RemoteWriteClient;
pub use deliver::{Manner, Origin, deliver};
pub use delivery::{Counted, Delivery, ItemOutcome, Outcomes};
pub use http_status::{Disposition, asks_for_version_1, describe, may_be_stored, retry_after, written};
pub use sender::{Gate, IsOpen, OutOf, Sender, Sent};

use crate::aws::{Answer, TransportError};

/// The answer to a request, or why there is none.
pub type Answered = Result<Answer, TransportError>;
