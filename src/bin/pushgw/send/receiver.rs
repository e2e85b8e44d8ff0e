//! Sends messages directly to a receiver, through the handler that `ingest` runs.

use super::direct_invocation;
use super::outcome::Outcome;
use crate::exit::CommandError;
use crate::in_process::{self, LocalGateway};
use amp_push_gateway::config::Settings;
use amp_push_gateway::local::invoke_endpoint::request_id;
use std::time::Duration;
use url::Url;

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(super) url: Url,
    gateway: LocalGateway,
    timeout: Duration,
}

impl Receiver {
    /// Writes for at most `timeout` each time.
    pub(crate) fn new(settings: &Settings, timeout: Duration) -> Result<Self, CommandError> {
        let gateway = in_process::gateway(settings, None)?;
        Ok(Self { url: settings.remote_write.url.clone(), gateway, timeout })
    }

    pub(super) async fn send(&self, payload: String, count: usize) -> Vec<Outcome> {
        let handled = in_process::invoke(&self.gateway, request_id(), payload, self.timeout).await;
        direct_invocation::outcomes(&handled.answer, count)
    }
}
