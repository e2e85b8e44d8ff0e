//! An AMP-like workspace in memory, behind HTTP at the path that AMP uses.
//!
//! It checks `POST /workspaces/<id>/api/v1/remote_write` in AMP's order: path, size, signature, headers, snappy block,
//! protobuf, samples. It answers 200, or with AMP's status and error text. [`Workspace::snapshot`] returns the series.

use super::signature::Verifier;
use super::tsdb::{Rules, StoredSeries, Tsdb};
use super::wall_clock;
use crate::listener::{self as server, Body};
use crate::model::Timestamp;
use crate::protobuf::{self, ProtobufError};
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use prost::Message;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// Compressed bytes of a request (AMP: 1 MB).
pub const MAX_BODY_BYTES: usize = 1_000_000;
/// Decoded bytes of a request. A label or a sample takes at most 24 times its two bytes on the wire in memory.
pub const MAX_DECODED_BYTES: usize = 4 << 20;
/// Series, histograms and metadata of a request: each takes up to 300 bytes in memory for two on the wire.
const MAX_LARGE_MESSAGES: usize = 200_000;
/// Bytes of an answer: error texts name series, and labels can be long.
const MAX_ANSWER_BYTES: usize = 8 << 10;

const VERSION: &str = "x-prometheus-remote-write-version";

/// Series in memory, and the verifier of those who write them.
#[derive(Debug)]
pub struct Workspace {
    id: String,
    verifier: Option<Verifier>,
    /// A plain mutex: it is never held across an await, and a request takes milliseconds.
    tsdb: Mutex<Tsdb>,
}

/// Why a body is no write request. The workspace answers with this text.
#[derive(Debug)]
pub enum DecodeError {
    TooLarge(usize),
    Snappy(snap::Error),
    Protobuf(prost::DecodeError),
    Fields(ProtobufError),
    /// Series, histograms and metadata together.
    TooMany(usize),
}

impl Workspace {
    /// Without a `verifier` anyone may write, signed or not.
    pub fn new(id: impl Into<String>, rules: Rules, verifier: Option<Verifier>) -> Self {
        Self { id: id.into(), verifier, tsdb: Mutex::new(Tsdb::new(rules)) }
    }

    /// Returns the URL to write to if it listens at `address`.
    pub fn url(&self, address: SocketAddr) -> String {
        format!("http://{address}{}", self.path())
    }

    pub fn snapshot(&self) -> Vec<StoredSeries> {
        self.lock().snapshot()
    }

    /// Returns what [`Tsdb::newest`] does.
    pub fn newest(&self, series: usize, samples: usize) -> (Vec<(StoredSeries, usize)>, usize, usize) {
        self.lock().newest(series, samples)
    }

    /// Serves the workspace on `listener` until `shutdown`.
    pub async fn run(self: Arc<Self>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let answer = move |request: Request<Body>| {
            let workspace = Arc::clone(&self);
            async move { workspace.answer(request, wall_clock()) }
        };
        server::serve(listener, shutdown, MAX_BODY_BYTES, answer).await;
    }

    fn path(&self) -> String {
        format!("/workspaces/{}/api/v1/remote_write", self.id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Tsdb> {
        self.tsdb.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request<Body>, now: Timestamp) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        if parts.uri.path() != self.path() {
            let text = format!("no such path: this workspace is written to at POST {}", self.path());
            return json(StatusCode::NOT_FOUND, &text);
        }
        if parts.method != Method::POST {
            return json(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here");
        }
        let Body::Whole(body) = body else {
            let text = format!("the request is larger than {MAX_BODY_BYTES} bytes");
            return json(StatusCode::PAYLOAD_TOO_LARGE, &text);
        };
        let request = Request::from_parts(parts, body);
        if let Some(Err(error)) = self.verifier.as_ref().map(|verifier| verifier.verify(&request, now)) {
            return json(StatusCode::FORBIDDEN, &error.to_string());
        }
        if let Err((status, text)) = check_headers(request.headers()) {
            return plain(status, text);
        }
        let request = match decode(request.body()) {
            Ok(request) => request,
            Err(error) => return plain(StatusCode::BAD_REQUEST, error.to_string()),
        };
        match self.lock().append(request, now).first {
            Some(refusal) => plain(StatusCode::BAD_REQUEST, refusal.to_string()),
            None => plain(StatusCode::OK, String::new()),
        }
    }
}

/// Checks the headers that remote write 1.0 demands. The error is the answer's status and error text.
fn check_headers(headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let is = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    let expected = |name: &str, wanted: &str| {
        let got = headers.get(name).map_or("none".to_owned(), |value| format!("{value:?}"));
        format!("expected the header {name}: {wanted}, got {got}")
    };
    let media = [(CONTENT_TYPE.as_str(), "application/x-protobuf"), (CONTENT_ENCODING.as_str(), "snappy")];
    if let Some((name, wanted)) = media.into_iter().find(|(name, wanted)| !is(name, wanted)) {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, expected(name, wanted)));
    }
    if !is(VERSION, "0.1.0") {
        return Err((StatusCode::BAD_REQUEST, expected(VERSION, "0.1.0")));
    }
    if !headers.contains_key(USER_AGENT) {
        return Err((StatusCode::BAD_REQUEST, expected(USER_AGENT.as_str(), "<name>/<version>")));
    }
    Ok(())
}

/// Parses the body of a request. It checks the decoded length, with which a snappy block begins, before it allocates.
pub fn decode(body: &[u8]) -> Result<WriteRequest, DecodeError> {
    let length = snap::raw::decompress_len(body).map_err(DecodeError::Snappy)?;
    if length > MAX_DECODED_BYTES {
        return Err(DecodeError::TooLarge(length));
    }
    let decoded = snap::raw::Decoder::new().decompress_vec(body).map_err(DecodeError::Snappy)?;
    let messages = large_messages(&decoded).map_err(DecodeError::Fields)?;
    if messages > MAX_LARGE_MESSAGES {
        return Err(DecodeError::TooMany(messages));
    }
    WriteRequest::decode(decoded.as_slice()).map_err(DecodeError::Protobuf)
}

/// Returns the number of the messages that take more than [`MAX_DECODED_BYTES`] allows for: series, histograms and metadata.
fn large_messages(request: &[u8]) -> Result<usize, ProtobufError> {
    let (mut count, mut request) = (0, protobuf::Message::new(request));
    while let Some(field) = request.field()? {
        count += usize::from(matches!(field.number, 1 | 3));
        if field.number == 1 {
            let mut series = field.message()?;
            while let Some(field) = series.field()? {
                count += usize::from(field.number == 4);
            }
        }
    }
    Ok(count)
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(length) => write!(f, "received message larger than max ({length} vs {MAX_DECODED_BYTES})"),
            Self::Snappy(error) => write!(f, "snappy: {error}"),
            Self::Protobuf(error) => write!(f, "protobuf: {error}"),
            Self::Fields(error) => write!(f, "protobuf: {error}"),
            Self::TooMany(count) => {
                write!(f, "{count} series, histograms and metadata, at most {MAX_LARGE_MESSAGES} are allowed")
            }
        }
    }
}

impl std::error::Error for DecodeError {}

fn json(status: StatusCode, message: &str) -> Response<Bytes> {
    let body = serde_json::json!({ "message": message }).to_string();
    answer(status, "application/json", body)
}

fn plain(status: StatusCode, mut text: String) -> Response<Bytes> {
    text.truncate(text.floor_char_boundary(MAX_ANSWER_BYTES));
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
