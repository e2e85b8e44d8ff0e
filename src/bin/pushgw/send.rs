//! `pushgw send`: events onto a queue, to a function, or straight to a receiver.

pub(crate) mod direct_invocation;
pub(crate) mod function;
pub(crate) mod outcome;
mod packing;
mod precheck;
mod progress;
pub(crate) mod queue;
pub(crate) mod receiver;
mod report;
pub(crate) mod retry;
pub(crate) mod target;
mod typed_event;

use super::environment::{self, Overrides};
use super::exit::CommandError;
use super::input_file::{FileMessage, InputFile};
use super::stop_signal::StopSignal;
use super::view;
use amp_push_gateway::event::EventTimes;
use amp_push_gateway::local::wall_clock;
use indicatif::ProgressBar;
use outcome::Outcome;
use packing::{Parcel, pack};
use precheck::{Checked, precheck};
use progress::{Kind, Progress};
use report::{Ended, Report};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use target::{Numbered, Target};
use tracing_subscriber::filter::LevelFilter;

/// A bar shows the progress of so many messages or more.
const MANY: usize = 50;

/// Send events onto a queue, to a function, or straight to a receiver.
///
/// Events come from files, from standard input, or from --metric and --label. A file holds one message (an event, or an
/// array of events), or JSON lines: one message a line. Each message is checked first, by the rules of the Lambda function
/// (MAX_SAMPLE_AGE, MAX_SAMPLE_LEAD, EXTERNAL_LABELS). A message with a rejected event is not sent, the others are.
///
/// To a queue (prefer this one) messages go in batches of ten, to a function and a receiver as arrays of up to 500 events.
/// Errors that may pass (throttling, 5xx, network) are tried up to six times; then sending ends and says at which message.
/// A message may arrive twice after a lost answer or a killed run: an event with a timestamp is still stored once. On a
/// FIFO queue a message that is tried again may come after others of its batch.
///
/// With --resume FILE the settled messages are saved after each batch, and the same command goes on from there. On Ctrl-C
/// or SIGTERM the batch in flight is finished.
///
/// Exit code 1 if any message was rejected or not sent, 2 if a file cannot be read or settings are wrong.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("target").required(true))]
pub(crate) struct Arguments {
    /// The files; - is standard input, which is read to its end first.
    #[arg(required_unless_present = "metrics", conflicts_with = "metrics")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    typed: typed_event::Arguments,
    #[command(flatten)]
    target: target::Arguments,
    /// Save the settled messages in this file, and go on from there if it exists.
    #[arg(long, value_name = "FILE", requires = "files")]
    resume: Option<PathBuf>,
    /// Send what would be rejected, too.
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
    let inputs = if arguments.files.is_empty() {
        vec![InputFile { name: "--metric".to_owned(), bytes: typed_event::event(&arguments.typed).into_bytes() }]
    } else {
        arguments.files.iter().map(|path| InputFile::read(path)).collect::<Result<_, _>>()?
    };
    let messages: Vec<_> = inputs.iter().flat_map(InputFile::messages).collect();
    let mut target = Target::new(&arguments.target)?;
    let mut progress = Progress::open(arguments.resume.as_deref(), &inputs, &target.name())?;
    target.set_run(&progress.run);

    let times = EventTimes { now: wall_clock(), sent: None };
    let rules = (!arguments.no_check).then_some(&rules);
    let checked: Vec<_> = messages.iter().map(|message| precheck(message, &times, rules, target.limits())).collect();
    let mut report = Report {
        target: target.name(),
        messages: messages.len() as u64,
        events: checked.iter().map(|checked| checked.events).sum(),
        before: (0..messages.len()).filter(|&number| progress.has(number)).count() as u64,
        resumable: arguments.resume.is_some(),
        ..Report::default()
    };
    let started = Instant::now();
    for (number, (message, checked)) in messages.iter().zip(&checked).enumerate() {
        if let Some(rejection) = checked.rejection.as_ref().filter(|_| !progress.has(number)) {
            report.refused.add(message.place, rejection);
            progress.settle(number, Kind::Refused);
        }
    }
    progress.keep()?;
    send(&messages, &checked, &target, &stop, &mut progress, &mut report).await?;
    progress.finish()?;
    (report.totals, report.took) = (progress.totals, started.elapsed());

    view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn send(
    messages: &[FileMessage<'_>],
    checked: &[Checked],
    target: &Target,
    stop: &StopSignal,
    progress: &mut Progress,
    report: &mut Report,
) -> Result<(), CommandError> {
    let text_of = |number: usize| messages[number].text.as_ref().map_or("", |text| *text);
    let left = (0..messages.len()).filter(|&number| !progress.has(number));
    let parcel = |number| Parcel {
        number,
        bytes: text_of(number).len(),
        is_alone: target.limits().is_array && !checked[number].is_bare_event,
    };
    let parcels: Vec<_> = left.map(parcel).collect();
    let bar = match parcels.len() {
        0..MANY => ProgressBar::hidden(),
        many => view::progress(many as u64, "{bar:40} {pos}/{len} messages {per_sec} {eta}"),
    };
    for numbers in pack(&parcels, target.limits()) {
        let place = |position: usize| messages[numbers[position]].place.to_string();
        if stop.is_asked() {
            report.ended = Some(Ended { place: place(0), reason: "it was asked to stop".to_owned() });
            break;
        }
        let batch: Vec<_> = numbers.iter().map(|&number| Numbered { number, text: text_of(number) }).collect();
        let outcomes = retry::send(target, &batch, stop).await;
        for (position, outcome) in outcomes.iter().enumerate() {
            let (number, message) = (numbers[position], &messages[numbers[position]]);
            match outcome {
                Outcome::Sent | Outcome::Stored => progress.settle(number, Kind::Sent),
                Outcome::Rejected { reason, detail } => {
                    report.rejected.add(message.place, format_args!("{reason}: {detail}"));
                    progress.settle(number, Kind::Rejected);
                }
                Outcome::Failed(error_text) => {
                    report.failed.add(message.place, error_text);
                    progress.settle(number, Kind::Failed);
                }
                Outcome::Unsent { error_text, .. } => {
                    let first = || Ended { place: place(position), reason: error_text.clone() };
                    report.ended.get_or_insert_with(first);
                }
            }
        }
        progress.keep()?;
        bar.inc(numbers.len() as u64);
        if report.ended.is_some() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(())
}
