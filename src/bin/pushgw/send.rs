//! `pushgw send`: sends events to a queue, to a function, or directly to a receiver.

pub(crate) mod direct_invocation;
mod feed;
pub(crate) mod function;
pub(crate) mod outcome;
mod packing;
mod precheck;
mod progress;
pub(crate) mod queue;
pub(crate) mod receiver;
mod report;
pub(crate) mod retry;
mod sending;
pub(crate) mod target;
mod typed_event;

use super::environment::{self, Overrides};
use super::exit::CommandError;
use super::input_file::InputFile;
use super::stop_signal::StopSignal;
use super::view;
use feed::Feed;
use indicatif::ProgressBar;
use progress::Progress;
use report::Report;
use sending::Sending;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use target::Target;
use tracing_subscriber::filter::LevelFilter;

/// A bar shows the progress of so many messages or more.
const MANY: u64 = 50;

/// Send events to a queue, to a function, or directly to a receiver.
///
/// Events come from files, from standard input, or from --metric and --label. A file has one message (an event, or an
/// array of events), or JSON lines: one message a line, and any number of lines. First `send` checks each message by
/// the rules of the Lambda function (MAX_SAMPLE_AGE, MAX_SAMPLE_LEAD, EXTERNAL_LABELS). It does not send a message
/// with a rejected event; it sends all others.
///
/// Prefer a queue. Messages go to a queue in batches of ten, and to a function or a receiver as arrays of up to 500
/// events. After errors that may pass (throttling, 5xx, network) `send` tries up to six times. Then it ends, and says
/// at which message.
///
/// After a lost answer or a killed run a message may arrive twice. An event with a timestamp is still stored once. On
/// a FIFO queue a message that is tried again may come after others of its batch.
///
/// With --resume FILE `send` saves after each batch what is settled, and the same command continues from there. On
/// Ctrl-C or SIGTERM it finishes the batch in flight.
///
/// Exit code 1 if any message was rejected or not sent, 2 if a file cannot be read or settings are wrong.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub(crate) struct Arguments {
    /// The files; - is standard input. `send` begins to send before it has read the whole file.
    #[arg(required_unless_present = "metrics", conflicts_with = "metrics")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    typed: typed_event::Arguments,
    #[command(flatten)]
    target: target::Arguments,
    /// Save in this file which messages are settled. If the file exists, continue from there.
    #[arg(long, value_name = "FILE", requires = "files")]
    resume: Option<PathBuf>,
    /// Also send messages that the gateway would reject.
    #[arg(long)]
    no_check: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    let stop = StopSignal::on_signals()?;
    if arguments.resume.is_some() && arguments.files.iter().any(|path| path == Path::new("-")) {
        return Err(CommandError::usage("--resume: standard input cannot be read a second time; expected files"));
    }
    let (rules, log_filter) = Overrides::default().rules_and_log_filter()?;
    environment::log_to_stderr(&log_filter, LevelFilter::ERROR, arguments.json);
    let mut inputs = if arguments.files.is_empty() {
        vec![InputFile::text("--metric", typed_event::event(&arguments.typed))]
    } else {
        arguments.files.iter().map(|path| InputFile::at(path)).collect()
    };
    for input in &mut inputs {
        input.fix()?;
        if arguments.resume.is_some() {
            input.hold()?;
        }
    }
    // A file that cannot be read is reported before anything is sent.
    let known = inputs.iter().filter(|input| !input.is_stream()).map(InputFile::count).sum::<Result<u64, _>>()?;
    let mut target = Target::new(&arguments.target)?;
    let progress = Progress::open(arguments.resume.as_deref(), &inputs, &target.name())?;
    target.set_run(&progress.run);

    let started = Instant::now();
    let report = Report { target: target.name(), resumable: arguments.resume.is_some(), ..Report::default() };
    let feed = Feed::of(inputs);
    let bar = match known.saturating_sub(progress.totals.settled()) {
        _ if feed.is_stream => view::endless_progress("{spinner} {pos} messages {per_sec}"),
        0..MANY => ProgressBar::hidden(),
        many => view::progress(many, "{bar:40} {pos}/{len} messages {per_sec} {eta}"),
    };
    let rules = (!arguments.no_check).then_some(&rules);
    let mut sending = Sending { target: &target, rules, stop: &stop, progress, report, bar };
    let unreadable = sending.all(feed).await?;
    let Sending { mut progress, mut report, .. } = sending;
    progress.finish()?;
    (report.totals, report.took) = (progress.totals, started.elapsed());

    if report.messages > 0 || unreadable.is_none() {
        view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    }
    match unreadable {
        Some(error) => Err(error),
        None => Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    }
}
