//! Heads and bodies of HTTP/1.1 in the bytes that were received so far, for the two small loops of the extension.

use http::HeaderValue;
use httparse::{Error, Header, InvalidChunkSize, ParserConfig, Request, Response, Status};
use std::borrow::Cow;
use std::mem::MaybeUninit;

const MAX_HEADERS: usize = 64;

/// The header of an extension that has registered.
pub(super) const IDENTIFIER: &str = "lambda-extension-identifier";

/// The parts of a head that matter here.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// The bytes of the head itself.
    pub(super) bytes: usize,
    pub(super) body: Framing,
    /// The connection can be used again.
    pub(super) stays_open: bool,
    pub(super) identifier: Option<HeaderValue>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
    /// As long as the connection is open.
    UntilEnd,
}

/// A whole body.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Body<'r> {
    pub(super) content: Cow<'r, [u8]>,
    /// The bytes that it takes with its framing.
    pub(super) bytes: usize,
}

/// Returns the head of an answer, with its status, once all of it is there.
pub(super) fn answer(received: &[u8]) -> Result<Option<(u16, Head)>, Error> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut found = Response::new(&mut []);
    let parsed = ParserConfig::default().parse_response_with_uninit_headers(&mut found, received, &mut headers)?;
    let Status::Complete(bytes) = parsed else { return Ok(None) };
    let without_body = match found.code {
        // An answer in front of the real one: nobody here asks for it.
        None | Some(..200) => return Err(Error::Status),
        Some(204 | 304) => Some(Framing::Length(0)),
        Some(_) => None,
    };
    let mut head = head(bytes, found.version, found.headers, Framing::UntilEnd)?;
    head.body = without_body.unwrap_or(head.body);
    head.stays_open &= head.body != Framing::UntilEnd;
    Ok(Some((found.code.unwrap_or_default(), head)))
}

/// Returns the head of a request once all of it is there.
pub(super) fn request(received: &[u8]) -> Result<Option<Head>, Error> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut found = Request::new(&mut []);
    match found.parse_with_uninit_headers(received, &mut headers)? {
        Status::Complete(bytes) => head(bytes, found.version, found.headers, Framing::Length(0)).map(Some),
        Status::Partial => Ok(None),
    }
}

fn head(bytes: usize, version: Option<u8>, headers: &[Header<'_>], mut body: Framing) -> Result<Head, Error> {
    let (mut stays_open, mut identifier) = (version == Some(1), None);
    for Header { name, value } in headers {
        if name.eq_ignore_ascii_case("content-length") && body != Framing::Chunked {
            let length = std::str::from_utf8(value).ok().and_then(|length| length.parse().ok());
            body = Framing::Length(length.ok_or(Error::HeaderValue)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case(b"chunked") {
            body = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            stays_open &= !value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(IDENTIFIER) {
            identifier = HeaderValue::from_bytes(value).ok();
        }
    }
    Ok(Head { bytes, body, stays_open, identifier })
}

/// Returns the body at the beginning of `rest` once all of it is there. `is_closed`: nothing more will come.
pub(super) fn body<'r>(framing: Framing, rest: &'r [u8], is_closed: bool) -> Result<Option<Body<'r>>, Error> {
    let whole = |content: &'r [u8]| Body { content: Cow::Borrowed(content), bytes: content.len() };
    match framing {
        Framing::Length(length) => Ok(rest.get(..length).map(whole)),
        Framing::Chunked => chunked(rest).map_err(|InvalidChunkSize| Error::Token),
        Framing::UntilEnd => Ok(is_closed.then(|| whole(rest))),
    }
}

/// Joins the chunks of a body.
fn chunked(rest: &[u8]) -> Result<Option<Body<'_>>, InvalidChunkSize> {
    let (mut content, mut read) = (Vec::new(), 0);
    loop {
        let Status::Complete((start, size)) = httparse::parse_chunk_size(&rest[read..])? else { return Ok(None) };
        let end = usize::try_from(size).ok().and_then(|size| (read + start).checked_add(size)?.checked_add(2));
        let end = end.ok_or(InvalidChunkSize)?;
        let Some(chunk) = rest.get(read + start..end) else { return Ok(None) };
        let (data, line_end) = chunk.split_at(chunk.len() - 2);
        // Trailers, which nobody here sends, are taken for an error.
        if line_end != b"\r\n" {
            return Err(InvalidChunkSize);
        }
        read = end;
        if data.is_empty() {
            return Ok(Some(Body { content: Cow::Owned(content), bytes: read }));
        }
        content.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns status, body, bytes in all, and whether the connection stays open.
    fn read(text: &str, is_closed: bool) -> Option<(u16, String, usize, bool)> {
        let (status, head) = answer(text.as_bytes()).unwrap()?;
        let Body { content, bytes } = body(head.body, &text.as_bytes()[head.bytes..], is_closed).unwrap()?;
        Some((status, String::from_utf8(content.into_owned()).unwrap(), head.bytes + bytes, head.stays_open))
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
                assert_eq!(read(&text[..end], false), None, "{text} up to {end}");
                assert_eq!(read(&text[..end], true), None, "{text} up to {end}");
            }
            let expected = Some((200, body.to_owned(), text.len(), stays_open));
            assert_eq!(read(text, false), expected, "{text}");
            assert_eq!(read(&format!("{text}HTTP/1.1 "), false), expected, "{text} and more");
        }
        let until_the_end = "HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(read(until_the_end, false), None);
        assert_eq!(read(until_the_end, true), Some((200, "hello".to_owned(), 24, false)));
        assert_eq!(read("HTTP/1.1 204 No Content\r\n\r\n", false), Some((204, String::new(), 27, true)));
    }

    #[test]
    fn reads_the_identifier_in_any_case() {
        let text = "HTTP/1.1 200 OK\r\nLambda-Extension-Identifier: 4e2f\r\nContent-Length: 0\r\n\r\n";
        let (_, head) = answer(text.as_bytes()).unwrap().unwrap();
        assert_eq!(head.identifier, Some(HeaderValue::from_static("4e2f")));
    }

    #[test]
    fn reads_the_head_of_a_request() {
        let table = [
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n", Framing::Length(7), true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n", Framing::Chunked, true),
            ("GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", Framing::Length(0), false),
        ];
        for (text, body, stays_open) in table {
            for end in 0..text.len() {
                assert_eq!(request(&text.as_bytes()[..end]), Ok(None), "{text} up to {end}");
            }
            let expected = Head { bytes: text.len(), body, stays_open, identifier: None };
            assert_eq!(request(text.as_bytes()), Ok(Some(expected)), "{text}");
        }
        assert!(request(b"\x00\xff\r\n\r\n").is_err());
    }

    #[test]
    fn rejects_bytes_that_are_no_answer() {
        for text in [
            "<html>",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx",
        ] {
            assert!(answer(text.as_bytes()).is_err(), "{text}");
        }
        for chunks in ["x\r\n", "1\r\nabc\r\n", "ffffffffffffffff\r\n", "0\r\nTrailer: x\r\n\r\n"] {
            assert!(body(Framing::Chunked, chunks.as_bytes(), false).is_err(), "{chunks}");
        }
    }
}
