//! Makes the HTTP requests of remote write 1.0.

use super::http_status::body_policy;
use crate::aws::{Answer, Transport, TransportError};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use std::time::Duration;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const VERSION_1: HeaderValue = HeaderValue::from_static("0.1.0");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const SNAPPY: HeaderValue = HeaderValue::from_static("snappy");
const PRODUCT: HeaderValue = HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// A snappy block of no bytes: the body of a request without series.
const EMPTY_BLOCK: &[u8] = &[0];

/// The longest wait for the answer that opens a connection.
const LONGEST_WARMING: Duration = Duration::from_secs(1);

/// Sends requests to one receiver.
#[derive(Debug)]
pub struct RemoteWriteClient<T> {
    url: Uri,
    transport: T,
}

impl<T: Transport> RemoteWriteClient<T> {
    /// `url` is used as it is.
    pub fn new(url: &url::Url, transport: T) -> Result<Self, http::uri::InvalidUri> {
        Ok(Self { url: url.as_str().parse()?, transport })
    }

    /// Sends one snappy block, once.
    pub async fn send(&self, body: Bytes, timeout: Duration) -> Result<Answer, TransportError> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_ENCODING, SNAPPY);
        headers.insert(CONTENT_TYPE, PROTOBUF);
        headers.insert(USER_AGENT, PRODUCT);
        headers.insert(VERSION, VERSION_1);
        // Boxed: the future of an HTTP request takes 10 kB, which every future that waits for it would hold.
        Box::pin(self.transport.send(request, body_policy, timeout)).await
    }

    /// Opens a connection with one unsigned GET of `/`; its answer does not matter. At start Lambda lends a whole processor; later a
    /// function of 128 MB would spend 0.7 s on the TLS handshake.
    pub async fn warm(&self) {
        let mut parts = self.url.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::from_static("/"));
        if let Ok(url) = Uri::from_parts(parts) {
            Box::pin(self.transport.warm(url, LONGEST_WARMING)).await;
        }
    }

    /// Reports whether requests are signed with credentials that can be reloaded.
    pub fn has_credentials(&self) -> bool {
        self.transport.has_credentials()
    }

    /// Forgets credentials, so that the next request is signed with fresh ones.
    pub async fn forget_credentials(&self) {
        self.transport.forget_credentials().await;
    }

    /// Sends a request without series: it tests URL, signature and permission and stores nothing.
    pub async fn ping(&self, timeout: Duration) -> Result<Answer, TransportError> {
        self.send(Bytes::from_static(EMPTY_BLOCK), timeout).await
    }
}
