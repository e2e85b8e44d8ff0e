//! `pushgw invoke`: gives one payload to the handler.

use super::environment::{self, Overrides};
use super::exit::CommandError;
use super::input_file::InputFile;
use super::local_workspace::LocalWorkspace;
use super::{in_process, view};
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::lambda::report::PartialBatchResponse;
use amp_push_gateway::lambda::{FunctionError, Handled};
use amp_push_gateway::local::dead_letters::LocalDeadLetters;
use amp_push_gateway::local::invoke_endpoint::{MAX_SYNC_BYTES, request_id};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;

/// Give one payload to the function, and print its answer as Lambda would return it.
///
/// The payload is one that a trigger would send: an event, an array of events, Records of SQS or SNS. Settings come
/// from the environment as for the Lambda function: REMOTE_WRITE_URL, REMOTE_WRITE_AUTH, DEAD_LETTER_QUEUE_URL and so
/// on. If they name no receiver, the function writes to a workspace in this process, which applies AMP's rules. It is
/// gone afterwards.
///
/// Exit code 1 if the function fails or returns messages (batchItemFailures).
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The payload, at most 6 MiB; - is standard input.
    file: PathBuf,
    /// Write to this receiver instead of REMOTE_WRITE_URL.
    #[arg(long, value_name = "URL")]
    remote_write_url: Option<String>,
    /// The time that the function may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let payload = InputFile::at(&arguments.file).read()?;
    if payload.len() > MAX_SYNC_BYTES {
        let text = format!("the payload has {} bytes; Lambda takes at most {MAX_SYNC_BYTES}", payload.len());
        return Err(CommandError::usage(text));
    }
    let mut vars = Overrides::default().receiver(arguments.remote_write_url.as_deref());
    if !vars.has_receiver() {
        vars = vars.embedded(&LocalWorkspace::start().await?);
        view::note("no REMOTE_WRITE_URL: writing to a workspace in this process, which is gone afterwards");
    }
    let settings = vars.settings()?;
    environment::log_to_stderr(&settings.log_filter, LevelFilter::WARN, false);
    let dead_letters =
        settings.dead_letters.queue_url.as_ref().map(|url| LocalDeadLetters::Sqs(SqsDeadLetters::new(url)));
    let gateway = in_process::gateway(&settings, dead_letters)?;
    let timeout = Duration::from_secs(arguments.timeout);
    let handled = in_process::invoke(&gateway, request_id(), payload, timeout).await;
    let error_json = |error: &FunctionError| serde_json::to_string(error).unwrap_or_default();
    view::line(&handled.answer.as_ref().map_or_else(error_json, String::clone));
    Ok(if is_success(&handled) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_success(handled: &Handled) -> bool {
    let answer =
        handled.answer.as_ref().ok().and_then(|answer| serde_json::from_str::<PartialBatchResponse<'_>>(answer).ok());
    answer.is_some_and(|answer| answer.batch_item_failures.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_push_gateway::gateway::Summary;

    #[test]
    fn function_errors_and_messages_that_come_again_are_no_success() {
        let error = FunctionError { error_type: "invalid_value".to_owned(), error_message: "x".to_owned() };
        let table = [
            (Ok("{\"accepted\":1}"), true),
            (Ok("{\"batchItemFailures\":[]}"), true),
            (Ok("{\"batchItemFailures\":[{\"itemIdentifier\":\"1\"}]}"), false),
            (Err(error), false),
        ];
        for (answer, expected) in table {
            let answer = answer.map(str::to_owned);
            let handled = Handled { answer, summary: Summary::default(), trigger: "direct", http: None };
            assert_eq!(is_success(&handled), expected, "{handled:?}");
        }
    }
}
