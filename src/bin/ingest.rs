//! The Lambda function: reads the settings, builds the gateway once, and serves invocations.

use amp_push_gateway::aws::{HttpTransport, Signed};
use amp_push_gateway::config::{Env, HttpSettings, Place, Settings};
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::http::Door;
use amp_push_gateway::{gateway, instrumentation, lambda};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

type FunctionDoor = Door<Signed<HttpTransport>, SqsDeadLetters>;

/// One thread: up to 1,769 MB a function has no second processor.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (settings, http) = match Settings::with_http(&Env, Place::Function) {
        Ok(settings) => settings,
        Err(errors) => {
            instrumentation::init(instrumentation::errors_only());
            for error in &errors.0 {
                tracing::error!(variable = error.variable, "wrong setting: {error}");
            }
            return ExitCode::FAILURE;
        }
    };
    instrumentation::init(settings.log_filter.clone());
    let door = match door(&settings, http) {
        Ok(door) => door,
        Err(error) => {
            tracing::error!(error = %error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    if !door.gateway().has_dead_letter_queue() {
        tracing::warn!(
            "DEAD_LETTER_QUEUE_URL is not set: rejected messages are returned, rejected events only reported"
        );
    }
    door.gateway().warm().await;
    match lambda::runtime::serve(door, settings.embedded_metrics).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// Everything shares one HTTP client: building one is a fifth of the start.
fn door(settings: &Settings, http: HttpSettings) -> Result<FunctionDoor, Box<dyn Error + Send + Sync>> {
    let client = HttpTransport::new()?;
    let gateway = Arc::new(gateway::from_settings(settings, &client)?);
    Ok(Door::from_settings(gateway, settings, http, &client, lambda::runtime::now())?)
}
