//! Serves the HTTP door on a local port.

use super::runner::request_id;
use super::wall_clock;
use crate::aws::Transport;
use crate::dead_letter::DeadLetterQueue;
use crate::http::{self as door, Call, Door, decode_path};
use crate::limits::MAX_UNPACKED_BYTES;
use crate::listener::{self as server, Body};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

/// One request and its answer.
#[derive(Debug)]
pub struct Served<'a> {
    pub request_id: &'a str,
    pub method: &'a str,
    /// As the client sent it, without the query.
    pub path: &'a str,
    pub body_bytes: usize,
    pub answered: &'a door::Answered,
    pub duration: Duration,
}

/// Called after each request.
pub type Observer = Arc<dyn Fn(&Served<'_>) + Send + Sync>;

/// Answers requests on `listener` until `shutdown`, then waits for the requests that have begun.
pub async fn run<T: Transport + 'static, D: DeadLetterQueue + 'static>(
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    door: Arc<Door<T, D>>,
    observer: Observer,
) {
    let answer = move |request: Request<Body>| {
        let (door, observer) = (Arc::clone(&door), Arc::clone(&observer));
        // A task of its own: a push runs to its end even if its client goes away.
        let run = tokio::spawn(async move { serve(&door, request, &observer).await });
        async move { run.await.unwrap_or_else(|_| response(door::Answered::defect().response)) }
    };
    server::serve(listener, shutdown, MAX_UNPACKED_BYTES, answer).await;
}

async fn serve<T: Transport, D: DeadLetterQueue>(
    door: &Door<T, D>,
    request: Request<Body>,
    observer: &Observer,
) -> Response<Bytes> {
    let (begun, started, request_id) = (Instant::now(), wall_clock(), request_id());
    let (parts, body) = request.into_parts();
    let (body, is_too_large) = match body {
        Body::Whole(body) => (body, false),
        Body::TooLarge => (Bytes::new(), true),
    };
    let request = door::Request {
        method: Cow::Borrowed(parts.method.as_str()),
        path: decode_path(Cow::Borrowed(parts.uri.path())),
        query: Cow::Borrowed(parts.uri.query().unwrap_or_default()),
        headers: headers(&parts.headers),
        body: Cow::Borrowed(&body),
        authorised_by_aws: false,
    };
    let call = Call { request_id: &request_id, started, deadline: begun + LONGEST };
    let answered = if is_too_large { door.too_large(&request, call).await } else { door.answer(&request, call).await };
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let (body_bytes, duration) = (body.len(), begun.elapsed());
    observer(&Served { request_id: &request_id, method, path, body_bytes, answered: &answered, duration });
    response(answered.response)
}

/// The door's own deadline is shorter.
const LONGEST: Duration = Duration::from_mins(15);

/// Bytes that are not UTF-8 become U+FFFD.
fn headers(headers: &HeaderMap) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    let text = |value: &'_ HeaderValue| -> String { String::from_utf8_lossy(value.as_bytes()).into_owned() };
    headers.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), Cow::Owned(text(value)))).collect()
}

fn response(answer: door::Response) -> Response<Bytes> {
    let mut response = Response::new(answer.body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        // The names are our own; a value with a line break would be a defect.
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    }
    response
}
