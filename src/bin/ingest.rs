//! The Lambda function: reads the settings, builds the gateway once, and serves invocations.

use amp_push_gateway::config::{Env, Settings};
use amp_push_gateway::http::{Door, DoorSettings};
use amp_push_gateway::{gateway, instrumentation, lambda};
use std::process::ExitCode;
use std::sync::Arc;

/// One thread: up to 1,769 MB a function has no second processor.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let settings = match Settings::from_vars(&Env) {
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
    let gateway = match gateway::from_settings(&settings) {
        Ok(gateway) => gateway,
        Err(error) => {
            tracing::error!(error = %error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    if !gateway.has_dead_letter_queue() {
        tracing::warn!(
            "DEAD_LETTER_QUEUE_URL is not set: rejected messages are returned, rejected events only reported"
        );
    }
    gateway.warm().await;
    let door = Door::new(Arc::new(gateway), DoorSettings::default(), lambda::runtime::now());
    match lambda::runtime::serve(door, settings.embedded_metrics).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}
