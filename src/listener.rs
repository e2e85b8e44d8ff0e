//! An HTTP/1.1 server. It limits bodies and connections, and finishes requests before it stops.
//!
//! A client may keep a connection open without a request for any time. If all places are taken, the listener closes the connection
//! that is idle for the longest time.
//!
//! On a loopback address it answers programs of this machine, and no web page. A browser sends the request of any page to
//! any port. So it answers 403 to an `Origin` other than its own, to other sites, and to the name of another host (DNS
//! rebinding). On any other address it also answers web pages.

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use places::{Place, Places};
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use watched::Watched;

mod lengths;
mod own_answer;
mod places;
mod watched;

const MAX_CONNECTIONS: usize = 128;
/// For the body of a request. `watched` has the limits for its head, and for the answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The server reads this much of a body that is too large, so that the sender reads the answer.
const MAX_DRAINED_BYTES: usize = 64 << 20;
/// Requests may take this long to end when the listener stops.
const GRACE: Duration = Duration::from_secs(5);

/// The headers of an answer that the server gives itself.
const PLAIN_HEADERS: [(HeaderName, &str); 3] =
    [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];

#[derive(Debug)]
pub enum Body {
    Whole(Bytes),
    TooLarge,
}

/// Answers requests with `answer` until `shutdown`, then waits for the requests that have begun. Bodies of more than
/// `max_body_bytes` arrive as [`Body::TooLarge`].
pub async fn serve<A, F>(listener: TcpListener, shutdown: impl Future<Output = ()>, max_body_bytes: usize, answer: A)
where
    A: Fn(Request<Body>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send,
{
    let is_loopback = listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let (stop, stopped) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut places = Places::default();
    let mut shutdown = pin!(shutdown);
    // A new connection that waits for a place.
    let mut next: Option<TcpStream> = None;
    loop {
        let has_place = places.taken() < MAX_CONNECTIONS;
        if has_place && let Some(stream) = next.take() {
            let (place, answer, stopped) = (places.place(), answer.clone(), stopped.clone());
            let taken = Arc::clone(&place);
            let served = async move { connection(stream, stopped, &taken, is_loopback, max_body_bytes, answer).await };
            places.take(connections.spawn(served).id(), place);
            continue;
        }
        if next.is_some() {
            places.close_one();
        }
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next_with_id() => places.free(id_of(&ended)),
            () = places.answered(), if next.is_some() => {}
            accepted = accept(&listener), if next.is_none() => next = accepted,
        }
    }
    drop(stop);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    // Dropping the set ends the other connections.
    let _all_ended_in_time = tokio::time::timeout(GRACE, all_ended).await.is_ok();
}

fn id_of(ended: &Result<(Id, ()), JoinError>) -> Id {
    match ended {
        Ok((id, ())) => *id,
        Err(error) => error.id(),
    }
}

async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            // Most likely there are no file descriptors: do not spin.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn connection<A, F>(
    stream: TcpStream,
    mut stopped: watch::Receiver<()>,
    place: &Place,
    is_loopback: bool,
    max_body_bytes: usize,
    answer: A,
) where
    A: Fn(Request<Body>) -> F,
    F: Future<Output = Response<Bytes>>,
{
    // Answers are small, and a client waits for each.
    let _is_set = stream.set_nodelay(true).is_ok();
    let answer = &answer;
    let service = service_fn(move |request| async move {
        let answered = respond(request, place, is_loopback, max_body_bytes, answer).await;
        place.count_answer();
        Ok::<_, Infallible>(answered)
    });
    let stream = Watched::new(stream, Arc::clone(&place.lengths));
    let mut connection =
        pin!(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        () = async { tokio::select! { _ = stopped.changed() => {}, () = place.wanted() => {} } } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Returns the answer to one request.
async fn respond<A, F>(
    request: Request<Incoming>,
    place: &Place,
    is_loopback: bool,
    max_body_bytes: usize,
    answer: &A,
) -> Response<Full<Bytes>>
where
    A: Fn(Request<Body>) -> F,
    F: Future<Output = Response<Bytes>>,
{
    if watched::lock(&place.lengths).are_both_in(place.answers()) {
        return last(400, "expected Content-Length or Transfer-Encoding, found both (RFC 9112, section 6.3)");
    }
    let (parts, body) = request.into_parts();
    if !is_only_chunked(&parts.headers) {
        return last(501, "the transfer coding is not supported; expected chunked (RFC 9112, section 6.1)");
    }
    if !has_one_host(parts.version, &parts.headers) {
        return plain(400, "expected the header Host once (RFC 9112, section 3.2)");
    }
    if is_loopback && let Some(refusal) = of_a_web_page(&parts.headers) {
        return plain(403, refusal);
    }
    match tokio::time::timeout(BODY_TIMEOUT, read(body, max_body_bytes)).await {
        Ok(Some(body)) => answer(Request::from_parts(parts, body)).await.map(Full::new),
        Ok(None) => plain(400, "the body breaks off, or its chunks are damaged (RFC 9112, section 7.1)"),
        Err(_) => plain(408, "the body did not arrive whole within 30 seconds"),
    }
}

/// Reports whether nobody else has to decode the body, such as of `gzip, chunked`.
fn is_only_chunked(headers: &HeaderMap) -> bool {
    headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

/// HTTP/1.0 knows no `Host`.
fn has_one_host(version: Version, headers: &HeaderMap) -> bool {
    match headers.get_all(HOST).iter().count() {
        0 => version < Version::HTTP_11,
        hosts => hosts == 1,
    }
}

/// Returns why a request may be of a web page.
fn of_a_web_page(headers: &HeaderMap) -> Option<&'static str> {
    let is_own = |origin: &HeaderValue| {
        let own = headers.get(HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
        own.is_some_and(|own| own.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    };
    if headers.get_all(ORIGIN).iter().any(|origin| !is_own(origin)) {
        return Some("requests of web pages (with the header Origin) are not answered on a loopback address");
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| !matches!(site, b"none" | b"same-origin")) {
        return Some("requests from other sites (Sec-Fetch-Site) are not answered on a loopback address");
    }
    let host = headers.get(HOST)?.to_str().unwrap_or("");
    (!is_loopback_host(host)).then_some("the header Host names another machine; expected localhost, 127.0.0.1 or [::1]")
}

fn is_loopback_host(host: &str) -> bool {
    // `Authority` has the name and password of a URL, which `Host` has not.
    let authority = host.parse::<http::uri::Authority>();
    let Some(authority) = authority.ok().filter(|_| !host.contains('@')) else { return false };
    let name =
        authority.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns `None` if the connection broke.
async fn read(mut body: Incoming, max_body_bytes: usize) -> Option<Body> {
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.ok()?.into_data() else { continue };
        length = length.saturating_add(part.len());
        if length <= max_body_bytes {
            whole.extend_from_slice(&part);
        } else if length <= MAX_DRAINED_BYTES {
            whole = BytesMut::new();
        } else {
            break;
        }
    }
    Some(if length > max_body_bytes { Body::TooLarge } else { Body::Whole(whole.freeze()) })
}

/// Answers with a sentence, and closes the connection.
fn last(status: u16, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(status, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Answers with a sentence, in the form of the answers behind the server.
fn plain(status: u16, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    for (name, value) in PLAIN_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
