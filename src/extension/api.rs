//! Calls the Extensions API and the Telemetry API of Lambda.
//!
//! * <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>
//! * <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html>

use super::connection::{Answer, Connection};
use super::http1::IDENTIFIER;
use crate::aws::TransportError;
use crate::model::Timestamp;
use http::{HeaderValue, Method};
use serde::Deserialize;
use serde_json::json;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

const NAME: &str = "lambda-extension-name";

/// The only schema that Managed Instances take. It is a superset of the older ones.
const SCHEMA: &str = "2025-01-29";

/// The API is in the same environment. Only the call for the next event has no limit: it may be days away.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time until a delivery comes, in milliseconds. The API allows no less.
const BUFFER_MS: u32 = 25;
const BUFFER_ITEMS: u32 = 1_000;
const BUFFER_BYTES: u32 = 262_144;

/// The APIs at one address.
#[derive(Debug)]
pub(super) struct Api {
    /// The name of the program's file: Lambda knows an extension by it.
    name: String,
    connection: Connection,
}

/// An extension that has registered.
#[derive(Debug)]
pub(super) struct Registered<'a> {
    api: &'a Api,
    identifier: HeaderValue,
    /// The call for the next event.
    next: Vec<u8>,
    /// It gets INVOKE events.
    pub(super) gets_invocations: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NextEvent {
    Invoke {
        request_id: String,
        /// When Lambda ends the invocation.
        deadline: Timestamp,
    },
    Shutdown {
        reason: String,
        /// When Lambda kills the extension.
        deadline: Timestamp,
    },
    /// An event that this version does not know.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subscribed {
    Yes,
    /// A local sandbox without telemetry.
    NotSupported,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ApiError {
    Transport(TransportError),
    Refused { status: u16, error_type: String },
    Unreadable,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Refusal {
    error_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventBody<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(default)]
    deadline_ms: i64,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    shutdown_reason: String,
}

impl Api {
    /// The APIs at `address`, which is `127.0.0.1:9001` or the like.
    pub(super) fn new(address: String, name: String) -> Self {
        Self { name, connection: Connection::new(address) }
    }

    /// Registers for SHUTDOWN, and for INVOKE if the environment has it: a Managed Instance refuses that.
    pub(super) async fn register(&self, wants_invocations: bool) -> Result<Registered<'_>, ApiError> {
        let registered = self.try_register(wants_invocations).await;
        match registered {
            Err(ApiError::Refused { ref error_type, .. })
                if wants_invocations && error_type == "Extension.InvalidEventType" =>
            {
                self.try_register(false).await
            }
            other => other,
        }
    }

    async fn try_register(&self, gets_invocations: bool) -> Result<Registered<'_>, ApiError> {
        let events: &[&str] = if gets_invocations { &["INVOKE", "SHUTDOWN"] } else { &["SHUTDOWN"] };
        let name = HeaderValue::from_str(&self.name).map_err(|_| ApiError::Unreadable)?;
        let body = json!({ "events": events }).to_string();
        let request = self.connection.request(&Method::POST, "/2020-01-01/extension/register", (NAME, &name), &body);
        let answer = in_time(self.call(&request)).await?;
        let identifier = answer.identifier.ok_or(ApiError::Unreadable)?;
        let header = (IDENTIFIER, &identifier);
        let next = self.connection.request(&Method::GET, "/2020-01-01/extension/event/next", header, "");
        Ok(Registered { api: self, identifier, next, gets_invocations })
    }

    /// Sends a request. Returns an answer of success.
    async fn call(&self, request: &[u8]) -> Result<Answer, ApiError> {
        let answer = self.connection.send(request).await.map_err(ApiError::Transport)?;
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let Refusal { error_type } = serde_json::from_slice(&answer.body).unwrap_or_default();
        let error_type = error_type.chars().take(100).collect();
        Err(ApiError::Refused { status: answer.status, error_type })
    }
}

async fn in_time(call: impl Future<Output = Result<Answer, ApiError>>) -> Result<Answer, ApiError> {
    timeout(TIMEOUT, call).await.unwrap_or(Err(ApiError::Transport(TransportError::Timeout)))
}

impl Registered<'_> {
    /// Asks for deliveries to `port`: records of the platform, and lines of the function's log if `logs`. Records of
    /// extensions are left out, because they would include those of this extension.
    pub(super) async fn subscribe(&self, port: u16, logs: bool) -> Result<Subscribed, ApiError> {
        let types: &[&str] = if logs { &["platform", "function"] } else { &["platform"] };
        let body = json!({
            "schemaVersion": SCHEMA,
            "types": types,
            "buffering": { "maxItems": BUFFER_ITEMS, "maxBytes": BUFFER_BYTES, "timeoutMs": BUFFER_MS },
            "destination": { "protocol": "HTTP", "URI": format!("http://sandbox.localdomain:{port}/") },
        });
        let (header, body) = ((IDENTIFIER, &self.identifier), body.to_string());
        let request = self.api.connection.request(&Method::PUT, "/2022-07-01/telemetry", header, &body);
        let answer = in_time(self.api.call(&request)).await?;
        Ok(if answer.status == 202 { Subscribed::NotSupported } else { Subscribed::Yes })
    }

    /// Waits for the next event. With this call the extension says that it is done with the event before. The
    /// environment may then be frozen.
    pub(super) async fn next(&self) -> Result<NextEvent, ApiError> {
        let answer = self.api.call(&self.next).await?;
        event(&answer.body).ok_or(ApiError::Unreadable)
    }
}

fn event(body: &[u8]) -> Option<NextEvent> {
    let EventBody { event_type, deadline_ms, request_id, shutdown_reason } =
        serde_json::from_str(std::str::from_utf8(body).ok()?).ok()?;
    let deadline = Timestamp(deadline_ms);
    Some(match event_type.as_ref() {
        "INVOKE" => NextEvent::Invoke { request_id, deadline },
        "SHUTDOWN" => NextEvent::Shutdown { reason: shutdown_reason, deadline },
        _ => NextEvent::Other,
    })
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(error) => error.fmt(f),
            Self::Refused { status, error_type } => write!(f, "status {status}, {error_type}"),
            Self::Unreadable => f.write_str("the answer does not have the form of the Extensions API"),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_events_of_lambda_and_skips_what_it_does_not_know() {
        let invoke = r#"{"eventType":"INVOKE","deadlineMs":676051,"requestId":"3da1f2dc","invokedFunctionArn":"arn",
            "tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1"}}"#;
        let expected = NextEvent::Invoke { request_id: "3da1f2dc".to_owned(), deadline: Timestamp(676_051) };
        assert_eq!(event(invoke.as_bytes()), Some(expected));
        let shutdown = r#"{"eventType":"SHUTDOWN","shutdownReason":"spindown","deadlineMs":676051}"#;
        let expected = NextEvent::Shutdown { reason: "spindown".to_owned(), deadline: Timestamp(676_051) };
        assert_eq!(event(shutdown.as_bytes()), Some(expected));
        assert_eq!(event(br#"{"eventType":"NEW"}"#), Some(NextEvent::Other));
        assert_eq!(event(b"<html>"), None);
    }
}
