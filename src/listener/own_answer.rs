//! Gives hyper's own answers a sentence. If hyper cannot read the head of a request, it answers 400, 414 or 431 without a body.

use super::PLAIN_HEADERS;
use std::fmt::Write as _;

/// The statuses of these answers: `Parse` errors of hyper's `proto/h1`.
const SENTENCES: [(&str, &str); 3] = [
    ("400", "the head of the request cannot be read (RFC 9112)"),
    ("414", "the path is too long; expected at most 65,534 bytes"),
    ("431", "the head of the request is too large; expected at most 100 headers and 400 KB"),
];

const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";

/// Returns what is written instead of `answer`, if it is hyper's own. All answers with such a status that this program gives have a body.
pub(super) fn instead_of(answer: &[u8]) -> Option<Vec<u8>> {
    let line = answer.strip_prefix(b"HTTP/1.")?;
    let (_, sentence) = SENTENCES.iter().find(|(status, _)| line.get(2..5) == Some(status.as_bytes()))?;
    let is_empty = answer.ends_with(b"\r\n\r\n") && answer.windows(EMPTY.len()).any(|part| part == EMPTY);
    let end = answer.windows(2).position(|part| part == b"\r\n").filter(|_| is_empty)?;
    let mut text = String::from_utf8_lossy(&answer[..end]).into_owned();
    for (name, value) in PLAIN_HEADERS {
        let _is_written = write!(text, "\r\n{name}: {value}").is_ok();
    }
    let length = sentence.len() + 1;
    let _is_written = write!(text, "\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{sentence}\n").is_ok();
    Some(text.into_bytes())
}
