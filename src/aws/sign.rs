//! Signs requests with SigV4. Pure: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>.

use aws_sigv4::http_request::{self, SignableBody, SignableRequest, SigningError, SigningSettings};
use aws_sigv4::sign::v4::{SigningParams, signing_params};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::Request;
use std::error::Error;
use std::fmt;
use std::time::SystemTime;

/// Why a request cannot be signed.
#[derive(Debug)]
pub enum SignError {
    /// A part of the signature is missing.
    Incomplete(signing_params::BuildError),
    /// The request has a URL or a header that cannot be signed, or the identity is not one of AWS.
    Unsignable(SigningError),
}

/// Adds `Authorization`, `X-Amz-Date` and, for temporary credentials, `X-Amz-Security-Token` to a request that is
/// otherwise complete. The signature covers the hash of the body and every header but `User-Agent`.
pub fn sign(
    request: &mut Request<Bytes>,
    service: &str,
    region: &str,
    identity: &Identity,
    time: SystemTime,
) -> Result<(), SignError> {
    let params = SigningParams::builder()
        .identity(identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(SignError::Incomplete)?;
    let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(request.body()));
    let signed = signable.and_then(|signable| http_request::sign(signable, &params.into()));
    let (instructions, _) = signed.map_err(SignError::Unsignable)?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request cannot be signed")
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Incomplete(error) => Some(error),
            Self::Unsignable(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::Credentials;
    use std::time::Duration;

    /// `request` as it is signed at 2023-02-14 18:06:57 UTC.
    fn signed(mut request: Request<Bytes>, service: &str, region: &str) -> Request<Bytes> {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_676_398_017);
        sign(&mut request, service, region, &credentials.into(), time).unwrap();
        request
    }

    #[test]
    fn covers_body_headers_and_token_but_not_the_user_agent() {
        let request =
            Request::post("https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write")
                .header("content-type", "application/x-protobuf")
                .header("content-encoding", "snappy")
                .header("user-agent", "x/1")
                .body(Bytes::from_static(&[0]))
                .unwrap();
        let request = signed(request, "aps", "us-east-1");
        let authorization = request.headers()["authorization"].to_str().unwrap();
        let expected = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20230214/us-east-1/aps/aws4_request, \
                        SignedHeaders=content-encoding;content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(authorization.starts_with(expected), "{authorization}");
        assert_eq!(request.headers()["x-amz-date"], "20230214T180657Z");
    }

    #[cfg(feature = "cli")]
    #[test]
    fn signs_an_escaped_path_as_lambda_verifies_it() {
        use crate::local::signature::{AccessKey, Verifier};
        let url = "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Af/invocations";
        let request = Request::post(url)
            .header("host", "lambda.eu-west-1.amazonaws.com")
            .header("x-amz-invocation-type", "Event")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let request = signed(request, "lambda", "eu-west-1");
        let key = AccessKey {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "secret".to_owned(),
            session_token: Some("token".to_owned()),
        };
        let verifier = Verifier { service: "lambda".to_owned(), region: "eu-west-1".to_owned(), keys: vec![key] };
        let judged = verifier.verify(&request, crate::model::Timestamp(1_676_398_017_000));
        assert!(judged.is_ok(), "{}", judged.unwrap_err());
    }
}
