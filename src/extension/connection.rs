//! One HTTP/1.1 connection to the Extensions API, which stays open between requests.
//!
//! The extension makes one request with each invocation. The HTTP client for AWS takes nine times the instructions for it, because it has
//! proxies, redirects, TLS and a pool. hyper's client alone adds 50 kB to the zip of the layer, which has a limit.

use super::http1;
use crate::aws::TransportError;
use bytes::BytesMut;
use http::{HeaderValue, Method};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head of the answer is part of it.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// The memory for an answer. An event has less than 1,000 bytes.
const KEPT_BYTES: usize = 4 << 10;

/// An answer of any status.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) identifier: Option<HeaderValue>,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Connection {
    /// `127.0.0.1:9001`
    address: String,
    /// Taken during a request, so that one that is dropped leaves no half of an answer to the next.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    stream: TcpStream,
    /// Memory for the next answer.
    received: BytesMut,
}

impl Connection {
    /// Nothing is connected yet.
    pub(super) fn new(address: String) -> Self {
        Self { address, kept: Mutex::default() }
    }

    /// Returns a request with one header of the caller's and a body of JSON.
    pub(super) fn request(
        &self,
        method: &Method,
        path: &str,
        (header, value): (&str, &HeaderValue),
        body: &str,
    ) -> Vec<u8> {
        let (host, length) = (&self.address, body.len());
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}: ").into_bytes();
        request.extend_from_slice(value.as_bytes());
        let rest = format!("\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        request.extend_from_slice(rest.as_bytes());
        request
    }

    /// Sends a request, and waits for the whole answer.
    pub(super) async fn send(&self, request: &[u8]) -> Result<Answer, TransportError> {
        let kept = self.lock().take();
        let Kept { mut stream, mut received } = match kept {
            Some(kept) => kept,
            None => self.connect().await?,
        };
        let broken = |error: std::io::Error| TransportError::Network(error.to_string());
        stream.write_all(request).await.map_err(broken)?;
        loop {
            let is_closed = stream.read_buf(&mut received).await.map_err(broken)? == 0;
            match whole(&received, is_closed)? {
                Some((answer, stays_open)) => {
                    if stays_open && !is_closed {
                        if received.capacity() > KEPT_BYTES {
                            received = BytesMut::with_capacity(KEPT_BYTES);
                        }
                        received.clear();
                        *self.lock() = Some(Kept { stream, received });
                    }
                    return Ok(answer);
                }
                None if is_closed => return Err(TransportError::Network("the connection was closed".to_owned())),
                None if received.len() < MAX_ANSWER_BYTES => {}
                None => return Err(TransportError::Network(format!("more than {MAX_ANSWER_BYTES} bytes"))),
            }
        }
    }

    async fn connect(&self) -> Result<Kept, TransportError> {
        let connected = TcpStream::connect(&self.address).await;
        let stream = connected.map_err(|error| TransportError::Connect(error.to_string()))?;
        Ok(Kept { stream, received: BytesMut::with_capacity(KEPT_BYTES) })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an answer once all of it is there, and whether the connection can be used again.
fn whole(received: &[u8], is_closed: bool) -> Result<Option<(Answer, bool)>, TransportError> {
    let head = http1::answer(received).map_err(|error| TransportError::Network(error.to_string()))?;
    let Some((status, head)) = head else { return Ok(None) };
    let body = http1::body(head.body, &received[head.bytes..], is_closed)
        .map_err(|error| TransportError::Network(error.to_string()))?;
    let identifier = head.identifier;
    Ok(body.map(|body| (Answer { status, identifier, body: body.content.into_owned() }, head.stays_open)))
}
