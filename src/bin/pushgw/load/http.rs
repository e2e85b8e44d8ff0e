//! HTTP for the two things that are asked directly: a local invoke endpoint, and a Prometheus.

use crate::fault::Fault;
use amp_push_gateway::aws::{causes, http_client};
use std::error::Error;
use std::time::Duration;
use url::Url;

/// What one answer may take, and how large it may be.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_BYTES: usize = 256 << 20;

/// A client.
#[derive(Clone, Debug)]
pub(super) struct Http(reqwest::Client);

/// An answer of status 2xx.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether Lambda says that the function failed.
    pub(super) is_function_error: bool,
    pub(super) body: Vec<u8>,
}

// === impl Http ===

impl Http {
    pub(super) fn new() -> Result<Self, Fault> {
        build().map(Self).map_err(|error| Fault::Failed(error.to_string()))
    }

    pub(super) async fn post(&self, url: &Url, body: String) -> Result<Answer, String> {
        self.answer(url, self.0.post(url.clone()).body(body)).await
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Answer, String> {
        self.answer(url, self.0.get(url.clone())).await
    }

    async fn answer(&self, url: &Url, request: reqwest::RequestBuilder) -> Result<Answer, String> {
        let place = url.origin().ascii_serialization();
        let broken = |error: reqwest::Error| format!("{place}: {}", causes(&error));
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status();
        let is_function_error = response.headers().contains_key("x-amz-function-error");
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(format!("{place}: its answer has more than {} MiB", MAX_BYTES >> 20));
            }
        }
        if !status.is_success() {
            let words: String = String::from_utf8_lossy(&body).chars().take(300).collect();
            return Err(format!("{place} answered {status}: {words}"));
        }
        Ok(Answer { is_function_error, body })
    }
}

fn build() -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    Ok(http_client()?.timeout(TIMEOUT).build()?)
}
