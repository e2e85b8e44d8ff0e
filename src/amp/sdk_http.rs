//! AWS SDKs on the HTTP client of everything else here.
//!
//! Their own would bring a second one, with HTTP/2 and another TLS library (aws-lc-rs): 0.6 MB in the zip, and 24 ms at
//! its first handshake.

use crate::remote_write::http_client;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use std::error::Error;
use std::time::Duration;

/// The SDKs' own default.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

type Fault = Box<dyn Error + Send + Sync>;

/// The HTTP client for AWS SDKs; one pool of connections. Where reqwest or rustls refuse their configuration, which no
/// input decides, each call says so.
#[must_use]
pub fn sdk_http_client() -> SharedHttpClient {
    let built = http_client().and_then(|builder| Ok(builder.connect_timeout(CONNECT_TIMEOUT).build()?));
    SharedHttpClient::new(Reqwest { client: built.map_err(|error| error.to_string()), timeout: None })
}

#[derive(Clone, Debug)]
struct Reqwest {
    client: Result<reqwest::Client, String>,
    timeout: Option<Duration>,
}

// === impl Reqwest ===

impl HttpClient for Reqwest {
    /// A pool has one connect timeout, so a shorter one that is asked for (the instance metadata service's, which is
    /// often absent) bounds the whole request, together with that for reading.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let timeout = settings.read_timeout().map(|read| read + settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT));
        SharedHttpConnector::new(Self { client: self.client.clone(), timeout })
    }
}

impl HttpConnector for Reqwest {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { client, timeout } = self.clone();
        HttpConnectorFuture::new(async move {
            let client = client.map_err(|words| ConnectorError::user(words.into()))?;
            let request = to_reqwest(request, timeout).map_err(ConnectorError::user)?;
            let response = client.execute(request).await.map_err(fault)?;
            let mut answer = http::Response::new(SdkBody::empty());
            *answer.status_mut() = response.status();
            answer.headers_mut().clone_from(response.headers());
            *answer.body_mut() = SdkBody::from(response.bytes().await.map_err(fault)?);
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn to_reqwest(request: HttpRequest, timeout: Option<Duration>) -> Result<reqwest::Request, Fault> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    let body = body.bytes().ok_or("a body that is a stream, which no call here has")?;
    let mut request = reqwest::Request::try_from(http::Request::from_parts(parts, body.to_vec()))?;
    *request.timeout_mut() = timeout;
    Ok(request)
}

/// What of it may work later, in the SDK's own terms: its retries go by them.
fn fault(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, is_connect) = (error.is_timeout(), error.is_connect());
    let error: Fault = error.without_url().into();
    match (is_timeout, is_connect) {
        (true, _) => ConnectorError::timeout(error),
        (false, true) => ConnectorError::io(error).never_connected(),
        (false, false) => ConnectorError::io(error),
    }
}
