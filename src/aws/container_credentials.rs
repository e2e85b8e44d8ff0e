//! Credentials that Lambda gives to a function and its extensions, without the chain of AWS SDKs. That chain would add a
//! megabyte of code.
//!
//! Usually they are variables, which stay the same for the life of the environment. With `SnapStart` Lambda restores an
//! environment from a snapshot without credentials. Then an endpoint on the loopback interface gives them, as in containers
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>).

use super::credentials::{Credentialed, CredentialsError, credentials_of, is_fresh, is_usable};
use super::http_client::is_direct;
use super::{BodyPolicy, HttpTransport, Transport as _, TransportError};
use crate::event::read_timestamp;
use aws_credential_types::Credentials;
use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::fmt;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use url::Url;

/// The URL of the endpoint.
pub(super) const ENV_CREDENTIALS_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// The value of the header `Authorization` for it.
const ENV_CREDENTIALS_TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";

/// The endpoint is in the same environment.
const TIMEOUT: Duration = Duration::from_secs(1);

const MAX_ANSWER_BYTES: usize = 16 << 10;

/// The credentials of the function's role.
#[derive(Default, Debug)]
pub struct FunctionCredentials {
    last: Mutex<Option<Credentials>>,
}

/// Why the endpoint gave no credentials. The text contains no part of a credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContainerError {
    /// URL or token cannot be sent.
    Unsendable,
    /// The URL begins with `http:` and names another machine, which must not see the token.
    NotHere,
    Transport(TransportError),
    Status(u16),
    Unreadable,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered<'a> {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    #[serde(borrow)]
    expiration: Option<&'a RawValue>,
}

impl FunctionCredentials {
    async fn fetch(url: &str) -> Result<Credentials, ContainerError> {
        let parsed = Url::parse(url).map_err(|_| ContainerError::Unsendable)?;
        if parsed.scheme() != "https" && !parsed.host().is_some_and(|host| is_direct(&host)) {
            return Err(ContainerError::NotHere);
        }
        let token = std::env::var(ENV_CREDENTIALS_TOKEN).unwrap_or_default();
        let request = Request::get(url).header(AUTHORIZATION, token.trim()).body(Bytes::new());
        let request = request.map_err(|_| ContainerError::Unsendable)?;
        let all = |_status| BodyPolicy::Required { max_bytes: MAX_ANSWER_BYTES };
        // Hours go by until the next call, so no connection is kept.
        let transport = HttpTransport::new().map_err(|error| TransportError::Connect(error.to_string()));
        let answer = match transport {
            Ok(transport) => transport.send(request, all, TIMEOUT).await,
            Err(error) => Err(error),
        };
        let answer = answer.map_err(ContainerError::Transport)?;
        match answer.status {
            200 => read(&answer.body).ok_or(ContainerError::Unreadable),
            status => Err(ContainerError::Status(status)),
        }
    }
}

fn read(body: &[u8]) -> Option<Credentials> {
    let Answered { access_key_id, secret_access_key, token, expiration } = serde_json::from_slice(body).ok()?;
    let milliseconds = expiration.and_then(|literal| u64::try_from(read_timestamp(literal.get())?.0).ok());
    let expiry = milliseconds.map(|milliseconds| SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds));
    Some(Credentials::new(access_key_id, secret_access_key, token, expiry, "function"))
}

impl Credentialed for FunctionCredentials {
    async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        // The variables of a restored environment may differ from those of its snapshot, so they are read each time.
        if let Some(fixed) = credentials_of(|name| std::env::var(name).ok()).map_err(CredentialsError::Variables)? {
            return Ok(fixed);
        }
        let url = std::env::var(ENV_CREDENTIALS_URI).map_err(|_| CredentialsError::Unset)?;
        let mut last = self.last.lock().await;
        if let Some(credentials) = last.as_ref().filter(|last| is_fresh(last)) {
            return Ok(credentials.clone());
        }
        match Self::fetch(url.trim()).await {
            Ok(credentials) if !is_usable(&credentials) => Err(CredentialsError::Unusable),
            Ok(credentials) => Ok(last.insert(credentials).clone()),
            Err(error) => Err(CredentialsError::Endpoint(error)),
        }
    }

    async fn forget(&self) {
        self.last.lock().await.take();
    }
}

impl<C: Credentialed> Credentialed for std::sync::Arc<C> {
    fn credentials(&self) -> impl Future<Output = Result<Credentials, CredentialsError>> + Send {
        C::credentials(self)
    }

    fn forget(&self) -> impl Future<Output = ()> + Send {
        C::forget(self)
    }
}

impl fmt::Display for ContainerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsendable => f.write_str("the URL or the token cannot be sent"),
            Self::NotHere => f.write_str("expected https, or the URL of this machine"),
            Self::Transport(error) => error.fmt(f),
            Self::Status(status) => write!(f, "the endpoint answered {status}"),
            Self::Unreadable => f.write_str("the answer has no credentials"),
        }
    }
}

impl std::error::Error for ContainerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_answer_of_the_endpoint() {
        let body = r#"{"AccessKeyId":"AKID","SecretAccessKey":"s","Token":"t","Expiration":"2023-02-14T18:06:57Z"}"#;
        let read_all = read(body.as_bytes()).unwrap();
        assert_eq!(
            (read_all.access_key_id(), read_all.secret_access_key(), read_all.session_token()),
            ("AKID", "s", Some("t"))
        );
        assert_eq!(read_all.expiry(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_676_398_017)));
        assert!(!is_fresh(&read_all));
        let read_less = read(br#"{"AccessKeyId":"AKID","SecretAccessKey":"s"}"#).unwrap();
        assert_eq!((read_less.session_token(), read_less.expiry()), (None, None));
        assert!(read(b"{}").is_none() && read(b"<html>").is_none());
    }
}
