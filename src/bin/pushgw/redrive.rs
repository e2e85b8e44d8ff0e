//! `pushgw redrive`: what lies on a dead-letter queue, and back with it.

mod age;
mod choice;
mod drive;
mod file;
mod iot;
mod lambda;
mod letter;
mod queue;
mod report;
mod tally;

use super::connect::Overrides;
use super::fault::{Fault, Verdict};
use super::stop::Stop;
use super::view;
use amp_push_gateway::config;
use choice::Choice;
use drive::Run;
use file::JsonLines;
use indicatif::{ProgressBar, ProgressStyle};
pub(crate) use queue::{Outgoing, Queue};
use report::Report;
use std::path::PathBuf;
use std::time::Duration;
use tally::Ended;
use url::Url;

/// Show what lies on a dead-letter queue, by reason and with examples; and, when told to, send chosen letters back to
/// their queue or append them to a file.
///
/// Four kinds of letters are understood: those of the function (with its reason); messages that SQS moved after
/// maxReceiveCount (max_receives); records of Lambda's on-failure destination (the function's error type, else
/// delivery_failed); and messages of an IoT rule's error action (iot_action_failed). The last hold what the device
/// published, not the event that the rule makes of it: they can only go to a file.
///
/// Without --to and --to-file nothing is changed: every letter is on the queue afterwards, only its receive count is
/// one higher. With them, --all or --reason says which letters go. The original body is sent, with the message attribute
/// sent_timestamp, so that events without a time keep theirs; on a FIFO queue in its group (else `rejected`). A letter is
/// deleted once it was safely written, and not before. What cannot go to the queue (too old, no event) goes to the file
/// where both are given. A line of the file is the body, as it stands where it is JSON, else as a JSON string; a line has
/// no sent_timestamp.
///
/// Letters whose events are older than MAX_SAMPLE_AGE (from the environment, default 1h) are not sent back: they could
/// only be refused again. Letters marked maybe_stored are not sent unless asked for.
///
/// Ctrl-C and SIGTERM end it after the batch under way; it can be run again at any time. Nothing is lost then, and
/// nothing is written twice, but what a killed run (or a lost answer of SQS) had written and not yet deleted; a FIFO
/// queue knows such a message for five minutes. A killed run leaves the letters that it had received hidden until --hide
/// is over. On a FIFO dead-letter queue a letter that stays hides the later ones of its group.
///
/// Needs sqs:ReceiveMessage, sqs:ChangeMessageVisibility, sqs:GetQueueAttributes and sqs:DeleteMessage there, and
/// sqs:SendMessage and sqs:GetQueueAttributes on the queue of --to. A queue whose URL is not of AWS is asked at that URL,
/// unless AWS_ENDPOINT_URL_SQS is set.
///
/// Exit code 1 where something failed, was stopped, or stays though it was chosen; 2 for wrong usage or settings.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("which").args(["reason", "all"]).requires("where_to"))]
#[command(group = clap::ArgGroup::new("where_to").args(["to", "to_file"]).multiple(true).requires("which"))]
#[expect(clippy::doc_markdown, reason = "this is the help text, which knows no markup")]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub(crate) struct Arguments {
    /// The dead-letter queue.
    #[arg(long, value_name = "QUEUE_URL")]
    queue_url: Url,
    /// Send letters back to this queue.
    #[arg(long, value_name = "QUEUE_URL")]
    to: Option<Url>,
    /// Append letters to this file, one line of JSON for each.
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
    /// Letters of this reason, as the table shows it; may be given several times.
    #[arg(long, value_name = "REASON")]
    reason: Vec<String>,
    /// Letters of all reasons.
    #[arg(long)]
    all: bool,
    /// Send back even what is too old to be taken.
    #[arg(long, requires = "to")]
    include_too_old: bool,
    /// Send even what the receiver may hold already.
    #[arg(long, requires = "where_to")]
    include_maybe_stored: bool,
    /// Look at no more letters than this.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max: u32,
    /// How long letters are hidden from others while this runs, in seconds; it ends by itself before.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(10..=43_200))]
    hide: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Verdict, Fault> {
    if arguments.to.as_ref() == Some(&arguments.queue_url) {
        let text = format!("--to {} is the dead-letter queue itself; expected its source", arguments.queue_url);
        return Err(Fault::Usage(text));
    }
    let max_sample_age_ms = max_sample_age_ms()?;
    let stop = Stop::on_signals()?;
    let dead_letters = Queue::new(&arguments.queue_url).await;
    let length = dead_letters.length().await.map_err(Fault::Failed)?;
    let source = match &arguments.to {
        Some(url) => {
            let source = Queue::new(url).await;
            // Before the first letter is touched.
            source.length().await.map_err(Fault::Failed)?;
            Some(source)
        }
        None => None,
    };
    let choice = Choice {
        reasons: arguments.reason.clone(),
        to_queue: source.is_some(),
        to_file: arguments.to_file.is_some(),
        include_too_old: arguments.include_too_old,
        include_maybe_stored: arguments.include_maybe_stored,
    };
    let progress = progress(length.min(arguments.max.into()));
    let run = Run {
        dead_letters: &dead_letters,
        source: source.as_ref(),
        file: arguments.to_file.as_deref().map(JsonLines::open).transpose()?,
        choice: &choice,
        max_sample_age_ms,
        max: arguments.max as usize,
        hidden_for: Duration::from_secs(arguments.hide),
        stop: &stop,
        progress: &progress,
    };
    let tally = run.drive().await;
    progress.finish_and_clear();
    let report = Report {
        queue: arguments.queue_url.as_str(),
        length,
        source: arguments.to.as_ref().map(Url::as_str),
        file: arguments.to_file.as_ref().map(|path| path.display().to_string()),
        choice: &choice,
        tally: &tally,
        hidden_for_seconds: arguments.hide,
    };
    view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    for reason in &arguments.reason {
        if tally.ended == Ended::Empty && !tally.groups.keys().any(|(known, _)| known == reason) {
            view::note(&format!("no letter has the reason {reason}"));
        }
    }
    Ok(if tally.is_good() { Verdict::Good } else { Verdict::Bad })
}

/// What the function takes, by its settings. Where it writes to is of no interest, and need not be set.
fn max_sample_age_ms() -> Result<i64, Fault> {
    let vars = Overrides::default()
        .set(config::ENV_REMOTE_WRITE_URL, "http://localhost/")
        .set(config::ENV_REMOTE_WRITE_AUTH, "none")
        .without(&[config::ENV_DEAD_LETTER_QUEUE_URL, config::ENV_EXTERNAL_LABELS, config::ENV_MAX_SAMPLE_LEAD])
        .without(&[config::ENV_LATE_SAMPLES, config::ENV_RUST_LOG]);
    Ok(vars.settings()?.rules().max_sample_age_ms)
}

/// Hidden by itself where standard error is no terminal.
fn progress(length: u64) -> ProgressBar {
    let progress = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of about {len} letters, {elapsed}") {
        progress.set_style(style);
    }
    progress
}
