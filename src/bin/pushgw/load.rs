//! `pushgw load`: sends events at a steady rate, and reports which samples arrive.

pub(crate) mod generator;
pub(crate) mod ledger;
mod plan;
mod query;
mod report;
mod run;
mod stream;
pub(crate) mod tally;
mod target;

use super::environment::{self, made_up_settings};
use super::exit::CommandError;
use super::local_workspace::LocalWorkspace;
use super::stop_signal::StopSignal;
use super::view;
use amp_push_gateway::local::wall_clock;
use ledger::Ledger;
use plan::Plan;
use query::Query;
use report::Report;
use run::lock;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use target::Target;
use url::Url;

/// Send events of simulated devices at a steady rate, and report which samples arrived, and how late.
///
/// Without a target the events go through the function's code in this process to a workspace in this process. It
/// applies AMP's rules, and `load` reads it at the end. With --remote-write-url events go to a receiver (unsigned,
/// unless REMOTE_WRITE_AUTH=sigv4 is set), with --endpoint-url to a function (such as `pushgw serve`), with
/// --queue-url to a queue. With these targets the report counts the acknowledged samples, or with --query-url the
/// samples that Prometheus has. A queue acknowledges no samples.
///
/// Series have the name load_metric_<n> and the labels deviceId and load_seed. --seed decides names, values, and
/// which events are broken. The function rejects broken events, each for one of five reasons; on a queue they become
/// dead letters. Ctrl-C and SIGTERM end the sending. `load` then looks once for the samples, and reports.
///
/// Exit code 1 if any good event did not arrive, or any broken event was not rejected for its reason. Exit code 2 for
/// wrong usage or settings.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    plan: Plan,
    /// Send to this SQS queue.
    #[arg(long, value_name = "URL", group = "target")]
    queue_url: Option<Url>,
    /// Invoke a function behind the Invoke API at this URL. Calls are not signed.
    #[arg(long, value_name = "URL", group = "target")]
    endpoint_url: Option<Url>,
    /// The name of that function.
    #[arg(long, value_name = "NAME", default_value = "ingest", requires = "endpoint_url")]
    function_name: String,
    /// Write to this receiver through the function's own handler.
    #[arg(long, value_name = "URL", group = "target")]
    remote_write_url: Option<String>,
    /// Look for the samples in the Prometheus at this URL, such as http://127.0.0.1:9090.
    #[arg(long, value_name = "URL", requires = "target")]
    query_url: Option<Url>,
    /// A sample is late if it is seen so many seconds after its time.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    late_after: u32,
    /// How long to look for missing samples after the sending, and how much longer than planned the sending may take,
    /// in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    settle: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let plan = &arguments.plan;
    plan.check()?;
    let stop = StopSignal::on_signals()?;
    let (target, target_name, embedded) = target(arguments).await?;
    let query = arguments.query_url.as_ref().map(|url| Query::new(url, plan.seed)).transpose()?;
    let ledger = Arc::new(Mutex::new(Ledger::new([stream::DEVICE_LABEL, stream::SEED_LABEL])));
    let progress = view::progress(plan.count(), "{bar:40} {pos}/{len} events, {per_sec}, {elapsed}");
    let settle = Duration::from_secs(arguments.settle);
    let tells = target.tells();

    let begun = Instant::now();
    let sending = run::send(plan, Arc::new(target), &ledger, plan.lasts() + settle, &stop, &progress);
    match &query {
        Some(query) => tokio::select! {
            () = sending => {}
            () = run::watch(query, &ledger) => {}
        },
        None => sending.await,
    }
    let took = begun.elapsed();
    progress.finish_and_clear();
    let fault = match &query {
        Some(query) => run::settle(query, &ledger, settle, &stop).await,
        None => None,
    };
    if let Some(embedded) = &embedded {
        lock(&ledger).find_all(&embedded.workspace.snapshot(), wall_clock());
    }
    let ledger = lock(&ledger);
    let read = arguments.query_url.as_ref().map(Url::to_string).or(embedded.map(|_| "embedded".to_owned()));
    let is_read = read.is_some();
    let report = Report {
        target: target_name,
        read,
        plan,
        tally: &ledger.tally,
        arrival: (is_read || tells).then(|| ledger.arrival(is_read, i64::from(arguments.late_after) * 1_000)),
        latencies: ledger.percentiles(),
        late_after: Duration::from_secs(arguments.late_after.into()),
        fault: fault.map(|error| error.to_string()),
        took,
    };
    view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns who takes the load, its name for the report, and the workspace of this process if it goes there.
async fn target(arguments: &Arguments) -> Result<(Target, String, Option<LocalWorkspace>), CommandError> {
    if let Some(url) = &arguments.queue_url {
        return Ok((Target::queue(url, run::WORKERS).await?, format!("the queue {url}"), None));
    }
    if let Some(url) = &arguments.endpoint_url {
        let target = Target::function(&arguments.function_name, url)?;
        return Ok((target, format!("the function {} at {url}", arguments.function_name), None));
    }
    let (settings, embedded) = made_up_settings(arguments.remote_write_url.as_deref()).await?;
    environment::log_to_stderr(&settings.log_filter, tracing_subscriber::filter::LevelFilter::ERROR, arguments.json);
    let name = match &embedded {
        Some(_) => "a workspace in this process".to_owned(),
        None => settings.remote_write.url.to_string(),
    };
    Ok((Target::handler(&settings)?, name, embedded))
}
