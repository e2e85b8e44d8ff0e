//! Messages straight to a receiver, through the handler that `ingest` runs.

use super::direct_invocation;
use super::outcome::Outcome;
use super::target::Numbered;
use crate::environment::Overrides;
use crate::exit::CommandError;
use crate::in_process::{self, LocalGateway};
use amp_push_gateway::config::{self, Settings};
use amp_push_gateway::local::invoke_endpoint::request_id;
use std::time::Duration;
use url::Url;

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(super) url: Url,
    gateway: LocalGateway,
    timeout: Duration,
}

// === impl Receiver ===

impl Receiver {
    /// Writes to `url`, for at most `timeout` each time. There is no dead-letter queue: the answer says what is rejected.
    pub(crate) fn new(url: Option<&str>, timeout: Duration) -> Result<Self, CommandError> {
        let hidden = [config::ENV_DEAD_LETTER_QUEUE_URL, config::ENV_LATE_SAMPLES];
        let settings = Overrides::default().receiver(url).without(&hidden).settings()?;
        Self::of(&settings, timeout)
    }

    pub(crate) fn of(settings: &Settings, timeout: Duration) -> Result<Self, CommandError> {
        let gateway = in_process::gateway(settings, None)?;
        Ok(Self { url: settings.remote_write.url.clone(), gateway, timeout })
    }

    pub(crate) async fn send(&self, messages: &[Numbered<'_>]) -> Vec<Outcome> {
        let texts: Vec<_> = messages.iter().map(|message| message.text).collect();
        let handled =
            in_process::invoke(&self.gateway, request_id(), direct_invocation::payload(&texts), self.timeout).await;
        direct_invocation::outcomes(&handled.answer, messages.len())
    }
}
