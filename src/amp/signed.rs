//! SigV4 around a transport: the last thing that touches a request.

use super::credentials::CredentialsSource;
use crate::remote_write::{Answer, Transport, TransportError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// AMP's name in signatures.
pub const SIGNING_NAME: &str = "aps";

/// What stands in an answer instead of a secret.
const HIDDEN: &str = "(hidden)";

/// Signs each request with the credentials and the time of its sending. Without a signer it only passes on.
#[derive(Debug)]
pub struct Signed<T> {
    transport: T,
    signer: Option<Signer>,
}

/// What signatures are made of.
#[derive(Debug)]
pub struct Signer {
    /// The workspace's region.
    pub region: String,
    /// Whose signature it is.
    pub credentials: CredentialsSource,
}

// === impl Signed ===

impl<T> Signed<T> {
    /// Wraps `transport`; `None` for receivers that want no signature.
    pub fn new(transport: T, signer: Option<Signer>) -> Self {
        Self { transport, signer }
    }
}

impl<T: Transport> Transport for Signed<T> {
    async fn send(&self, mut request: Request<Bytes>, timeout: Duration) -> Result<Answer, TransportError> {
        let Some(signer) = &self.signer else { return self.transport.send(request, timeout).await };
        let started = Instant::now();
        let found = tokio::time::timeout(timeout, signer.credentials.credentials()).await;
        // Nothing was sent.
        let late = |_| TransportError::Credentials("no credentials in time".to_owned());
        let credentials = found.map_err(late)?.map_err(TransportError::Credentials)?;
        let token = credentials.session_token().map(str::to_owned);
        apply_signature(&mut request, &signer.region, &credentials.into(), SystemTime::now())
            .map_err(TransportError::Credentials)?;
        let signature = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.rsplit('=').next().map(str::to_owned));
        let mut answer = self.transport.send(request, timeout.saturating_sub(started.elapsed())).await?;
        // Front ends of AWS repeat the canonical request, token and all, where they do not agree with a signature.
        for secret in [token, signature].into_iter().flatten() {
            answer.body = hide(&answer.body, &secret);
        }
        Ok(answer)
    }

    async fn warm(&self, url: http::Uri, timeout: Duration) {
        self.transport.warm(url, timeout).await;
    }

    async fn forget_credentials(&self) {
        if let Some(signer) = &self.signer {
            signer.credentials.forget().await;
        }
    }
}

/// `text` without `secret`, and without the beginning of it at the end of a text that was cut.
fn hide(text: &str, secret: &str) -> String {
    let head: String = secret.chars().take(12).collect();
    if head.len() < 12 {
        return text.replace(secret, HIDDEN);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(&head) {
        let from = &rest[rest.len() - from.len() - head.len()..];
        shown.push_str(before);
        shown.push_str(HIDDEN);
        // To the end of the secret, or of the word where some of it is escaped.
        rest = from.strip_prefix(secret).unwrap_or_else(|| {
            let tail = &from[head.len()..];
            &tail[tail.find(|c: char| c.is_whitespace() || c.is_control() || c == '"').unwrap_or(tail.len())..]
        });
    }
    shown.push_str(rest);
    shown
}

/// Adds `Authorization`, `X-Amz-Date` and, for temporary credentials, `X-Amz-Security-Token` to a request that is
/// otherwise complete. The signature covers the hash of the body and every header but `User-Agent`.
fn apply_signature(
    request: &mut Request<Bytes>,
    region: &str,
    identity: &Identity,
    time: SystemTime,
) -> Result<(), String> {
    let params = v4::SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(SIGNING_NAME)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(request.body()))
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(signable, &params.into()).map_err(|error| error.to_string())?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;

    #[test]
    fn the_signature_covers_body_headers_and_token_but_not_the_user_agent() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        let mut request =
            Request::post("https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write")
                .header("content-type", "application/x-protobuf")
                .header("content-encoding", "snappy")
                .header("user-agent", "x/1")
                .body(Bytes::from_static(&[0]))
                .unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_676_398_017);
        apply_signature(&mut request, "us-east-1", &credentials.into(), time).unwrap();
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20230214/us-east-1/aps/aws4_request, \
                        SignedHeaders=content-encoding;content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(authorization.starts_with(expected), "{authorization}");
        assert_eq!(request.headers()["x-amz-date"], "20230214T180657Z");
    }

    #[test]
    fn a_secret_that_an_answer_repeats_is_hidden_whole_or_cut() {
        let secret = "IQoJb3JpZ2luX2VjEXAMPLE";
        let table = [
            (format!("token:{secret}\nhost"), "token:(hidden)\nhost"),
            (format!("{secret}{secret}"), "(hidden)(hidden)"),
            (format!("cut {}", &secret[..15]), "cut (hidden)"),
            (format!("\"{}%2B{}\" escaped", &secret[..14], &secret[14..]), "\"(hidden)\" escaped"),
            ("nothing".to_owned(), "nothing"),
        ];
        for (text, expected) in table {
            assert_eq!(hide(&text, secret), expected);
        }
        assert_eq!(hide("\"IQoJb3JpZ2l%6E", "\"IQoJb3JpZ2luX2V\""), "(hidden)");
        assert_eq!(hide("a short é one", "short"), "a (hidden) é one");
    }
}
