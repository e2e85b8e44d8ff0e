//! `pushgw send`: events onto a queue, to a function, or straight to a receiver.

mod direct;
mod function;
mod input;
mod judge;
mod outcome;
mod packing;
mod progress;
mod queue;
mod receiver;
mod report;
mod sending;
mod target;
mod typed;

use super::connect::{self, Overrides};
use super::fault::{Fault, Verdict};
use super::stop::Stop;
use super::view;
use amp_push_gateway::event::EventTimes;
use amp_push_gateway::local::wall_clock;
use indicatif::{ProgressBar, ProgressStyle};
use input::Message;
use judge::{Judged, judge};
use outcome::Outcome;
use packing::{Parcel, pack};
use progress::Progress;
use report::{Ended, Report};
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::{Numbered, Target};
use tracing_subscriber::filter::LevelFilter;

/// From so many messages on a bar shows how far it is.
const MANY: usize = 50;

/// Send events onto a queue, to a function, or straight to a receiver.
///
/// Events come from files, from standard input, or from --metric and --label. A file holds one message (an event, or an
/// array of events), or JSON lines: one message a line. Each is checked first, by the rules of the Lambda function
/// (MAX_SAMPLE_AGE, MAX_SAMPLE_LEAD, EXTERNAL_LABELS); a message with a refused event is not sent, the others are.
///
/// To a queue (prefer this one) messages go in batches of ten, to a function and a receiver as arrays of up to 500 events.
/// What fails and may pass (throttling, 5xx, network) is tried up to six times; then sending ends and says where. A
/// message may arrive twice where an answer was lost or a run was killed: an event with a timestamp is stored once all the
/// same. On a FIFO queue a message that is tried again may come after others of its batch.
///
/// With --resume FILE it is written down after each batch what is settled, and the same command goes on from there. On
/// Ctrl-C or SIGTERM the batch under way is finished.
///
/// Exit code 1 where any message was refused, rejected or not sent, 2 where a file cannot be read or settings are wrong.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("target").required(true))]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
pub(crate) struct Arguments {
    /// The files; - is standard input, which is read to its end first.
    #[arg(required_unless_present = "metrics", conflicts_with = "metrics")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    typed: typed::Arguments,
    #[command(flatten)]
    target: target::Arguments,
    /// Write down here what is settled, and go on from there where it exists.
    #[arg(long, value_name = "FILE", requires = "files")]
    resume: Option<PathBuf>,
    /// Send what would be refused, too.
    #[arg(long)]
    no_check: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Verdict, Fault> {
    let stop = Stop::on_signals()?;
    if arguments.resume.is_some() && arguments.files.iter().any(|path| path == Path::new("-")) {
        return Err(Fault::Usage("--resume: standard input cannot be read a second time; expected files".to_owned()));
    }
    let settings = Overrides::checking()?;
    connect::log_to_stderr(&settings, LevelFilter::ERROR, arguments.json);
    let inputs = input::read(&arguments.files, &arguments.typed)?;
    let messages = input::messages(&inputs);
    let target = Target::new(&arguments.target).await?;
    let mut progress = Progress::open(arguments.resume.as_deref(), &inputs, &target.name())?;

    let clock = EventTimes { now: wall_clock(), sent: None };
    let rules = (!arguments.no_check).then(|| settings.rules());
    let judged: Vec<_> = messages.iter().map(|message| judge(message, &clock, rules, target.wants())).collect();
    let mut report = Report {
        target: target.name(),
        messages: messages.len() as u64,
        events: judged.iter().map(|judged| judged.events).sum(),
        totals: progress.totals(),
        before: (0..messages.len()).filter(|&number| progress.has(number)).count() as u64,
        refused: report::List::default(),
        rejected: report::List::default(),
        failed: report::List::default(),
        ended: None,
        resumable: arguments.resume.is_some(),
        took: std::time::Duration::ZERO,
    };
    let started = Instant::now();
    refuse(&messages, &judged, &mut progress, &mut report)?;
    send(&messages, &judged, &target, &stop, &mut progress, &mut report).await?;
    (report.totals, report.took) = (progress.totals(), started.elapsed());

    view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    Ok(if report.is_good() { Verdict::Good } else { Verdict::Bad })
}

/// Settles what is not to be sent.
fn refuse(
    messages: &[Message<'_>],
    judged: &[Judged],
    progress: &mut Progress,
    report: &mut Report,
) -> Result<(), Fault> {
    for (number, (message, judged)) in messages.iter().zip(judged).enumerate() {
        if let Some(refusal) = judged.refusal.as_ref().filter(|_| !progress.has(number)) {
            report.refused.add(message.place, refusal);
            progress.settle(number, |totals| &mut totals.refused);
        }
    }
    progress.keep()
}

/// Sends what is not settled yet, and settles it.
async fn send(
    messages: &[Message<'_>],
    judged: &[Judged],
    target: &Target,
    stop: &Stop,
    progress: &mut Progress,
    report: &mut Report,
) -> Result<(), Fault> {
    let text_of = |number: usize| messages[number].text.as_ref().map_or("", |text| *text);
    let left = (0..messages.len()).filter(|&number| !progress.has(number));
    let parcel = |number| Parcel {
        number,
        bytes: text_of(number).len(),
        is_alone: !matches!(target, Target::Queue(_)) && !judged[number].is_bare_event,
    };
    let parcels: Vec<_> = left.map(parcel).collect();
    let bar = bar(parcels.len());
    for numbers in pack(&parcels, target.limits()) {
        let place = |place: usize| messages[numbers[place]].place.to_string();
        if stop.is_asked() {
            report.ended = Some(Ended { place: place(0), words: "it was asked to stop".to_owned() });
            break;
        }
        let batch: Vec<_> = numbers.iter().map(|&number| Numbered { number, text: text_of(number) }).collect();
        let outcomes = sending::send(target, &batch, stop).await;
        for (&number, outcome) in numbers.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_settled()) {
            settle(number, outcome, &messages[number], progress, report);
        }
        progress.keep()?;
        bar.inc(numbers.len() as u64);
        if let Some(unsent) = sending::first_unsent(&outcomes) {
            let first = outcomes.iter().position(|outcome| !outcome.is_settled()).unwrap_or_default();
            report.ended = Some(Ended { place: place(first), words: unsent.words.clone() });
            break;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn settle(number: usize, outcome: &Outcome, message: &Message<'_>, progress: &mut Progress, report: &mut Report) {
    match outcome {
        Outcome::Sent => progress.settle(number, |totals| &mut totals.sent),
        Outcome::Rejected(words) => {
            report.rejected.add(message.place, words);
            progress.settle(number, |totals| &mut totals.rejected);
        }
        Outcome::Failed(words) => {
            report.failed.add(message.place, words);
            progress.settle(number, |totals| &mut totals.failed);
        }
        Outcome::Unsent(_) => {}
    }
}

/// Hidden for few messages, and by itself where standard error is no terminal.
fn bar(messages: usize) -> ProgressBar {
    if messages < MANY {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(messages as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} messages {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}
