//! `pushgw serve`: the function on this machine, behind the Lambda Invoke API.

mod log;

use super::connect::{self, Embedded, Overrides};
use super::fault::{Fault, Verdict};
use super::view;
use amp_push_gateway::config::Settings;
use amp_push_gateway::dead_letter::SqsDeadLetters;
use amp_push_gateway::gateway::{Gateway, signed_transport};
use amp_push_gateway::local::dead_letters::{InMemoryDeadLetters, LocalDeadLetters};
use amp_push_gateway::local::invoke_endpoint::{self, Observer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

/// Run the function on this machine behind the Lambda Invoke API, so that `aws lambda invoke --endpoint-url` and the AWS
/// SDKs work unchanged.
///
/// Any function name will do, and signatures of callers are not checked. Events are written to a workspace in this
/// process, which applies AMP's rules, shows at the end what it holds, and is gone then; or to --remote-write-url, with
/// settings from the environment as for the Lambda function (REMOTE_WRITE_AUTH, SIGV4_REGION, EXTERNAL_LABELS and so on).
/// Refused messages go to DEAD_LETTER_QUEUE_URL where it is set; else to memory with --keep-dead-letters; else nowhere:
/// they are handed back, as the function does without a queue.
///
/// An asynchronous invocation (Event) that fails is tried again after one and after two seconds. Ends on Ctrl-C or
/// SIGTERM, once invocations under way are done, with exit code 0.
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
    /// Print one JSON object for the start, for each invocation, and for the end.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Verdict, Fault> {
    // Before anything is announced: who reads the announcement may stop us at once.
    let shutdown = stop_signal()?;
    let listener = bind(arguments.listen).await?;
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
    let in_memory = InMemoryDeadLetters::default();
    let (queue, queue_words) = queue(&settings, arguments.keep_dead_letters, &in_memory);
    let transport = signed_transport(&settings).map_err(|error| Fault::Failed(error.to_string()))?;
    let gateway = Gateway::new(&settings, transport, queue)
        .map_err(|error| Fault::Usage(format!("{}: {error}", settings.remote_write_url())))?;

    let written = match embedded {
        Some(_) => "a workspace in this process; it shows at the end what it holds".to_owned(),
        None => settings.remote_write_url().to_string(),
    };
    log::started(arguments.json, address, &written, &queue_words);
    let json = arguments.json;
    let observer: Observer = Arc::new(move |invoked| log::invoked(json, invoked));
    let run_settings = invoke_endpoint::Settings {
        timeout: Duration::from_secs(arguments.timeout),
        ..invoke_endpoint::Settings::default()
    };
    invoke_endpoint::run(listener, shutdown, Arc::new(gateway), run_settings, observer).await;
    log::stopped(json, embedded.as_ref().map(|embedded| embedded.workspace.snapshot()), &in_memory.letters());
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    Ok(Verdict::Good)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Fault::Failed(format!(
            "cannot listen on {address}: {error}; another address is given with --listen, port 0 is any free one"
        ))
    })?;
    if !address.ip().is_loopback() {
        view::note("warning: callers are not checked, and this address can be reached from other machines");
    }
    Ok(listener)
}

/// Where refused messages go, and in words.
fn queue(settings: &Settings, keep: bool, in_memory: &InMemoryDeadLetters) -> (Option<LocalDeadLetters>, String) {
    match settings.dead_letter_queue_url() {
        Some(url) => (Some(LocalDeadLetters::Sqs(SqsDeadLetters::new(url))), url.to_string()),
        None if keep => (Some(LocalDeadLetters::InMemory(in_memory.clone())), "in memory".to_owned()),
        None => (None, "nowhere: refused messages are handed back (--keep-dead-letters keeps them)".to_owned()),
    }
}

/// Ends at the first SIGINT or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()> + Send, Fault> {
    let listen = |kind| signal(kind).map_err(|error| Fault::Failed(format!("signals cannot be waited for: {error}")));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
