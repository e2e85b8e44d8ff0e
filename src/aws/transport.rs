//! The interface between requests and the network: it takes one request, and returns one answer or one error.

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use std::fmt;
use std::time::Duration;

/// Carries one request and returns its answer.
pub trait Transport: Send + Sync {
    /// Sends `request` once, follows no redirect, and gives up after `timeout`. `read_body` decides how much of the answer's
    /// body is read.
    fn send(
        &self,
        request: Request<Bytes>,
        read_body: ReadBody,
        timeout: Duration,
    ) -> impl Future<Output = Result<Answer, TransportError>> + Send;

    /// Opens a connection to the host of `url`, within `timeout`, for the requests that follow, if they are signed. It reports no
    /// error: a later request reports the same one.
    fn warm(&self, url: Uri, timeout: Duration) -> impl Future<Output = ()> + Send {
        let _nothing_to_open = (url, timeout);
        async {}
    }

    /// Reports whether requests are signed with credentials that can be reloaded.
    fn has_credentials(&self) -> bool {
        false
    }

    /// Forgets credentials, so that the next request is signed with fresh ones.
    fn forget_credentials(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The sender's policy: what is read of the body of an answer with this status.
pub type ReadBody = fn(status: u16) -> BodyPolicy;

/// The part of a body that is read. The status alone is an answer if the body is not [`Required`](Self::Required).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyPolicy {
    /// Nothing.
    Skip,
    /// The beginning, at most `max_bytes`, as far as it arrives within `patience` after the status.
    Excerpt { max_bytes: usize, patience: Duration },
    /// The first `max_bytes`, or all if there are fewer. It is an error if they do not arrive.
    Required { max_bytes: usize },
}

/// An answer of any status.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// As much of the body as the [`BodyPolicy`] let in.
    pub body: Bytes,
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

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials(cause) => write!(f, "no credentials to sign with: {cause}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Connect(cause) => write!(f, "no connection: {cause}"),
            Self::Network(cause) => write!(f, "network error: {cause}"),
        }
    }
}

impl std::error::Error for TransportError {}
