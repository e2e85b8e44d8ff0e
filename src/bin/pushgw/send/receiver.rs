//! Messages straight to a receiver, through the handler that `ingest` runs.

use super::direct;
use super::outcome::Outcome;
use super::target::Numbered;
use crate::connect::Overrides;
use crate::fault::Fault;
use amp_push_gateway::aws::{HttpTransport, Signed};
use amp_push_gateway::config;
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::gateway::{self, Gateway};
use amp_push_gateway::lambda::{Invocation, handle};
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::wall_clock;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// A gateway in this process.
#[derive(Debug)]
pub(super) struct Receiver {
    url: Url,
    gateway: Gateway<Signed<HttpTransport>, SqsDeadLetters>,
    timeout: Duration,
}

// === impl Receiver ===

impl Receiver {
    /// Writes to `url`, for at most `timeout` each time. Nothing is put aside: who sends hears what is refused.
    pub(super) fn new(url: Option<&str>, timeout: Duration) -> Result<Self, Fault> {
        let hidden = [config::ENV_DEAD_LETTER_QUEUE_URL, config::ENV_LATE_SAMPLES];
        let settings = Overrides::default().receiver(url).without(&hidden).settings()?;
        let gateway = gateway::from_settings(&settings).map_err(|error| Fault::Failed(error.to_string()))?;
        Ok(Self { url: settings.remote_write_url().clone(), gateway, timeout })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        let texts: Vec<_> = messages.iter().map(|message| message.text).collect();
        let deadline = Instant::now() + self.timeout;
        let invocation = Invocation { request_id: request_id(), started: wall_clock(), deadline };
        let handled = handle(&self.gateway, direct::payload(&texts).into(), &invocation).await;
        direct::outcomes(&handled.answer, messages.len())
    }
}
