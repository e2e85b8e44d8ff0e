//! Makes the answers of the door. All have the same security headers. An error has one sentence of text.

use super::accept::takes_gzip;
use super::body::BodyError;
use super::{Request, Response, otlp};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::time::Duration;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// The wait that the door asks for if the receiver asked for none.
const DEFAULT_RETRY_AFTER: u64 = 5;

/// The longest wait that it asks for.
const LONGEST_RETRY_AFTER: u64 = 30;

impl Response {
    pub(super) fn empty(status: u16) -> Self {
        let headers = vec![("cache-control", "no-store".to_owned()), ("x-content-type-options", "nosniff".to_owned())];
        Self { status, headers, body: Bytes::new() }
    }

    /// Answers with a sentence.
    pub(super) fn text(status: u16, sentence: impl Into<String>) -> Self {
        let mut text = sentence.into();
        text.push('\n');
        Self::empty(status).with_body(TEXT, text)
    }

    /// Answers a body that cannot be unpacked.
    pub(super) fn of_body_error(error: &BodyError) -> Self {
        Self::text(error.status(), error.to_string())
    }

    pub(super) fn of_bytes(status: u16, media_type: &'static str, body: Vec<u8>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }.with("content-type", media_type)
    }

    /// Compresses the body if the client takes gzip.
    #[must_use]
    pub(super) fn compressed_for(self, request: &Request<'_>) -> Self {
        let answer = self.with("vary", "accept, accept-encoding");
        if !takes_gzip(request.list("accept-encoding").as_deref()) {
            return answer;
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to a vector does not fail.
        match encoder.write_all(&answer.body).and_then(|()| encoder.finish()) {
            Ok(body) => Self { body: body.into(), ..answer }.with("content-encoding", "gzip"),
            Err(_) => answer,
        }
    }

    pub(super) fn json(status: u16, json: String) -> Self {
        Self::empty(status).with_body(JSON, json)
    }

    /// Answers 503: the client may try again after `retry_after`, in whole seconds.
    pub(super) fn unavailable(sentence: impl Into<String>, retry_after: Option<Duration>) -> Self {
        Self::text(503, sentence).asking_to_wait(retry_after)
    }

    pub(super) fn asking_to_wait(self, retry_after: Option<Duration>) -> Self {
        let seconds =
            retry_after.map_or(DEFAULT_RETRY_AFTER, |wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        self.with("retry-after", seconds.clamp(1, LONGEST_RETRY_AFTER).to_string())
    }

    /// Returns the sentence of an error.
    pub fn sentence(&self) -> Option<&str> {
        let text = match self.header("content-type") {
            Some(otlp::PROTOBUF) => otlp::message_of_status(&self.body),
            _ => std::str::from_utf8(&self.body).ok(),
        };
        text.filter(|_| self.status >= 400).map(str::trim_end)
    }

    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn with_body(mut self, content_type: &'static str, body: String) -> Self {
        self.body = body.into();
        self.with("content-type", content_type)
    }
}
