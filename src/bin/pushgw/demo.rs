//! `pushgw demo`: shows the gateway with a small fleet, without any other program. It uses the ledger of `load`.

mod push;
mod report;
mod sensors;
mod story;

use super::environment::{self, made_up_settings};
use super::exit::CommandError;
use super::load::ledger::Ledger;
use super::load::tally::EventOutcome;
use super::{in_process, view};
use amp_push_gateway::dead_letter::DeadLetter;
use amp_push_gateway::lambda::Handled;
use amp_push_gateway::lambda::report::PartialBatchResponse;
use amp_push_gateway::local::dead_letters::{InMemoryDeadLetters, LocalDeadLetters};
use amp_push_gateway::local::invoke_endpoint::request_id;
use amp_push_gateway::local::wall_clock;
use report::Report;
use sensors::{Invocation, Message};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tracing_subscriber::filter::LevelFilter;

const SEED: u64 = 42;
/// For one invocation.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Send the events of some water sensors through the function's code, and show what arrives. A few events are broken.
///
/// By default the events go to a workspace in this process, which checks signatures and applies AMP's rules. You need
/// nothing else. Each sensor has a temperature (a decimal string), a pH (a number) and a battery level (an integer).
/// It has one reading a minute for the last 15 minutes. The events come by SQS batches and by direct invocations. A
/// job also pushes, in the format of Prometheus' client libraries.
///
/// Then the demo plays three minutes of a gateway with state. Short-lived functions report increments, and SQS
/// delivers one of them twice. The group of a job expires. Each minute a tick writes the sums.
///
/// Exit code 0 only if every event was stored, dead-lettered or returned as it should be, and the sums are right.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Write to this receiver instead: AMP, Prometheus or any other. Requests are signed for AMP, or if
    /// REMOTE_WRITE_AUTH=sigv4 is set. The table then shows what the receiver acknowledged. The demo does not read it
    /// back.
    #[arg(long, value_name = "URL")]
    remote_write_url: Option<String>,
    /// How many sensors.
    #[arg(long, value_name = "NUMBER", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    devices: u32,
    /// The seed of names and values. Default: 42; with --remote-write-url a new one each time, so that you can repeat
    /// the demo.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let now = wall_clock();
    let (settings, embedded) = made_up_settings(arguments.remote_write_url.as_deref()).await?;
    environment::log_to_stderr(&settings.log_filter, LevelFilter::ERROR, arguments.json);
    let seed = arguments.seed.unwrap_or_else(|| if embedded.is_some() { SEED } else { now.0.unsigned_abs() });
    let invocations = sensors::invocations(arguments.devices, seed, now);
    let dead_letters = InMemoryDeadLetters::default();
    let gateway = in_process::gateway(&settings, Some(LocalDeadLetters::InMemory(dead_letters.clone())))?;

    let mut ledger = Ledger::new(["customerId", "deviceId"]);
    let progress = view::progress(invocations.len() as u64, "{bar:40} {pos}/{len} invocations");
    let started = Instant::now();
    let mut known_dead_letters = 0;
    for Invocation { payload, messages, .. } in &invocations {
        let events = messages.iter().flat_map(|message| &message.expected);
        ledger.plan(payload.len(), events.clone());
        let request_id = request_id();
        let handled = in_process::invoke(&gateway, request_id.clone(), payload.clone(), TIMEOUT).await;
        let dead_letters = dead_letters.dead_letters().split_off(known_dead_letters);
        known_dead_letters += dead_letters.len();
        let outcomes = messages.iter().flat_map(|message| outcomes(message, &request_id, &handled, &dead_letters));
        for (event, outcome) in events.clone().zip(outcomes) {
            ledger.settle(event, &outcome, wall_clock());
        }
        let (received, sent) = (handled.summary.received, events.count() as u64);
        if received != sent {
            ledger.tally.surprise(format!("an invocation of {sent} events counted {received} as received"));
        }
        progress.inc(1);
    }
    if let Err(why) = push::push_calibration(&gateway, TIMEOUT).await {
        ledger.tally.surprise(format!("the push to /metrics/{}: {why}", push::PATH));
    }
    // Another receiver keeps the series of earlier demos.
    let run = if embedded.is_some() { String::new() } else { format!("{seed:x}") };
    let mut story = story::play(&settings, now, &run, TIMEOUT).await?;
    let took = started.elapsed();
    progress.finish_and_clear();
    let mut stored = embedded.as_ref().map(|embedded| embedded.workspace.snapshot());
    let told = stored.as_mut().map(|stored| stored.extract_if(.., |series| story::is_told(series)).collect::<Vec<_>>());
    story.find(told.as_deref());
    let pushed: Vec<_> =
        stored.iter_mut().flat_map(|stored| stored.extract_if(.., |series| push::is_pushed(series))).collect();
    if let Some(stored) = &stored {
        ledger.find_all(stored, wall_clock());
    }
    let report = Report {
        devices: arguments.devices,
        seed,
        url: settings.remote_write.url.as_str(),
        invocations: &invocations,
        dead_letters: &dead_letters.dead_letters(),
        stored: stored.as_deref(),
        pushed: &pushed,
        story: &story,
        arrival: ledger.arrival(stored.is_some(), i64::MAX),
        tally: &ledger.tally,
        took,
    };
    view::line(&if arguments.json { report.json().to_string() } else { report.to_string() });
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns what became of each event of `message`, by the answer to its invocation and the dead letters that it left. If a
/// message becomes a dead letter, its good events are stored anyway; only the receiver knows if they are.
fn outcomes(message: &Message, request_id: &str, handled: &Handled, dead_letters: &[DeadLetter]) -> Vec<EventOutcome> {
    let id = if message.id.is_empty() { request_id } else { &message.id };
    let answer = match &handled.answer {
        Ok(answer) => serde_json::from_str::<PartialBatchResponse<'_>>(answer).unwrap_or_default(),
        Err(error) => return vec![EventOutcome::Returned(error.error_type.clone()); message.expected.len()],
    };
    if answer.batch_item_failures.iter().any(|failure| failure.item_identifier == id) {
        return vec![EventOutcome::Returned("a message of the queue".to_owned()); message.expected.len()];
    }
    let dead_letter = dead_letters.iter().find(|dead_letter| dead_letter.source_message_id == id);
    let is_good = message.expected.iter().all(|expected| expected.samples().is_some());
    let outcome = |expected: &super::load::generator::Expected| match dead_letter {
        Some(dead_letter) if is_good || expected.samples().is_none() => {
            EventOutcome::DeadLettered(dead_letter.reason.to_string())
        }
        _ => EventOutcome::Stored,
    };
    message.expected.iter().map(outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::super::load::generator::Expected;
    use super::*;
    use amp_push_gateway::gateway::Summary;
    use amp_push_gateway::lambda::FunctionError;
    use amp_push_gateway::model::Reason;

    fn dead_letter(id: &str) -> DeadLetter {
        DeadLetter {
            body: String::new(),
            reason: Reason::TooOld,
            detail: String::new(),
            source_message_id: id.to_owned(),
            source_index: None,
            sent_timestamp: None,
            counted: false,
            maybe_stored: false,
            group_id: None,
            deduplication_id: String::new(),
        }
    }

    #[test]
    fn tells_from_answer_and_dead_letters_what_became_of_each_event() {
        let (good, bad) = (|| Expected::Stored(Vec::new()), || Expected::Rejected(Reason::TooOld));
        let failed = || FunctionError { error_type: "delivery_failed".to_owned(), ..FunctionError::default() };
        let returned = "{\"batchItemFailures\":[{\"itemIdentifier\":\"m\"}]}".to_owned();
        let dead_lettered = || EventOutcome::DeadLettered("too_old".to_owned());
        let table = [
            ("m", vec![good()], Ok("{}".to_owned()), vec![EventOutcome::Stored]),
            ("m", vec![bad()], Ok("{}".to_owned()), vec![EventOutcome::Stored]),
            ("a", vec![bad()], Ok("{}".to_owned()), vec![dead_lettered()]),
            ("a", vec![good()], Ok("{}".to_owned()), vec![dead_lettered()]),
            ("a", vec![good(), bad()], Ok("{}".to_owned()), vec![EventOutcome::Stored, dead_lettered()]),
            ("", vec![bad()], Ok("{}".to_owned()), vec![dead_lettered()]),
            ("m", vec![good()], Ok(returned), vec![EventOutcome::Returned("a message of the queue".to_owned())]),
            ("m", vec![good()], Err(failed()), vec![EventOutcome::Returned("delivery_failed".to_owned())]),
        ];
        for (id, expected, answer, wanted) in table {
            let handled = Handled { answer, summary: Summary::default(), trigger: "direct", http: None };
            let message = Message { id: id.to_owned(), expected };
            assert_eq!(outcomes(&message, "r", &handled, &[dead_letter("a"), dead_letter("r")]), wanted, "{message:?}");
        }
    }
}
