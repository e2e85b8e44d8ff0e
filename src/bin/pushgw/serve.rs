//! `pushgw serve`: runs the function on this machine, behind the Lambda Invoke API, and on request behind HTTP and a queue.

mod log;
mod polling;
mod ticking;

use super::environment::{self, Overrides};
use super::exit::CommandError;
use super::in_process::{self, LocalDoor};
use super::stop_signal::StopSignal;
use super::view;
use amp_push_gateway::aws::HttpTransport;
use amp_push_gateway::config::{HttpAuth, Place};
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::http::Door;
use amp_push_gateway::local::beside::LocalBeside;
use amp_push_gateway::local::dead_letters::{InMemoryDeadLetters, LocalDeadLetters};
use amp_push_gateway::local::door;
use amp_push_gateway::local::invoke_endpoint::{self, Observer};
use amp_push_gateway::local::wall_clock;
use log::Log;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::filter::LevelFilter;

/// Run the function on this machine, for `aws lambda invoke --endpoint-url` and the AWS SDKs.
///
/// With --http it also answers HTTP requests, as a Pushgateway does. With --queue-url it also polls an SQS queue, as
/// Lambda does on AWS. It ends on Ctrl-C or SIGTERM, after the invocations that have begun, with exit code 0.
///
/// Events go to a workspace in this process, which applies AMP's rules. `serve` shows its contents at the end, and
/// then they are gone. With --remote-write-url events go to that receiver, with settings from the environment as for
/// the Lambda function (REMOTE_WRITE_AUTH, REMOTE_WRITE_VERSION, SIGV4_REGION and so on).
///
/// Rejected messages go to DEAD_LETTER_QUEUE_URL if it is set, else to memory with --keep-dead-letters. Without both
/// `serve` returns them, as the function does without a queue.
///
/// Typed metrics and groups stay in memory, or in a file with --state FILE. `serve` ticks by itself, as the schedule
/// on AWS does. It writes a state in memory once more at the end. If the process is killed, a state in memory is
/// lost, but a file has everything that was answered. If STATE_TABLE is set and --state is not, that table keeps the
/// state.
///
/// Callers: any function name works, and signatures are not checked. On a loopback address (the default) `serve`
/// refuses requests of web pages. On another address, such as 0.0.0.0 or [::], it answers web pages and other
/// machines, too, and warns of it at the start. If an asynchronous invocation (Event) fails, `serve` tries it again
/// after one and after two seconds.
///
/// The queue: `serve` polls it as Lambda's event source mapping with ReportBatchItemFailures does. It gathers
/// messages into batches. It deletes messages that are stored or dead-lettered. The others come again after the
/// queue's visibility timeout, and so do messages that the function has not got when `serve` ends. A FIFO group has
/// one batch in flight at a time. If the queue is not at AWS, `serve` calls the host in its URL,
/// unless AWS_ENDPOINT_URL_SQS names another.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Listen here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Also answer HTTP here, as the function does behind a function URL: pushes of Prometheus client libraries
    /// (Pushgateway's protocol), remote write, OTLP and events.
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// Write to this receiver instead of a workspace in this process.
    #[arg(long, value_name = "URL")]
    remote_write_url: Option<String>,
    /// Keep dead letters in memory, and show them at the end.
    #[arg(long)]
    keep_dead_letters: bool,
    /// The time that an invocation may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=900))]
    timeout: u64,
    #[command(flatten)]
    polling: polling::Arguments,
    #[command(flatten)]
    ticking: ticking::Arguments,
    /// Print one JSON object for the start, for each invocation, for each batch, and for the end.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    // Before anything is announced: a reader of the announcement may stop us at once.
    let stop = StopSignal::on_signals()?;
    let timeout = Duration::from_secs(arguments.timeout);
    let (listener, address) = listen("--listen", arguments.listen).await?;
    warn_if_reachable(address);
    let http = match arguments.http {
        Some(address) => Some(listen("--http", address).await?),
        None => None,
    };
    let (settings, embedded) = Overrides::default().settings_for(arguments.remote_write_url.as_deref()).await?;
    let is_loopback = http.as_ref().is_none_or(|(_, address)| address.ip().is_loopback());
    let door_settings = Overrides::default().http(Place::Serve { is_loopback })?;
    if let (Some((_, address)), HttpAuth::None) = (&http, &door_settings.auth) {
        warn_if_reachable(*address);
    }
    // Each message that is dead-lettered or returned has a warning with its reason.
    environment::log_to_stderr(&settings.log_filter, LevelFilter::WARN, arguments.json);
    let polled = polling::prepare(&arguments.polling, timeout).await?;
    let in_memory = InMemoryDeadLetters::default();
    let (queue, queue_name) = match &settings.dead_letters.queue_url {
        Some(url) => (Some(LocalDeadLetters::Sqs(SqsDeadLetters::new(url))), url.as_str()),
        None if arguments.keep_dead_letters => (Some(LocalDeadLetters::InMemory(in_memory.clone())), "in memory"),
        None => (None, "nowhere: rejected messages are returned (--keep-dead-letters keeps them)"),
    };
    let keeps_letters = settings.dead_letters.queue_url.is_none() && arguments.keep_dead_letters;
    let kept = ticking::open(&arguments.ticking, &settings.state)?;
    let gateway = Arc::new(kept.given_to(in_process::gateway(&settings, queue)?, &settings).await);
    let client = HttpTransport::new().map_err(CommandError::failed)?;
    let door =
        Door::from_settings(gateway, &settings, door_settings, &client, wall_clock()).map_err(CommandError::failed)?;
    let beside = LocalBeside {
        workspace: embedded.as_ref().map(|embedded| Arc::clone(&embedded.workspace)),
        dead_letters: keeps_letters.then(|| in_memory.clone()),
    };
    let door = Arc::new(door.with_beside(Arc::new(beside)));

    let log = Log { json: arguments.json };
    let written = match embedded {
        Some(_) => "a workspace in this process; it shows at the end what it holds".to_owned(),
        None => settings.remote_write.url.to_string(),
    };
    let http_address = http.as_ref().map(|(_, address)| *address);
    // Messages of the queue are deleted once their typed metrics are kept.
    let hint = if polled.is_some() && kept.is_in_memory() {
        "; a killed process loses it, unless --state names a file"
    } else {
        ""
    };
    log.started(address, http_address, polled.as_ref(), &written, queue_name, &format!("{kept}{hint}"));
    let observer: Observer = Arc::new(move |invoked| log.invoked(invoked));
    let run_settings = invoke_endpoint::Settings { timeout, ..invoke_endpoint::Settings::default() };
    let invoked = invoke_endpoint::run(listener, stop.clone().asked(), Arc::clone(&door), run_settings, observer);
    let answered = answer_http(http, stop.clone().asked(), Arc::clone(&door), log);
    let ticked = kept.run(stop.clone().asked(), &door, log);
    tokio::join!(invoked, answered, ticked, polling::run(polled, stop.asked(), Arc::clone(&door), log));
    kept.finish(&door, log).await;
    log.stopped(embedded.as_ref().map(|embedded| embedded.workspace.snapshot()), &in_memory.dead_letters());
    Ok(ExitCode::SUCCESS)
}

/// Warns if other machines can reach an address at which callers are not checked.
fn warn_if_reachable(address: SocketAddr) {
    if !address.ip().to_canonical().is_loopback() {
        view::note(&format!(
            "{} {address} can be reached from other machines, callers are not checked, and web pages are answered, too; \
             only a loopback address such as 127.0.0.1 refuses them",
            view::Styled(view::WARNING, "warning:")
        ));
    }
}

/// Binds the address of an option.
async fn listen(option: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), CommandError> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        CommandError::failed(format!(
            "cannot listen on {address}: {error}; give another address with {option}; port 0 takes any free port"
        ))
    })?;
    let address = listener.local_addr().map_err(CommandError::failed)?;
    Ok((listener, address))
}

async fn answer_http(
    http: Option<(TcpListener, SocketAddr)>,
    shutdown: impl Future<Output = ()>,
    door: Arc<LocalDoor>,
    log: Log,
) {
    let Some((listener, _)) = http else { return };
    door::run(listener, shutdown, door, Arc::new(move |served| log.served(served))).await;
}
