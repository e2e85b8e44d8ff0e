//! Sends the totals of this environment to a Pushgateway, as a group of its own, and deletes the group at the end.
//!
//! Pushes have the path `/ttl/1h`, so that the group of a killed environment expires. Only a gateway of this project knows
//! that path. If the first answer is 404 or 405, the extension pushes without it.

use super::totals::Totals;
use super::wall_clock;
use crate::aws::secrets::{Secret, SecretArn, SecretError};
use crate::aws::{Answer, BodyPolicy, FunctionCredentials, HttpTransport, Transport as _, TransportError};
use crate::exposition::render_protobuf;
use crate::telemetry::PendingSeries;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Method, Request};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

const PROTOBUF: HeaderValue = HeaderValue::from_static(
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
);
const PRODUCT: HeaderValue = HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));

/// A secret is fetched again after this time.
const SECRET_TTL: Duration = Duration::from_mins(5);

const MAX_ERROR_TEXT_BYTES: usize = 300;

/// The group of this environment.
#[derive(Debug)]
pub(super) struct Pushgateway {
    url: Url,
    job: String,
    secret: Option<Secret<HttpTransport, FunctionCredentials>>,
    authorization: Option<Fetched>,
    http: HttpTransport,
    totals: Totals,
    /// Something was added since the last push that was taken.
    is_changed: bool,
    /// The group may be there.
    is_pushed: bool,
    knows_ttl: KnowsTtl,
}

/// The header of the secret.
#[derive(Debug)]
struct Fetched {
    value: HeaderValue,
    at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum KnowsTtl {
    Perhaps,
    Yes,
    No,
}

/// Why a push was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PushError {
    Secret(SecretError),
    /// The secret is not JSON with the keys `username` and `password`.
    NotCredentials,
    /// No URL can be made of the settings.
    Unsendable,
    Transport(TransportError),
    Refused {
        status: u16,
        text: String,
    },
}

#[derive(Deserialize)]
struct BasicCredentials {
    username: String,
    password: String,
}

impl Pushgateway {
    pub(super) fn new(url: &Url, secret: Option<SecretArn>, job: &str, http: &HttpTransport) -> Self {
        let secret = secret.map(|arn| Secret::new(arn, http.clone(), FunctionCredentials::default()));
        Self {
            url: url.clone(),
            job: job.to_owned(),
            secret,
            authorization: None,
            http: http.clone(),
            totals: Totals::default(),
            is_changed: false,
            is_pushed: false,
            knows_ttl: KnowsTtl::Perhaps,
        }
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.is_changed
    }

    /// Returns how many series did not fit.
    pub(super) fn load(&mut self, series: Vec<PendingSeries>) -> u64 {
        self.is_changed = true;
        self.totals.add(series, wall_clock())
    }

    /// Pushes all totals. Each request gets `timeout`.
    pub(super) async fn push(&mut self, environment: &str, timeout: Duration) -> Result<(), PushError> {
        if self.totals.is_empty() {
            return Ok(());
        }
        let body = Bytes::from(render_protobuf(self.totals.families(wall_clock())));
        self.is_pushed = true;
        if self.knows_ttl != KnowsTtl::No {
            match self.call(Method::PUT, "/ttl/1h", environment, body.clone(), timeout).await {
                Ok(()) => {
                    self.knows_ttl = KnowsTtl::Yes;
                    self.is_changed = false;
                    return Ok(());
                }
                Err(PushError::Refused { status: 404 | 405, .. }) if self.knows_ttl == KnowsTtl::Perhaps => {}
                Err(error) => return Err(error),
            }
        }
        self.call(Method::PUT, "", environment, body, timeout).await?;
        self.knows_ttl = KnowsTtl::No;
        self.is_changed = false;
        Ok(())
    }

    /// Deletes the group.
    pub(super) async fn delete(&mut self, environment: &str, timeout: Duration) -> Result<(), PushError> {
        if !self.is_pushed {
            return Ok(());
        }
        self.call(Method::DELETE, "", environment, Bytes::new(), timeout).await
    }

    async fn call(
        &mut self,
        method: Method,
        prefix: &str,
        environment: &str,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(), PushError> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        let base = self.url.as_str().trim_end_matches('/');
        // Lambda allows letters, digits, "-" and "_" in the name of a function.
        let url = format!("{base}{prefix}/metrics/job/{}/instance/{environment}", self.job);
        *request.uri_mut() = url.parse().map_err(|_| PushError::Unsendable)?;
        request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
        request.headers_mut().insert(USER_AGENT, PRODUCT);
        if let Some(value) = self.authorization(timeout).await? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let excerpt =
            |_status| BodyPolicy::Excerpt { max_bytes: MAX_ERROR_TEXT_BYTES, patience: Duration::from_millis(200) };
        match self.http.send(request, excerpt, timeout).await.map_err(PushError::Transport)? {
            Answer { status: 200..300, .. } => Ok(()),
            Answer { status, body, .. } => {
                if matches!(status, 401 | 403) {
                    self.authorization = None;
                }
                Err(PushError::Refused { status, text: String::from_utf8_lossy(&body).trim().to_owned() })
            }
        }
    }

    async fn authorization(&mut self, timeout: Duration) -> Result<Option<HeaderValue>, PushError> {
        let Some(secret) = &self.secret else { return Ok(None) };
        if let Some(fetched) = self.authorization.as_ref().filter(|fetched| fetched.is_fresh(Instant::now())) {
            return Ok(Some(fetched.value.clone()));
        }
        let text = secret.fetch(timeout).await.map_err(PushError::Secret)?;
        let value = basic(&text).ok_or(PushError::NotCredentials)?;
        self.authorization = Some(Fetched { value: value.clone(), at: Instant::now() });
        Ok(Some(value))
    }
}

impl Fetched {
    fn is_fresh(&self, now: Instant) -> bool {
        now < self.at + SECRET_TTL
    }
}

fn basic(secret: &str) -> Option<HeaderValue> {
    let BasicCredentials { username, password } = serde_json::from_str(secret).ok()?;
    let mut value =
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(error) => write!(f, "AUTH_SECRET: {error}"),
            Self::NotCredentials => {
                f.write_str("AUTH_SECRET: expected a secret of JSON with the keys username and password")
            }
            Self::Unsendable => f.write_str("GATEWAY and the name of the function make no URL"),
            Self::Transport(error) => error.fmt(f),
            Self::Refused { status, text } => {
                write!(f, "the gateway answered {status}: {}", text.escape_debug())
            }
        }
    }
}

impl std::error::Error for PushError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_basic_credentials_of_the_secret_of_the_sample() {
        let value = basic(r#"{"username":"Aladdin","password":"open sesame","more":1}"#).unwrap();
        assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(value.is_sensitive());
        for wrong in ["", "password", "{}", r#"{"username":"x"}"#] {
            assert_eq!(basic(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn keeps_a_secret_for_five_minutes() {
        let (value, at) = (HeaderValue::from_static("Basic x"), Instant::now());
        let fetched = Fetched { value, at };
        let fresh = [0, 299, 300, 3_600].map(|seconds| fetched.is_fresh(at + Duration::from_secs(seconds)));
        assert_eq!(fresh, [true, true, false, false]);
    }
}
