//! Lets AWS SDKs use the HTTP client of this package.
//!
//! Their own client would be a second one, with HTTP/2 and another TLS library (aws-lc-rs). It adds 0.6 MB to the zip, and
//! 24 ms to its first handshake.

use super::signed::{hide_all, secrets_of};
use super::{BodyPolicy, HttpTransport, ReadBody, Transport as _, TransportError};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// The SDKs' own default.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);

/// The time of a call for which the SDK sets none; a function runs no longer.
const LONGEST_CALL: Duration = Duration::from_mins(15);

/// Ten messages of SQS, with every byte escaped, are 60 MiB.
const MAX_MESSAGES_BYTES: usize = 64 << 20;

/// Any other answer: the results of ten entries, an error, credentials.
const MAX_BODY_BYTES: usize = 256 << 10;

/// The header that names the operation of SQS.
const TARGET: &str = "x-amz-target";

/// Returns the HTTP client for AWS SDKs; one pool of connections. If reqwest or rustls rejects its configuration, which
/// no input decides, each call reports it.
pub fn sdk_http_client() -> SharedHttpClient {
    let transport = HttpTransport::with_connect_timeout(CONNECT_TIMEOUT).map_err(Arc::from);
    SharedHttpClient::new(SdkHttp { transport, timeout: LONGEST_CALL })
}

#[derive(Clone, Debug)]
struct SdkHttp {
    transport: Result<HttpTransport, Arc<dyn Error + Send + Sync>>,
    timeout: Duration,
}

impl HttpClient for SdkHttp {
    /// A pool has one connect timeout. The SDK may set a shorter one, as for the instance metadata service, which is often
    /// absent. It then bounds the whole request, together with the timeout for reading.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        let timeout = settings.read_timeout().map(|read| read + settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT));
        SharedHttpConnector::new(Self { transport: self.transport.clone(), timeout: timeout.unwrap_or(LONGEST_CALL) })
    }
}

impl HttpConnector for SdkHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { transport, timeout } = self.clone();
        HttpConnectorFuture::new(async move {
            let transport = transport.map_err(|error| ConnectorError::user(error.into()))?;
            let request = with_bytes(request).map_err(ConnectorError::user)?;
            let target = request.headers().get(TARGET).and_then(|target| target.to_str().ok());
            let is_of_sqs = target.is_some();
            let receives = target.is_some_and(|target| target.ends_with(".ReceiveMessage"));
            let read_body: ReadBody = if receives { messages } else { whole };
            let secrets = secrets_of(request.headers());
            let mut answer = transport.send(request, read_body, timeout).await.map_err(connector_error)?;
            // Messages and credentials must stay as they are.
            if answer.status >= 300 || (is_of_sqs && !receives) {
                hide_all(&mut answer, &secrets);
            }
            let unusable = |error| ConnectorError::other(error, None);
            let response = Response::builder().status(answer.status).body(SdkBody::from(answer.body));
            let mut response = response.map_err(|error| unusable(error.into()))?;
            *response.headers_mut() = answer.headers;
            HttpResponse::try_from(response).map_err(|error| unusable(error.into()))
        })
    }
}

fn messages(status: u16) -> BodyPolicy {
    match status {
        200..=299 => BodyPolicy::Required { max_bytes: MAX_MESSAGES_BYTES },
        _ => whole(status),
    }
}

fn whole(_: u16) -> BodyPolicy {
    BodyPolicy::Required { max_bytes: MAX_BODY_BYTES }
}

fn with_bytes(request: HttpRequest) -> Result<Request<Bytes>, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.try_into_http1x()?.into_parts();
    let body = body.bytes().ok_or("a body that is a stream, which no call here has")?;
    Ok(Request::from_parts(parts, Bytes::copy_from_slice(body)))
}

/// The SDK decides by its own classes which errors it tries again.
fn connector_error(error: TransportError) -> ConnectorError {
    match error {
        TransportError::Timeout => ConnectorError::timeout(error.into()),
        TransportError::Connect(_) => ConnectorError::io(error.into()).never_connected(),
        TransportError::Network(_) | TransportError::Credentials(_) => ConnectorError::io(error.into()),
    }
}
