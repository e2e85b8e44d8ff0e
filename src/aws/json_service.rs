//! Calls an AWS service that has a JSON protocol: <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>.

use super::{Answer, BodyPolicy, Credentialed, CredentialsSource, ReadBody, Signed, Transport, TransportError};
use crate::limits::MAX_SERVICE_ERROR_CHARS;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Uri};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// The checksum that DynamoDB gives of the body of an answer.
const CRC32_HEADER: &str = "x-amz-crc32";

#[derive(Debug)]
pub(super) struct JsonService<T, C = CredentialsSource> {
    pub(super) protocol: Protocol,
    /// If the URL is not valid, each call returns an error.
    pub(super) endpoint: Uri,
    pub(super) transport: Signed<T, C>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    /// The name of the service in front of an operation's: `secretsmanager`, `DynamoDB_20120810`.
    pub(super) target: &'static str,
    pub(super) content_type: &'static str,
    /// How much of an answer is read.
    pub(super) read_body: ReadBody,
}

/// Why a call gave no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallError {
    Transport(TransportError),
    Service(ServiceError),
    /// The endpoint is no URL, or the service gave an answer that cannot be read.
    Unreadable,
}

/// An error of the service. Its text holds nothing of the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceError {
    pub status: u16,
    /// `AccessDeniedException`. Empty if the answer is of something in front of the service.
    pub code: String,
    pub message: String,
    /// The whole answer.
    pub body: Bytes,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorBody {
    #[serde(rename = "__type")]
    code: String,
    message: String,
    /// Services write one of the two keys, or both.
    #[serde(rename = "Message")]
    capital_message: String,
}

impl<T: Transport, C: Credentialed> JsonService<T, C> {
    /// Sends one request, and returns the body of the answer if its status is 200.
    pub(super) async fn call(&self, operation: &str, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let Protocol { target, content_type, read_body } = self.protocol;
        let request = Request::post(self.endpoint.clone())
            .header(CONTENT_TYPE, content_type)
            .header("x-amz-target", format!("{target}.{operation}"))
            .body(body)
            .map_err(|_| CallError::Unreadable)?;
        let answer = self.transport.send(request, read_body, timeout).await.map_err(CallError::Transport)?;
        let is_intact = is_intact(&answer);
        if answer.status == 200 {
            return if is_intact { Ok(answer.body) } else { Err(CallError::Unreadable) };
        }
        match ServiceError::new(answer.status, answer.body) {
            error if error.code.is_empty() && !is_intact => Err(CallError::Unreadable),
            error => Err(CallError::Service(error)),
        }
    }
}

/// Returns the policy that reads the whole body, up to `MAX_BYTES`.
pub(super) fn whole_body<const MAX_BYTES: usize>(_status: u16) -> BodyPolicy {
    BodyPolicy::Required { max_bytes: MAX_BYTES }
}

fn is_intact(answer: &Answer) -> bool {
    let expected = answer.headers.get(CRC32_HEADER).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    expected.is_none_or(|expected| crc32fast::hash(&answer.body) == expected)
}

/// Returns the endpoint that AWS SDKs take from the environment: `variable`, else the one for all services.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
pub(super) fn endpoint_of_environment(variable: &str) -> Option<String> {
    if std::env::var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return None;
    }
    [variable, "AWS_ENDPOINT_URL"].iter().find_map(|name| std::env::var(name).ok().filter(|url| !url.is_empty()))
}

impl ServiceError {
    fn new(status: u16, body: Bytes) -> Self {
        let ErrorBody { code, message, capital_message } = serde_json::from_slice(&body).unwrap_or_default();
        let message = if message.is_empty() { capital_message } else { message };
        let short = |text: &str| text.chars().take(MAX_SERVICE_ERROR_CHARS).collect();
        Self { status, code: short(code.rsplit('#').next().unwrap_or_default()), message: short(&message), body }
    }
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => write!(f, "status {}", self.status),
            (code, "") => write!(f, "{}, {code}", self.status),
            (code, message) => write!(f, "{}, {code}: {message}", self.status),
        }
    }
}
