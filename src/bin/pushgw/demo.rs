//! `pushgw demo`: the main job, with nothing but this program.

mod report;
mod tally;

use super::connect::{self, Embedded, Overrides};
use super::fault::{Fault, Verdict};
use super::view;
use amp_push_gateway::amp::region_of;
use amp_push_gateway::config::{self, Settings, Vars};
use amp_push_gateway::gateway::{Gateway, signed_transport};
use amp_push_gateway::lambda::{Handled, Invocation, handle};
use amp_push_gateway::local::dead_letters::InMemoryDeadLetters;
use amp_push_gateway::local::fleet::{self, Sending};
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::wall_clock;
use indicatif::{ProgressBar, ProgressStyle};
use report::Report;
use std::time::{Duration, Instant};
use tally::Tally;
use tracing_subscriber::filter::LevelFilter;

/// Which fleet the demo shows unless another is asked for.
const SEED: u64 = 42;
/// What an invocation may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Send the events of a small fleet of water sensors, a few broken ones among them, through the function's own handler,
/// and show what arrived.
///
/// By default they are written to a workspace in this process, which checks signatures and applies AMP's rules; nothing
/// else is needed. Each sensor has a temperature (a decimal string), a pH (a number) and a battery level (an integer),
/// one reading a minute for the last 15 minutes, by SQS batches and by direct invocations.
///
/// Exit code 0 only where every event sent was stored, put aside or handed back as it should have been.
#[derive(clap::Args, Debug)]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
pub(crate) struct Arguments {
    /// Write to this receiver instead: AMP, Prometheus or any other. Unsigned, unless it is AMP or
    /// REMOTE_WRITE_AUTH=sigv4 is set. What it stored is not read back: the table shows what it acknowledged.
    #[arg(long, value_name = "URL")]
    remote_write_url: Option<String>,
    /// How many sensors.
    #[arg(long, value_name = "NUMBER", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: u32,
    /// Which fleet: names and values follow from this number. Default: 42; with --remote-write-url another each time, so
    /// that the demo can be repeated.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Verdict, Fault> {
    let now = wall_clock();
    let embedded = match arguments.remote_write_url {
        Some(_) => None,
        None => Some(Embedded::start().await?),
    };
    let settings = settings(arguments.remote_write_url.as_deref(), embedded.as_ref())?;
    connect::log_to_stderr(&settings, LevelFilter::ERROR, arguments.json);
    let seed = arguments.seed.unwrap_or_else(|| if embedded.is_some() { SEED } else { now.0.unsigned_abs() });
    let sendings = fleet::plan(fleet::Options { devices: arguments.devices, seed }, now);
    let letters = InMemoryDeadLetters::default();
    let transport = signed_transport(&settings).map_err(|error| Fault::Failed(error.to_string()))?;
    let gateway = Gateway::new(&settings, transport, Some(letters.clone()))
        .map_err(|error| Fault::Usage(format!("{}: {error}", settings.remote_write_url())))?;

    let started = Instant::now();
    let ended = send(&gateway, &sendings).await;
    let took = started.elapsed();
    // The connections are the gateway's.
    drop(gateway);

    let letters = letters.letters();
    let stored = embedded.as_ref().map(|embedded| embedded.workspace.snapshot());
    let tally = Tally::new(&sendings, &ended, &letters, stored.as_deref());
    let report = Report {
        devices: arguments.devices,
        seed,
        url: settings.remote_write_url().as_str(),
        sendings: &sendings,
        letters: &letters,
        stored: stored.as_deref(),
        tally: &tally,
        took,
    };
    if arguments.json {
        view::line(&report.json().to_string());
    } else {
        view::line(&report.to_string());
    }
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
    Ok(if tally.is_good() { Verdict::Good } else { Verdict::Bad })
}

/// Settings under which the fleet's expectations hold, whatever the environment says.
fn settings(url: Option<&str>, embedded: Option<&Embedded>) -> Result<Settings, Fault> {
    let vars = Overrides::default().receiver(url).usual_rules();
    let vars = match (embedded, url) {
        (Some(embedded), _) => vars.embedded(embedded),
        (None, Some(url)) if vars.get(config::ENV_REMOTE_WRITE_AUTH).is_none() && !is_amp(url) => {
            vars.set(config::ENV_REMOTE_WRITE_AUTH, "none")
        }
        (None, _) => vars,
    };
    vars.settings()
}

fn is_amp(url: &str) -> bool {
    let url = url.parse::<url::Url>().ok();
    url.is_some_and(|url| url.host_str().and_then(region_of).is_some())
}

async fn send<T, D>(gateway: &Gateway<T, D>, sendings: &[Sending]) -> Vec<Handled>
where
    T: amp_push_gateway::aws::Transport,
    D: amp_push_gateway::dead_letter::DeadLetterQueue,
{
    // Hidden by itself where standard error is no terminal.
    let progress = ProgressBar::new(sendings.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} invocations") {
        progress.set_style(style);
    }
    let mut ended = Vec::with_capacity(sendings.len());
    for sending in sendings {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        let invocation = Invocation { request_id: request_id(), started: wall_clock(), deadline };
        ended.push(handle(gateway, sending.payload.clone().into(), &invocation).await);
        progress.inc(1);
    }
    progress.finish_and_clear();
    ended
}
