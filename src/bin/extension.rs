//! The Lambda extension: reads the settings, and runs the loop.

use amp_push_gateway::config::extension::{ExtensionSettings, LambdaEnvironment};
use amp_push_gateway::{extension, instrumentation};
use std::process::ExitCode;

/// One thread: the extension shares the processor with the function.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(lambda) = LambdaEnvironment::from_env() else {
        instrumentation::init(instrumentation::errors_only());
        tracing::error!("AWS_LAMBDA_RUNTIME_API is not set: Lambda starts this program from /opt/extensions");
        return ExitCode::FAILURE;
    };
    let settings = ExtensionSettings::from_env(&lambda);
    let filter = settings.as_ref().map(|settings| settings.log_filter.clone());
    instrumentation::init(filter.unwrap_or_else(|_| instrumentation::errors_only()));
    match extension::run(lambda, settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error.to_string(), "the Extensions API failed");
            ExitCode::FAILURE
        }
    }
}
