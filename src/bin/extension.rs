//! The Lambda extension: reads the settings, and runs the loop.

use amp_push_gateway::config::extension::{ExtensionSettings, LambdaEnvironment};
use amp_push_gateway::{extension, instrumentation};
use std::process::ExitCode;
use tokio::runtime::Builder;

fn main() -> ExitCode {
    // One thread: the extension shares the processor with the function.
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            instrumentation::init(instrumentation::errors_only());
            tracing::error!(%error, "the system could not make an event queue for the extension");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    // The system may still look up the name of a host, in another thread. To wait for that would take seconds.
    runtime.shutdown_background();
    code
}

async fn run() -> ExitCode {
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
