//! Runs the function's handler in this process.

use super::exit::CommandError;
use amp_push_gateway::aws::{HttpTransport, Signed};
use amp_push_gateway::config::Settings;
use amp_push_gateway::gateway::{Gateway, State, signed_transport};
use amp_push_gateway::http::Door;
use amp_push_gateway::lambda::{Handled, Invocation, handle_messages};
use amp_push_gateway::local::dead_letters::LocalDeadLetters;
use amp_push_gateway::local::wall_clock;
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) type LocalGateway = Gateway<Signed<HttpTransport>, LocalDeadLetters>;
pub(crate) type LocalDoor = Door<Signed<HttpTransport>, LocalDeadLetters>;

/// Returns the gateway of `settings`, whose rejected messages go to `dead_letters`.
pub(crate) fn gateway(
    settings: &Settings,
    dead_letters: Option<LocalDeadLetters>,
) -> Result<LocalGateway, CommandError> {
    let http = HttpTransport::new().map_err(CommandError::failed)?;
    let transport = signed_transport(settings, &http);
    Gateway::new(settings, transport, dead_letters)
        .map(|gateway| gateway.with_state(State::from_settings(&settings.state, &http)))
        .map_err(|error| CommandError::usage(format!("{}: {error}", settings.remote_write.url)))
}

pub(crate) async fn invoke(
    gateway: &LocalGateway,
    request_id: String,
    payload: impl Into<Bytes>,
    timeout: Duration,
) -> Handled {
    let invocation = Invocation { request_id, started: wall_clock(), deadline: Instant::now() + timeout };
    handle_messages(gateway, payload.into(), &invocation).await
}
