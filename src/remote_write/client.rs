//! Makes the HTTP requests of remote write 1.0 and 2.0.

use super::Answered;
use super::http_status::{body_policy, describe};
use crate::aws::{Answer, Transport, TransportError};
use crate::wire::{EMPTY_REQUEST_V2, Version};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const VERSION_1: HeaderValue = HeaderValue::from_static("0.1.0");
const VERSION_2: HeaderValue = HeaderValue::from_static("2.0.0");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const PROTOBUF_2: HeaderValue = HeaderValue::from_static("application/x-protobuf;proto=io.prometheus.write.v2.Request");
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
    version: Version,
    /// The receiver takes only 1.0, whatever `version` says.
    fell_back: AtomicBool,
}

impl<T: Transport> RemoteWriteClient<T> {
    /// `url` is used as it is.
    pub fn new(url: &url::Url, transport: T) -> Result<Self, http::uri::InvalidUri> {
        let url = url.as_str().parse()?;
        Ok(Self { url, transport, version: Version::V1, fell_back: AtomicBool::new(false) })
    }

    /// Sends requests of this version, until the receiver asks for 1.0.
    #[must_use]
    pub fn with_version(self, version: Version) -> Self {
        Self { version, ..self }
    }

    /// Returns the version that the receiver takes, as far as it is known.
    pub fn version(&self) -> Version {
        if self.fell_back.load(Ordering::Relaxed) { Version::V1 } else { self.version }
    }

    /// Sends 1.0 from now on. The first `answer` that asked for it is logged.
    pub(super) fn fall_back(&self, answer: &Answered) {
        if !self.fell_back.swap(true, Ordering::Relaxed) {
            let answer = describe(answer);
            tracing::warn!(answer, "the receiver takes no remote write 2.0; 1.0 is sent from now on");
        }
    }

    /// Sends one snappy block, once.
    pub async fn send(&self, body: Bytes, version: Version, timeout: Duration) -> Result<Answer, TransportError> {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.clone();
        let headers = request.headers_mut();
        headers.insert(CONTENT_ENCODING, SNAPPY);
        let (content_type, number) = match version {
            Version::V1 => (PROTOBUF, VERSION_1),
            Version::V2 => (PROTOBUF_2, VERSION_2),
        };
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(USER_AGENT, PRODUCT);
        headers.insert(VERSION, number);
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
        if self.version() == Version::V2 {
            let answer = self.send(Bytes::from_static(EMPTY_REQUEST_V2), Version::V2, timeout).await;
            // Nothing was to be written, so a success without counts says nothing.
            if !matches!(answer, Ok(Answer { status: 415, .. })) {
                return answer;
            }
            self.fall_back(&answer);
        }
        self.send(Bytes::from_static(EMPTY_BLOCK), Version::V1, timeout).await
    }
}
