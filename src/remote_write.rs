//! The sender: requests to answers, and answers to one outcome for each item.
//!
//! * [`deliver`]: the loop. It drives a [`Delivery`] with a [`Sender`].
//! * [`Delivery`]: the bookkeeping of every sample. Pure.
//! * [`Sender`]: the client with retries, deadline, budget and counts.
//! * [`Disposition`]: the table of HTTP statuses. Pure.
//! * [`error_text`]: the reason and the sample that a receiver's text names. Pure.
//! * [`bisect`]: how the culprits of a refused request are found. Pure.
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
pub use deliver::deliver;
pub use delivery::{Delivery, ItemOutcome, Outcomes};
pub use http_status::{Disposition, describe, may_be_stored, retry_after};
pub use sender::{Gate, IsOpen, OutOf, Sender, Sent};

use crate::aws::{Answer, TransportError};

/// The answer to a request, or why there is none.
pub type Answered = Result<Answer, TransportError>;
