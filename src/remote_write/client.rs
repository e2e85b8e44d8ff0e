//! A request of remote write 1.0.

use super::transport::{Answer, Transport, TransportError};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use std::time::Duration;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const VERSION_1: HeaderValue = HeaderValue::from_static("0.1.0");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const SNAPPY: HeaderValue = HeaderValue::from_static("snappy");
const PRODUCT: HeaderValue = HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// A snappy block of no bytes: the body of a request without series.
const EMPTY_BLOCK: &[u8] = &[0];

/// Sends requests to one receiver.
#[derive(Debug)]
pub struct RemoteWriteClient<T> {
    url: Uri,
    transport: T,
}

/// What an answer says of the samples of its request.
///
/// | answer | disposition |
/// |---|---|
/// | 2xx | `Written`: all of them are stored (202: a replica's, left out on purpose) |
/// | any other, or none | `NotWritten`: none of them is known to be stored |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Stored.
    Written,
    /// Not known to be stored.
    NotWritten,
}

// === impl RemoteWriteClient ===

impl<T: Transport> RemoteWriteClient<T> {
    /// A client for the receiver at `url`, which is used as it is.
    ///
    /// # Errors
    /// Where `url` is not one that HTTP can ask for.
    pub fn new(url: &url::Url, transport: T) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self { url: url.as_str().parse()?, transport })
    }

    /// Sends one snappy block, once.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&self, body: Bytes, timeout: Duration) -> Result<Answer, TransportError> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_ENCODING, SNAPPY);
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.insert(USER_AGENT, PRODUCT);
        headers.insert(VERSION, VERSION_1);
        self.transport.send(request, timeout).await
    }

    /// Sends a request without series: it tests URL, signature and permission and stores nothing.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn ping(&self, timeout: Duration) -> Result<Answer, TransportError> {
        self.send(Bytes::from_static(EMPTY_BLOCK), timeout).await
    }
}

// === impl Disposition ===

impl Disposition {
    /// Of an answer, or the lack of one.
    #[must_use]
    pub fn of(answer: &Result<Answer, TransportError>) -> Self {
        match answer {
            Ok(Answer { status: 200..=299, .. }) => Self::Written,
            _ => Self::NotWritten,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_written() {
        let answer = |status| Ok(Answer { status, retry_after: None, body: String::new() });
        for status in [200, 202, 204, 299] {
            assert_eq!(Disposition::of(&answer(status)), Disposition::Written, "{status}");
        }
        for status in [100, 199, 300, 301, 400, 401, 403, 404, 409, 413, 415, 422, 429, 500, 503] {
            assert_eq!(Disposition::of(&answer(status)), Disposition::NotWritten, "{status}");
        }
        let none = [
            TransportError::Timeout,
            TransportError::Network(String::new()),
            TransportError::Credentials(String::new()),
        ];
        for error in none {
            assert_eq!(Disposition::of(&Err(error)), Disposition::NotWritten);
        }
    }
}
