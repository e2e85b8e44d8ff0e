//! A signed POST to the Invoke API: <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>.

use crate::fault::Fault;
use crate::send::outcome::Unsent;
use amp_push_gateway::amp::CredentialsSource;
use amp_push_gateway::remote_write::{causes, http_client};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use std::error::Error;
use std::time::{Duration, SystemTime};
use url::Url;

/// Lambda's name in signatures.
const SIGNING_NAME: &str = "lambda";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond the time that the function may take: Lambda answers for one that takes longer.
const GRACE: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether the function failed, and the body says how.
    pub(super) is_function_error: bool,
    /// Lambda's name for a call that it refused.
    pub(super) error_type: Option<String>,
    pub(super) body: String,
}

/// Signs and posts.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    credentials: CredentialsSource,
    region: String,
}

// === impl Client ===

impl Client {
    /// Signs for `region`, and gives up a function that takes longer than `timeout`.
    pub(super) fn new(region: String, timeout: Duration) -> Result<Self, Fault> {
        let client = build(timeout).map_err(|error| Fault::Failed(causes(&*error)))?;
        Ok(Self { http: client, credentials: CredentialsSource::new(None, &region), region })
    }

    /// Invokes the function at `url` with `payload`.
    pub(super) async fn post(&self, url: &Url, invocation_type: &str, payload: String) -> Result<Answer, Unsent> {
        let no_credentials = |words| Unsent { words: format!("no credentials to sign with: {words}"), may_pass: false };
        let credentials = self.credentials.credentials().await.map_err(no_credentials)?;
        let unusable = |error: &dyn Error| Unsent { words: causes(error), may_pass: false };
        let mut request = Request::post(url.as_str())
            .header("content-type", "application/json")
            .header("x-amz-invocation-type", invocation_type)
            .body(Bytes::from(payload))
            .map_err(|error| unusable(&error))?;
        apply_signature(&mut request, &self.region, credentials, SystemTime::now())
            .map_err(|error| unusable(&*error))?;
        let request = reqwest::Request::try_from(request).map_err(|error| unusable(&error))?;
        let broken = |error: reqwest::Error| Unsent { words: causes(&error), may_pass: true };
        let answer = self.http.execute(request).await.map_err(broken)?;
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().ok()?.to_owned());
        Ok(Answer {
            status: answer.status().as_u16(),
            is_function_error: header("x-amz-function-error").is_some(),
            error_type: header("x-amzn-errortype").map(|kind| kind.split(':').next().unwrap_or_default().to_owned()),
            body: answer.text().await.map_err(broken)?,
        })
    }
}

fn build(timeout: Duration) -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    let builder = http_client()?.connect_timeout(CONNECT_TIMEOUT).timeout(timeout + GRACE);
    Ok(builder.user_agent(concat!("amp-push-gateway/", env!("CARGO_PKG_VERSION"), " pushgw")).build()?)
}

/// Adds `Authorization`, `X-Amz-Date` and, for temporary credentials, `X-Amz-Security-Token`.
fn apply_signature(
    request: &mut Request<Bytes>,
    region: &str,
    credentials: Credentials,
    time: SystemTime,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SIGNING_NAME)
        .time(time)
        .settings(SigningSettings::default())
        .build()?;
    let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let signable = SignableRequest::new(request.method().as_str(), &uri, headers, SignableBody::Bytes(request.body()))?;
    let (instructions, _) = sign(signable, &params.into())?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::local::signature::{AccessKey, Received, Verifier};
    use amp_push_gateway::model::Timestamp;

    #[test]
    fn a_request_is_signed_as_the_service_lambda_wants_it() {
        let url = "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/arn%3Aaws%3Af/invocations";
        let mut request = Request::post(url)
            .header("host", "lambda.eu-west-1.amazonaws.com")
            .header("x-amz-invocation-type", "Event")
            .body(Bytes::from_static(b"{}"))
            .unwrap();
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_676_398_017);
        apply_signature(&mut request, "eu-west-1", credentials, time).unwrap();
        let key = AccessKey {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "secret".to_owned(),
            session_token: Some("token".to_owned()),
        };
        let verifier = Verifier { service: "lambda".to_owned(), region: "eu-west-1".to_owned(), keys: vec![key] };
        let received = Received {
            method: request.method(),
            path: request.uri().path(),
            query: None,
            headers: request.headers(),
            body: request.body(),
        };
        let judged = verifier.verify(&received, Timestamp(1_676_398_017_000));
        assert!(judged.is_ok(), "{}", judged.unwrap_err());
    }
}
