//! The server for deliveries of the Telemetry API.
//!
//! * The API keeps its connection. The environment may be frozen between two deliveries for any time, so a connection is never closed
//!   because nothing comes. Otherwise it would be closed when the environment goes on, and the first delivery would be lost.
//! * Each delivery is answered with 200, even if it cannot be read: it would be the same at the next try.
//! * hyper's server takes 11,000 instructions more for a delivery (`tests/speed/README.md`).

use super::buffer::Buffer;
use super::http1::{self, Body, Framing, Head};
use super::wall_clock;
use crate::limits::MAX_TELEMETRY_BODY_BYTES;
use bytes::{Buf as _, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// Above it the oldest connection is closed. The API has one.
const MAX_CONNECTIONS: usize = 64;

const MAX_HEAD_BYTES: usize = 16 << 10;

/// The memory that a connection keeps between deliveries.
const KEPT_BYTES: usize = 8 << 10;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Takes deliveries on any free port, and returns the port. `sandbox.localdomain`, where Lambda sends them, need not be a loopback
/// address.
pub(super) async fn take(buffer: Arc<Buffer>) -> io::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(accept(listener, buffer));
    Ok(port)
}

async fn accept(listener: TcpListener, buffer: Arc<Buffer>) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection of the Telemetry API could not be accepted");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() == MAX_CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let buffer = Arc::clone(&buffer);
        let connection = tokio::spawn(async move {
            if let Err(error) = serve(stream, &buffer).await {
                tracing::debug!(%error, "a connection of the Telemetry API ended");
            }
        });
        open.push_back(connection.abort_handle());
    }
}

/// Takes deliveries until the connection ends.
async fn serve(mut stream: TcpStream, buffer: &Buffer) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = BytesMut::with_capacity(KEPT_BYTES);
    while let Some(head) = next_head(&mut stream, &mut received).await? {
        received.advance(head.bytes);
        match head.body {
            Framing::Length(length) if length > MAX_TELEMETRY_BODY_BYTES => {
                buffer.log_delivery(&format!("it has more than {MAX_TELEMETRY_BODY_BYTES} bytes"));
                skip(&mut stream, &mut received, length).await?;
            }
            framing => {
                let bytes = take_body(framing, &mut stream, &mut received, buffer).await?;
                received.advance(bytes);
            }
        }
        stream.write_all(ANSWER).await?;
        if !head.stays_open {
            return Ok(());
        }
        if received.is_empty() {
            // The memory of the request before is used again.
            received.reserve(KEPT_BYTES);
            if received.capacity() > 2 * KEPT_BYTES {
                received = BytesMut::with_capacity(KEPT_BYTES);
            }
        }
    }
    Ok(())
}

/// Takes the records of a body. Returns the bytes that it has in `received`.
async fn take_body(
    framing: Framing,
    stream: &mut TcpStream,
    received: &mut BytesMut,
    buffer: &Buffer,
) -> io::Result<usize> {
    if let Framing::Length(length) = framing {
        received.reserve(length.saturating_sub(received.len()));
    }
    loop {
        match http1::body(framing, received, false).map_err(io::Error::other)? {
            Some(Body { content, bytes }) => {
                buffer.add_delivery(&content, wall_clock());
                return Ok(bytes);
            }
            None if received.len() > 2 * MAX_TELEMETRY_BODY_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            None => more(stream, received).await?,
        }
    }
}

/// Returns `None` if the connection ends in front of a head.
async fn next_head(stream: &mut TcpStream, received: &mut BytesMut) -> io::Result<Option<Head>> {
    loop {
        if let Some(head) = http1::request(received).map_err(io::Error::other)? {
            return Ok(Some(head));
        }
        if received.len() > MAX_HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if received.is_empty() {
            if stream.read_buf(received).await? == 0 {
                return Ok(None);
            }
        } else {
            more(stream, received).await?;
        }
    }
}

async fn more(stream: &mut TcpStream, received: &mut BytesMut) -> io::Result<()> {
    match stream.read_buf(received).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Reads over a body, so that the sender gets an answer.
async fn skip(stream: &mut TcpStream, received: &mut BytesMut, length: usize) -> io::Result<()> {
    let mut left = length;
    loop {
        let part = received.len().min(left);
        received.advance(part);
        left -= part;
        if left == 0 {
            return Ok(());
        }
        received.reserve(KEPT_BYTES);
        more(stream, received).await?;
    }
}
