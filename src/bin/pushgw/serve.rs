//! `pushgw serve`: the function on this machine, behind the Lambda Invoke API and, where it is told to, a queue.

mod letters;
mod listening;
mod log;
mod polling;

use super::connect::{self, Embedded, Overrides};
use super::fault::{Fault, Verdict};
use super::stop::Stop;
use amp_push_gateway::gateway::{Gateway, signed_transport};
use amp_push_gateway::local::dead_letters::InMemoryDeadLetters;
use amp_push_gateway::local::invoke_endpoint::{self, Observer};
use log::Log;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;

/// Run the function on this machine behind the Lambda Invoke API, so that `aws lambda invoke --endpoint-url` and the AWS
/// SDKs work unchanged; with --queue-url also behind an SQS queue, as on AWS.
///
/// Any function name will do, and signatures of callers are not checked. Events are written to a workspace in this
/// process, which applies AMP's rules, shows at the end what it holds, and is gone then; or to --remote-write-url, with
/// settings from the environment as for the Lambda function (REMOTE_WRITE_AUTH, SIGV4_REGION, EXTERNAL_LABELS and so on).
/// Refused messages go to DEAD_LETTER_QUEUE_URL where it is set; else to memory with --keep-dead-letters; else nowhere:
/// they are handed back, as the function does without a queue.
///
/// The queue is polled as Lambda's event source mapping with ReportBatchItemFailures does: messages are gathered into
/// batches, those that are stored or put aside are deleted, the others come again after the queue's visibility timeout,
/// and of a FIFO group one batch is in flight at a time. A queue that is not at AWS is asked at the host in its URL,
/// unless AWS_ENDPOINT_URL_SQS names another.
///
/// An asynchronous invocation (Event) that fails is tried again after one and after two seconds. Ends on Ctrl-C or
/// SIGTERM, once invocations under way are done, with exit code 0; messages that were received and not yet handed to the
/// function by then come again after the visibility timeout.
#[derive(clap::Args, Debug)]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
pub(crate) struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Write to this receiver instead of a workspace in this process.
    #[arg(long, value_name = "URL")]
    remote_write_url: Option<String>,
    /// Put refused messages aside in memory, and show them at the end.
    #[arg(long)]
    keep_dead_letters: bool,
    /// The time that an invocation may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
    #[command(flatten)]
    polling: polling::Arguments,
    /// Print one JSON object for the start, for each invocation, for each batch, and for the end.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Verdict, Fault> {
    // Before anything is announced: who reads the announcement may stop us at once.
    let stop = Stop::on_signals()?;
    let timeout = Duration::from_secs(arguments.timeout);
    let listener = listening::bind(arguments.listen).await?;
    let address = listener.local_addr().map_err(|error| Fault::Failed(error.to_string()))?;
    let vars = Overrides::default().receiver(arguments.remote_write_url.as_deref());
    let (vars, embedded) = if arguments.remote_write_url.is_some() {
        (vars, None)
    } else {
        let embedded = Embedded::start().await?;
        (vars.embedded(&embedded), Some(embedded))
    };
    let settings = vars.settings()?;
    // Each message that is put aside or handed back has a warning with its reason.
    connect::log_to_stderr(&settings, LevelFilter::WARN, arguments.json);
    let polled = polling::prepare(&arguments.polling, timeout).await?;
    let in_memory = InMemoryDeadLetters::default();
    let (queue, queue_words) = letters::queue(&settings, arguments.keep_dead_letters, &in_memory);
    let transport = signed_transport(&settings).map_err(|error| Fault::Failed(error.to_string()))?;
    let gateway = Gateway::new(&settings, transport, queue)
        .map_err(|error| Fault::Usage(format!("{}: {error}", settings.remote_write_url())))?;
    let gateway = Arc::new(gateway);

    let log = Log { json: arguments.json };
    let written = match embedded {
        Some(_) => "a workspace in this process; it shows at the end what it holds".to_owned(),
        None => settings.remote_write_url().to_string(),
    };
    log.started(address, polled.as_ref(), &written, &queue_words);
    let observer: Observer = Arc::new(move |invoked| log.invoked(invoked));
    let run_settings = invoke_endpoint::Settings { timeout, ..invoke_endpoint::Settings::default() };
    let invoked = invoke_endpoint::run(listener, stop.clone().asked(), Arc::clone(&gateway), run_settings, observer);
    tokio::join!(invoked, polling::run(polled, stop.asked(), gateway, log));
    log.stopped(embedded.as_ref().map(|embedded| embedded.workspace.snapshot()), &in_memory.letters());
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    Ok(Verdict::Good)
}
