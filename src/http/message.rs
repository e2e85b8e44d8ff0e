//! A request and an answer of HTTP, whatever brought them: Lambda's event or a local connection.

use bytes::Bytes;
use std::borrow::Cow;

/// A request whose body is as long as its front allows, and still encoded as `Content-Encoding` says.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// A percent sign without two hexadecimal digits behind it.
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

impl Request<'_> {
    /// Returns the value of the last header of this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_ref())
    }
}
