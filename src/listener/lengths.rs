//! Finds requests with both `Content-Length` and `Transfer-Encoding` in the bytes of a connection.
//!
//! Such a request may be an attempt to smuggle another one past a proxy (RFC 9112, section 6.3). hyper takes it, drops the
//! `Content-Length`, and closes the connection after it, so the service cannot see that both were there. [`Lengths`] reads
//! the same bytes as hyper, and counts the requests. It changes nothing that hyper reads. It keeps [`MAX_LINE`] bytes, and
//! gives up when hyper ends the connection anyway.
//!
//! By the same bytes the listener knows which connections are idle.

/// Lines with the two headers are shorter than this. The rest of a longer line is skipped.
const MAX_LINE: usize = 128;

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Lengths {
    part: Part,
    /// The start of the current line, without its end.
    line: Vec<u8>,
    head: Head,
    /// Heads that have ended so far.
    heads: u64,
    /// The number of the request with both.
    with_both: Option<u64>,
}

/// The part of a connection to which the next byte belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// The request line. Empty lines before a request are skipped.
    RequestLine,
    Headers,
    Body(u64),
    ChunkSize,
    /// The data of a chunk, and the line end after it.
    Chunk(u64),
    Trailers,
    /// hyper reads no further request.
    Unknown,
}

#[derive(Clone, Copy, Default, Debug)]
struct Head {
    length: Option<u64>,
    is_encoded: bool,
}

impl Lengths {
    pub(super) fn new() -> Self {
        Self { part: Part::RequestLine, line: Vec::new(), head: Head::default(), heads: 0, with_both: None }
    }

    /// Reports whether the request of this number, from 0, has both. Its head must have been read.
    pub(super) fn are_both_in(&self, request: u64) -> bool {
        self.with_both == Some(request)
    }

    /// Returns how many heads have ended so far.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// Reports whether the next byte is the first one of a request.
    pub(super) fn is_between_requests(&self) -> bool {
        self.part == Part::RequestLine && self.line.is_empty()
    }

    /// Reports whether a head has begun, and has not ended.
    pub(super) fn is_in_head(&self) -> bool {
        self.part == Part::Headers || (self.part == Part::RequestLine && !self.line.is_empty())
    }

    /// Reads the next bytes of the connection.
    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.part {
                Part::Unknown => return,
                Part::Body(left) => {
                    let left = skip(&mut bytes, left);
                    self.part = if left == 0 { Part::RequestLine } else { Part::Body(left) };
                }
                Part::Chunk(left) => {
                    let left = skip(&mut bytes, left);
                    self.part = if left == 0 { Part::ChunkSize } else { Part::Chunk(left) };
                }
                Part::RequestLine | Part::Headers | Part::ChunkSize | Part::Trailers => {
                    let end = memchr::memchr(b'\n', bytes);
                    let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
                    self.line.extend_from_slice(&line[..line.len().min(MAX_LINE - self.line.len())]);
                    bytes = rest;
                    if end.is_some() {
                        let mut line = std::mem::take(&mut self.line);
                        self.part = self.end_of_line(line.trim_ascii());
                        line.clear();
                        self.line = line;
                    }
                }
            }
        }
    }

    /// Returns the part after a line.
    fn end_of_line(&mut self, line: &[u8]) -> Part {
        match self.part {
            Part::RequestLine if line.is_empty() => Part::RequestLine,
            Part::RequestLine => {
                self.head = Head::default();
                Part::Headers
            }
            Part::Headers if !line.is_empty() => {
                self.header(line);
                Part::Headers
            }
            Part::Headers => {
                self.heads += 1;
                match self.head {
                    Head { length: Some(_), is_encoded: true } => {
                        self.with_both = Some(self.heads - 1);
                        Part::Unknown
                    }
                    Head { length: None, is_encoded: true } => Part::ChunkSize,
                    Head { length: None | Some(0), .. } => Part::RequestLine,
                    Head { length: Some(length), .. } => Part::Body(length),
                }
            }
            Part::ChunkSize => {
                let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
                let digits = std::str::from_utf8(&line[..digits]).unwrap_or_default();
                match u64::from_str_radix(digits, 16) {
                    Ok(0) => Part::Trailers,
                    // The line end after the data has two bytes, because hyper takes no other.
                    Ok(size) => size.checked_add(2).map_or(Part::Unknown, Part::Chunk),
                    Err(_) => Part::Unknown,
                }
            }
            Part::Trailers if !line.is_empty() => Part::Trailers,
            Part::Trailers => Part::RequestLine,
            other => other,
        }
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.head.is_encoded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // A length that cannot be read is a 400 of hyper, unless there is an encoding, too.
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            self.head.length = Some(length.unwrap_or(u64::MAX));
        }
    }
}

/// Skips `left` bytes. Returns how many are still to skip.
fn skip(bytes: &mut &[u8], left: u64) -> u64 {
    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
    *bytes = &bytes[here..];
    left - here as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str =
        "POST / HTTP/1.1\r\nContent-length : 4\r\nhost: a\r\ncontent-LENGTH: 4\r\ntransfer-encoding:chunked\r\n\r\n";

    /// Returns the number of the first request with both, read in pieces of any size.
    fn first(text: &str) -> Option<u64> {
        let of = |size: usize| {
            let mut lengths = Lengths::new();
            text.as_bytes().chunks(size.max(1)).for_each(|piece| lengths.read(piece));
            assert!(lengths.line.len() <= MAX_LINE);
            lengths.with_both
        };
        let expected = of(text.len());
        for size in 1..text.len().min(40) {
            assert_eq!(of(size), expected, "pieces of {size} bytes");
        }
        expected
    }

    #[test]
    fn finds_the_request_with_both_behind_requests_of_every_kind() {
        let long = format!("x-long: {}\r\n", "content-length: 1 ".repeat(30));
        let table = [
            (String::new(), 0),
            ("\r\n\r\n".to_owned(), 0),
            ("GET /a HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 1),
            ("GET /a HTTP/1.1\nhost: a\n\n\r\n".to_owned(), 1),
            (format!("PUT /a HTTP/1.1\r\n{long}content-length: 6\r\n\r\n\r\nPOST"), 1),
            ("PUT /a HTTP/1.1\r\ncontent-length: 0\r\n\r\n".repeat(3), 3),
            (
                "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5;x=y\r\nGET /\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nx: y\r\n\r\n"
                    .repeat(2),
                2,
            ),
        ];
        for (before, number) in table {
            assert_eq!(first(&format!("{before}{BOTH}")), Some(number), "{before:?}");
            assert_eq!(first(&before), None, "{before:?}");
        }
    }

    #[test]
    fn knows_whether_a_connection_is_between_requests_or_within_a_head() {
        let table = [
            ("", true, false),
            ("\r\n", true, false),
            ("G", false, true),
            ("GET / HTTP/1.1\r\n", false, true),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true, false),
            ("PUT / HTTP/1.1\r\ncontent-length: 2\r\n\r\n1", false, false),
            ("PUT / HTTP/1.1\r\ncontent-length: 2\r\n\r\n12", true, false),
            ("PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", false, false),
            (BOTH, false, false),
        ];
        for (text, is_between, is_in_head) in table {
            let mut lengths = Lengths::new();
            lengths.read(text.as_bytes());
            assert_eq!((lengths.is_between_requests(), lengths.is_in_head()), (is_between, is_in_head), "{text:?}");
        }
    }

    #[test]
    fn both_are_found_in_either_order_and_once_is_enough() {
        let head = |headers: &str| format!("POST / HTTP/1.1\r\n{headers}\r\n");
        for headers in [
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "transfer-encoding: gzip, chunked\r\ncontent-length: x\r\n",
        ] {
            assert_eq!(first(&head(headers)), Some(0), "{headers:?}");
        }
        for headers in [
            "content-length: 1\r\n",
            "transfer-encoding: chunked\r\n",
            "x: content-length: 1\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert_eq!(first(&head(headers)), None, "{headers:?}");
        }
        assert_eq!(first(&format!("{}ffffffffffffffff\r\n", head("transfer-encoding: chunked\r\n"))), None);
    }
}
