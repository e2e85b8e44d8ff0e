//! An AMP-like workspace in memory, behind HTTP at the path that AMP uses.
//!
//! In comes `POST /workspaces/<id>/api/v1/remote_write`; it is taken apart in AMP's order: path, size, signature,
//! headers, snappy block, protobuf, samples. Out goes 200, or the status and the words that AMP would use. What was
//! stored can be looked at with [`Workspace::snapshot`].

use super::http::{self as server, Body};
use super::signature::{Received, Verifier};
use super::tsdb::{Rules, StoredSeries, Tsdb, Verdict};
use super::wall_clock;
use crate::model::Timestamp;
use crate::wire::messages::WriteRequest;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use prost::Message;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;

/// Compressed bytes of a request (AMP: 1 MB).
pub const MAX_BODY_BYTES: usize = 1_000_000;
/// Decoded bytes of a request. A label or a sample takes at most 24 times its two bytes on the wire in memory.
pub const MAX_DECODED_BYTES: usize = 4 << 20;
/// Bytes of an answer: refusals name series, and labels can be long.
const MAX_ANSWER_BYTES: usize = 8 << 10;

const VERSION: &str = "x-prometheus-remote-write-version";

/// A workspace: series in memory, and who may write them.
#[derive(Debug)]
pub struct Workspace {
    id: String,
    verifier: Option<Verifier>,
    /// A plain mutex: it is never held across an await, and a request is judged in milliseconds.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tsdb: Tsdb,
    counts: Counts,
}

/// What a workspace was sent and what it did with it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Requests at its path.
    pub requests: u64,
    /// Those that were not answered 200.
    pub refused_requests: u64,
    /// Samples stored.
    pub stored: u64,
    /// Samples that were stored already.
    pub known: u64,
    /// Samples refused, one by one.
    pub refused: u64,
}

// === impl Workspace ===

impl Workspace {
    /// An empty workspace; without a `verifier` anyone may write, signed or not.
    #[must_use]
    pub fn new(id: impl Into<String>, rules: Rules, verifier: Option<Verifier>) -> Self {
        let state = State { tsdb: Tsdb::new(rules), counts: Counts::default() };
        Self { id: id.into(), verifier, state: Mutex::new(state) }
    }

    /// Where to write when it listens at `address`.
    #[must_use]
    pub fn url(&self, address: SocketAddr) -> String {
        format!("http://{address}{}", self.path())
    }

    /// All series and their samples.
    #[must_use]
    pub fn snapshot(&self) -> Vec<StoredSeries> {
        self.lock().tsdb.snapshot()
    }

    /// What it was sent.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
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

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Request<Body>, now: Timestamp) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        if parts.uri.path() != self.path() {
            let text = format!("no such path: this workspace is written to at POST {}", self.path());
            return json(StatusCode::NOT_FOUND, &text);
        }
        self.lock().counts.requests += 1;
        let answer = self.write(&parts, body, now);
        if answer.status() != StatusCode::OK {
            self.lock().counts.refused_requests += 1;
        }
        answer
    }

    fn write(&self, parts: &http::request::Parts, body: Body, now: Timestamp) -> Response<Bytes> {
        if parts.method != Method::POST {
            return json(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed here");
        }
        let Body::Whole(body) = body else {
            let text = format!("the request is larger than {MAX_BODY_BYTES} bytes");
            return json(StatusCode::PAYLOAD_TOO_LARGE, &text);
        };
        if let Some(verifier) = &self.verifier {
            let (path, query) = (parts.uri.path(), parts.uri.query());
            let received = Received { method: &parts.method, path, query, headers: &parts.headers, body: &body };
            if let Err(error) = verifier.verify(&received, now) {
                return json(StatusCode::FORBIDDEN, &error.to_string());
            }
        }
        if let Err((status, text)) = check_headers(&parts.headers) {
            return plain(status, text);
        }
        let request = match decode(&body) {
            Ok(request) => request,
            Err(text) => return plain(StatusCode::BAD_REQUEST, text),
        };
        let verdict = self.append(request, now);
        match verdict.first {
            Some(refused) => plain(StatusCode::BAD_REQUEST, refused.to_string()),
            None => plain(StatusCode::OK, String::new()),
        }
    }

    fn append(&self, request: WriteRequest, now: Timestamp) -> Verdict {
        let mut state = self.lock();
        let verdict = state.tsdb.append(request, now);
        let counts = &mut state.counts;
        for (count, samples) in [
            (&mut counts.stored, verdict.stored),
            (&mut counts.known, verdict.known),
            (&mut counts.refused, verdict.refused),
        ] {
            *count += u64::try_from(samples).unwrap_or(u64::MAX);
        }
        verdict
    }
}

/// What remote write 1.0 wants of a sender, each with the words that say what is missing.
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

/// The body of a request, taken apart. Bounded before a byte is allocated: a snappy block says its decoded length first.
///
/// # Errors
/// The words of the answer, where it is too long, no snappy block, or no write request.
pub fn decode(body: &[u8]) -> Result<WriteRequest, String> {
    let length = snap::raw::decompress_len(body).map_err(|error| format!("snappy: {error}"))?;
    if length > MAX_DECODED_BYTES {
        return Err(format!("received message larger than max ({length} vs {MAX_DECODED_BYTES})"));
    }
    let decoded = snap::raw::Decoder::new().decompress_vec(body).map_err(|error| format!("snappy: {error}"))?;
    WriteRequest::decode(decoded.as_slice()).map_err(|error| format!("protobuf: {error}"))
}

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
