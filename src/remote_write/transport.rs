//! The seam between what is sent and how it travels.

use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// Bytes of an error answer's body that are read; Prometheus' own client reads as many.
pub const MAX_WORDS_BYTES: usize = 1_024;

/// Carries one request and brings its answer back.
pub trait Transport: Send + Sync {
    /// Sends `request` once, follows no redirect, and gives up after `timeout`.
    fn send(
        &self,
        request: ::http::Request<Bytes>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Answer, TransportError>> + Send;

    /// Opens a connection to the host of `url`, within `timeout`, for the requests that follow. What keeps it from that is
    /// theirs to tell.
    fn warm(&self, url: ::http::Uri, timeout: Duration) -> impl Future<Output = ()> + Send {
        let _nothing_to_open = (url, timeout);
        async {}
    }

    /// Forgets credentials, so that the next request is signed with fresh ones.
    fn forget_credentials(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What the receiver answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After` as it came.
    pub retry_after: Option<String>,
    /// The beginning of the body, at most [`MAX_WORDS_BYTES`].
    pub body: String,
}

/// Why there is no answer. Each may work later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportError {
    /// No credentials to sign with.
    Credentials(String),
    /// No answer in time.
    Timeout,
    /// No connection: nothing was sent.
    Connect(String),
    /// The connection broke, or what came back was not HTTP.
    Network(String),
}

// === impl TransportError ===

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(cause) => write!(f, "no credentials to sign with: {cause}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Connect(cause) => write!(f, "no connection: {cause}"),
            Self::Network(cause) => write!(f, "network fault: {cause}"),
        }
    }
}

impl std::error::Error for TransportError {}
