//! `pushgw load`: many events at a steady rate, and whether they arrive.

mod drive;
mod http;
mod ledger;
mod plan;
mod query;
mod report;
mod tally;
mod target;

use super::connect::{self, Embedded, Overrides};
use super::fault::{Fault, Verdict};
use super::stop::Stop;
use super::view;
use amp_push_gateway::amp::region_of;
use amp_push_gateway::config::{self, Vars};
use amp_push_gateway::gateway::{Gateway, signed_transport};
use amp_push_gateway::local::dead_letters::InMemoryDeadLetters;
use amp_push_gateway::local::wall_clock;
use drive::{Books, lock};
use http::Http;
use indicatif::{ProgressBar, ProgressStyle};
use ledger::Ledger;
use plan::Plan;
use query::Query;
use report::Report;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tally::Tally;
use target::Target;
use tracing_subscriber::filter::LevelFilter;
use url::Url;

/// Send events of sensors that do not exist at a steady rate, and say what arrived, and how late.
///
/// Without a target they go through the function's own handler in this process into a workspace of this process, which
/// applies AMP's rules and is read at the end. With --remote-write-url they go to a receiver (unsigned, unless
/// REMOTE_WRITE_AUTH=sigv4 is set), with --endpoint-url to a function (such as `pushgw serve`), with --queue-url onto a
/// queue; what arrived is then what the answers say, or what --query-url holds; of a queue nothing is known without it.
///
/// Series are named load_metric_<n> and bear the labels deviceId and load_seed. Names, values and which events are broken
/// follow from --seed. Broken events are refused by the function, each for one of five reasons; on a queue they end as
/// dead letters. Ctrl-C and SIGTERM end the sending; what was sent is still looked for once, and reported.
///
/// Exit code 1 where anything good did not arrive, or anything broken was not refused as it should be; 2 for wrong usage
/// or settings.
#[derive(clap::Args, Debug)]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
pub(crate) struct Arguments {
    #[command(flatten)]
    plan: plan::Arguments,
    /// Send to this SQS queue.
    #[arg(long, value_name = "URL", group = "target")]
    queue_url: Option<Url>,
    /// Invoke a function behind the Invoke API at this URL. Calls are not signed.
    #[arg(long, value_name = "URL", group = "target")]
    endpoint_url: Option<Url>,
    /// The function's name there.
    #[arg(long, value_name = "NAME", default_value = "ingest", requires = "endpoint_url")]
    function_name: String,
    /// Write to this receiver through the function's own handler.
    #[arg(long, value_name = "URL", group = "target")]
    remote_write_url: Option<String>,
    /// Look for the samples in the Prometheus at this URL, such as http://127.0.0.1:9090.
    #[arg(long, value_name = "URL", requires = "target")]
    query_url: Option<Url>,
    /// Samples that are seen later than this after their time are counted as late, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    late_after: u64,
    /// How long to look for what has not arrived once all is sent, and how long sending may take beyond its time, in
    /// seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    settle: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Verdict, Fault> {
    let plan = Plan::new(&arguments.plan)?;
    let stop = Stop::on_signals()?;
    let seed = plan.stream.seed;
    let is_embedded =
        arguments.queue_url.is_none() && arguments.endpoint_url.is_none() && arguments.remote_write_url.is_none();
    let embedded = if is_embedded { Some(Embedded::start().await?) } else { None };
    let (target, target_words) = target(arguments, embedded.as_ref()).await?;
    let query = match &arguments.query_url {
        Some(url) => Some(Query::new(Http::new()?, url, seed)),
        None => None,
    };
    let books = Books { ledger: Ledger::new(seed, plan.stream.metrics), tally: Tally::default() };
    let books = Arc::new(Mutex::new(books));
    let progress = progress(plan.count);
    let settle = Duration::from_secs(arguments.settle);
    let tells = target.tells();

    let begun = Instant::now();
    let sending = drive::send(&plan, Arc::new(target), &books, plan.lasts() + settle, &stop, &progress);
    match &query {
        Some(query) => tokio::select! {
            () = sending => {}
            () = drive::watch(query, &books) => {}
        },
        None => sending.await,
    }
    let took = begun.elapsed();
    progress.finish_and_clear();
    let fault = match &query {
        Some(query) => drive::settle(query, &books, settle, &stop).await,
        None => None,
    };
    if let Some(embedded) = embedded {
        let snapshot = embedded.workspace.snapshot();
        embedded.stop().await;
        let mut books = lock(&books);
        for series in snapshot {
            let values = series.samples.iter().map(|sample| (sample.timestamp, sample.value));
            books.ledger.find(view::pairs(&series.labels), values, wall_clock());
        }
    }
    let books = lock(&books);
    let is_read = is_embedded || query.is_some();
    let late_after = Duration::from_secs(arguments.late_after);
    let late_after_ms = i64::try_from(late_after.as_millis()).unwrap_or(i64::MAX);
    let report = Report {
        target: target_words,
        read: arguments.query_url.as_ref().map(Url::to_string).or(is_embedded.then(|| "embedded".to_owned())),
        plan: &plan,
        tally: &books.tally,
        standing: (is_read || tells).then(|| books.ledger.standing(is_read, late_after_ms)),
        latencies: books.ledger.percentiles(),
        late_after,
        fault,
        took,
    };
    view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    Ok(if report.is_good() { Verdict::Good } else { Verdict::Bad })
}

/// Who takes the load, and in words.
async fn target(arguments: &Arguments, embedded: Option<&Embedded>) -> Result<(Target, String), Fault> {
    if let Some(url) = &arguments.queue_url {
        return Ok((Target::queue(url).await?, format!("the queue {url}")));
    }
    if let Some(url) = &arguments.endpoint_url {
        let target = Target::endpoint(Http::new()?, url, &arguments.function_name);
        return Ok((target, format!("the function {} at {url}", arguments.function_name)));
    }
    let url = arguments.remote_write_url.as_deref();
    // What the stream expects of its events holds under the usual rules only.
    let vars = Overrides::default().receiver(url).usual_rules();
    let settings = match embedded {
        Some(embedded) => vars.embedded(embedded).settings()?,
        None => unsigned(vars, url).settings()?,
    };
    connect::log_to_stderr(&settings, LevelFilter::ERROR, arguments.json);
    let transport = signed_transport(&settings).map_err(|error| Fault::Failed(error.to_string()))?;
    let gateway = Gateway::new(&settings, transport, None::<InMemoryDeadLetters>)
        .map_err(|error| Fault::Usage(format!("{}: {error}", settings.remote_write_url())))?;
    let words = match embedded {
        Some(_) => "a workspace in this process".to_owned(),
        None => settings.remote_write_url().to_string(),
    };
    Ok((Target::Handler(Box::new(gateway)), words))
}

/// Local receivers check no signatures; AMP does, and one for which it was asked for.
fn unsigned(vars: Overrides, url: Option<&str>) -> Overrides {
    let url = url.and_then(|url| url.parse::<Url>().ok());
    let is_amp = url.is_some_and(|url| url.host_str().and_then(region_of).is_some());
    if is_amp || vars.get(config::ENV_REMOTE_WRITE_AUTH).is_some() {
        return vars;
    }
    vars.set(config::ENV_REMOTE_WRITE_AUTH, "none")
}

/// Hidden by itself where standard error is no terminal.
fn progress(events: u64) -> ProgressBar {
    let progress = ProgressBar::new(events);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}, {elapsed}") {
        progress.set_style(style);
    }
    progress
}
