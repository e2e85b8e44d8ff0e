//! A secret of Secrets Manager (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>).
//!
//! This needs only one call of the service's JSON protocol, so there is no SDK. Nothing here keeps the secret.

use super::json_service::{CallError, JsonService, Protocol, endpoint_of_environment, whole_body};
use super::{Credentialed, CredentialsSource, Signed, Signer, Transport, is_region};
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// The service's name in signatures.
const SERVICE: &str = "secretsmanager";

const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";

/// A secret has at most 65,536 bytes. Escapes in JSON make six of one.
const MAX_ANSWER_BYTES: usize = 512 << 10;

const PROTOCOL: Protocol =
    Protocol { target: SERVICE, content_type: "application/x-amz-json-1.1", read_body: whole_body::<MAX_ANSWER_BYTES> };

/// The Amazon resource name of a secret: `arn:aws:secretsmanager:<region>:<account>:secret:<name>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretArn {
    text: String,
    region: String,
}

/// A secret that can be fetched.
#[derive(Debug)]
pub struct Secret<T, C = CredentialsSource> {
    arn: SecretArn,
    service: JsonService<T, C>,
}

/// Why a secret cannot be fetched. Its text holds nothing of the secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretError {
    Call(CallError),
    /// The secret is binary.
    NotText,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<String>,
}

impl SecretArn {
    /// Returns `None` if `text` is not the name of a secret.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(7, ':');
        let is = |part: Option<&str>, expected: &str| part == Some(expected);
        let is_secret = is(parts.next(), "arn")
            && parts.next()?.starts_with("aws")
            && is(parts.next(), SERVICE)
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        let region = parts.next().filter(|region| is_region(region))?;
        let account = parts.next()?;
        let is_named = is(parts.next(), "secret") && parts.next().is_some_and(|name| !name.is_empty());
        let found = is_secret && is_named && !account.is_empty();
        found.then(|| Self { text: text.to_owned(), region: region.to_owned() })
    }

    pub fn region(&self) -> &str {
        &self.region
    }

    fn endpoint(&self) -> String {
        let domain = if self.text.starts_with("arn:aws-cn:") { "amazonaws.com.cn" } else { "amazonaws.com" };
        format!("https://{SERVICE}.{}.{domain}/", self.region)
    }
}

impl fmt::Display for SecretArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T: Transport, C: Credentialed> Secret<T, C> {
    /// The secret `arn`, asked for in its own region, or at the endpoint that the environment sets.
    pub fn new(arn: SecretArn, transport: T, credentials: C) -> Self {
        let endpoint = endpoint_of_environment(ENDPOINT_VARIABLE).unwrap_or_else(|| arn.endpoint());
        Self::at(arn, &endpoint, transport, credentials)
    }

    /// If the URL is not valid, the first fetch returns an error.
    fn at(arn: SecretArn, endpoint: &str, transport: T, credentials: C) -> Self {
        let signer = Signer { service: SERVICE, region: arn.region.clone(), credentials };
        let transport = Signed::new(transport, Some(signer));
        let service = JsonService { protocol: PROTOCOL, endpoint: endpoint.parse().unwrap_or_default(), transport };
        Self { arn, service }
    }

    pub fn arn(&self) -> &SecretArn {
        &self.arn
    }

    /// Returns the text of the secret's current version, within `timeout`.
    pub async fn fetch(&self, timeout: Duration) -> Result<String, SecretError> {
        let body = serde_json::json!({ "SecretId": self.arn.text }).to_string();
        let answer = self.service.call("GetSecretValue", body.into(), timeout).await.map_err(SecretError::Call)?;
        let value: SecretValue =
            serde_json::from_slice(&answer).map_err(|_| SecretError::Call(CallError::Unreadable))?;
        value.secret_string.ok_or(SecretError::NotText)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(CallError::Transport(error)) => error.fmt(f),
            Self::Call(CallError::Service(error)) => write!(f, "Secrets Manager answered {error}"),
            Self::Call(CallError::Unreadable) => f.write_str("the answer does not have the form of Secrets Manager"),
            Self::NotText => f.write_str("the secret has no text; expected JSON as a SecretString"),
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::json_service::ServiceError;
    use crate::aws::{Answer, ReadBody, TransportError};
    use aws_credential_types::Credentials;
    use bytes::Bytes;
    use http::Request;
    use std::sync::Mutex;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:push/door-AbCdEf";

    struct Fake {
        answer: Result<Answer, TransportError>,
        seen: Mutex<Vec<Request<Bytes>>>,
    }

    impl Transport for &Fake {
        async fn send(&self, request: Request<Bytes>, _: ReadBody, _: Duration) -> Result<Answer, TransportError> {
            self.seen.lock().unwrap().push(request);
            self.answer.clone()
        }
    }

    fn fetch(answer: Result<(u16, &str), TransportError>) -> (Result<String, SecretError>, Vec<Request<Bytes>>) {
        let answer = answer.map(|(status, body)| Answer {
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
            ..Answer::default()
        });
        let fake = Fake { answer, seen: Mutex::default() };
        let arn = SecretArn::parse(ARN).unwrap();
        let endpoint = arn.endpoint();
        let credentials = CredentialsSource::Fixed(Credentials::new("AKIDEXAMPLE", "secret", None, None, "test"));
        let secret = Secret::at(arn, &endpoint, &fake, credentials);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let fetched = runtime.block_on(secret.fetch(Duration::from_secs(1)));
        (fetched, fake.seen.into_inner().unwrap())
    }

    #[test]
    fn asks_the_service_in_the_region_of_the_secret() {
        let (fetched, seen) = fetch(Ok((200, r#"{"ARN":"x","SecretString":"{\"token\":\"t\"}","VersionId":"y"}"#)));
        assert_eq!(fetched.unwrap(), r#"{"token":"t"}"#);
        let request = &seen[0];
        assert_eq!(request.uri(), "https://secretsmanager.eu-west-1.amazonaws.com/");
        assert_eq!(request.headers()["x-amz-target"], "secretsmanager.GetSecretValue");
        assert_eq!(request.headers()["content-type"], "application/x-amz-json-1.1");
        assert_eq!(request.body(), format!(r#"{{"SecretId":"{ARN}"}}"#).as_bytes());
        let authorization = request.headers()["authorization"].to_str().unwrap();
        assert!(authorization.contains("/eu-west-1/secretsmanager/aws4_request"), "{authorization}");
    }

    #[test]
    fn says_why_there_is_no_secret() {
        let denied = r#"{"__type":"com.amazon#AccessDeniedException","Message":"not authorized"}"#;
        let service = |status, code: &str, message: &str, body: &'static str| {
            let (code, message, body) = (code.to_owned(), message.to_owned(), Bytes::from_static(body.as_bytes()));
            SecretError::Call(CallError::Service(ServiceError { status, code, message, body }))
        };
        let unreadable = SecretError::Call(CallError::Unreadable);
        let timeout = TransportError::Timeout;
        let table = [
            (Ok((400, denied)), service(400, "AccessDeniedException", "not authorized", denied)),
            (Ok((500, "<html>")), service(500, "", "", "<html>")),
            (Ok((200, "{}")), SecretError::NotText),
            (Ok((200, r#"{"SecretBinary":"YQ=="}"#)), SecretError::NotText),
            (Ok((200, "[]x")), unreadable),
            (Err(timeout.clone()), SecretError::Call(CallError::Transport(timeout))),
        ];
        for (answer, expected) in table {
            assert_eq!(fetch(answer).0, Err(expected));
        }
    }

    #[test]
    fn takes_only_the_arn_of_a_secret() {
        let cn = SecretArn::parse("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a").unwrap();
        assert_eq!(cn.endpoint(), "https://secretsmanager.cn-north-1.amazonaws.com.cn/");
        assert_eq!(SecretArn::parse(ARN).unwrap().region(), "eu-west-1");
        let wrong = [
            "",
            "push/door",
            "arn:aws:sqs:eu-west-1:123456789012:secret:a",
            "arn:aws:secretsmanager::123456789012:secret:a",
            "arn:aws:secretsmanager:eu-west-1::secret:a",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret",
            "arn:aws:secretsmanager:eu-west-1:123456789012:other:a",
            "arn:aws:secretsmanager:eu-west-1.evil.example/:123456789012:secret:a",
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:a b",
        ];
        for text in wrong {
            assert_eq!(SecretArn::parse(text), None, "{text}");
        }
    }
}
