//! A request and an answer of HTTP, from an event of Lambda or a local connection.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt;

/// A request whose body is as long as its front allows, and still encoded as `Content-Encoding` says.
#[derive(Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// In capitals.
    pub method: Cow<'a, str>,
    /// Percent-decoded once; without the stage, the query and the fragment.
    pub path: Result<Cow<'a, str>, PathError>,
    /// As sent, without the question mark.
    pub query: Cow<'a, str>,
    /// Names in lower case. A name may occur several times.
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub body: Cow<'a, [u8]>,
    /// AWS has checked who sends it (`HTTP_AUTH=iam`).
    pub authorised_by_aws: bool,
}

/// Why a path cannot be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathError {
    /// A percent sign without two hexadecimal digits after it.
    BadPercentSequence,
    /// The decoded bytes are not UTF-8.
    NotUtf8,
    /// A zero byte.
    Zero,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

/// Headers whose values no log may show.
const SECRET_HEADERS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-amz-security-token"];

/// Shows no credential and no body.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value): &(Cow<'_, str>, Cow<'_, str>)| {
            let value = if SECRET_HEADERS.contains(&name.as_ref()) { "(hidden)" } else { value };
            format!("{name}: {value}")
        };
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &self.headers.iter().map(shown).collect::<Vec<_>>())
            .field("body_bytes", &self.body.len())
            .field("authorised_by_aws", &self.authorised_by_aws)
            .finish()
    }
}

impl Response {
    /// Returns the value of the first header of this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str())
    }
}

impl Request<'_> {
    /// Returns the value of the last header of this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_ref())
    }

    /// Returns the values of all headers of this name as one list: RFC 9110, 5.3. The name must be in lower case.
    pub fn list(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value);
        let first = values.next()?;
        let mut list = Cow::Borrowed(first.as_ref());
        for value in values {
            let list = list.to_mut();
            list.push(',');
            list.push_str(value);
        }
        Some(list)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadPercentSequence => "the path has a % without two hexadecimal digits after it",
            Self::NotUtf8 => "the path is not UTF-8 when it is decoded",
            Self::Zero => "the path has a zero byte (%00)",
        })
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_credential_in_a_log() {
        let headers =
            ["authorization", "cookie", "accept"].map(|name| (name.into(), format!("value of {name}").into()));
        let request = Request {
            method: "PUT".into(),
            path: Ok("/".into()),
            query: "".into(),
            headers: headers.to_vec(),
            body: Cow::Borrowed(b"temperature"),
            authorised_by_aws: false,
        };
        let shown = format!("{request:?}");
        assert!(shown.contains("accept: value of accept"), "{shown}");
        for hidden in ["value of authorization", "value of cookie", "temperature"] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
}
