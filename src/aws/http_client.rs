//! HTTP/1.1 over TLS with reqwest.
//!
//! TLS is rustls on ring with Mozilla's roots compiled in. It is ready in 0.03 ms. Alternatives are slower: aws-lc-rs
//! spends 24 ms on entropy at its first handshake, and reading the system's roots takes 0.6 to 40 ms. The client never
//! follows redirects.
//!
//! The usual variables (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`) name a proxy. Requests to this machine, and
//! to the link-local addresses that give credentials, never go through it. A proxy cannot reach these addresses, and must
//! not see credentials.

use super::transport::{Answer, BodyPolicy, ReadBody, Transport, TransportError};
use bytes::Bytes;
use http::{Request, Uri};
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use url::Host;

/// A connection takes one round trip for TCP and two for TLS; AWS answers in the function's own region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Front ends of AWS close idle connections after about 20 s. If the client closes a connection before that, no request finds it closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Bytes that are read of the answer that opens a connection. For more bytes another connection is cheaper.
const MAX_WARM_BYTES: usize = 65_536;

/// The variables that name a proxy, in capital letters, too.
const PROXY_VARIABLES: [&str; 3] = ["http_proxy", "https_proxy", "all_proxy"];

/// The addresses of credentials and metadata in a function, a container or an instance with IPv6.
const METADATA_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)];

/// A client with one pool of connections.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
    /// For hosts that no proxy reaches, if the environment names a proxy.
    direct: Option<reqwest::Client>,
}

impl HttpTransport {
    /// Builds the client; nothing is connected yet. It fails if reqwest or rustls rejects its configuration, which no
    /// input decides.
    pub fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        Self::with_connect_timeout(CONNECT_TIMEOUT)
    }

    pub(super) fn with_connect_timeout(timeout: Duration) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let builder = || {
            Ok::<_, Box<dyn Error + Send + Sync>>(
                http_client()?.connect_timeout(timeout).pool_idle_timeout(POOL_IDLE_TIMEOUT),
            )
        };
        let direct = if names_a_proxy() { Some(builder()?.no_proxy().build()?) } else { None };
        Ok(Self { client: builder()?.build()?, direct })
    }

    async fn execute(&self, request: reqwest::Request) -> Result<reqwest::Response, reqwest::Error> {
        let client = match &self.direct {
            Some(direct) if request.url().host().is_some_and(|host| is_direct(&host)) => direct,
            _ => &self.client,
        };
        client.execute(request).await
    }
}

fn names_a_proxy() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    PROXY_VARIABLES.iter().any(|name| is_set(name) || is_set(&name.to_ascii_uppercase()))
}

/// Returns whether requests to `host` never go through a proxy.
pub(super) fn is_direct(host: &Host<&str>) -> bool {
    let ip = match *host {
        Host::Domain(name) => return name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Host::Ipv4(ip) => IpAddr::V4(ip),
        Host::Ipv6(ip) => IpAddr::V6(ip).to_canonical(),
    };
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || METADATA_V6.contains(&ip),
    }
}

fn http_client() -> Result<reqwest::ClientBuilder, Box<dyn Error + Send + Sync>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let redirect = reqwest::redirect::Policy::none();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).redirect(redirect))
}

/// Returns the texts of an error and its causes, from the outermost on. Many errors of this crate say their cause
/// themselves, so a cause is left out if its text is there already.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let of_cause = cause.to_string();
        if !text.contains(&of_cause) {
            text = format!("{text}: {of_cause}");
        }
        source = cause.source();
    }
    text
}

impl Transport for HttpTransport {
    async fn send(
        &self,
        request: Request<Bytes>,
        read_body: ReadBody,
        timeout: Duration,
    ) -> Result<Answer, TransportError> {
        let deadline = Instant::now() + timeout;
        let request = reqwest::Request::try_from(request).map_err(transport_error)?;
        let sent = tokio::time::timeout_at(deadline, self.execute(request)).await;
        let mut response = sent.map_err(|_| TransportError::Timeout)?.map_err(transport_error)?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let body = match read_body(status) {
            BodyPolicy::Skip => Bytes::new(),
            BodyPolicy::Excerpt { max_bytes, patience } => {
                let mut body = Vec::new();
                // An incomplete text is better than none.
                let _complete =
                    read(&mut response, &mut body, max_bytes, deadline.min(Instant::now() + patience)).await;
                body.into()
            }
            BodyPolicy::Required { max_bytes } => {
                let mut body = Vec::new();
                read(&mut response, &mut body, max_bytes, deadline).await?;
                body.into()
            }
        };
        Ok(Answer { status, headers, body })
    }

    async fn warm(&self, url: Uri, timeout: Duration) {
        let get = async {
            let request = reqwest::Request::try_from(Request::get(url).body(Bytes::new()).ok()?).ok()?;
            let mut response = self.execute(request).await.ok()?;
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

/// Appends what arrives of a body until it ends, `body` has `max_bytes`, or `deadline` has come.
async fn read(
    response: &mut reqwest::Response,
    body: &mut Vec<u8>,
    max_bytes: usize,
    deadline: Instant,
) -> Result<(), TransportError> {
    while body.len() < max_bytes {
        let chunk = tokio::time::timeout_at(deadline, response.chunk()).await;
        match chunk.map_err(|_| TransportError::Timeout)?.map_err(transport_error)? {
            Some(chunk) => body.extend_from_slice(&chunk[..chunk.len().min(max_bytes - body.len())]),
            None => break,
        }
    }
    Ok(())
}

fn transport_error(error: reqwest::Error) -> TransportError {
    let is_connect = error.is_connect();
    // A timeout during the connect has sent nothing, so it is an error of the connect.
    if error.is_timeout() && !is_connect {
        return TransportError::Timeout;
    }
    // Without the URL, which may hold a password.
    let text = causes(&error.without_url());
    if is_connect { TransportError::Connect(text) } else { TransportError::Network(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    #[test]
    fn sends_through_no_proxy_what_a_proxy_does_not_reach() {
        let table = [
            ("http://localhost:9090/", true),
            ("http://LOCALHOST./", true),
            ("http://127.0.0.1:1/", true),
            ("http://127.8.9.10/", true),
            ("http://[::1]:8080/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://169.254.169.254/latest", true),
            ("http://169.254.170.2/v2/credentials", true),
            ("http://[fd00:ec2::254]/latest", true),
            ("http://localhost.example.com/", false),
            ("http://128.0.0.1/", false),
            ("http://10.0.0.1/", false),
            ("http://[fe80::1]/", false),
            ("https://aps-workspaces.eu-west-1.amazonaws.com/", false),
        ];
        for (url, expected) in table {
            assert_eq!(is_direct(&Url::parse(url).unwrap().host().unwrap()), expected, "{url}");
        }
    }
}
