//! `pushgw redrive`: shows the dead letters of a queue, and sends them back.

mod age;
mod attributes;
mod dead_letter;
mod file;
mod queue;
mod report;
mod route;
mod run;
mod tally;

use super::environment::Overrides;
use super::exit::CommandError;
use super::stop_signal::StopSignal;
use super::view;
use amp_push_gateway::config;
use file::JsonLines;
use report::Report;
use route::Selection;
use run::Run;
use serde_json::json;
use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;
use tally::{Ended, Tally};
use url::Url;

/// Show the dead letters of a queue by reason, with examples, and send selected ones back or write them to a file.
///
/// Without --to and --to-file nothing changes: every dead letter is still on the queue afterwards, with a receive
/// count that is one higher. With them select dead letters by --all or --reason.
///
/// Four services make dead letters. The gateway gives its reason. SQS moves messages after maxReceiveCount, without a
/// reason: they have max_receives here. Records of Lambda's on-failure destination have the function's error type, or
/// else delivery_failed. Messages of the error action of an IoT rule have iot_action_failed. Such a message is the
/// device's, not the event that the rule makes, so it can only go to a file.
///
/// --to sends the original body, with the message attribute sent_timestamp, so that events without a time keep
/// theirs. If typed metrics of a dead letter are already counted, its message keeps the attributes counted and
/// source_message_id. So the gateway does not count them twice. A dead letter with other typed metrics is sent
/// as a new message, without sent_timestamp, unless a plain event in it needs that. On a FIFO queue a message is sent
/// in the group of its dead letter, else in the group `rejected`.
///
/// --to does not send events that are older than MAX_SAMPLE_AGE (from the environment, default 1h), because the
/// gateway would reject them again. Neither --to nor --to-file takes dead letters with maybe_stored. The options
/// --include-too-old and --include-maybe-stored change this.
///
/// --to-file writes one line for each dead letter: the body if it is JSON, else the body as a JSON string. A line has
/// no sent_timestamp. With both --to and --to-file the file gets only dead letters that cannot go to the queue
/// (too old, no event). A line has no source_message_id, so typed metrics that are already counted would count twice.
/// The report says how many lines may have some. Remove these metrics before you send the file.
///
/// A dead letter is deleted only after it was written. Ctrl-C and SIGTERM end the program after the batch in flight,
/// and nothing is lost. You can run it again at any time. If a run was killed before it deleted a dead letter, or an
/// answer of SQS was lost, the next run may write it again. A FIFO queue drops the second copy within five minutes.
/// After a killed run, dead letters that it had received stay hidden until --hide is over. On a FIFO dead-letter
/// queue a dead letter that stays also hides the later ones of its group.
///
/// Needs sqs:ReceiveMessage, sqs:ChangeMessageVisibility, sqs:GetQueueAttributes and sqs:DeleteMessage on the
/// dead-letter queue, and sqs:SendMessage and sqs:GetQueueAttributes on the queue of --to. If a queue is not at
/// AWS, calls go to the host in its URL, unless AWS_ENDPOINT_URL_SQS is set.
///
/// Exit code 1 if something failed, the run was stopped, or a selected dead letter stays; 2 for wrong usage or settings.
#[derive(clap::Args, Debug)]
#[command(group = clap::ArgGroup::new("which").args(["reason", "all"]).requires("where_to"))]
#[command(group = clap::ArgGroup::new("where_to").args(["to", "to_file"]).multiple(true).requires("which"))]
pub(crate) struct Arguments {
    /// The dead-letter queue.
    #[arg(long, value_name = "QUEUE_URL")]
    queue_url: Url,
    #[command(flatten)]
    selection: Selection,
    /// Look at no more dead letters than this.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max: u32,
    /// How long dead letters are hidden from others while this runs, in seconds. The program ends before that time.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(10..=43_200))]
    hide: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let Arguments { queue_url, selection, .. } = arguments;
    if selection.to.as_ref() == Some(queue_url) {
        return Err(CommandError::usage(format!(
            "--to {queue_url} is the dead-letter queue itself; expected its source"
        )));
    }
    // The settings need not say where the function writes to.
    let vars = Overrides::default().without(&[config::ENV_EXTERNAL_LABELS, config::ENV_MAX_SAMPLE_LEAD]);
    let max_sample_age_ms = vars.rules()?.max_sample_age_ms;
    let stop = StopSignal::on_signals()?;
    let dead_letters = queue::open(queue_url);
    let approximate_length = queue::length(&dead_letters).await?;
    let source = selection.to.as_ref().map(queue::open);
    if let Some(source) = &source {
        // Before the first message is received.
        queue::length(source).await?;
    }
    let bar_length = approximate_length.min(arguments.max.into());
    let progress = view::progress(bar_length, "{bar:40} {pos} of about {len} dead letters, {elapsed}");
    let run = Run {
        dead_letters: &dead_letters,
        source: source.as_ref(),
        file: selection.to_file.as_deref().map(JsonLines::open).transpose()?,
        selection,
        max_sample_age_ms,
        max: arguments.max as usize,
        hidden_for: Duration::from_secs(arguments.hide),
        stop: &stop,
        progress: &progress,
        tally: Tally::default(),
        staying: Vec::new(),
        seen: HashMap::new(),
    };
    let tally = run.drive().await;
    progress.finish_and_clear();
    let report = Report {
        ok: tally.is_good(),
        dry_run: selection.is_dry(),
        queue: queue_url.as_str(),
        approximate_length,
        tally: &tally,
        selection,
        hidden_for_seconds: arguments.hide,
    };
    view::line(&if arguments.json { json!(report).to_string() } else { report.to_string() });
    for reason in &selection.reason {
        if tally.ended == Ended::Empty && !tally.groups.keys().any(|(known, _)| known == reason) {
            view::note(&format!("no dead letter has the reason {reason}"));
        }
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
