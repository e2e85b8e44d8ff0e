//! A transport that signs each request with SigV4. Signing is the last change of a request.

use super::{Answer, Credentialed, CredentialsSource, ReadBody, Transport, TransportError, causes, sign};
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Uri};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Replaces a secret in an answer.
const HIDDEN: &str = "(hidden)";

/// Headers that are secret as a whole: of SigV4, the portal of SSO, and the instance metadata service.
const SECRET_HEADERS: [&str; 3] = ["x-amz-security-token", "x-amz-sso_bearer_token", "x-aws-ec2-metadata-token"];

/// Signs each request with the credentials and the time of its sending. Without a signer it only passes requests on.
#[derive(Debug)]
pub struct Signed<T, C = CredentialsSource> {
    transport: T,
    signer: Option<Signer<C>>,
}

#[derive(Debug)]
pub struct Signer<C = CredentialsSource> {
    /// The service's name in signatures.
    pub service: &'static str,
    pub region: String,
    pub credentials: C,
}

impl<T, C> Signed<T, C> {
    /// Wraps `transport`; `signer` is `None` for receivers that want no signature.
    pub fn new(transport: T, signer: Option<Signer<C>>) -> Self {
        Self { transport, signer }
    }
}

impl<T: Transport, C: Credentialed> Transport for Signed<T, C> {
    async fn send(
        &self,
        mut request: Request<Bytes>,
        read_body: ReadBody,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        let Some(signer) = &self.signer else { return self.transport.send(request, read_body, timeout).await };
        let started = Instant::now();
        // Nothing is sent if any of this fails.
        let failed = |text: String| TransportError::Credentials(text);
        let found = tokio::time::timeout(timeout, signer.credentials.credentials()).await;
        let found = found.map_err(|_| failed("no credentials in time".to_owned()))?;
        let credentials = found.map_err(|error| failed(error.to_string()))?;
        sign(&mut request, signer.service, &signer.region, &credentials.into(), SystemTime::now())
            .map_err(|error| failed(causes(&error)))?;
        let secrets = secrets_of(request.headers());
        let mut answer = self.transport.send(request, read_body, timeout.saturating_sub(started.elapsed())).await?;
        hide_all(&mut answer, &secrets);
        Ok(answer)
    }

    async fn warm(&self, url: Uri, timeout: Duration) {
        // Receivers other than AMP may take the request for a write.
        if self.signer.is_some() {
            self.transport.warm(url, timeout).await;
        }
    }

    fn has_credentials(&self) -> bool {
        self.signer.is_some()
    }

    async fn forget_credentials(&self) {
        if let Some(signer) = &self.signer {
            signer.credentials.forget().await;
        }
    }
}

/// Returns the parts of a request's headers that no log may show: tokens and the signature.
pub(super) fn secrets_of(headers: &HeaderMap) -> Vec<String> {
    let tokens = SECRET_HEADERS.iter().filter_map(|name| headers.get(*name)?.to_str().ok());
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let signature =
        authorization.map(|value| value.rsplit_once("Signature=").map_or(value, |(_, signature)| signature));
    tokens.chain(signature).filter(|secret| !secret.is_empty()).map(str::to_owned).collect()
}

/// Hides secrets of the request in its answer. Front ends of AWS repeat the canonical request, token and all, if they do not
/// agree with a signature.
pub(super) fn hide_all(answer: &mut Answer, secrets: &[String]) {
    for secret in secrets {
        if let Some(hidden) = hide(&String::from_utf8_lossy(&answer.body), secret) {
            answer.body = hidden.into();
        }
    }
}

/// Returns `text` without `secret`, and without the beginning of it at the end of a text that was cut; `None` if it
/// holds neither.
fn hide(text: &str, secret: &str) -> Option<String> {
    let head: String = secret.chars().take(12).collect();
    if head.len() < 12 {
        return text.contains(secret).then(|| text.replace(secret, HIDDEN));
    }
    let (mut shown, mut rest) = (String::new(), text);
    while let Some((before, tail)) = rest.split_once(&head) {
        shown.push_str(before);
        shown.push_str(HIDDEN);
        // To the end of the secret, or of the word if some of it is escaped.
        rest = tail.strip_prefix(&secret[head.len()..]).unwrap_or_else(|| {
            &tail[tail.find(|c: char| c.is_whitespace() || c.is_control() || c == '"').unwrap_or(tail.len())..]
        });
    }
    (rest.len() < text.len()).then(|| shown + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_a_secret_that_an_answer_repeats_whole_or_cut() {
        let secret = "IQoJb3JpZ2luX2VjEXAMPLE";
        let table = [
            (format!("token:{secret}\nhost"), "token:(hidden)\nhost"),
            (format!("{secret}{secret}"), "(hidden)(hidden)"),
            (format!("cut {}", &secret[..15]), "cut (hidden)"),
            (format!("\"{}%2B{}\" escaped", &secret[..14], &secret[14..]), "\"(hidden)\" escaped"),
        ];
        for (text, expected) in table {
            assert_eq!(hide(&text, secret).as_deref(), Some(expected));
        }
        assert_eq!(hide("nothing", secret), None);
        assert_eq!(hide("nothing", "short"), None);
        assert_eq!(hide("\"IQoJb3JpZ2l%6E", "\"IQoJb3JpZ2luX2V\"").unwrap(), "(hidden)");
        assert_eq!(hide("a short é one", "short").unwrap(), "a (hidden) é one");
    }
}
