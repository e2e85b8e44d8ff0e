//! The ports on which the extension listens to the function itself.

use super::buffer::Buffer;
use super::wall_clock;
use crate::limits::MAX_OWN_EVENTS_BYTES;
use crate::listener::{self, Body};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::yield_now;

/// The largest datagram of IPv4.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// After so many bytes of datagrams the loop of the extension gets its turn: a flood must not hold it up.
const MAX_BYTES_OF_A_TURN: usize = 64 << 10;

/// Takes lines of `StatsD` from this environment.
pub(super) async fn take_statsd(port: u16, buffer: Arc<Buffer>) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await?;
    tokio::spawn(async move {
        let (mut datagram, mut bytes) = (vec![0; MAX_DATAGRAM_BYTES], 0);
        loop {
            match socket.recv(&mut datagram).await {
                Ok(length) => {
                    buffer.add_datagram(&datagram[..length], wall_clock());
                    bytes += length;
                }
                Err(error) => {
                    tracing::warn!(%error, "no more StatsD lines are taken");
                    return;
                }
            }
            if bytes >= MAX_BYTES_OF_A_TURN {
                bytes = 0;
                yield_now().await;
            }
        }
    });
    Ok(())
}

/// Takes typed metrics at `POST /events` from this environment.
pub(super) async fn take_events(port: u16, buffer: Arc<Buffer>) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let answer = move |request: Request<Body>| {
        let buffer = Arc::clone(&buffer);
        async move { answer_events(request, &buffer) }
    };
    tokio::spawn(listener::serve(listener, pending(), MAX_OWN_EVENTS_BYTES, answer));
    Ok(())
}

fn answer_events(request: Request<Body>, buffer: &Buffer) -> Response<Bytes> {
    let (parts, body) = request.into_parts();
    match (parts.method, parts.uri.path(), body) {
        (Method::POST, "/events", Body::Whole(body)) => {
            let Ok(text) = std::str::from_utf8(&body) else {
                return sentence(StatusCode::BAD_REQUEST, "the body is not UTF-8");
            };
            let report = buffer.add_events(text, wall_clock());
            let status = match report.accepted {
                0 if report.rejected_count > 0 => StatusCode::BAD_REQUEST,
                _ => StatusCode::OK,
            };
            let mut response = Response::new(serde_json::to_vec(&report).unwrap_or_default().into());
            *response.status_mut() = status;
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        (Method::POST, "/events", Body::TooLarge) => {
            sentence(StatusCode::PAYLOAD_TOO_LARGE, "at most 1 MiB of typed metrics are taken at once")
        }
        (_, "/events", _) => sentence(StatusCode::METHOD_NOT_ALLOWED, "expected POST"),
        _ => sentence(StatusCode::NOT_FOUND, "expected POST /events"),
    }
}

fn sentence(status: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response
}
