//! The Lambda function: reads the settings, builds the gateway once, and serves invocations.

use amp_push_gateway::config::{Env, Place, Settings};
use amp_push_gateway::http::Door;
use amp_push_gateway::{gateway, instrumentation, lambda};
use std::process::ExitCode;
use std::sync::Arc;

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
    let gateway = gateway::from_settings(&settings).map(Arc::new);
    let door = gateway.and_then(|gateway| Door::from_settings(gateway, &settings, http, lambda::runtime::now()));
    let door = match door {
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
