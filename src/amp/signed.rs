//! SigV4 around a transport: the last thing that touches a request.

use super::credentials::CredentialsSource;
use crate::remote_write::{Answer, Transport, TransportError};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use std::time::{Duration, SystemTime};

/// AMP's name in signatures.
pub const SIGNING_NAME: &str = "aps";

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
        if let Some(signer) = &self.signer {
            let credentials = signer.credentials.credentials().await.map_err(TransportError::Credentials)?;
            apply_signature(&mut request, &signer.region, &credentials.into(), SystemTime::now())
                .map_err(TransportError::Credentials)?;
        }
        self.transport.send(request, timeout).await
    }
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
}
