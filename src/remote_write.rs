//! The sender: requests to answers, and answers to one outcome for each item.
//!
//! [`deliver`] is the loop: it drives [`Delivery`], the bookkeeping of every sample (pure), with a [`Sender`], which has the client,
//! the retries, the deadline and the budget. [`Disposition`] is the table of HTTP statuses, [`Backoff`] the arithmetic of waiting,
//! [`error_text`] what the receiver's text says, [`bisect`] how the culprits of a refused request are found.

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
pub use sender::{OutOf, Sender, Sent};

use crate::aws::{Answer, TransportError};

/// The answer to a request, or why there is none.
pub type Answered = Result<Answer, TransportError>;
