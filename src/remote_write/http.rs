//! HTTP/1.1 over TLS with reqwest.

use super::http_status::words_decide;
use super::transport::{Answer, MAX_WORDS_BYTES, Transport, TransportError};
use bytes::Bytes;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A connection takes one round trip for TCP and two for TLS; AMP answers in the function's own region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Front ends of AWS close idle connections after about 20 s; a connection that is given up earlier is never found dead.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest wait for the words of an error after its status, where they decide nothing.
const WORDS_TIMEOUT: Duration = Duration::from_millis(500);

/// Of an answer that nobody asked for; above it another connection is cheaper.
const MAX_WARM_BYTES: usize = 65_536;

/// A client with one pool of connections.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

// === impl HttpTransport ===

impl HttpTransport {
    /// Builds the client; nothing is connected yet.
    ///
    /// # Errors
    /// Where reqwest or rustls refuse their configuration, which no input decides.
    pub fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let builder = http_client()?.connect_timeout(CONNECT_TIMEOUT).pool_idle_timeout(POOL_IDLE_TIMEOUT);
        Ok(Self { client: builder.build()? })
    }
}

/// The beginning of every HTTP client here: TLS is rustls on ring with Mozilla's roots compiled in, and redirects are not
/// followed.
///
/// It is ready in 0.03 ms, where aws-lc-rs spends 24 ms on entropy at its first handshake and the system's roots take 0.6
/// to 40 ms to read.
///
/// # Errors
/// Where rustls refuses its configuration, which no input decides.
pub fn http_client() -> Result<reqwest::ClientBuilder, Box<dyn Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let redirect = reqwest::redirect::Policy::none();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).redirect(redirect))
}

/// An error and its causes, from the outermost on.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

impl Transport for HttpTransport {
    async fn send(&self, request: http::Request<Bytes>, timeout: Duration) -> Result<Answer, TransportError> {
        let until = Instant::now() + timeout;
        let request = reqwest::Request::try_from(request).map_err(fault)?;
        let sent = tokio::time::timeout_at(until, self.client.execute(request)).await;
        let mut response = sent.map_err(|_| TransportError::Timeout)?.map_err(fault)?;
        let status = response.status().as_u16();
        let header = response.headers().get(http::header::RETRY_AFTER);
        let retry_after = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut words = Vec::new();
        // The status is the answer, and of a success the body says nothing. Where words decide, half of them are none.
        let decide = words_decide(status);
        let until = if decide { until } else { until.min(Instant::now() + WORDS_TIMEOUT) };
        while !response.status().is_success() && words.len() < MAX_WORDS_BYTES {
            match tokio::time::timeout_at(until, response.chunk()).await {
                Ok(Ok(Some(chunk))) => {
                    words.extend_from_slice(&chunk[..chunk.len().min(MAX_WORDS_BYTES - words.len())]);
                }
                Ok(Err(error)) if decide => return Err(fault(error)),
                Err(_) if decide => return Err(TransportError::Timeout),
                _ => break,
            }
        }
        Ok(Answer { status, retry_after, body: String::from_utf8_lossy(&words).trim().to_owned() })
    }

    async fn warm(&self, url: http::Uri, timeout: Duration) {
        let get = async {
            let request = reqwest::Request::try_from(http::Request::get(url).body(Bytes::new()).ok()?).ok()?;
            let mut response = self.client.execute(request).await.ok()?;
            // A connection can carry the next request once its answer is read to the end.
            let mut read = 0;
            while read < MAX_WARM_BYTES {
                read += response.chunk().await.ok()??.len();
            }
            Some(())
        };
        let _answer_or_not = tokio::time::timeout(timeout, get).await;
    }
}

fn fault(error: reqwest::Error) -> TransportError {
    let is_connect = error.is_connect();
    // One that runs out while it connects is both, and has sent nothing.
    if error.is_timeout() && !is_connect {
        return TransportError::Timeout;
    }
    // Without the URL, which may hold a password.
    let words = causes(&error.without_url());
    if is_connect { TransportError::Connect(words) } else { TransportError::Network(words) }
}
