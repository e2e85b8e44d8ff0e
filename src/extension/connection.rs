//! One HTTP/1.1 connection to the Extensions API, which stays open between requests.
//!
//! The extension makes one request with each invocation. The HTTP client for AWS takes nine times the instructions for it, because it has
//! proxies, redirects, TLS and a pool. hyper's client alone adds 50 kB to the zip of the layer, which has a limit.

use crate::aws::TransportError;
use bytes::BytesMut;
use http::{HeaderValue, Method};
use httparse::{EMPTY_HEADER, Response, Status};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The head of the answer is part of it.
const MAX_ANSWER_BYTES: usize = 256 << 10;

const MAX_HEADERS: usize = 64;

/// The header of an extension that has registered.
pub(super) const IDENTIFIER: &str = "lambda-extension-identifier";

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
    kept: Mutex<Option<TcpStream>>,
}

impl Connection {
    /// Nothing is connected yet.
    pub(super) fn new(address: String) -> Self {
        Self { address, kept: Mutex::default() }
    }

    /// Sends a request with one header of the caller's and a body of JSON, and waits for the whole answer.
    pub(super) async fn send(
        &self,
        method: &Method,
        path: &str,
        (header, value): (&str, &HeaderValue),
        body: &str,
    ) -> Result<Answer, TransportError> {
        let (host, length) = (&self.address, body.len());
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}: ").into_bytes();
        request.extend_from_slice(value.as_bytes());
        let rest = format!("\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
        request.extend_from_slice(rest.as_bytes());
        let kept = self.lock().take();
        let mut stream = match kept {
            Some(kept) => kept,
            None => TcpStream::connect(host).await.map_err(|error| TransportError::Connect(error.to_string()))?,
        };
        let broken = |error: std::io::Error| TransportError::Network(error.to_string());
        // One write is one segment: there is nothing to delay.
        stream.write_all(&request).await.map_err(broken)?;
        let mut received = BytesMut::with_capacity(4_096);
        loop {
            let is_closed = stream.read_buf(&mut received).await.map_err(broken)? == 0;
            match whole(&received, is_closed) {
                Ok(Some((answer, stays_open))) => {
                    if stays_open && !is_closed {
                        *self.lock() = Some(stream);
                    }
                    return Ok(answer);
                }
                Ok(None) if is_closed => return Err(TransportError::Network("the connection was closed".to_owned())),
                Ok(None) if received.len() < MAX_ANSWER_BYTES => {}
                Ok(None) => return Err(TransportError::Network(format!("more than {MAX_ANSWER_BYTES} bytes"))),
                Err(error) => return Err(TransportError::Network(error.to_string())),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an answer once all of it is there, and whether the connection can be used again. `is_closed`: nothing more will come.
fn whole(received: &[u8], is_closed: bool) -> Result<Option<(Answer, bool)>, httparse::Error> {
    let mut found = [EMPTY_HEADER; MAX_HEADERS];
    let mut head = Response::new(&mut found);
    let Status::Complete(length) = head.parse(received)? else { return Ok(None) };
    let (status, rest) = (head.code.unwrap_or_default(), &received[length..]);
    // An answer in front of the real one: nobody here asks for it.
    if status < 200 {
        return Err(httparse::Error::Status);
    }
    let (mut length, mut is_chunked, mut identifier) = (None, false, None);
    let mut stays_open = head.version == Some(1);
    for header in head.headers.iter() {
        let value = header.value;
        match header.name.to_ascii_lowercase().as_str() {
            "connection" => stays_open &= !value.eq_ignore_ascii_case(b"close"),
            "content-length" => length = Some(number(value).ok_or(httparse::Error::HeaderValue)?),
            "transfer-encoding" => is_chunked = value.eq_ignore_ascii_case(b"chunked"),
            IDENTIFIER => identifier = HeaderValue::from_bytes(value).ok(),
            _ => {}
        }
    }
    let body = match length {
        _ if matches!(status, 204 | 304) => Some(Vec::new()),
        _ if is_chunked => chunked(rest).map_err(|_| httparse::Error::Token)?,
        Some(length) => rest.get(..length).map(<[u8]>::to_vec),
        None => {
            stays_open = false;
            is_closed.then(|| rest.to_vec())
        }
    };
    Ok(body.map(|body| (Answer { status, identifier, body }, stays_open)))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Joins the chunks of a body once all of them are there.
fn chunked(mut rest: &[u8]) -> Result<Option<Vec<u8>>, httparse::InvalidChunkSize> {
    let mut body = Vec::new();
    loop {
        let Status::Complete((start, size)) = httparse::parse_chunk_size(rest)? else { return Ok(None) };
        let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size)?.checked_add(2));
        let end = end.ok_or(httparse::InvalidChunkSize)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        let (data, line_end) = chunk.split_at(chunk.len() - 2);
        // Trailers, which nobody here sends, are taken for an error.
        if line_end != b"\r\n" {
            return Err(httparse::InvalidChunkSize);
        }
        if data.is_empty() {
            return Ok(Some(body));
        }
        body.extend_from_slice(data);
        rest = &rest[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, is_closed: bool) -> Result<Option<(u16, String, bool)>, httparse::Error> {
        let found = whole(text.as_bytes(), is_closed)?;
        Ok(found.map(|(answer, stays_open)| (answer.status, String::from_utf8(answer.body).unwrap(), stays_open)))
    }

    #[test]
    fn reads_an_answer_of_any_framing_once_it_is_whole() {
        let table = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
                "hello",
                true,
            ),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false),
        ];
        for (text, body, stays_open) in table {
            for end in 0..text.len() {
                assert_eq!(read(&text[..end], false), Ok(None), "{text} up to {end}");
                assert_eq!(read(&text[..end], true), Ok(None), "{text} up to {end}");
            }
            assert_eq!(read(text, false), Ok(Some((200, body.to_owned(), stays_open))), "{text}");
        }
        let until_the_end = "HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(read(until_the_end, false), Ok(None));
        assert_eq!(read(until_the_end, true), Ok(Some((200, "hello".to_owned(), false))));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n", false), Ok(Some((204, String::new(), true))));
    }

    #[test]
    fn reads_the_identifier_in_any_case() {
        let text = "HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 4e2f\r\nContent-Length: 0\r\n\r\n";
        let (answer, _) = whole(text.as_bytes(), false).unwrap().unwrap();
        assert_eq!(answer.identifier, Some(HeaderValue::from_static("4e2f")));
    }

    #[test]
    fn rejects_bytes_that_are_no_answer() {
        for text in [
            "<html>",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert!(read(text, false).is_err(), "{text}");
        }
    }
}
